//! How uploads end, and what is left of those that do not end well.

use super::*;

/// Sends so many bytes, all of which have come in then.
async fn arrive(client: &mut TcpStream, progress: &Progress, size: usize) {
    client.write_all(&pattern(size)).await.unwrap();
    while progress.bytes() < size as u64 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn a_full_disk_is_what_the_client_is_told() {
    for size in [10, 3 << 20] {
        let (opened, endings) = sink_into(File::options().write(true).open("/dev/full").unwrap());
        let end = Fixture::new(opened).await.upload(&pattern(size)).await;
        aborted(&end, Cause::File(FsErrorKind::NoSpace));
        assert_eq!(end.bytes, 0, "what was stored, not what came");
        assert_eq!(endings.into_iter().collect::<Vec<_>>(), [Ending::Aborted]);
    }
}

#[tokio::test]
async fn what_a_full_sink_has_taken_is_counted() {
    /// Takes so many bytes.
    struct Small(usize);

    impl ByteSink for Small {
        async fn write(&mut self, piece: Bytes) -> FsResult<()> {
            self.0 = self.0.checked_sub(piece.len()).ok_or(FsErrorKind::NoSpace)?;
            Ok(())
        }

        async fn finish(self, _: Ending) -> FsResult<()> {
            Ok(())
        }
    }

    let end = Fixture::new(Opened::Sink(Sink::stream(Small(1 << 20)))).await.upload(&pattern(3 << 20)).await;
    aborted(&end, Cause::File(FsErrorKind::NoSpace));
    assert!((1..=1 << 20).contains(&end.bytes), "{} bytes", end.bytes);
}

#[tokio::test]
async fn a_file_that_cannot_be_published_is_no_complete_upload() {
    let sink = Sink::file(tempfile::tempfile().unwrap(), |_, _| Err(FsErrorKind::QuotaExceeded.into()));
    let end = Fixture::new(Opened::Sink(sink)).await.upload(b"abc").await;
    aborted(&end, Cause::File(FsErrorKind::QuotaExceeded));
}

#[cfg_attr(windows, ignore = "Wine, which runs these tests, closes such a socket in order")]
#[tokio::test]
async fn an_upload_that_is_reset_is_aborted_and_keeps_what_came() {
    for size in [10, 2 << 20] {
        let (opened, file, endings) = sink();
        let Fixture { job, mut client, progress } = Fixture::new(opened).await;
        let client = async {
            arrive(&mut client, &progress, size).await;
            client.set_zero_linger().unwrap();
            drop(client);
        };
        let (end, ()) = tokio::join!(run(job), client);
        aborted(&end, Cause::Peer);
        assert!(content(file) == pattern(size));
        assert_eq!(endings.into_iter().collect::<Vec<_>>(), [Ending::Aborted]);
    }
}

#[tokio::test]
async fn stopping_an_upload_finishes_it_once() {
    for size in [10, 2 << 20] {
        let (opened, file, endings) = sink();
        let Fixture { job, mut client, progress } = Fixture::new(opened).await;
        let client = async {
            arrive(&mut client, &progress, size).await;
            progress.stop(Cause::Abort);
            client
        };
        let (end, _client) = tokio::join!(run(job), client);
        aborted(&end, Cause::Abort);
        assert!(content(file) == pattern(size));
        assert_eq!(endings.into_iter().collect::<Vec<_>>(), [Ending::Aborted]);
    }
}

#[tokio::test]
async fn dropping_an_upload_finishes_it_once() {
    for size in [10, 2 << 20] {
        let (opened, _file, endings) = sink();
        let Fixture { job, mut client, progress } = Fixture::new(opened).await;
        let client = async {
            arrive(&mut client, &progress, size).await;
        };
        tokio::select! {
            end = run(job) => panic!("{end:?}"),
            () = client => {}
        }
        assert_eq!(endings.into_iter().collect::<Vec<_>>(), [Ending::Aborted]);
    }
}

#[tokio::test]
async fn a_client_that_is_gone_altogether_proves_nothing() {
    let (opened, file, endings) = sink();
    let mut fixture = Fixture::new(opened).await;
    fixture.job.progress = Arc::default();
    fixture.job.progress.answer(false);
    let end = fixture.upload(b"abc").await;
    assert_eq!((end.ending, end.cause), (Ending::Unproven, Some(Cause::ControlLost)));
    assert_eq!(content(file), b"abc");
    assert_eq!(
        endings.into_iter().collect::<Vec<_>>(),
        [Ending::Aborted],
        "the file is that of a cut upload"
    );
}

#[tokio::test]
async fn a_lost_control_connection_ends_an_upload_with_what_has_arrived() {
    for (closes, expected, watched) in [
        (true, Ending::Unproven, true),
        (false, Ending::Aborted, true),
        (true, Ending::Unproven, false),
        (false, Ending::Aborted, false),
    ] {
        let (opened, file, _endings) = sink();
        let Fixture { mut job, mut client, progress } = Fixture::new(opened).await;
        if !watched {
            // As a hop leaves it.
            job.stream = job.stream.plain().unwrap().unwatched().unwrap().into();
        }
        client.write_all(b"abc").await.unwrap();
        if closes {
            client.shutdown().await.unwrap();
        }
        progress.stop(Cause::ControlLost);
        let end = run(job).await;
        assert_eq!((end.ending, end.cause), (expected, Some(Cause::ControlLost)));
        assert_eq!(content(file), b"abc");
    }
}

//! Transfers over real sockets, files and endings compared.

#[cfg(feature = "tls")]
mod tls;
mod uploads;

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::Ipv4Addr;
use std::num::NonZeroU64;
use std::sync::{Mutex, mpsc};

use bytes::Bytes;
use futures_core::Stream;
#[cfg(target_os = "linux")]
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::Instant;
use wharf_proto::{Direction, FsErrorKind, Metadata};

use super::*;
use crate::fs::{ByteSink, Entry, FsResult};

/// A transfer that is about to run, the client's end of its data connection, and its handle.
struct Fixture {
    job: Job,
    client: TcpStream,
    progress: Arc<Progress>,
}

impl Fixture {
    async fn new(opened: Opened) -> Self {
        Self::with(TcpSocket::new_v4().unwrap(), opened).await
    }

    /// A download by a client whose system takes no more than a few thousand bytes for it.
    #[cfg(target_os = "linux")]
    async fn reluctant(bytes: &[u8]) -> Self {
        let client = TcpSocket::new_v4().unwrap();
        client.set_recv_buffer_size(4096).unwrap();
        Self::with(client, source(bytes)).await
    }

    async fn with(client: TcpSocket, opened: Opened) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let client = client.connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let direction = match opened {
            Opened::Source(_) => Direction::Send,
            Opened::Sink(_) => Direction::Receive,
            Opened::Entries(..) => Direction::List,
        };
        let progress = Arc::new(Progress::default());
        progress.answer(true);
        let job = Job {
            plan: TransferPlan { direction, transfer_type: TransferType::Binary, protected: false },
            stream: server.into(),
            opened,
            progress: Arc::clone(&progress),
            pace: None,
            data_timeout: Duration::from_secs(300),
            proof: Proof { broken: false, close_notify: false },
        };
        Self { job, client, progress }
    }

    fn ascii(mut self) -> Self {
        self.job.plan.transfer_type = TransferType::Ascii;
        self
    }

    /// Downloads everything, then closes.
    async fn download(self) -> (TransferEnd, Vec<u8>) {
        let Self { job, mut client, .. } = self;
        let reading = async {
            let mut all = Vec::new();
            let _ = client.read_to_end(&mut all).await;
            drop(client);
            all
        };
        tokio::join!(run(job), reading)
    }

    /// Uploads `bytes` and closes.
    async fn upload(self, bytes: &[u8]) -> TransferEnd {
        let Self { job, mut client, .. } = self;
        let writing = async move {
            let _ = client.write_all(bytes).await;
        };
        tokio::join!(run(job), writing).0
    }
}

/// A sink in a temporary file, the file again, and what its finishes are told.
fn sink() -> (Opened, File, mpsc::Receiver<Ending>) {
    let file = tempfile::tempfile().unwrap();
    let again = file.try_clone().unwrap();
    let (opened, endings) = sink_into(file);
    (opened, again, endings)
}

fn sink_into(file: File) -> (Opened, mpsc::Receiver<Ending>) {
    let (told, endings) = mpsc::channel();
    let sink = Sink::file(file, move |_, ending| {
        told.send(ending).unwrap();
        Ok(())
    });
    (Opened::Sink(sink), endings)
}

fn source(bytes: &[u8]) -> Opened {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    Opened::Source(file.into())
}

fn content(mut file: File) -> Vec<u8> {
    let mut all = Vec::new();
    file.seek(SeekFrom::Start(0)).unwrap();
    file.read_to_end(&mut all).unwrap();
    all
}

/// Bytes without a short period.
fn pattern(length: usize) -> Vec<u8> {
    (0..length as u64).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

/// A stream of pieces, which come when they are sent to the channel.
struct Pieces<T>(tokio::sync::mpsc::UnboundedReceiver<FsResult<T>>);

impl<T> Stream for Pieces<T> {
    type Item = FsResult<T>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<FsResult<T>>> {
        self.0.poll_recv(context)
    }
}

/// A sink that is no file.
#[derive(Default)]
struct Memory(Arc<Mutex<(Vec<u8>, Vec<Ending>)>>);

impl ByteSink for Memory {
    async fn write(&mut self, piece: Bytes) -> FsResult<()> {
        self.0.lock().unwrap().0.extend_from_slice(&piece);
        Ok(())
    }

    async fn finish(self, ending: Ending) -> FsResult<()> {
        self.0.lock().unwrap().1.push(ending);
        Ok(())
    }
}

const SIZES: [usize; 8] = [0, 1, 65_535, 65_536, 65_537, 262_144, 1_048_577, 64 << 20];

fn complete(end: &TransferEnd, bytes: usize) {
    assert_eq!((end.ending, end.cause, end.bytes), (Ending::Complete, None, bytes as u64));
}

fn aborted(end: &TransferEnd, cause: Cause) {
    assert_eq!((end.ending, end.cause), (Ending::Aborted, Some(cause)));
}

#[test]
fn the_cheapest_route_that_is_right_is_chosen() {
    use TransferType::{Ascii, Binary};
    let kernel = if cfg!(target_os = "linux") { Route::Kernel } else { Route::Copy };
    for (transfer_type, protected, local, route) in [
        (Binary, false, true, kernel),
        (Binary, false, false, Route::Copy),
        (Binary, true, true, Route::Tls),
        (Binary, true, false, Route::Tls),
        (Ascii, false, true, Route::Ascii),
        (Ascii, false, false, Route::Ascii),
        (Ascii, true, true, Route::Ascii),
        (Ascii, true, false, Route::Ascii),
    ] {
        for direction in [Direction::Send, Direction::Receive] {
            let plan = TransferPlan { direction, transfer_type, protected };
            assert_eq!(Route::choose(&plan, local), route, "{plan:?} {local}");
        }
    }
}

#[tokio::test]
async fn files_arrive_whole_whatever_their_size() {
    for size in SIZES {
        let bytes = pattern(size);
        let (end, got) = Fixture::new(source(&bytes)).await.download().await;
        complete(&end, size);
        assert!(got == bytes, "{size} bytes down");

        let (opened, file, endings) = sink();
        let end = Fixture::new(opened).await.upload(&bytes).await;
        complete(&end, size);
        assert!(content(file) == bytes, "{size} bytes up");
        assert_eq!(endings.into_iter().collect::<Vec<_>>(), [Ending::Complete]);
    }
}

#[tokio::test]
async fn what_is_no_file_is_pumped() {
    for size in SIZES {
        let bytes = pattern(size);
        let (sender, pieces) = tokio::sync::mpsc::unbounded_channel();
        for piece in bytes.chunks(100_000) {
            sender.send(Ok(Bytes::copy_from_slice(piece))).unwrap();
        }
        drop(sender);
        let (end, got) = Fixture::new(Opened::Source(Source::stream(Pieces(pieces)))).await.download().await;
        complete(&end, size);
        assert!(got == bytes, "{size} bytes down");

        let memory = Memory::default();
        let came = Arc::clone(&memory.0);
        let end = Fixture::new(Opened::Sink(Sink::stream(memory))).await.upload(&bytes).await;
        complete(&end, size);
        let came = came.lock().unwrap();
        assert!(came.0 == bytes && came.1 == [Ending::Complete], "{size} bytes up");
    }
}

#[tokio::test]
async fn line_ends_are_converted_both_ways() {
    let (end, got) = Fixture::new(source(b"a\nb\r\nc")).await.ascii().download().await;
    assert_eq!(got, b"a\r\nb\r\nc");
    complete(&end, 7);
    let (opened, file, _endings) = sink();
    let end = Fixture::new(opened).await.ascii().upload(b"a\r\nb\nend\r").await;
    assert_eq!(content(file), b"a\nb\nend\r");
    complete(&end, 9);
}

#[tokio::test]
async fn long_texts_are_converted_across_pieces() {
    let text = b"one\ntwo\n".repeat(100_000);
    let wire = b"one\r\ntwo\r\n".repeat(100_000);
    let (_, got) = Fixture::new(source(&text)).await.ascii().download().await;
    assert!(got == wire);
    let (opened, file, _endings) = sink();
    Fixture::new(opened).await.ascii().upload(&wire).await;
    assert!(content(file) == text);
}

#[tokio::test]
async fn an_upload_goes_on_where_its_file_is_positioned() {
    let (opened, mut file, _) = sink();
    file.write_all(b"0123456789").unwrap();
    file.seek(SeekFrom::Start(5)).unwrap();
    Fixture::new(opened).await.upload(b"AB").await;
    assert_eq!(content(file), b"01234AB789");
}

#[tokio::test]
async fn a_file_opened_for_appending_is_appended_to() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    std::fs::write(&path, b"old").unwrap();
    let (opened, _endings) = sink_into(File::options().append(true).open(&path).unwrap());
    let bytes = pattern(3 << 20);
    let end = Fixture::new(opened).await.upload(&bytes).await;
    complete(&end, bytes.len());
    assert!(std::fs::read(&path).unwrap() == [b"old".as_slice(), &bytes].concat());
}

/// The clock stands still: the moment in which the client may still reset lasts as long as it has to.
#[tokio::test(start_paused = true)]
async fn a_download_that_the_client_does_not_take_is_aborted() {
    let (_at_work, work) = mpsc::channel::<()>();
    // While a thread is at work the runtime does not move the clock on by itself.
    drop(tokio::task::spawn_blocking(move || work.recv()));
    // One that fits the buffers is all sent when it is reset, of which Wine sometimes tells as of an end.
    let sizes: &[usize] = if cfg!(windows) { &[32 << 20] } else { &[1 << 20, 32 << 20] };
    for &size in sizes {
        let Fixture { job, mut client, .. } = Fixture::new(source(&pattern(size))).await;
        let client = async {
            client.read_exact(&mut vec![0; size / 2]).await.unwrap();
            // With bytes unread closing is a reset. Those that come later would find a FIN sent before.
            client.peek(&mut [0]).await.unwrap();
            drop(client);
        };
        let (end, ()) = tokio::join!(run(job), client);
        aborted(&end, Cause::Peer);
    }
}

/// A client's system takes a few thousand bytes that the client does not read; the server's has room for the rest.
#[cfg(target_os = "linux")]
#[tokio::test(start_paused = true)]
async fn a_download_that_the_client_stops_reading_is_given_up_in_time() {
    let Fixture { mut job, mut client, .. } = Fixture::reluctant(&pattern(100_000)).await;
    job.data_timeout = Duration::from_secs(20);
    let begun = Instant::now();
    let client = async {
        client.read_exact(&mut [0; 1000]).await.unwrap();
        client
    };
    let (end, _client) = tokio::join!(run(job), client);
    aborted(&end, Cause::Timeout);
    assert_eq!(end.bytes, 100_000, "the kernel had all of it");
    assert!(begun.elapsed().as_secs() >= 20, "{:?}", begun.elapsed());
}

/// It has ended its own side before, and no read tells of the reset any more.
#[cfg(target_os = "linux")]
#[tokio::test(start_paused = true)]
async fn a_reset_behind_a_fin_ends_the_download() {
    let Fixture { job, mut client, .. } = Fixture::reluctant(&pattern(60_000)).await;
    let client = async {
        client.shutdown().await.unwrap();
        // The clock moves on when all have seen the FIN.
        tokio::time::sleep(Duration::from_secs(10)).await;
        SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);
    };
    let (end, ()) = tokio::join!(run(job), client);
    aborted(&end, Cause::Peer);
}

#[cfg(target_os = "linux")]
#[tokio::test(start_paused = true)]
async fn a_client_that_sends_where_it_is_to_receive_is_given_up() {
    let Fixture { job, mut client, .. } = Fixture::reluctant(&pattern(60_000)).await;
    let client = async { while client.write_all(&[0; 4096]).await.is_ok() {} };
    let (end, ()) = tokio::join!(run(job), client);
    aborted(&end, Cause::Peer);
}

/// Between two reads the client lets nearly all of the time pass that it has; together they take much longer.
#[cfg(target_os = "linux")]
#[tokio::test(start_paused = true)]
async fn a_download_that_the_client_takes_slowly_is_complete() {
    let Fixture { mut job, mut client, .. } = Fixture::reluctant(&pattern(100_000)).await;
    job.data_timeout = Duration::from_secs(20);
    let DataStream::Plain(lazy::Lazy::Watched(server)) = &job.stream else { panic!("a watched socket") };
    let server = SockRef::from(&**server).try_clone().unwrap();
    let left = || wharf_sys::unacknowledged(&server).unwrap();
    let begun = Instant::now();
    let client = async {
        let mut got = 0;
        while left() == 0 {
            tokio::task::yield_now().await;
        }
        while left() > 1 {
            tokio::time::sleep(Duration::from_secs(18)).await;
            let before = left();
            // The clock stands still here: how long the kernel takes to bring the bytes over does not matter.
            while left() > 1 && left() == before {
                got += (&*SockRef::from(&client)).read(&mut [0; 20_000]).unwrap_or(0);
                std::thread::yield_now();
            }
        }
        while got < 100_000 {
            got += client.read(&mut [0; 20_000]).await.unwrap();
        }
        client
    };
    let (end, _client) = tokio::join!(run(job), client);
    complete(&end, 100_000);
    assert!(begun.elapsed().as_secs() > 20, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_client_that_closes_its_own_side_first_still_gets_its_file() {
    let bytes = pattern(3 << 20);
    let Fixture { job, mut client, .. } = Fixture::new(source(&bytes)).await;
    client.shutdown().await.unwrap();
    let mut got = Vec::new();
    let (end, read) = tokio::join!(run(job), client.read_to_end(&mut got));
    read.unwrap();
    complete(&end, bytes.len());
    assert!(got == bytes);
}

#[tokio::test(start_paused = true)]
async fn a_silent_client_is_given_up_in_time() {
    let (upload, _file, _endings) = sink();
    for opened in [upload, source(&pattern(64 << 20))] {
        let Fixture { job, client: _client, .. } = Fixture::new(opened).await;
        let begun = Instant::now();
        aborted(&run(job).await, Cause::Timeout);
        assert_eq!(begun.elapsed().as_secs(), 300);
    }
}

#[tokio::test(start_paused = true)]
async fn a_rate_is_kept_both_ways() {
    let bytes = pattern(100_000);
    let (upload, _file, _endings) = sink();
    for opened in [source(&bytes), upload] {
        let mut fixture = Fixture::new(opened).await;
        fixture.job.pace = NonZeroU64::new(10_000).map(Pace::new);
        // Otherwise a kernel that has not brought the bytes over yet would pass for a silent client.
        fixture.job.data_timeout = Duration::ZERO;
        let begun = Instant::now();
        let end = match fixture.job.opened {
            Opened::Source(_) => fixture.download().await.0,
            _ => fixture.upload(&bytes).await,
        };
        complete(&end, bytes.len());
        // After a download comes the wait for what the client makes of its end.
        assert!((9.0..13.0).contains(&begun.elapsed().as_secs_f64()), "{:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn a_file_that_is_cut_while_it_is_sent_is_not_whole() {
    let file = tempfile::tempfile().unwrap();
    file.set_len(64 << 20).unwrap();
    let Fixture { job, mut client, .. } =
        Fixture::new(Opened::Source(file.try_clone().unwrap().into())).await;
    let client = async {
        client.read_exact(&mut [0; 1000]).await.unwrap();
        file.set_len(1000).unwrap();
        while matches!(client.read(&mut [0; 65_536]).await, Ok(1..)) {}
    };
    let (end, ()) = tokio::join!(run(job), client);
    aborted(&end, Cause::File(FsErrorKind::Failed));
    assert!(end.bytes < 64 << 20);
}

#[tokio::test]
async fn a_listing_leaves_as_it_is_read() {
    let (sender, batches) = tokio::sync::mpsc::unbounded_channel();
    let batch = |name: &str| Ok(vec![Entry::new(name, Metadata::file(0))]);
    sender.send(batch("first")).unwrap();
    let opened = Opened::Entries(Entries::directory(Pieces(batches)), Format::Names);
    let Fixture { job, mut client, .. } = Fixture::new(opened).await;
    let client = async {
        let mut line = [0; 7];
        client.read_exact(&mut line).await.unwrap();
        assert_eq!(&line, b"first\r\n");
        sender.send(batch("second")).unwrap();
        drop(sender);
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).await.unwrap();
        rest
    };
    let (end, rest) = tokio::join!(run(job), client);
    assert_eq!(rest, b"second\r\n");
    complete(&end, 15);
}

#[tokio::test]
async fn a_directory_that_cannot_be_read_further_is_no_whole_listing() {
    let (sender, batches) = tokio::sync::mpsc::unbounded_channel();
    sender.send(Ok(vec![Entry::new("first", Metadata::file(0))])).unwrap();
    sender.send(Err(FsErrorKind::PermissionDenied.into())).unwrap();
    let opened = Opened::Entries(Entries::directory(Pieces(batches)), Format::Names);
    let (end, _) = Fixture::new(opened).await.download().await;
    aborted(&end, Cause::File(FsErrorKind::PermissionDenied));
}

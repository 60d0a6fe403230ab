//! What it costs to understand a client: bytes into lines, lines into commands.
#![allow(missing_docs)] // benchmarks are no API

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use wharf_proto::{Command, CommandTable, LineDecoder};

/// What a client sends before and for one download.
const DIALOGUE: &[u8] =
    b"USER ann\r\nPASS secret\r\nTYPE I\r\nCWD /pub/music\r\nEPSV\r\nSIZE a.flac\r\nRETR a.flac\r\n";

fn main() {
    divan::main();
}

/// Lines that arrive together, as pipelining clients send them.
#[divan::bench(args = [1, 10, 100])]
fn lines_of_dialogues(bencher: Bencher<'_, '_>, dialogues: usize) {
    let bytes = DIALOGUE.repeat(dialogues);
    bencher.counter(BytesCount::of_slice(&bytes)).bench_local(|| {
        let mut decoder = LineDecoder::default();
        let mut lines = 0;
        for piece in bytes.chunks(4096) {
            decoder.push(piece);
            while let Some(line) = decoder.next_line() {
                lines += usize::from(line.is_ok());
            }
        }
        lines
    });
}

/// One line at a time, as most clients send them.
#[divan::bench]
fn one_line(bencher: Bencher<'_, '_>) {
    let mut decoder = LineDecoder::default();
    bencher.bench_local(|| {
        decoder.push(divan::black_box(b"RETR some/file/of/the/usual/length.tar.gz\r\n"));
        decoder.next_line()
    });
}

/// A line with Telnet commands in it, which goes byte by byte.
#[divan::bench]
fn urgent_abort(bencher: Bencher<'_, '_>) {
    let mut decoder = LineDecoder::default();
    bencher.bench_local(|| {
        decoder.push(divan::black_box(b"\xff\xf4\xff\xf2ABOR\r\n"));
        decoder.next_line()
    });
}

#[divan::bench(args = ["NOOP", "retr a.flac", "PORT 192,0,2,1,200,13", "SITE CHMOD 644 a", "XYZZY"])]
fn command(bencher: Bencher<'_, '_>, line: &str) {
    let table = CommandTable::standard();
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
        let (row, argument) = table.recognise(divan::black_box(line.as_bytes()))?;
        Command::parse(row.verb, argument)
    });
}

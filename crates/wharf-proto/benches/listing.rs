//! What it costs to show a directory.
#![allow(missing_docs)] // benchmarks are no API

use divan::Bencher;
use divan::counter::ItemsCount;
use wharf_proto::listing::{Entry, FactSet, Format, TimeStyle};
use wharf_proto::{Letters, Metadata, Timestamp};

/// How many entries a directory of the benchmarks has.
const ENTRIES: usize = 1_000;

const NOW: Timestamp = Timestamp { seconds: 1_700_000_000, nanoseconds: 0 };

fn main() {
    divan::main();
}

#[divan::bench]
fn list(bencher: Bencher<'_, '_>) {
    format(bencher, &Format::Long(TimeStyle::Utc));
}

#[divan::bench]
fn mlsd(bencher: Bencher<'_, '_>) {
    format(
        bencher,
        &Format::Facts { facts: FactSet::default(), letters: Letters::ALL.into(), times: TimeStyle::Utc },
    );
}

#[divan::bench]
fn nlst(bencher: Bencher<'_, '_>) {
    format(bencher, &Format::Names);
}

/// Formats a directory into one buffer that is used again.
fn format(bencher: Bencher<'_, '_>, format: &Format) {
    let entries: Vec<Entry> = (0..ENTRIES).map(entry).collect();
    let mut out = Vec::new();
    bencher.counter(ItemsCount::new(ENTRIES)).bench_local(|| {
        out.clear();
        for entry in &entries {
            format.push_line(entry, NOW, &mut out);
        }
        out.len()
    });
}

fn entry(number: usize) -> Entry {
    let seconds = NOW.seconds - number as i64 * 86_400;
    let metadata =
        Metadata { modified: Timestamp { seconds, nanoseconds: 0 }, ..Metadata::file(number as u64 * 4_711) };
    Entry::new(format!("file-{number:06}.dat"), metadata)
}

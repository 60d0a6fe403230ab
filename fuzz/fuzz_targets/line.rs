//! Lines come out the same however their bytes arrive, and memory stays bounded.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf_proto::{LineDecoder, LineError};

const LIMIT: usize = 32;

fuzz_target!(|input: (u8, &[u8])| {
    let (size, stream) = input;
    let whole = decode([stream]);
    let pieces = decode(stream.chunks(usize::from(size).max(1)));
    assert_eq!(whole, pieces);
    for line in whole.into_iter().flatten() {
        assert!(line.len() <= LIMIT);
        assert!(!line.windows(2).any(|pair| pair == b"\r\n"));
    }
});

fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Result<Vec<u8>, LineError>> {
    let mut decoder = LineDecoder::new(LIMIT);
    let mut lines = Vec::new();
    for piece in pieces {
        decoder.push(piece);
        lines.extend(std::iter::from_fn(|| decoder.next_line()));
        // A full decoder that has no line to give would wait for ever.
        assert!(!decoder.is_full());
    }
    lines
}

//! Whatever comes in records after a handshake, or instead of records: what the server reads was sealed for it, in that
//! order, and what it says can be opened. The input is a script, see `wharf::tls::fuzzing`.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tokio::runtime::{Builder, Runtime};
use wharf::tls::fuzzing::Records;

static RECORDS: LazyLock<Records> = LazyLock::new(|| {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let pem = made.cert.pem() + &made.signing_key.serialize_pem();
    Records::new(pem.as_bytes(), made.cert.der())
});

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_time().build().expect("a runtime"));

fuzz_target!(|script: &[u8]| RUNTIME.block_on(RECORDS.play(script)));

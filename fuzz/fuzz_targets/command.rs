//! Any line is a command or is refused in one well-formed line, and what MFMT reads LIST can print.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use wharf_proto::listing::{TimeStyle, parse_time, push_time};
use wharf_proto::{Command, CommandTable, Reply};

static TABLE: LazyLock<CommandTable> = LazyLock::new(|| CommandTable::standard().with_tls());

fuzz_target!(|line: &[u8]| {
    let recognised = TABLE.recognise(line);
    match recognised.and_then(|(row, argument)| Command::parse(row.verb, argument)) {
        Ok(Command::SetModified { time, .. }) => {
            let mut text = Vec::new();
            push_time(&mut text, time, &TimeStyle::Utc);
            assert_eq!(parse_time(&text).map(|read| read.seconds), Some(time.seconds));
        }
        Ok(Command::List(argument) | Command::Nlst(argument)) => {
            assert!(argument.whole.ends_with(&argument.after_options));
        }
        Ok(Command::SiteChmod { mode, .. }) => assert!(mode <= 0o7777),
        Ok(_) => {}
        Err(reply) => check(&reply),
    }
});

fn check(reply: &Reply) {
    let mut wire = Vec::new();
    reply.encode_into(&mut wire);
    let text = wire.strip_suffix(b"\r\n").expect("a reply ends in CRLF");
    assert!(!text.iter().any(u8::is_ascii_control));
    assert!(wire.len() < 512);
}

//! What comes in clear before and behind AUTH never reaches the session under TLS: however the bytes are cut, it is as if
//! the client had connected just then.
//!
//! An input is what is sent in clear, a zero byte, and what is sent under TLS.
#![no_main]

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use wharf_proto::listing::TimeStyle;
use wharf_proto::{
    ActiveRules, CommandTable, Denied, Done, Input, Op, Output, Peer, Report, Rules, Session, TlsPolicy,
};

static RULES: LazyLock<Arc<Rules>> = LazyLock::new(|| Arc::new(rules()));

fuzz_target!(|input: &[u8]| {
    let at = input.iter().position(|&byte| byte == 0).unwrap_or(input.len());
    let (clear, rest) = input.split_at(at);
    let protected = rest.get(1..).unwrap_or_default();
    let Some(upgraded) = upgraded(clear) else { return };
    let pristine = upgraded_at_once();
    assert_eq!(answers(upgraded, protected), answers(pristine, protected));
});

/// A session that these bytes bring under TLS, followed by more that come too late; `None` if they do not.
fn upgraded(clear: &[u8]) -> Option<Session> {
    let now = *NOW;
    let mut session = Session::new(Arc::clone(&RULES), PEER, false, now);
    let mut starting = drive(&mut session, &mut Vec::new());
    for piece in clear.chunks(7) {
        session.handle(Input::Bytes(piece), now);
        starting |= drive(&mut session, &mut Vec::new());
    }
    if !starting {
        return None;
    }
    assert!(!session.wants_input(), "clear text is read behind AUTH");
    session.handle(Input::Bytes(b"USER mallory\r\nPASS x\r\nDELE"), now);
    session.handle(Input::Secured(None), now);
    Some(session)
}

fn upgraded_at_once() -> Session {
    upgraded(b"AUTH TLS\r\n").expect("AUTH begins TLS")
}

/// All that the session answers to these bytes.
fn answers(mut session: Session, bytes: &[u8]) -> Vec<u8> {
    let mut answers = Vec::new();
    drive(&mut session, &mut answers);
    for piece in bytes.chunks(7) {
        session.handle(Input::Bytes(piece), *NOW);
        drive(&mut session, &mut answers);
    }
    session.handle(Input::Bytes(b"\r\nSTAT\r\nFEAT\r\n"), *NOW);
    drive(&mut session, &mut answers);
    answers
}

/// Obeys the session until it has nothing more to say; whether it wants TLS to begin. Nobody can log in, so there are no
/// data connections and no operations but one.
fn drive(session: &mut Session, replies: &mut Vec<u8>) -> bool {
    let mut starting = false;
    while let Some(output) = session.poll_output() {
        match output {
            Output::Reply(reply) => reply.encode_into(replies),
            Output::Perform(Op::Authenticate(_)) => {
                session.handle(Input::Done(Done::Login(Err(Denied::Credentials))), *NOW);
            }
            Output::Perform(op) => panic!("{op:?} without a login"),
            Output::StartTls => starting = true,
            _ => {}
        }
    }
    starting
}

const PEER: Peer = Peer {
    remote: std::net::SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 40_000),
    local: std::net::SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 21),
};

static NOW: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Wrong passwords are counted for the whole connection; here there may be any number.
fn rules() -> Rules {
    Rules {
        banner: "wharf ready.".to_owned(),
        commands: CommandTable::standard().with_tls(),
        report: Report::All,
        times: TimeStyle::Utc,
        max_login_attempts: u32::MAX,
        login_timeout: Duration::ZERO,
        failed_login_delay: Duration::ZERO,
        idle_timeout: Duration::ZERO,
        data_timeout: Duration::ZERO,
        passive_timeout: Duration::ZERO,
        active: ActiveRules {
            enabled: true,
            permit_foreign_addresses: false,
            permit_privileged_ports: false,
        },
        tls: Some(TlsPolicy::default()),
    }
}

//! Arguments: from the bytes after the verb to a [`Command`] that cannot be wrong.

use std::net::SocketAddr;

use super::{Command, EpsvArgument, ListArgument, Mechanism, Path, Protection, TransferType, Verb};
use crate::Secret;
use crate::addr::{self, DataAddress};
use crate::listing::{FactSet, parse_time};
use crate::reply::{Code, Reply};
use crate::text::Escaped;

/// How much of an argument is repeated to the client.
const LONGEST_ECHO: usize = 64;

impl Command {
    /// The command that `verb` and what follows it make. The table has seen to it that an argument is there
    /// where one is required.
    ///
    /// # Errors
    /// The reply to send: 501 for an argument that cannot be understood, 504, 522 or 536 for one that names what
    /// wharf does not have.
    pub fn parse(verb: Verb, argument: Option<&[u8]>) -> Result<Self, Reply> {
        let bytes = argument.unwrap_or_default();
        let path = || Path::from(bytes);
        Ok(match verb {
            Verb::User => Self::User(bytes.into()),
            Verb::Pass => Self::Pass(Secret::new(bytes)),
            Verb::Acct => Self::Acct,
            Verb::Rein => Self::Rein,
            Verb::Quit => Self::Quit,
            Verb::Cwd => Self::Cwd(path()),
            Verb::Cdup => Self::Cdup,
            Verb::Pwd => Self::Pwd,
            Verb::Mkd => Self::Mkd(path()),
            Verb::Rmd => Self::Rmd(path()),
            Verb::List => Self::List(list_argument(bytes)),
            Verb::Nlst => Self::Nlst(list_argument(bytes)),
            Verb::Mlsd => Self::Mlsd(path()),
            Verb::Mlst => Self::Mlst(path()),
            Verb::Stat => Self::Stat(argument.map(list_argument)),
            Verb::Retr => Self::Retr(path()),
            Verb::Stor => Self::Stor(path()),
            Verb::Appe => Self::Appe(path()),
            Verb::Stou => Self::Stou(path()),
            Verb::Rest => Self::Rest(addr::integer(bytes).ok_or(Reply::fixed(501, "Invalid parameter."))?),
            Verb::Rnfr => Self::Rnfr(path()),
            Verb::Rnto => Self::Rnto(path()),
            Verb::Dele => Self::Dele(path()),
            Verb::Size => Self::Size(path()),
            Verb::Mdtm => mdtm(bytes),
            Verb::Mfmt => mfmt(bytes)?,
            Verb::Abor => Self::Abor,
            Verb::Allo => Self::Allo,
            Verb::Port => Self::Port(SocketAddr::V4(addr::parse_port(bytes)?)),
            Verb::Eprt => Self::Eprt(DataAddress::parse(bytes)?),
            Verb::Pasv => Self::Pasv,
            Verb::Epsv => Self::Epsv(epsv(bytes)?),
            Verb::Type => Self::Type(transfer_type(bytes)?),
            Verb::Stru => stru(bytes)?,
            Verb::Mode => mode(bytes)?,
            Verb::Feat => Self::Feat,
            Verb::Opts => opts(bytes)?,
            Verb::Help => Self::Help(argument.map(command_name)),
            Verb::Syst => Self::Syst,
            Verb::Noop => Self::Noop,
            Verb::Clnt => Self::Clnt(bytes.into()),
            Verb::SiteHelp => Self::SiteHelp(argument.map(command_name)),
            Verb::SiteChmod => site_chmod(bytes)?,
            Verb::Auth => Self::Auth(mechanism(bytes)?),
            Verb::Ccc => Self::Ccc,
            Verb::Pbsz => Self::Pbsz,
            Verb::Prot => Self::Prot(protection(bytes)?),
            Verb::Site | Verb::Unimplemented => Self::Unimplemented,
            Verb::Custom(index) => Self::Custom { index, argument: argument.map(Into::into) },
        })
    }
}

/// Everything before the first space, and everything behind it.
fn two_words(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = bytes.iter().position(|&byte| byte == b' ')?;
    let (first, rest) = bytes.split_at_checked(space)?;
    Some((first, rest.get(1..)?))
}

fn list_argument(bytes: &[u8]) -> ListArgument {
    let mut rest = bytes;
    while rest.starts_with(b"-") {
        rest = two_words(rest).map_or(b"".as_slice(), |(_, behind)| behind);
    }
    ListArgument { whole: bytes.into(), after_options: rest.into() }
}

/// MDTM: a path, or a time and a path, by which some clients mean MFMT.
fn mdtm(bytes: &[u8]) -> Command {
    let set = two_words(bytes).filter(|(_, path)| !path.is_empty());
    match set.and_then(|(time, path)| Some((parse_time(time)?, path))) {
        Some((time, path)) => Command::SetModified { path: path.into(), time, whole: Some(bytes.into()) },
        None => Command::Mdtm(bytes.into()),
    }
}

fn mfmt(bytes: &[u8]) -> Result<Command, Reply> {
    let (time, path) = time_or_mode_and_path(bytes)?;
    let time = parse_time(time).ok_or(Reply::fixed(501, "Invalid time format; expected YYYYMMDDhhmmss."))?;
    Ok(Command::SetModified { path: path.into(), time, whole: None })
}

fn site_chmod(bytes: &[u8]) -> Result<Command, Reply> {
    let (digits, path) = time_or_mode_and_path(bytes)?;
    let octal = digits.iter().all(|digit| matches!(digit, b'0'..=b'7'));
    if !octal || !matches!(digits.len(), 3 | 4) {
        return Err(Reply::fixed(501, "Invalid SITE CHMOD format."));
    }
    let mode = digits.iter().fold(0, |mode, digit| mode << 3 | u32::from(digit - b'0'));
    Ok(Command::SiteChmod { mode, path: path.into() })
}

fn time_or_mode_and_path(bytes: &[u8]) -> Result<(&[u8], &[u8]), Reply> {
    two_words(bytes)
        .filter(|(_, path)| !path.is_empty())
        .ok_or(Reply::fixed(501, "Syntax error: command needs two arguments."))
}

fn epsv(bytes: &[u8]) -> Result<EpsvArgument, Reply> {
    match bytes {
        b"" => Ok(EpsvArgument::Same),
        b"1" => Ok(EpsvArgument::Ipv4),
        b"2" => Ok(EpsvArgument::Ipv6),
        word if word.eq_ignore_ascii_case(b"ALL") => Ok(EpsvArgument::All),
        word if word.iter().all(u8::is_ascii_digit) => Err(addr::UNKNOWN_PROTOCOL),
        _ => Err(Reply::fixed(501, "Unknown network protocol (use 1, 2 or ALL).")),
    }
}

fn transfer_type(bytes: &[u8]) -> Result<TransferType, Reply> {
    let spelled: Vec<u8> = bytes.iter().filter(|&&byte| byte != b' ').map(u8::to_ascii_uppercase).collect();
    match spelled.as_slice() {
        b"A" | b"AN" | b"L7" => Ok(TransferType::Ascii),
        b"I" | b"L8" => Ok(TransferType::Binary),
        _ => {
            let shown = Escaped(bytes.get(..LONGEST_ECHO).unwrap_or(bytes));
            Err(Reply::new(Code::new(504), format!("Unsupported type \"{shown}\".")))
        }
    }
}

fn stru(bytes: &[u8]) -> Result<Command, Reply> {
    match bytes {
        b"F" | b"f" => Ok(Command::Stru),
        b"R" | b"r" | b"P" | b"p" => Err(Reply::fixed(504, "Unimplemented STRU type.")),
        _ => Err(Reply::fixed(501, "Unrecognized STRU type.")),
    }
}

fn mode(bytes: &[u8]) -> Result<Command, Reply> {
    match bytes {
        b"S" | b"s" => Ok(Command::Mode),
        b"B" | b"b" | b"C" | b"c" => Err(Reply::fixed(504, "Unimplemented MODE type.")),
        _ => Err(Reply::fixed(501, "Unrecognized MODE type.")),
    }
}

/// OPTS (RFC 2389 §4): a command, and after one space its options.
fn opts(bytes: &[u8]) -> Result<Command, Reply> {
    let (command, options) =
        two_words(bytes).map_or((bytes, None), |(command, options)| (command, Some(options)));
    if is_utf8_option(bytes) {
        return Ok(Command::OptsUtf8);
    }
    if !command.eq_ignore_ascii_case(b"MLST") {
        return Err(Reply::fixed(501, "Unsupported command."));
    }
    match options {
        Some(options) if options.contains(&b' ') => Err(Reply::fixed(501, "Invalid number of arguments.")),
        Some(options) if !options.contains(&b';') => Err(Reply::fixed(501, "Invalid argument.")),
        options => Ok(Command::OptsMlst(FactSet::parse(options.unwrap_or_default()))),
    }
}

/// Whether the argument of OPTS is about UTF-8, which clients switch on before they log in.
pub(super) fn is_utf8_option(bytes: &[u8]) -> bool {
    let command = bytes.split(|&byte| byte == b' ').next().unwrap_or_default();
    [b"UTF8".as_slice(), b"UTF-8"].iter().any(|name| name.eq_ignore_ascii_case(command))
}

/// What HELP is asked about, in capitals.
fn command_name(bytes: &[u8]) -> Box<str> {
    String::from_utf8_lossy(bytes).to_ascii_uppercase().into()
}

fn mechanism(bytes: &[u8]) -> Result<Mechanism, Reply> {
    let known =
        ["TLS", "TLS-C", "TLS-P", "SSL"].into_iter().find(|name| name.as_bytes().eq_ignore_ascii_case(bytes));
    known.map(Mechanism).ok_or(Reply::fixed(504, "Unrecognized encryption type (use TLS or SSL)."))
}

fn protection(bytes: &[u8]) -> Result<Protection, Reply> {
    match bytes {
        b"C" | b"c" => Ok(Protection::Clear),
        b"P" | b"p" => Ok(Protection::Private),
        b"S" | b"s" | b"E" | b"e" => Err(Reply::fixed(536, "PROT level not supported (use C or P).")),
        _ => Err(Reply::fixed(504, "Unrecognized PROT type (use C or P).")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;
    use proptest::prelude::*;

    fn parse(verb: Verb, argument: &str) -> Result<Command, String> {
        Command::parse(verb, Some(argument.as_bytes())).map_err(|reply| {
            let mut out = Vec::new();
            reply.encode_into(&mut out);
            String::from_utf8(out).unwrap().trim_end().to_owned()
        })
    }

    fn path(text: &str) -> Path {
        text.as_bytes().into()
    }

    #[test]
    fn understands_keywords() {
        let (ascii, binary) = (Command::Type(TransferType::Ascii), Command::Type(TransferType::Binary));
        for (verb, argument, expected) in [
            (Verb::Type, "A", ascii.clone()),
            (Verb::Type, "a n", ascii.clone()),
            (Verb::Type, "L 7", ascii),
            (Verb::Type, "i", binary.clone()),
            (Verb::Type, " l8 ", binary),
            (Verb::Stru, "f", Command::Stru),
            (Verb::Mode, "s", Command::Mode),
            (Verb::Rest, " +5 ", Command::Rest(5)),
            (Verb::Rest, "18446744073709551615", Command::Rest(u64::MAX)),
            (Verb::Epsv, "all", Command::Epsv(EpsvArgument::All)),
            (Verb::Epsv, "2", Command::Epsv(EpsvArgument::Ipv6)),
            (Verb::Auth, "tls-c", Command::Auth(Mechanism("TLS-C"))),
            (Verb::Prot, "p", Command::Prot(Protection::Private)),
            (Verb::Opts, "utf8 on", Command::OptsUtf8),
            (Verb::Opts, "UTF-8", Command::OptsUtf8),
            (Verb::Opts, "mlst Type;fish;", Command::OptsMlst(FactSet::parse(b"type;"))),
            (Verb::Opts, "MLST", Command::OptsMlst(FactSet::parse(b""))),
            (Verb::Help, "site chmod", Command::Help(Some("SITE CHMOD".into()))),
            (Verb::Allo, "x", Command::Allo),
        ] {
            assert_eq!(parse(verb, argument), Ok(expected), "{verb:?} {argument}");
        }
        assert_eq!(Command::parse(Verb::Pass, None), Ok(Command::Pass(Secret::default())));
        assert_eq!(Command::parse(Verb::Stat, None), Ok(Command::Stat(None)));
        assert_eq!(Command::parse(Verb::Epsv, None), Ok(Command::Epsv(EpsvArgument::Same)));
    }

    #[test]
    fn understands_paths() {
        let time = |seconds| Timestamp { seconds, nanoseconds: 0 };
        let set = |text, seconds, whole: Option<&str>| Command::SetModified {
            path: path(text),
            time: time(seconds),
            whole: whole.map(path),
        };
        for (verb, argument, expected) in [
            (Verb::Retr, " a ", Command::Retr(path(" a "))),
            (Verb::Mdtm, "a b", Command::Mdtm(path("a b"))),
            (Verb::Mdtm, "20200101000000", Command::Mdtm(path("20200101000000"))),
            (Verb::Mdtm, "20200101000000 ", Command::Mdtm(path("20200101000000 "))),
            (Verb::Mdtm, "20209901000000 a", Command::Mdtm(path("20209901000000 a"))),
            (Verb::Mdtm, "20200101000000 a b", set("a b", 1_577_836_800, Some("20200101000000 a b"))),
            (Verb::Mfmt, "19700101000001  a", set(" a", 1, None)),
            (Verb::SiteChmod, "644 a b", Command::SiteChmod { mode: 0o644, path: path("a b") }),
            (Verb::SiteChmod, "4755 a", Command::SiteChmod { mode: 0o4755, path: path("a") }),
        ] {
            assert_eq!(parse(verb, argument), Ok(expected), "{verb:?} {argument}");
        }
    }

    #[test]
    fn sets_options_of_listings_apart() {
        for (argument, after_options) in [
            ("", ""),
            ("dir", "dir"),
            ("-al", ""),
            ("-a -L my dir", "my dir"),
            ("-la  dir", " dir"),
            ("dir -l", "dir -l"),
        ] {
            let expected = ListArgument { whole: path(argument), after_options: path(after_options) };
            assert_eq!(parse(Verb::List, argument), Ok(Command::List(expected.clone())));
            assert_eq!(parse(Verb::Nlst, argument), Ok(Command::Nlst(expected)));
        }
    }

    #[test]
    fn refuses_in_the_words_that_clients_know() {
        for (verb, argument, expected) in [
            (Verb::Type, "E", "504 Unsupported type \"E\"."),
            (Verb::Type, "A T", "504 Unsupported type \"A T\"."),
            (Verb::Stru, "P", "504 Unimplemented STRU type."),
            (Verb::Stru, "F ", "501 Unrecognized STRU type."),
            (Verb::Mode, "b", "504 Unimplemented MODE type."),
            (Verb::Mode, "Z", "501 Unrecognized MODE type."),
            (Verb::Rest, "-1", "501 Invalid parameter."),
            (Verb::Rest, "1_0", "501 Invalid parameter."),
            (Verb::Rest, "18446744073709551616", "501 Invalid parameter."),
            (Verb::Epsv, "3", "522 Network protocol not supported, use (1,2)."),
            (Verb::Epsv, "x", "501 Unknown network protocol (use 1, 2 or ALL)."),
            (Verb::Opts, "MLST type", "501 Invalid argument."),
            (Verb::Opts, "MLST type ;", "501 Invalid number of arguments."),
            (Verb::Opts, "RETR", "501 Unsupported command."),
            (Verb::Mfmt, "20200101000000", "501 Syntax error: command needs two arguments."),
            (Verb::Mfmt, "20200230000000 a", "501 Invalid time format; expected YYYYMMDDhhmmss."),
            (Verb::SiteChmod, "644", "501 Syntax error: command needs two arguments."),
            (Verb::SiteChmod, "778 a", "501 Invalid SITE CHMOD format."),
            (Verb::SiteChmod, "77 a", "501 Invalid SITE CHMOD format."),
            (Verb::SiteChmod, "-177 a", "501 Invalid SITE CHMOD format."),
            (Verb::Auth, "GSSAPI", "504 Unrecognized encryption type (use TLS or SSL)."),
            (Verb::Prot, "S", "536 PROT level not supported (use C or P)."),
            (Verb::Prot, "X", "504 Unrecognized PROT type (use C or P)."),
        ] {
            assert_eq!(parse(verb, argument), Err(expected.to_owned()), "{verb:?} {argument}");
        }
    }

    proptest! {
        #[test]
        fn offsets_print_as_they_parse(offset: u64) {
            prop_assert_eq!(parse(Verb::Rest, &offset.to_string()), Ok(Command::Rest(offset)));
        }

        #[test]
        fn options_are_the_front_of_the_argument(argument: Vec<u8>) {
            let list = list_argument(&argument);
            prop_assert!(argument.ends_with(&list.after_options));
            prop_assert!(!list.after_options.starts_with(b"-"));
        }
    }
}

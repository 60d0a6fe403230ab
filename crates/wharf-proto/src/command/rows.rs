//! Verbs, and what there is to say about each before its argument is read: one row per spelling.

use std::borrow::Cow;

use Argument::{Optional, Required};

use super::args;
use crate::Letter;

/// A command that the server knows by name; the X-forms of RFC 775 share the verb of the plain form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the variants are the verbs themselves, described in their rows
pub enum Verb {
    Abor,
    Acct,
    Allo,
    Appe,
    Auth,
    Ccc,
    Cdup,
    Clnt,
    Cwd,
    Dele,
    Eprt,
    Epsv,
    Feat,
    Help,
    List,
    Mdtm,
    Mfmt,
    Mkd,
    Mlsd,
    Mlst,
    Mode,
    Nlst,
    Noop,
    Opts,
    Pass,
    Pasv,
    Pbsz,
    Port,
    Prot,
    Pwd,
    Quit,
    Rein,
    Rest,
    Retr,
    Rmd,
    Rnfr,
    Rnto,
    Site,
    SiteChmod,
    SiteHelp,
    Size,
    Stat,
    Stor,
    Stou,
    Stru,
    Syst,
    Type,
    User,
    /// Named by an RFC and answered 502.
    Unimplemented,
    /// Added by an embedder, by the number that [`CommandTable::add`](super::CommandTable::add) returned.
    Custom(usize),
}

/// Whether a verb takes an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    /// It must have one.
    Required,
    /// It must not have one.
    None,
    /// As the client likes.
    Optional,
}

/// What there is to know about a verb before its argument is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The spelling, in capitals: `RETR`, `SITE CHMOD`.
    pub name: Cow<'static, str>,
    /// What it means.
    pub verb: Verb,
    /// Whether it takes an argument.
    pub argument: Argument,
    /// Whether the client must have logged in; [`needs_login`](Self::needs_login) knows the exceptions.
    pub login: bool,
    /// The right that it takes on the path it names.
    pub letter: Option<Letter>,
    /// What HELP says about it; empty when it says nothing.
    pub help: Cow<'static, str>,
    /// The lines by which FEAT announces it.
    pub features: &'static [&'static str],
}

impl Row {
    /// A row for [`CommandTable::add`](super::CommandTable::add): the client must have logged in, no right is
    /// needed, HELP has no text.
    pub fn new(name: impl Into<Cow<'static, str>>, argument: Argument) -> Self {
        Self {
            name: name.into(),
            verb: Verb::Custom(0),
            argument,
            login: true,
            letter: None,
            help: Cow::Borrowed(""),
            features: &[],
        }
    }

    /// The same row, open to clients that have not logged in.
    pub const fn before_login(mut self) -> Self {
        self.login = false;
        self
    }

    /// The same row, asking for the right `letter`.
    pub const fn letter(mut self, letter: Letter) -> Self {
        self.letter = Some(letter);
        self
    }

    /// The same row, announced by FEAT as `lines`.
    pub const fn features(mut self, lines: &'static [&'static str]) -> Self {
        self.features = lines;
        self
    }

    /// The same row, described by HELP as `text`: `Syntax: NOOP (do nothing).`
    pub fn help(mut self, text: impl Into<Cow<'static, str>>) -> Self {
        self.help = text.into();
        self
    }

    /// Whether a client must have logged in to send the verb with this argument.
    pub fn needs_login(&self, argument: Option<&[u8]>) -> bool {
        match self.verb {
            Verb::Stat => argument.is_some(),
            Verb::Opts => !argument.is_some_and(args::is_utf8_option),
            _ => self.login,
        }
    }

    /// Whether the verb exists only where there is TLS.
    pub(super) fn needs_tls(&self) -> bool {
        matches!(self.verb, Verb::Auth | Verb::Ccc | Verb::Pbsz | Verb::Prot)
    }

    /// The word after `SITE `, when this is such a row.
    pub(super) fn site_word(&self) -> Option<&str> {
        self.name.strip_prefix("SITE ")
    }
}

/// Every verb that wharf knows without being told, by name.
#[rustfmt::skip] // a table has one line per row
pub(super) static STANDARD: &[Row] = &[
    row("ABOR", Verb::Abor, Argument::None, "Syntax: ABOR (abort the running transfer)."),
    row("ACCT", Verb::Acct, Required, "Syntax: ACCT <SP> account (not needed here).").before_login(),
    unimplemented("ADAT"),
    row("ALLO", Verb::Allo, Required, "Syntax: ALLO <SP> bytes (not needed here)."),
    row("APPE", Verb::Appe, Required, "Syntax: APPE <SP> path (append to a file).").letter(Letter::Append),
    row("AUTH", Verb::Auth, Required, "Syntax: AUTH <SP> TLS|SSL (encrypt the control connection).").before_login().features(&["AUTH SSL", "AUTH TLS"]),
    row("CCC", Verb::Ccc, Argument::None, "Syntax: CCC (leave TLS; refused here).").before_login(),
    row("CDUP", Verb::Cdup, Argument::None, "Syntax: CDUP (go to the parent directory).").letter(Letter::Enter),
    row("CLNT", Verb::Clnt, Required, "Syntax: CLNT <SP> name (say what the client is called).").before_login(),
    unimplemented("CONF"),
    row("CWD", Verb::Cwd, Optional, "Syntax: CWD [<SP> path] (change the working directory).").letter(Letter::Enter),
    row("DELE", Verb::Dele, Required, "Syntax: DELE <SP> path (delete a file).").letter(Letter::Delete),
    unimplemented("ENC"),
    row("EPRT", Verb::Eprt, Required, "Syntax: EPRT <SP> |protocol|address|port| (have the server connect).").features(&["EPRT"]),
    row("EPSV", Verb::Epsv, Optional, "Syntax: EPSV [<SP> 1|2|ALL] (have the server listen).").features(&["EPSV"]),
    row("FEAT", Verb::Feat, Argument::None, "Syntax: FEAT (list what the server supports).").before_login(),
    row("HELP", Verb::Help, Optional, "Syntax: HELP [<SP> command] (explain a command).").before_login(),
    unimplemented("HOST"),
    unimplemented("LANG"),
    row("LIST", Verb::List, Optional, "Syntax: LIST [<SP> path] (list files).").letter(Letter::List),
    unimplemented("LPRT"),
    unimplemented("LPSV"),
    row("MDTM", Verb::Mdtm, Required, "Syntax: MDTM <SP> path (when a file last changed).").letter(Letter::List).features(&["MDTM"]),
    row("MFMT", Verb::Mfmt, Required, "Syntax: MFMT <SP> YYYYMMDDhhmmss <SP> path (set when a file last changed).").letter(Letter::ChangeTime).features(&["MFMT"]),
    unimplemented("MIC"),
    row("MKD", Verb::Mkd, Required, "Syntax: MKD <SP> path (make a directory).").letter(Letter::MakeDirectory),
    row("MLSD", Verb::Mlsd, Optional, "Syntax: MLSD [<SP> path] (list a directory for programs).").letter(Letter::List),
    row("MLST", Verb::Mlst, Optional, "Syntax: MLST [<SP> path] (facts of one file for programs).").letter(Letter::List).features(&["MLST"]),
    row("MODE", Verb::Mode, Required, "Syntax: MODE <SP> S (transfer mode: stream)."),
    row("NLST", Verb::Nlst, Optional, "Syntax: NLST [<SP> path] (list names).").letter(Letter::List),
    row("NOOP", Verb::Noop, Argument::None, "Syntax: NOOP (do nothing).").before_login(),
    row("OPTS", Verb::Opts, Required, "Syntax: OPTS <SP> command [<SP> option] (set an option of a command)."),
    row("PASS", Verb::Pass, Optional, "Syntax: PASS [<SP> password] (the user's password).").before_login(),
    row("PASV", Verb::Pasv, Argument::None, "Syntax: PASV (have the server listen)."),
    row("PBSZ", Verb::Pbsz, Required, "Syntax: PBSZ <SP> 0 (protection buffer size).").before_login().features(&["PBSZ"]),
    row("PORT", Verb::Port, Required, "Syntax: PORT <SP> h1,h2,h3,h4,p1,p2 (have the server connect)."),
    row("PROT", Verb::Prot, Required, "Syntax: PROT <SP> C|P (data connections in clear or encrypted).").before_login().features(&["PROT"]),
    row("PWD", Verb::Pwd, Argument::None, "Syntax: PWD (print the working directory)."),
    row("QUIT", Verb::Quit, Argument::None, "Syntax: QUIT (end the session).").before_login(),
    row("REIN", Verb::Rein, Argument::None, "Syntax: REIN (log out, stay connected)."),
    row("REST", Verb::Rest, Required, "Syntax: REST <SP> offset (where the next transfer starts).").features(&["REST STREAM"]),
    row("RETR", Verb::Retr, Required, "Syntax: RETR <SP> path (fetch a file).").letter(Letter::Retrieve),
    row("RMD", Verb::Rmd, Required, "Syntax: RMD <SP> path (remove a directory).").letter(Letter::Delete),
    row("RNFR", Verb::Rnfr, Required, "Syntax: RNFR <SP> path (what to rename).").letter(Letter::Rename),
    row("RNTO", Verb::Rnto, Required, "Syntax: RNTO <SP> path (the new name).").letter(Letter::Rename),
    row("SITE", Verb::Site, Required, "Syntax: SITE <SP> command (a command of this server).").before_login(),
    row("SITE CHMOD", Verb::SiteChmod, Required, "Syntax: SITE CHMOD <SP> mode <SP> path (change a file's mode).").letter(Letter::ChangeMode),
    row("SITE HELP", Verb::SiteHelp, Optional, "Syntax: SITE HELP [<SP> command] (explain SITE commands).").before_login(),
    row("SIZE", Verb::Size, Required, "Syntax: SIZE <SP> path (a file's length in bytes).").letter(Letter::List).features(&["SIZE"]),
    unimplemented("SMNT"),
    row("STAT", Verb::Stat, Optional, "Syntax: STAT [<SP> path] (state of the session, or list files).").before_login().letter(Letter::List),
    row("STOR", Verb::Stor, Required, "Syntax: STOR <SP> path (store a file).").letter(Letter::Store),
    row("STOU", Verb::Stou, Optional, "Syntax: STOU [<SP> path] (store a file under a new name).").letter(Letter::Store),
    row("STRU", Verb::Stru, Required, "Syntax: STRU <SP> F (file structure: file)."),
    row("SYST", Verb::Syst, Argument::None, "Syntax: SYST (what system this is).").before_login(),
    row("TYPE", Verb::Type, Required, "Syntax: TYPE <SP> A|I (transfer type: ASCII or binary)."),
    row("USER", Verb::User, Required, "Syntax: USER <SP> name (the user's name).").before_login(),
    row("XCUP", Verb::Cdup, Argument::None, "Syntax: XCUP (go to the parent directory).").letter(Letter::Enter),
    row("XCWD", Verb::Cwd, Optional, "Syntax: XCWD [<SP> path] (change the working directory).").letter(Letter::Enter),
    row("XMKD", Verb::Mkd, Required, "Syntax: XMKD <SP> path (make a directory).").letter(Letter::MakeDirectory),
    row("XPWD", Verb::Pwd, Argument::None, "Syntax: XPWD (print the working directory)."),
    row("XRMD", Verb::Rmd, Required, "Syntax: XRMD <SP> path (remove a directory).").letter(Letter::Delete),
];

/// A command for clients that have logged in.
const fn row(name: &'static str, verb: Verb, argument: Argument, help: &'static str) -> Row {
    Row {
        name: Cow::Borrowed(name),
        verb,
        argument,
        login: true,
        letter: None,
        help: Cow::Borrowed(help),
        features: &[],
    }
}

/// A command that an RFC names and wharf does not have: 502 (RFC 959 §4.2.2).
const fn unimplemented(name: &'static str) -> Row {
    row(name, Verb::Unimplemented, Optional, "").before_login()
}

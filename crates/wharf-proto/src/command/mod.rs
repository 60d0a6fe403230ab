//! Commands: how a line is recognised, and what it means once parsed.
//!
//! A line passes three gates, in the order clients depend on: its verb is looked up in the [`CommandTable`]
//! (500), its argument is required, forbidden or optional (501), and then, once the session has checked the login
//! (530), [`Command::parse`] turns the argument into a type that cannot be wrong (501, 504, 522). Rights are checked last (550).

mod args;
mod rows;
mod table;

use std::fmt;
use std::net::SocketAddr;

use crate::addr::DataAddress;
use crate::listing::FactSet;
use crate::{Secret, Timestamp};

pub use rows::{Argument, Row, Verb};
pub use table::{CommandTable, TableError};

/// A command whose argument has been understood. Paths are still as the client wrote them, seen from its
/// working directory.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the variants are RFC 959's words, described in the command table
pub enum Command {
    // Access control
    User(Box<[u8]>),
    Pass(Secret),
    Acct,
    Rein,
    Quit,
    // Directories
    Cwd(Path),
    Cdup,
    Pwd,
    Mkd(Path),
    Rmd(Path),
    // Listings
    List(ListArgument),
    Nlst(ListArgument),
    Mlsd(Path),
    Mlst(Path),
    Stat(Option<ListArgument>),
    // Files
    Retr(Path),
    Stor(Path),
    Appe(Path),
    Stou(Path),
    Rest(u64),
    Rnfr(Path),
    Rnto(Path),
    Dele(Path),
    Size(Path),
    Mdtm(Path),
    /// MFMT, and MDTM with a time before the path; `whole` is the argument of an MDTM as long as it is not known whether
    /// something has that very name.
    SetModified {
        path: Path,
        time: Timestamp,
        whole: Option<Path>,
    },
    Abor,
    Allo,
    // Data connections
    Port(SocketAddr),
    Eprt(DataAddress),
    Pasv,
    Epsv(EpsvArgument),
    // Parameters
    Type(TransferType),
    Stru,
    Mode,
    // Information
    Feat,
    OptsMlst(FactSet),
    OptsUtf8,
    Help(Option<Box<str>>),
    Syst,
    Noop,
    Clnt(Box<[u8]>),
    SiteHelp(Option<Box<str>>),
    SiteChmod {
        mode: u32,
        path: Path,
    },
    // Security
    Auth(Mechanism),
    Ccc,
    Pbsz,
    Prot(Protection),
    /// Known, and answered 502: SMNT, ADAT and the like.
    Unimplemented,
    /// A command that an embedder added, by its index in the table.
    Custom {
        index: usize,
        argument: Option<Box<[u8]>>,
    },
}

/// A path as the client wrote it; empty when it wrote none.
pub(crate) type Path = Box<[u8]>;

/// The argument of LIST, NLST and STAT. Words before the path that start with `-` are options as of `ls`, which are
/// ignored, unless a file has that very name: so the path is kept with and without them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListArgument {
    /// The argument as the client wrote it.
    pub whole: Path,
    /// What remains of it behind the options; equal to `whole` when there are none.
    pub after_options: Path,
}

impl ListArgument {
    /// Whether it begins with what looks like options.
    pub(crate) fn has_options(&self) -> bool {
        self.whole != self.after_options
    }
}

impl Command {
    /// The argument that may be a name, or else something before a name, which has to be found out.
    pub(crate) fn doubtful_name(&self) -> Option<&[u8]> {
        match self {
            Self::List(argument) | Self::Nlst(argument) | Self::Stat(Some(argument))
                if argument.has_options() =>
            {
                Some(&argument.whole)
            }
            Self::SetModified { whole, .. } => whole.as_deref(),
            _ => None,
        }
    }

    /// The same, now that it is known whether the whole of that is a name.
    pub(crate) fn decided(self, is_name: bool) -> Self {
        let decided = |argument: ListArgument| {
            let path = if is_name { argument.whole } else { argument.after_options };
            ListArgument { whole: path.clone(), after_options: path }
        };
        match self {
            Self::List(argument) => Self::List(decided(argument)),
            Self::Nlst(argument) => Self::Nlst(decided(argument)),
            Self::Stat(Some(argument)) => Self::Stat(Some(decided(argument))),
            Self::SetModified { whole: Some(whole), .. } if is_name => Self::Mdtm(whole),
            Self::SetModified { path, time, .. } => Self::SetModified { path, time, whole: None },
            other => other,
        }
    }
}

/// How files are represented on a data connection (RFC 959 §3.1.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TransferType {
    /// Lines end in CRLF on the wire. What a session starts with.
    #[default]
    Ascii,
    /// Bytes as they are.
    Binary,
}

impl fmt::Display for TransferType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ascii => "ASCII",
            Self::Binary => "Binary",
        })
    }
}

/// The argument of EPSV (RFC 2428 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EpsvArgument {
    /// The family of the control connection.
    Same,
    /// `1`.
    Ipv4,
    /// `2`.
    Ipv6,
    /// `ALL`: from now on no other command may set up a data connection.
    All,
}

/// The argument of AUTH in capitals: `TLS`, `TLS-C`, `TLS-P` or `SSL`. They differ in nothing but the name
/// (RFC 4217 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mechanism(pub &'static str);

/// The argument of PROT that wharf can honour (RFC 4217 §9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// `C`: data travel in clear.
    Clear,
    /// `P`: data travel under TLS.
    Private,
}

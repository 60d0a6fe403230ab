//! The command line: one table of flags, from which help, completions and the man page are made as well.

use std::ffi::OsString;
use std::net::Ipv6Addr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use wharf::{MasqueradeAddress, Secret};

use crate::config::{LogFormat, Notation, read};
use crate::failure::Failure;
use crate::utf8;
use crate::variables::{Variables, variable_of};

/// What the command line asks for.
#[derive(Debug)]
pub(crate) enum Request {
    /// A text: help or the version.
    Show(String),
    /// Something to do.
    Run(Box<Command>),
}

/// An FTP and FTPS server.
///
/// Without a command it serves: `wharf` alone serves the current directory, read-only, to everybody.
/// That directory must be named where it is `/`.
#[derive(Debug, Parser)]
#[command(name = "wharf", version, disable_version_flag = true, args_override_self = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    flags: Flags,

    /// Print the version
    #[arg(short = 'v', short_alias = 'V', long, action = clap::ArgAction::Version)]
    version: (),
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve (what happens without a command)
    #[command(hide = true)]
    Serve(Flags),
    /// Check flags and configuration, show what they mean, and serve nothing
    Check(Flags),
    /// Read a password and print its hash, for `password_hash` in the configuration
    HashPassword,
    /// Make a certificate to try TLS with, which no client trusts by itself
    SelfSigned(SelfSigned),
    /// Print the completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page
    Man,
}

/// What `wharf self-signed` makes.
#[derive(Debug, Args)]
pub(crate) struct SelfSigned {
    /// Where to put cert.pem and key.pem; neither may be there yet
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// The host names and addresses that clients use
    #[arg(value_name = "NAME", required = true)]
    pub(crate) names: Vec<String>,
}

/// How to serve. Each flag can also be given by the variable that its help names.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// Read the configuration from a file; flags override it
    #[arg(long, value_name = "FILE", env = "WHARF_CONFIG")]
    pub(crate) config: Option<PathBuf>,

    /// Listen on this address [default: 0.0.0.0]
    #[arg(short, long, value_name = "ADDRESS", env = "WHARF_INTERFACE", value_parser = interface)]
    pub(crate) interface: Option<String>,
    /// Listen on this port; 0 lets the system choose [default: 21, or 2121 where that cannot be had]
    #[arg(short, long, env = "WHARF_PORT", value_parser = port, allow_negative_numbers = true)]
    pub(crate) port: Option<u16>,
    /// Let clients change files, not only read them
    #[arg(short, long, env = "WHARF_WRITE", value_parser = switch)]
    pub(crate) write: bool,
    /// Serve this directory [default: the current one, unless that is /]
    #[arg(short, long, value_name = "FOLDER", env = "WHARF_DIRECTORY")]
    pub(crate) directory: Option<PathBuf>,
    /// Name this address to clients for passive connections: the public one of a NAT gateway
    #[arg(short, long, value_name = "ADDRESS", env = "WHARF_NAT_ADDRESS", value_parser = read::<MasqueradeAddress>)]
    pub(crate) nat_address: Option<MasqueradeAddress>,
    /// Use these ports for passive connections
    #[arg(short, long, value_name = "FROM-TO", env = "WHARF_RANGE", value_parser = read::<RangeInclusive<u16>>)]
    pub(crate) range: Option<RangeInclusive<u16>>,
    /// Let in this user, with a password, instead of anonymous
    #[arg(short, long, value_name = "NAME", env = "WHARF_USERNAME")]
    pub(crate) username: Option<String>,
    /// The user's password; the variable or --password-file keep it out of the list of processes
    #[arg(short = 'P', long, env = "WHARF_PASSWORD", hide_env_values = true, value_parser = secret)]
    pub(crate) password: Option<Secret>,
    /// Read the user's password from the first line of a file
    #[arg(long, value_name = "FILE", env = "WHARF_PASSWORD_FILE")]
    pub(crate) password_file: Option<PathBuf>,

    /// Serve FTPS too: AUTH TLS
    #[arg(long, env = "WHARF_TLS", value_parser = switch)]
    pub(crate) tls: bool,
    /// The certificate chain (PEM); the file may hold the key too
    #[arg(long, value_name = "FILE", env = "WHARF_CERTFILE")]
    pub(crate) certfile: Option<PathBuf>,
    /// The certificate's key (PEM)
    #[arg(long, value_name = "FILE", env = "WHARF_KEYFILE")]
    pub(crate) keyfile: Option<PathBuf>,
    /// Refuse logins without TLS
    #[arg(long, env = "WHARF_TLS_CONTROL_REQUIRED", value_parser = switch)]
    pub(crate) tls_control_required: bool,
    /// Refuse data connections without TLS
    #[arg(long, env = "WHARF_TLS_DATA_REQUIRED", value_parser = switch)]
    pub(crate) tls_data_required: bool,

    /// End control and data connections on which nothing happens for so many seconds; 0 is never [default: 300]
    #[arg(long, value_name = "SECONDS", env = "WHARF_TIMEOUT", value_parser = seconds, allow_negative_numbers = true)]
    pub(crate) timeout: Option<Duration>,
    /// Greet clients with this text
    #[arg(long, value_name = "TEXT", env = "WHARF_BANNER")]
    pub(crate) banner: Option<String>,
    /// Allow data connections with other addresses than the client's
    #[arg(long, env = "WHARF_PERMIT_FOREIGN_ADDRESSES", value_parser = switch)]
    pub(crate) permit_foreign_addresses: bool,
    /// Allow active data connections to ports below 1024
    #[arg(long, env = "WHARF_PERMIT_PRIVILEGED_PORTS", value_parser = switch)]
    pub(crate) permit_privileged_ports: bool,
    /// Show file times in local time instead of GMT
    #[arg(long, env = "WHARF_USE_LOCALTIME", value_parser = switch)]
    pub(crate) use_localtime: bool,
    /// Serve so many clients at once; 0 is no limit [default: 512]
    #[arg(long, value_name = "NUMBER", env = "WHARF_MAX_CONS", value_parser = number::<usize>, allow_negative_numbers = true)]
    pub(crate) max_cons: Option<usize>,
    /// Serve so many clients of one address at once; 0 is no limit [default: 0]
    #[arg(long, value_name = "NUMBER", env = "WHARF_MAX_CONS_PER_IP", value_parser = number::<usize>, allow_negative_numbers = true)]
    pub(crate) max_cons_per_ip: Option<usize>,
    /// Close the connection after so many wrong passwords [default: 3]
    #[arg(long, value_name = "NUMBER", env = "WHARF_MAX_LOGIN_ATTEMPTS", value_parser = number::<u32>, allow_negative_numbers = true)]
    pub(crate) max_login_attempts: Option<u32>,
    /// The encoding of file names; only utf-8, and names that are not UTF-8 are served byte for byte
    #[arg(long, value_name = "NAME", env = "WHARF_ENCODING", value_parser = encoding)]
    pub(crate) encoding: Option<Encoding>,
    /// Accepted, and changes nothing: wharf decides by itself when the kernel copies
    #[arg(long, env = "WHARF_DISABLE_SENDFILE", value_parser = switch)]
    pub(crate) disable_sendfile: bool,
    /// Accepted, and changes nothing: one process serves everybody on all cores
    #[arg(long, value_name = "KIND", env = "WHARF_CONCURRENCY")]
    pub(crate) concurrency: Option<Concurrency>,

    /// Log every command and reply
    #[arg(short = 'D', long, env = "WHARF_DEBUG", value_parser = switch)]
    pub(crate) debug: bool,
    /// Write log records in this format [default: text]
    #[arg(long, value_name = "FORMAT", env = "WHARF_LOG_FORMAT")]
    pub(crate) log_format: Option<LogFormat>,

    /// What variables gave, where no flag did.
    #[arg(skip)]
    pub(crate) variables: Variables,
}

/// An encoding of file names.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Encoding {
    /// The only one.
    Utf8,
}

/// The ways in which pyftpdlib serves several clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Concurrency {
    /// One event loop.
    Async,
    /// A thread per client.
    MultiThread,
    /// A process per client.
    MultiProc,
    /// A fixed number of processes.
    PreFork,
}

/// Reads a command line, the name of the program included.
///
/// # Errors
/// When a flag or a value is wrong.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Request, Failure> {
    let arguments: Vec<_> = arguments.into_iter().collect();
    let wrong = |error: &clap::Error, is_variable| {
        Failure::usage(match error.kind() {
            ErrorKind::InvalidUtf8 => utf8::problem(&table(), &arguments, is_variable),
            _ => explain(error, is_variable),
        })
    };
    // Who is wrong, flag or variable, is in no error. So the line is read by itself first.
    let line = table().mut_args(without_variable);
    let line = line.mut_subcommands(|command| command.mut_args(without_variable));
    let line = match line.try_get_matches_from(&arguments) {
        Ok(line) => line,
        Err(answer) if !answer.use_stderr() => {
            // Help that names the variables.
            let answer = table().try_get_matches_from(&arguments).err().unwrap_or(answer);
            return Ok(Request::Show(answer.render().to_string()));
        }
        Err(error) => return Err(wrong(&error, false)),
    };
    let matches = match has_variables(line.subcommand_name()) {
        true => table().try_get_matches_from(&arguments).map_err(|error| wrong(&error, true))?,
        false => line,
    };
    let typed = |id: &clap::Id| matches.value_source(id.as_str()) == Some(ValueSource::CommandLine);
    if let Some(name) = matches.subcommand_name().filter(|_| matches.ids().any(typed)) {
        return Err(Failure::usage(format!("flags go after the command: wharf {name} ...")));
    }
    let arguments = Arguments::from_arg_matches(&matches);
    let arguments = arguments.map_err(|error| Failure::usage(explain(&error, false)))?;
    let mut command = arguments.command.unwrap_or(Command::Serve(arguments.flags));
    if let Command::Serve(flags) | Command::Check(flags) = &mut command {
        flags.variables =
            Variables::found(&table(), matches.subcommand().map_or(&matches, |(_, matches)| matches));
    }
    Ok(Request::Run(Box::new(command)))
}

/// Whether variables say something to this command. To serve needs no name.
fn has_variables(command: Option<&str>) -> bool {
    let table = table();
    let command = command.and_then(|name| table.find_subcommand(name));
    command.is_none_or(|command| command.get_arguments().any(|flag| flag.get_env().is_some()))
}

fn without_variable(flag: clap::Arg) -> clap::Arg {
    flag.env(None)
}

/// The whole command line, for completions and the manual page.
pub(crate) fn table() -> clap::Command {
    Arguments::command()
}

/// A host name, or an IP address with or without brackets and zone.
fn interface(text: &str) -> Result<String, String> {
    let host = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = host.split('%').next().unwrap_or_default();
    let is_one = !host.is_empty() && (!host.contains(':') || address.parse::<Ipv6Addr>().is_ok());
    if is_one {
        Ok(host.to_owned())
    } else {
        Err("expected an address or a host name; -p gives the port".into())
    }
}

fn port(text: &str) -> Result<u16, String> {
    if text.starts_with("tcp://") {
        return Err("Kubernetes sets WHARF_PORT to this for a service called wharf; \
                    set enableServiceLinks: false, or give the service another name"
            .into());
    }
    text.parse().map_err(|_| "expected a port from 0 to 65535".into())
}

fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| "expected a whole number, 0 or more".into())
}

/// The value of a flag that takes none, when a variable gives it.
fn switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "" | "0" | "false" | "no" | "off" => Ok(false),
        _ => Err("expected true or false".into()),
    }
}

fn secret(text: &str) -> Result<Secret, String> {
    Ok(Secret::new(text))
}

/// Seconds as pyftpdlib takes them, or any duration as the configuration writes it.
fn seconds(text: &str) -> Result<Duration, String> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { Duration::read(&format!("{text}s")) } else { Duration::read(text) }
}

fn encoding(text: &str) -> Result<Encoding, String> {
    match text.to_ascii_lowercase().replace('_', "-").as_str() {
        "utf-8" | "utf8" => Ok(Encoding::Utf8),
        _ => Err(
            "only utf-8: names are bytes and reach clients as they are on the disk, whatever their encoding"
                .into(),
        ),
    }
}

/// What is wrong with the command line, in one line that names the nearest right word.
fn explain(error: &clap::Error, is_variable: bool) -> String {
    let context = |kind| error.get(kind).map(text_of).unwrap_or_default();
    let flags = context(ContextKind::InvalidArg);
    let flag = flags.split(' ').next().unwrap_or_default();
    let table = table();
    let given = table.get_arguments().find(|one| is_variable && one.get_long() == flag.strip_prefix("--"));
    let variable = given.and_then(variable_of);
    let flag = variable.as_deref().unwrap_or(flag);
    let hint = |kind, prefix: &str, otherwise: &str| match context(kind).as_str() {
        "" => otherwise.to_owned(),
        meant => format!("did you mean {prefix}{meant}?"),
    };
    match error.kind() {
        ErrorKind::UnknownArgument if flag.starts_with('-') => {
            let hint = hint(ContextKind::SuggestedArg, "", "wharf --help lists them");
            format!("unknown flag {flag}; {hint}")
        }
        ErrorKind::UnknownArgument => {
            format!("unexpected word {flag:?}; wharf --help says what goes where")
        }
        ErrorKind::InvalidSubcommand => {
            let typed = context(ContextKind::InvalidSubcommand);
            let hint =
                hint(ContextKind::SuggestedSubcommand, "wharf ", "a directory to serve is given by -d");
            format!("unknown command {typed:?}; {hint}")
        }
        ErrorKind::InvalidValue if context(ContextKind::InvalidValue).is_empty() => {
            format!("{flag} needs a value")
        }
        ErrorKind::InvalidValue => {
            let (typed, allowed) = (context(ContextKind::InvalidValue), context(ContextKind::ValidValue));
            let hint = match context(ContextKind::SuggestedValue).as_str() {
                "" => String::new(),
                meant => format!("; did you mean {meant}?"),
            };
            format!("{flag}: {typed:?}: expected {allowed}{hint}")
        }
        ErrorKind::ValueValidation => {
            let reason = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
            format!("{flag}: {:?}: {reason}", context(ContextKind::InvalidValue))
        }
        ErrorKind::MissingRequiredArgument => format!("{flags} must be given"),
        _ => error
            .render()
            .to_string()
            .lines()
            .next()
            .unwrap_or_default()
            .trim_start_matches("error: ")
            .to_owned(),
    }
}

fn text_of(value: &ContextValue) -> String {
    match value {
        ContextValue::Strings(words) => words.join(", "),
        ContextValue::None | ContextValue::Bool(_) => String::new(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str) -> Result<Request, String> {
        parse(line.split(' ').map(OsString::from)).map_err(|failure| failure.to_string())
    }

    #[test]
    fn the_table_is_sound() {
        table().debug_assert();
    }

    #[test]
    fn pyftpdlibs_flags_are_taken() {
        for line in [
            "wharf",
            "wharf -i 127.0.0.1 -p 2121 -w -d . -n 203.0.113.7 -r 60000-65535",
            "wharf --interface=:: --port=0 --write --directory=. --nat-address=example.org --range=60000",
            "wharf -u ann -P secret -D --timeout 0 --banner hello --use-localtime --encoding UTF-8 --disable-sendfile",
            "wharf --permit-foreign-addresses --permit-privileged-ports --max-cons 0 --max-cons-per-ip 3",
            "wharf --max-login-attempts 1 --concurrency pre-fork",
            "wharf --tls --certfile c --keyfile k --tls-control-required --tls-data-required",
            "wharf check --config wharf.toml",
        ] {
            assert!(matches!(check(line), Ok(Request::Run(_))), "{line}: {:?}", check(line));
        }
        for line in ["wharf -v", "wharf -V", "wharf --version"] {
            assert!(matches!(check(line), Ok(Request::Show(text)) if text.starts_with("wharf ")), "{line}");
        }
    }

    #[test]
    fn passwords_do_not_show() {
        let request = check("wharf -u ann -P open-sesame").unwrap();
        assert!(!format!("{request:?}").contains("open-sesame"));
    }
}

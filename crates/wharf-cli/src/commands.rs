//! What the program does.

use std::fs::File;
use std::io::{self, BufRead, IsTerminal};

use wharf::Secret;
use wharf::auth::{self, PasswordHashError};

use crate::args::{self, Command, Flags};
use crate::config::{Config, first_line, in_its_line, open_again};
#[cfg(target_os = "linux")]
use crate::confinement;
use crate::failure::Failure;
use crate::{manual, output, self_signed, server, tls, users};

/// # Errors
/// When it cannot be done; the failure knows the exit code.
pub(crate) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Serve(flags) => {
            let outcome = Config::load(&flags).and_then(|config| server::serve(&config));
            placed(&flags, file_of(&flags), outcome)
        }
        Command::Check(flags) => {
            // Before rights are given up that it may take to read it. A server does not keep it open.
            let file = file_of(&flags);
            placed(&flags, file, check(&flags))
        }
        Command::HashPassword => hash_password(),
        Command::SelfSigned(request) => self_signed::create(&request.out, &request.names),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut args::table(), "wharf", &mut script);
            output::say(&String::from_utf8_lossy(&script))
        }
        Command::Man => {
            let page = manual::page();
            output::say(&page.map_err(|error| Failure::runtime(format!("the manual page: {error}")))?)
        }
    }
}

/// The configuration file, to be read once more.
fn file_of(flags: &Flags) -> Option<File> {
    flags.config.as_deref().and_then(open_again)
}

/// What is wrong with the configuration `file` is said with its place there.
fn placed(flags: &Flags, file: Option<File>, outcome: Result<(), Failure>) -> Result<(), Failure> {
    outcome.map_err(|failure| match &flags.config {
        Some(path) => in_its_line(path, file, failure),
        None => failure,
    })
}

fn check(flags: &Flags) -> Result<(), Failure> {
    let config = Config::load(flags)?;
    config.notes.iter().for_each(output::complain);
    drop(users::builder(&config)?);
    #[cfg(target_os = "linux")]
    let plan = confinement::plan(&config)?;
    #[cfg(not(target_os = "linux"))]
    server::refuse_confinement(&config)?;
    // As the server will: before it gives up its rights, and with those that are left.
    config.tls.iter().try_for_each(|settings| tls::load(settings).map(drop))?;
    #[cfg(target_os = "linux")]
    confinement::give_up_rights(&plan)?;
    config.tls.iter().try_for_each(|settings| tls::load(settings).map(drop))?;
    output::say(&config.to_string())
}

/// Reads a password without showing it, from the terminal twice, and prints its hash.
fn hash_password() -> Result<(), Failure> {
    let unreadable = |error: io::Error| Failure::runtime(format!("the password cannot be read: {error}"));
    let password = if io::stdin().is_terminal() {
        let ask = |prompt| rpassword::prompt_password(prompt).map(Secret::new).map_err(unreadable);
        let first = ask("Password: ")?;
        if ask("The same again: ")? != first {
            return Err(Failure::usage("the two passwords differ"));
        }
        first
    } else {
        let mut line = Vec::new();
        io::stdin().lock().read_until(b'\n', &mut line).map_err(unreadable)?;
        let line = Secret::new(line);
        Secret::new(first_line(line.expose()))
    };
    if password.expose().is_empty() {
        return Err(Failure::usage("the password is empty"));
    }
    match auth::hash_password(&password) {
        Ok(hash) => output::say(&hash),
        Err(error @ PasswordHashError::TooLong) => Err(Failure::usage(error.to_string())),
        Err(error) => Err(Failure::runtime(format!("the password cannot be hashed: {error}"))),
    }
}

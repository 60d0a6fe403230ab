//! The program `wharf`: an FTP and FTPS server to run.
//!
//! What was typed (`args`, `config::raw`) becomes what it means (`config::Config`), and `commands` acts on that.
#![forbid(unsafe_code)]

mod args;
mod commands;
mod config;
#[cfg(target_os = "linux")]
mod confinement;
mod daemon;
mod failure;
mod listen;
mod logging;
mod manual;
mod output;
mod reference;
mod self_signed;
mod server;
mod signals;
mod sweep;
mod tls;
mod users;
mod utf8;
mod variables;
mod workers;

use std::process::ExitCode;

use crate::args::Request;
use crate::failure::Failure;

fn main() -> ExitCode {
    match args::parse(std::env::args_os()).and_then(act) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::complain(&failure);
            failure.exit_code()
        }
    }
}

fn act(request: Request) -> Result<(), Failure> {
    match request {
        Request::Show(text) => output::say(&text),
        Request::Run(command) => commands::run(*command),
    }
}

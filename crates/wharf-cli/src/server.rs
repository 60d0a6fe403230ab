//! From a configuration to a running server, and to its end.

use std::net::TcpListener;
use std::sync::OnceLock;

use tokio::runtime;
use tokio::sync::oneshot;
use wharf::{Handle, Server, ServerBuilder};

#[cfg(not(target_os = "linux"))]
use crate::config::raw::Sandbox;
use crate::config::{Config, Source};
#[cfg(target_os = "linux")]
use crate::confinement;
use crate::daemon::{self, Notice};
use crate::failure::Failure;
use crate::logging::{self, LogWriter};
use crate::signals::{SystemSignals, supervise};
use crate::workers::Workers;
use crate::{listen, output, sweep, tls, users};

/// The open ports.
struct Listeners {
    /// For sessions that begin in clear.
    explicit: Vec<TcpListener>,
    /// For sessions that begin with TLS.
    implicit: Vec<TcpListener>,
}

/// Serves until a signal ends it.
///
/// # Errors
/// When a port or a file cannot be had, or the server fails.
pub(crate) fn serve(config: &Config) -> Result<(), Failure> {
    // Whoever reads JSON from standard error is to find nothing else there: these lines wait for the log.
    let (is_json, mut notes) = (config.log.is_json_on_stderr(), Vec::new());
    let mut note = |line: String| if is_json { notes.push(line) } else { output::complain(&line) };
    config.notes.iter().cloned().for_each(&mut note);
    let builder = users::builder(config)?;
    #[cfg(target_os = "linux")]
    let plan = confinement::plan(config)?;
    #[cfg(not(target_os = "linux"))]
    refuse_confinement(config)?;
    // They are loaded once more with the rights that are left. What is wrong with them is best said before anything changes.
    config.tls.iter().try_for_each(|settings| tls::load(settings).map(drop))?;
    config.umask.map_or(Ok(()), daemon::set_umask)?;
    let listeners = open_ports(config, &mut note)?;
    // Threads start behind this and not before: rights can be given up for a whole process only while it has one.
    #[cfg(target_os = "linux")]
    let confinement = confinement::confine(&plan, config)?;
    let builder = match &config.tls {
        Some(settings) => builder.tls(tls::load(settings)?),
        None => builder,
    };
    listen::may_have_ports(&config.settings, &listeners.explicit)?;
    listen::may_have_ports(&config.settings, &listeners.implicit)?;
    let log = logging::start(&config.log)?;
    notes.iter().for_each(|line| tracing::warn!("{line}"));
    #[cfg(target_os = "linux")]
    confinement.log();
    config.accounts.open_to_everybody().iter().for_each(|line| tracing::info!("{line}"));
    daemon::raise_limits();
    let cannot_start = |error| Failure::runtime(format!("the program cannot start: {error}"));
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(cannot_start)?;
    let workers = Workers::start().map_err(cannot_start)?;
    let builder = builder.workers(workers.handles());
    let served = runtime.block_on(async {
        let signals = SystemSignals::new().map_err(cannot_start)?;
        let handle = OnceLock::new();
        let reload = || {
            daemon::tell(Notice::Reloading);
            reload(config, &log, handle.get());
            daemon::tell(Notice::Ready);
        };
        let on_stop = || {
            daemon::tell(Notice::Stopping);
            let grace = config.settings.shutdown_grace;
            tracing::info!(?grace, "stopping; a second signal stops at once");
        };
        supervise(signals, reload, on_stop, |stopped| run(builder, config, listeners, &handle, stopped)).await
    });
    workers.stop();
    // A file operation that hangs on a dead disk must not keep the program.
    runtime.shutdown_background();
    served
}

/// What only Linux can do is refused elsewhere rather than ignored.
///
/// # Errors
/// When the configuration asks for it.
#[cfg(not(target_os = "linux"))]
pub(crate) fn refuse_confinement(config: &Config) -> Result<(), Failure> {
    if config.run_as.is_some() {
        return Err(Failure::usage("run_as works on Linux only"));
    }
    match config.sandbox {
        Sandbox::Require => Err(Failure::usage("sandbox = \"require\" works on Linux only")),
        Sandbox::Auto | Sandbox::Off => Ok(()),
    }
}

/// Opens logs again, reads certificates again if there are any, and says what is not read again.
fn reload(config: &Config, log: &LogWriter, handle: Option<&Handle>) {
    match log.reopen() {
        Ok(true) => tracing::info!("log reopened"),
        Ok(false) => {}
        Err(error) => tracing::error!(%error, "log.file cannot be opened again; the log stays where it was"),
    }
    if let Some(handle) = handle {
        handle.reopen_logs();
        if config.tls.is_some() {
            match handle.reload_certificates() {
                Ok(()) => tracing::info!("certificates reloaded"),
                Err(error) => tracing::error!(%error, "certificates not reloaded; the old ones stay"),
            }
        }
    }
    let change = config.source.as_ref().and_then(Source::change);
    change.iter().for_each(|line| tracing::warn!("{line}"));
}

/// Takes the ports that a service manager opened, or else opens those of the configuration.
fn open_ports(config: &Config, note: &mut dyn FnMut(String)) -> Result<Listeners, Failure> {
    let daemon::Inherited { explicit, implicit } = daemon::inherited()?;
    if !implicit.is_empty() && config.tls.is_none() {
        return Err(Failure::usage(
            "a socket of the service manager is called \"implicit\", which needs [tls]",
        ));
    }
    if !explicit.is_empty() || !implicit.is_empty() {
        return Ok(Listeners { explicit, implicit });
    }
    let explicit = listen::open("listen", &config.listen, &[], note)?;
    let implicit = config.tls.as_ref().map_or(&[][..], |tls| &tls.implicit_listen);
    let implicit = listen::open("tls.implicit_listen", implicit, &explicit, note)?;
    Ok(Listeners { explicit, implicit })
}

/// Serves sessions on these listeners until `stopped`, and then until they have ended. What can be reloaded meanwhile
/// goes into `handle`.
async fn run(
    builder: ServerBuilder,
    config: &Config,
    listeners: Listeners,
    handle: &OnceLock<Handle>,
    stopped: oneshot::Receiver<()>,
) -> Result<(), Failure> {
    let announcement = announcement(&listeners)?;
    let server = build(builder, config, listeners)?;
    let _ = handle.set(server.handle());
    output::say(&announcement)?;
    daemon::tell(Notice::Ready);
    let stopped = async {
        let _ = stopped.await;
    };
    sweep::begin(config);
    server.serve_until(stopped).await.map_err(|error| Failure::runtime(error.to_string()))
}

/// The server that `config` describes.
fn build(mut builder: ServerBuilder, config: &Config, listeners: Listeners) -> Result<Server, Failure> {
    let unusable = |error: wharf::Error| Failure::usage(error.to_string());
    builder = builder.settings(config.settings.clone());
    if let Some(path) = &config.log.xferlog {
        builder = builder.xferlog(path).map_err(|error| Failure::usage(format!("log.xferlog: {error}")))?;
    }
    for socket in listeners.explicit {
        builder = builder.listen_on(socket).map_err(unusable)?;
    }
    for socket in listeners.implicit {
        builder = builder.listen_on_implicit_tls(socket).map_err(unusable)?;
    }
    builder.start().map_err(unusable)
}

/// What people and scripts are told once clients can connect, and where: the first lines on standard output.
fn announcement(listeners: &Listeners) -> Result<String, Failure> {
    let explicit = listeners.explicit.iter().map(|listener| ("FTP", listener));
    let implicit = listeners.implicit.iter().map(|listener| ("FTPS", listener));
    let lines = explicit.chain(implicit).map(|(protocol, listener)| {
        let address = listener.local_addr();
        let address =
            address.map_err(|error| Failure::runtime(format!("a listener has no address: {error}")))?;
        Ok(format!("Serving {protocol} on {address}"))
    });
    Ok(lines.collect::<Result<Vec<_>, Failure>>()?.join("\n"))
}

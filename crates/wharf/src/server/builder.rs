//! Setting up a server.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use jiff::tz::TimeZone;
use tokio::net::{TcpListener, ToSocketAddrs};
use tokio::runtime;
use wharf_proto::listing::TimeStyle;
use wharf_proto::{ActiveRules, CommandTable, Report, Rules, TlsPolicy};

use super::shared::{FileSystemFactory, Shared, UserSessions};
use super::workers::Workers;
use super::{Listener, Server};
use crate::auth::{Authorizer, DynAuthorizer, User};
use crate::command::{Call, Handler, Reply, Row};
use crate::config::Settings;
use crate::error::{Error, ErrorKind, Result};
use crate::events::{DynEventHandler, EventHandler, TracingLog, XferLog};
use crate::fs::{DynFileSystem, FileSystem, FsResult, Homes, blocking};
use crate::net::{Acceptor, ConnectionLimits, MasqueradeNames, PassivePorts, check_ports, listen};
#[cfg(feature = "tls")]
use crate::tls::Tls;

/// A server that is being set up.
#[must_use = "a builder does nothing until `bind` is called"]
pub struct ServerBuilder {
    settings: Settings,
    authorizer: Box<dyn DynAuthorizer>,
    filesystem: Option<FileSystemFactory>,
    events: Option<Box<dyn DynEventHandler>>,
    table: CommandTable,
    commands: Vec<Handler>,
    xferlog: Option<XferLog>,
    workers: Vec<runtime::Handle>,
    listeners: Vec<Listener>,
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
}

impl ServerBuilder {
    pub(super) fn new(authorizer: impl Authorizer) -> Self {
        Self {
            settings: Settings::default(),
            authorizer: Box::new(authorizer),
            filesystem: None,
            events: None,
            table: CommandTable::standard(),
            commands: Vec::new(),
            xferlog: None,
            workers: Vec::new(),
            listeners: Vec::new(),
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Banner, limits, timers, ports: everything that is a number or a word.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// The files that each user sees, opened at login. Without this every user is confined to the own home
    /// ([`JailedFs`](crate::fs::JailedFs)). `open` may block: it runs on the blocking pool. What becomes of uploads is up
    /// to these files: [`Settings::uploads`] does not reach them.
    #[doc(alias = "abstracted_fs")]
    pub fn filesystem<F: FileSystem>(
        mut self,
        open: impl Fn(&User) -> FsResult<F> + Send + Sync + 'static,
    ) -> Self {
        self.filesystem = Some(factory(open));
        self
    }

    /// Who is told of logins and transfers.
    pub fn events(mut self, handler: impl EventHandler) -> Self {
        self.events = Some(Box::new(handler));
        self
    }

    /// Adds a command: `run` is called when a client sends it, after argument, login and rights have been checked as
    /// `row` says.
    ///
    /// # Errors
    /// When the name is no command name, or is taken: [remove](Self::without_command) that command first.
    #[doc(alias = "proto_cmds")]
    pub fn command<F>(mut self, row: Row, run: impl Fn(Call) -> F + Send + Sync + 'static) -> Result<Self>
    where
        F: Future<Output = Reply> + Send + 'static,
    {
        self.table
            .add(row)
            .map_err(|error| Error::new(ErrorKind::Setting, "a command cannot be added").caused_by(error))?;
        self.commands.push(Handler::new(run));
        Ok(self)
    }

    /// Takes a command away, `DELE` or `SITE CHMOD` say: clients are told that there is no such command.
    ///
    /// # Errors
    /// When there is none.
    #[doc(alias = "proto_cmds")]
    pub fn without_command(mut self, name: &str) -> Result<Self> {
        let removed = self.table.remove(name);
        removed.map_err(|error| {
            Error::new(ErrorKind::Setting, "a command cannot be removed").caused_by(error)
        })?;
        Ok(self)
    }

    /// Writes a line about every finished transfer to the file `path`, in the format of wu-ftpd that log analysers
    /// read. The file is created or appended to.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn xferlog(mut self, path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let opened = XferLog::open(path);
        let failed = |error| {
            Error::new(ErrorKind::Setting, format!("the transfer log {} cannot be opened", path.display()))
                .caused_by(error)
        };
        self.xferlog = Some(opened.map_err(failed)?);
        Ok(self)
    }

    /// Spreads sessions over these runtimes and the one that serves: each begins, and stays, where the fewest are.
    ///
    /// With one current-thread runtime for each processor a session's work never changes threads, and costs less than
    /// on one runtime with many threads; the program `wharf` does so. The runtimes need timers and I/O, and have to
    /// run for as long as the server serves. On Windows, where sockets stay with their first runtime, this does
    /// nothing.
    ///
    /// ```no_run
    /// # async fn serve(builder: wharf::ServerBuilder) -> Result<(), Box<dyn std::error::Error>> {
    /// let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    /// let worker = runtime.handle().clone();
    /// std::thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
    /// builder.workers([worker]).bind("127.0.0.1:2121").await?.serve().await?;
    /// # Ok(()) }
    /// ```
    pub fn workers(mut self, runtimes: impl IntoIterator<Item = runtime::Handle>) -> Self {
        self.workers = runtimes.into_iter().collect();
        self
    }

    /// Offers FTPS with this certificate.
    #[cfg(feature = "tls")]
    #[doc(alias = "TLS_FTPHandler")]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Also listens on `address`. May be called more than once; [`bind`](Self::bind) is the last call.
    ///
    /// # Errors
    /// When the address cannot be resolved or listened on.
    pub async fn listen(mut self, address: impl ToSocketAddrs + fmt::Debug) -> Result<Self> {
        self.add_listeners(address, false).await?;
        Ok(self)
    }

    /// Also listens on `address` for clients that begin with a TLS handshake (implicit FTPS, port 990).
    ///
    /// # Errors
    /// When the address cannot be resolved or listened on, or there is no certificate.
    #[cfg(feature = "tls")]
    pub async fn listen_implicit_tls(mut self, address: impl ToSocketAddrs + fmt::Debug) -> Result<Self> {
        self.require_tls()?;
        self.add_listeners(address, true).await?;
        Ok(self)
    }

    /// Listens on a socket that was opened elsewhere, by a service manager or [`Server::open_socket`] say.
    ///
    /// # Errors
    /// When the system refuses to use it that way.
    pub fn listen_on(mut self, socket: std::net::TcpListener) -> Result<Self> {
        self.listeners.push(Listener::adopt(socket, false)?);
        Ok(self)
    }

    /// As [`listen_on`](Self::listen_on), for clients that begin with a TLS handshake (implicit FTPS).
    ///
    /// # Errors
    /// When the system refuses to use it that way, or there is no certificate.
    #[cfg(feature = "tls")]
    pub fn listen_on_implicit_tls(mut self, socket: std::net::TcpListener) -> Result<Self> {
        self.require_tls()?;
        self.listeners.push(Listener::adopt(socket, true)?);
        Ok(self)
    }

    /// Listens on `address` and is ready to serve. `[::]:21` takes IPv4 and IPv6 clients on one socket.
    ///
    /// # Errors
    /// When the address cannot be resolved or listened on.
    pub async fn bind(mut self, address: impl ToSocketAddrs + fmt::Debug) -> Result<Server> {
        self.add_listeners(address, false).await?;
        self.start()
    }

    /// Is ready to serve on the listeners there are.
    ///
    /// # Errors
    /// When there are none, or the settings contradict each other.
    pub fn start(mut self) -> Result<Server> {
        if self.listeners.is_empty() {
            return Err(Error::new(ErrorKind::Setting, "there is no address to listen on"));
        }
        check_ports(&self.settings.passive)?;
        for listener in &mut self.listeners {
            listener.acceptor.set_options(self.settings.tcp_no_delay)?;
        }
        let report = if self.events.is_some() || TracingLog::wants_all_commands() {
            Report::All
        } else {
            Report::Notable
        };
        #[cfg(feature = "tls")]
        let tls = self.tls.as_ref().map(Tls::acceptor).transpose()?;
        #[cfg(feature = "tls")]
        let policy = tls.as_ref().map(crate::tls::Acceptor::policy);
        #[cfg(feature = "tls")]
        let policy = policy
            .map(|tls| TlsPolicy { require_control: tls.require_control, require_data: tls.require_data });
        #[cfg(not(feature = "tls"))]
        let policy = None;
        let rules = self.rules(report, policy);
        let shared = Shared {
            rules: Arc::new(rules),
            authorizer: self.authorizer,
            filesystem: self.filesystem.unwrap_or_else(|| jailed(Homes::new(self.settings.uploads))),
            events: self.events.unwrap_or_else(|| Box::new(())),
            log: TracingLog,
            xferlog: self.xferlog,
            commands: self.commands,
            connection_limits: ConnectionLimits::new(
                self.settings.limits.max_connections,
                self.settings.limits.max_connections_per_ip,
            ),
            user_limits: UserSessions::default(),
            passive_ports: PassivePorts::new(&self.settings.passive.ports),
            masquerade: MasqueradeNames::new(&self.settings.passive)?,
            #[cfg(feature = "tls")]
            tls,
            #[cfg(feature = "tls")]
            certificates: self.tls.as_ref().and_then(Tls::certificates).cloned(),
            sessions: AtomicU64::new(0),
            workers: Workers::new(self.workers),
            settings: self.settings,
        };
        Ok(Server { shared: Arc::new(shared), listeners: self.listeners })
    }

    #[cfg(feature = "tls")]
    fn require_tls(&self) -> Result<()> {
        match self.tls {
            Some(_) => Ok(()),
            None => Err(Error::new(ErrorKind::Tls, "implicit FTPS needs a certificate: call tls() first")),
        }
    }

    async fn add_listeners(
        &mut self,
        address: impl ToSocketAddrs + fmt::Debug,
        implicit_tls: bool,
    ) -> Result<()> {
        let failed =
            |what: &str, error| Error::new(ErrorKind::Bind, format!("{what} {address:?}")).caused_by(error);
        let resolved =
            tokio::net::lookup_host(&address).await.map_err(|error| failed("cannot resolve", error))?;
        let addresses: Vec<SocketAddr> = resolved.collect();
        // A name may have several addresses; the first that can be listened on is used, as clients do.
        let mut last = std::io::Error::from(std::io::ErrorKind::AddrNotAvailable);
        for candidate in addresses {
            match listen(candidate) {
                Ok(socket) => {
                    self.listeners.push(Listener::new(socket, implicit_tls)?);
                    return Ok(());
                }
                Err(error) => last = error,
            }
        }
        Err(failed("cannot listen on", last))
    }

    /// What the settings mean for sessions.
    fn rules(&self, report: Report, tls: Option<TlsPolicy>) -> Rules {
        let Settings { limits, active, .. } = &self.settings;
        let times =
            if self.settings.use_gmt_times { TimeStyle::Utc } else { TimeStyle::Local(TimeZone::system()) };
        let commands = self.table.clone();
        Rules {
            banner: self.settings.banner.clone(),
            commands: if tls.is_some() { commands.with_tls() } else { commands },
            report,
            times,
            max_login_attempts: limits.max_login_attempts,
            login_timeout: limits.login_timeout,
            failed_login_delay: limits.failed_login_delay,
            idle_timeout: limits.idle_timeout,
            data_timeout: limits.data_timeout,
            passive_timeout: limits.passive_timeout,
            active: ActiveRules {
                enabled: active.enabled,
                permit_foreign_addresses: active.permit_foreign_addresses,
                permit_privileged_ports: active.permit_privileged_ports,
            },
            tls,
        }
    }
}

impl Listener {
    fn adopt(socket: std::net::TcpListener, implicit_tls: bool) -> Result<Self> {
        socket.set_nonblocking(true)?;
        Self::new(TcpListener::from_std(socket)?, implicit_tls)
    }

    fn new(socket: TcpListener, implicit_tls: bool) -> Result<Self> {
        let address = socket.local_addr()?;
        Ok(Self { acceptor: Acceptor::new(socket, super::NO_DESCRIPTORS), address, implicit_tls })
    }
}

impl fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerBuilder").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// Confines every user to the own home.
fn jailed(homes: Homes) -> FileSystemFactory {
    let homes = Arc::new(homes);
    Arc::new(move |user| {
        let (homes, user) = (Arc::clone(&homes), user.clone());
        Box::pin(async move { Ok(homes.open(&user).await? as Arc<dyn DynFileSystem>) })
    })
}

/// Runs `open` on the blocking pool.
fn factory<F: FileSystem>(open: impl Fn(&User) -> FsResult<F> + Send + Sync + 'static) -> FileSystemFactory {
    let open = Arc::new(open);
    Arc::new(move |user| {
        let (open, user) = (Arc::clone(&open), user.clone());
        Box::pin(async move {
            // `open` enters the user's identity itself, where that matters.
            let identity = wharf_sys::Identity::process();
            let files = blocking(&identity, move || open(&user)).await?;
            Ok(Arc::new(files) as Arc<dyn DynFileSystem>)
        })
    })
}

//! One client at one server: runs jobs and shows what the client said when they fail.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use tempfile::TempDir;

use crate::{
    certificate,
    job::{Begin, Invocation, Job, Mode, Site, Tls, Tool},
    row::Verdict,
    server::Server,
    transcript,
};

/// Environment variables with this prefix point the tests at another server.
pub(crate) const PREFIX: &str = "WHARF_CLIENTS";

/// The longest that a client may take for one job.
const DEADLINE: &str = "300";

/// How to reach the server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    pub(crate) name: &'static str,
    pub(crate) mode: Mode,
    pub(crate) tls: Option<Tls>,
    /// The server's `listen`, with port 0.
    pub(crate) listen: &'static str,
    /// Further settings of the server.
    pub(crate) settings: &'static str,
}

impl Way {
    /// A site like the one that there will be.
    pub(crate) fn example(&self) -> Site {
        Site { address: self.listen.parse().expect("an address"), mode: self.mode, tls: self.tls }
    }

    /// A server that can be reached in this way; or why there is none.
    fn server(&self) -> Result<Server, &'static str> {
        let Some(server) = Server::elsewhere(PREFIX) else {
            return Ok(self.own_server());
        };
        if server.address().ip() != self.example().address.ip() {
            return Err("the server is at another address");
        }
        if !self.settings.is_empty() || self.tls.is_some() {
            return Err("needs a server of its own");
        }
        server.clear_home();
        Ok(server)
    }

    fn own_server(&self) -> Server {
        let mut settings = format!("listen = '{}'\n{}\n", self.listen, self.settings);
        let Some(tls) = self.tls else { return Server::start(&settings, |_| ()) };
        settings += certificate::TLS;
        if tls.begin == Begin::Implicit {
            settings += &format!("tls.implicit_listen = '{}'\n", self.listen);
        }
        Server::start(&settings, certificate::make)
    }
}

/// What a scenario works with.
pub(crate) struct Bench {
    tool: &'static dyn Tool,
    server: Server,
    site: Site,
    local: TempDir,
}

impl Bench {
    /// Runs the scenario, unless there is nothing to run it with.
    pub(crate) fn run(tool: &'static dyn Tool, way: Way, scenario: impl FnOnce(&Self)) -> Verdict {
        if let Some(reason) = tool.is_missing() {
            return Verdict::Skipped(reason);
        }
        let server = match way.server() {
            Ok(server) => server,
            Err(reason) => return Verdict::Skipped(reason.to_owned()),
        };
        let local = TempDir::with_prefix("wharf-client-").expect("a temporary directory");
        let mut site = Site { address: server.address(), mode: way.mode, tls: way.tls };
        if site.is_implicit() {
            site.address = server.implicit_address();
        }
        let bench = Self { tool, server, site, local };
        scenario(&bench);
        bench.server.assert_no_leaks();
        Verdict::Passed
    }

    /// The client.
    pub(crate) fn tool(&self) -> &'static dyn Tool {
        self.tool
    }

    /// Whether the client knows how to do the job.
    pub(crate) fn can(&self, job: Job<'_>) -> bool {
        self.tool.invocation(job, &self.site).is_some()
    }

    /// The directory that the server serves.
    pub(crate) fn remote(&self) -> &Path {
        self.server.home()
    }

    /// A path in the client's own directory.
    pub(crate) fn local(&self, name: &str) -> PathBuf {
        self.local.path().join(name)
    }

    /// Does the job and returns what the client printed.
    pub(crate) fn perform(&self, job: Job<'_>) -> Vec<u8> {
        let invocation = self.tool.invocation(job, &self.site).expect("asked only what it can do");
        let output = run(invocation, self.local.path());
        assert!(output.status.success(), "the client failed: {}", output.status);
        output.stdout
    }
}

fn run(invocation: Invocation, directory: &Path) -> Output {
    let Invocation { command, input } = invocation;
    let mut child = Command::new("timeout")
        .arg(DEADLINE)
        .arg(command.get_program())
        .args(command.get_args())
        .envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))))
        // Neither settings nor history of the person who runs the tests.
        .env("HOME", directory)
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the client is installed");
    transcript::note(&format!("{command:?}"));
    // Dropping the pipe is the end of the input. A client that does not read shows in its status.
    let _ = child.stdin.take().map(|mut pipe| pipe.write_all(&input));
    let output = child.wait_with_output().expect("our own child");
    transcript::note(&String::from_utf8_lossy(&output.stdout));
    transcript::note(&String::from_utf8_lossy(&output.stderr));
    output
}

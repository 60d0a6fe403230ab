"""The servers under comparison: how each one is configured, started, metered and stopped.

Every server runs as up to three instances, all on the server's own loopback address (so that the
sockets one server leaves in TIME_WAIT never cost another one its ports):

  disk  plaintext, root directory on disk
  shm   plaintext, root directory on tmpfs
  tls   explicit FTPS, root directory on tmpfs

Configuration rules, the same for all: user "user" with password "12345" and full rights, password
check as cheap as the server can do it, no host name look-ups, no artificial delays, no limit on
clients, sendfile on where the server has it, transfer log to a file at the server's default level,
TLS 1.3 with one ECDSA P-256 certificate and the server's default session cache.
"""

import json
import os
import pwd
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
USER, PASSWORD = "user", "12345"
PAM_SERVICE = f"wharf-bench-{os.getpid()}"
KINDS = ("disk", "shm", "tls")
CLK_TCK = os.sysconf("SC_CLK_TCK")


def default_cache():
    return os.environ.get("WHARF_BENCH_CACHE") or os.path.expanduser("~/.cache/wharf-bench")


# --------------------------------------------------------------------------- process accounting


def _stat(pid):
    with open(f"/proc/{pid}/stat") as f:
        s = f.read()
    rest = s[s.rindex(")") + 2:].split()
    return int(rest[1]), [int(x) for x in rest[11:15]]  # ppid, utime stime cutime cstime


def children_map():
    kids = {}
    for p in os.listdir("/proc"):
        if p.isdigit():
            try:
                kids.setdefault(_stat(p)[0], []).append(int(p))
            except (OSError, ValueError):
                pass
    return kids


def tree(pid):
    kids = children_map()
    out, todo = [], [pid]
    while todo:
        p = todo.pop()
        out.append(p)
        todo += kids.get(p, [])
    return out


class Group:
    """A cgroup of its own for each instance, where the system lets us have one: CPU time to the
    nanosecond, including that of processes long gone.  Otherwise /proc: the CPU clock of every
    living process of the tree plus what the kernel adds up for reaped children."""

    base = None
    kind = None

    @classmethod
    def setup(cls):
        if cls.kind is not None:
            return
        cls.kind = "proc"
        try:
            mounts = [l.split() for l in open("/proc/self/mounts")]
            mine = [l.strip().split(":", 2) for l in open("/proc/self/cgroup")]
        except OSError:
            return
        cands = [("v1", m[1], "cpuacct") for m in mounts
                 if m[2] == "cgroup" and "cpuacct" in m[3].split(",")]
        cands += [("v2", m[1], "") for m in mounts if m[2] == "cgroup2"]
        for kind, mnt, ctl in cands:
            for _, ctls, path in mine:
                if (ctl and ctl in ctls.split(",")) or (not ctl and ctls == ""):
                    base = os.path.join(mnt + path, f"wharf-bench-{os.getpid()}")
                    probe = "cpuacct.usage" if kind == "v1" else "cpu.stat"
                    try:
                        os.makedirs(base)
                        with open(os.path.join(base, probe)):
                            pass
                        cls.base, cls.kind = base, kind
                        return
                    except OSError:
                        try:
                            os.rmdir(base)
                        except OSError:
                            pass

    @classmethod
    def teardown(cls):
        if cls.base:
            for d in os.listdir(cls.base):
                p = os.path.join(cls.base, d)
                if os.path.isdir(p):
                    try:
                        os.rmdir(p)
                    except OSError:
                        pass
            try:
                os.rmdir(cls.base)
            except OSError:
                pass
        cls.base = cls.kind = None

    def __init__(self, name):
        self.setup()
        self.dir = None
        self.pid = None
        if self.base:
            self.dir = os.path.join(self.base, name)
            os.makedirs(self.dir, exist_ok=True)

    def enter(self):  # in the child, before exec
        if self.dir:
            with open(os.path.join(self.dir, "cgroup.procs"), "w") as f:
                f.write("0")

    def pids(self):
        if self.dir:
            with open(os.path.join(self.dir, "cgroup.procs")) as f:
                return [int(x) for x in f.read().split()]
        return [p for p in tree(self.pid) if os.path.exists(f"/proc/{p}")]

    def pin(self, cpus):
        """Keep every thread of the group, and what it starts from now on, to these CPUs."""
        for pid in self.pids():
            try:
                for thread in os.listdir(f"/proc/{pid}/task"):
                    os.sched_setaffinity(int(thread), cpus)
            except OSError:  # gone meanwhile
                pass

    def cpu(self):
        if self.kind == "v1":
            with open(os.path.join(self.dir, "cpuacct.usage")) as f:
                return int(f.read()) / 1e9
        if self.kind == "v2":
            with open(os.path.join(self.dir, "cpu.stat")) as f:
                for l in f:
                    k, v = l.split()
                    if k == "usage_usec":
                        return int(v) / 1e6
        total = 0.0
        for p in tree(self.pid):
            try:
                _, t = _stat(p)
                total += (t[2] + t[3]) / CLK_TCK
                try:
                    total += time.clock_gettime((~p << 3) | 2)  # CPU clock of process p
                except OSError:
                    total += (t[0] + t[1]) / CLK_TCK
            except (OSError, ValueError):
                pass
        return total

    def pss(self):
        """(bytes, processes): proportional set size of the whole group."""
        pids = self.pids()
        total = n = 0
        for p in pids:
            try:
                with open(f"/proc/{p}/smaps_rollup") as f:
                    for l in f:
                        if l.startswith("Pss:"):
                            total += int(l.split()[1]) * 1024
                            n += 1
                            break
            except OSError:
                pass
        return total, n

    def remove(self):
        if self.dir:
            for _ in range(50):
                try:
                    os.rmdir(self.dir)
                    return
                except OSError:
                    time.sleep(0.1)


# --------------------------------------------------------------------------- one running instance


def system_user():
    """An unprivileged account whose home directory exists (vsftpd insists)."""
    for name in ("ftp", "daemon", "games", "bin", "www-data", "nobody"):
        try:
            p = pwd.getpwnam(name)
        except KeyError:
            continue
        if p.pw_uid and os.path.isdir(p.pw_dir):
            return p
    raise SystemExit("no usable system account")


class Env:
    """Paths shared by all instances."""

    def __init__(self, cache, work, disk_root, shm_root):
        self.cache, self.work = cache, work
        self.roots = {"disk": disk_root, "shm": shm_root, "tls": shm_root}
        self.cert = os.path.join(work, "cert.pem")
        self.key = os.path.join(work, "key.pem")
        self.both = os.path.join(work, "both.pem")
        self.loadgen = os.path.join(cache, "loadgen-target", "release", "loadgen")
        self.deb = os.path.join(cache, "deb", "root")
        self.account = system_user()
        self.suite = "aes256"

    def certificate(self):
        if not os.path.exists(self.cert):
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                 "-nodes", "-keyout", self.key, "-out", self.cert, "-days", "3650",
                 "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
                check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            with open(self.both, "w") as out:
                for p in (self.key, self.cert):
                    out.write(open(p).read())
            for p in (self.cert, self.key, self.both):
                os.chmod(p, 0o600)


def free_port(ip):
    s = socket.socket()
    s.bind((ip, 0))
    p = s.getsockname()[1]
    s.close()
    return p


class Instance:
    def __init__(self, server, kind, env):
        self.server, self.kind, self.env = server, kind, env
        self.ip = server.ip
        # below the ephemeral range, so that no passive or client port can collide with it
        self.port = server.base_port + KINDS.index(kind)
        self.root = env.roots[kind]
        self.dir = os.path.join(env.work, f"{server.name}-{kind}")
        self.log = os.path.join(self.dir, "log")
        self.proc = None

    @property
    def addr(self):
        return f"{self.ip}:{self.port}"

    @property
    def tls(self):
        return self.kind == "tls"

    def write(self, name, text, mode=0o644):
        p = os.path.join(self.dir, name)
        with open(p, "w") as f:
            f.write(text)
        os.chmod(p, mode)
        return p

    def start(self):
        os.makedirs(self.dir, exist_ok=True)
        os.chmod(self.dir, 0o755)
        self.group = Group(f"{self.server.name}-{self.kind}")
        argv, extra = self.server.command(self, self.env)
        env = dict(os.environ)
        env.update(extra)
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]

        def child():
            self.group.enter()
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

        out = open(os.path.join(self.dir, "stdout"), "ab")
        self.proc = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                     cwd=self.dir, env=env, preexec_fn=child, start_new_session=True)
        out.close()
        self.group.pid = self.proc.pid
        end = time.time() + 15
        while time.time() < end:
            if self.proc.poll() is not None:
                break
            try:
                with socket.create_connection((self.ip, self.port), 2) as s:
                    s.settimeout(5)
                    if s.recv(64).startswith(b"220"):
                        s.sendall(b"QUIT\r\n")
                        s.recv(256)
                        return
            except OSError:
                time.sleep(0.05)
        tail = open(os.path.join(self.dir, "stdout"), errors="replace").read()[-800:]
        self.stop()
        raise RuntimeError(f"{self.server.name} ({self.kind}) did not start: {tail.strip()}")

    def stop(self):
        if self.proc is None:
            return
        try:
            mine = self.group.pids()
        except OSError:
            mine = [self.proc.pid]
        if self.proc.poll() is None:
            self.proc.terminate()
            try:
                self.proc.wait(5)
            except subprocess.TimeoutExpired:
                pass
        # what the server left behind, and nothing else: processes of its own group
        for _ in range(20):
            try:
                left = set(self.group.pids()) if self.group.dir else \
                    {p for p in mine if os.path.exists(f"/proc/{p}")}
            except OSError:
                left = set()
            if self.proc.poll() is not None:
                left.discard(self.proc.pid)
            if not left:
                break
            for p in left:
                try:
                    os.kill(p, signal.SIGKILL)
                except OSError:
                    pass
            try:
                self.proc.wait(0.1)
            except subprocess.TimeoutExpired:
                pass
        self.group.remove()
        self.proc = None

    def calm(self, seconds=2):
        """Wait until the server has finished what it does after its last reply."""
        end = time.time() + seconds
        a = self.group.cpu()
        while time.time() < end:
            time.sleep(0.03)
            b = self.group.cpu()
            if b - a < 0.002:
                return
            a = b

    def settle(self, procs, seconds=20):
        """Wait until the number of processes is back to what it was."""
        end = time.time() + seconds
        while time.time() < end:
            try:
                if len(self.group.pids()) <= procs:
                    return
            except OSError:
                return
            time.sleep(0.1)


# --------------------------------------------------------------------------- the servers


class Server:
    name = ""
    kinds = KINDS
    idle = True  # takes part in the idle-session workload
    mlsd = True

    def __init__(self, index):
        self.ip = f"127.0.0.{10 + index}"
        self.base_port = 20100 + 10 * index

    def missing(self, env):
        return None

    def version(self, env):
        return ""

    def notes(self):
        return ""


def _out(argv):
    r = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    return r.stdout.decode(errors="replace")


def _ldd(path):
    if not os.access(path, os.X_OK):
        return "not fetched (peers.sh deb)"
    lacks = [l.split()[0] for l in _out(["ldd", path]).splitlines() if "not found" in l]
    return "lacks " + " ".join(lacks) if lacks else None


class Limit(Server):
    """The yardstick from loadgen: see loadgen/src/limit.rs."""
    name = "limit"
    idle = False
    splice = 1

    def notes(self):
        return "loadgen serve: the least a server can do"

    def command(self, i, env):
        return [env.loadgen, "serve", "--addr", i.addr, "--root", i.root, "--cert", env.cert,
                "--key", env.key, "--tls", env.suite, "--splice", str(self.splice)], {}


class Wharf(Server):
    name = "wharf"

    def __init__(self, index, binary, extra="", name="wharf"):
        super().__init__(index)
        self.name, self.binary, self.extra = name, os.path.abspath(binary), extra

    def missing(self, env):
        return None if os.access(self.binary, os.X_OK) else f"{self.binary} is not executable"

    def version(self, env):
        return _out([self.binary, "--version"]).strip().split("\n")[0][:80]

    def command(self, i, env):
        tls = f'[tls]\ncertificate = "{env.cert}"\nkey = "{env.key}"\n' if i.tls else ""
        conf = f"""listen = "{i.addr}"

[limits]
max_connections = 20000
max_connections_per_ip = 0
idle_timeout = "3600s"

{tls}
[log]
file = "{i.log}"

[auth]
kind = "virtual"

[[users]]
name = "{USER}"
password = "{PASSWORD}"
home = "{i.root}"
permissions = "elradfmwMT"
{self.extra}
"""
        return [self.binary, "--config", i.write("wharf.toml", conf, 0o600)], {}

    def notes(self):
        return "virtual user, plain password in wharf.toml, [log] file at the default level"


class Vsftpd(Server):
    name = "vsftpd"
    mlsd = False

    def missing(self, env):
        if os.geteuid() != 0:
            return "needs root"
        return _ldd(env.deb + "/usr/sbin/vsftpd")

    def version(self, env):
        return "3.0.3 (Debian)"

    def command(self, i, env):
        pam = f"/etc/pam.d/{PAM_SERVICE}"
        if not os.path.exists(pam):
            with open(pam, "w") as f:
                f.write("auth required pam_permit.so\naccount required pam_permit.so\n"
                        "session required pam_permit.so\n")
        empty = os.path.join(i.dir, "empty")
        os.makedirs(empty, exist_ok=True)
        os.chmod(empty, 0o755)
        conf = f"""listen=YES
listen_address={i.ip}
listen_port={i.port}
background=NO
anonymous_enable=NO
local_enable=YES
guest_enable=YES
guest_username={env.account.pw_name}
nopriv_user={env.account.pw_name}
virtual_use_local_privs=YES
pam_service_name={PAM_SERVICE}
local_root={i.root}
chroot_local_user=YES
allow_writeable_chroot=YES
write_enable=YES
xferlog_enable=YES
vsftpd_log_file={i.log}
secure_chroot_dir={empty}
max_clients=0
max_per_ip=0
idle_session_timeout=3600
isolate_network=NO
lock_upload_files=NO
"""
        if i.tls:
            conf += f"""ssl_enable=YES
rsa_cert_file={env.both}
ssl_ciphers=HIGH
force_local_logins_ssl=YES
force_local_data_ssl=YES
require_ssl_reuse=NO
"""
        return [env.deb + "/usr/sbin/vsftpd", i.write("vsftpd.conf", conf)], {}

    def notes(self):
        return ("guest user behind PAM with pam_permit (no password hash), two processes a session, "
                "isolate_network=NO (the default YES makes a network namespace for every session), lock_upload_files=NO, "
                "require_ssl_reuse=NO, no MLSD")


class Proftpd(Server):
    name = "proftpd"

    def missing(self, env):
        if os.geteuid() != 0:
            return "needs root"
        if not os.path.exists(env.deb + "/usr/lib/proftpd/mod_tls.so"):
            return "not fetched (peers.sh deb)"
        return _ldd(env.deb + "/usr/sbin/proftpd")

    def version(self, env):
        return "1.3.8 (Debian)"

    def command(self, i, env):
        a = env.account
        # traditional crypt(): the cheapest hash proftpd takes
        i.write("passwd", f"{USER}:{des_crypt(PASSWORD)}:{a.pw_uid}:{a.pw_gid}::{i.root}:/bin/sh\n", 0o600)
        os.chown(os.path.join(i.dir, "passwd"), a.pw_uid, a.pw_gid)
        conf = f"""ModulePath {env.deb}/usr/lib/proftpd
ServerName bench
ServerType standalone
DefaultAddress {i.ip}
SocketBindTight on
Port {i.port}
UseIPv6 off
User {a.pw_name}
Group #{a.pw_gid}
MaxInstances none
UseReverseDNS off
AuthPAM off
AuthOrder mod_auth_file.c
AuthUserFile {i.dir}/passwd
RequireValidShell off
UseFtpUsers off
DefaultRoot ~
AllowOverwrite on
UseSendfile on
DelayEngine off
WtmpLog off
TimeoutIdle 3600
TimeoutNoTransfer 3600
TimeoutLogin 3600
TransferLog {i.log}
SystemLog {i.dir}/system.log
PidFile {i.dir}/pid
ScoreboardFile {i.dir}/scoreboard
ControlsEngine off
"""
        conf = conf.replace(f"Group #{a.pw_gid}", f"Group {group_name(a.pw_gid)}")
        if i.tls:
            conf += f"""LoadModule mod_tls.c
TLSEngine on
TLSProtocol TLSv1.2 TLSv1.3
TLSRequired on
TLSECCertificateFile {env.cert}
TLSECCertificateKeyFile {env.key}
TLSCACertificateFile {env.cert}
TLSOptions NoSessionReuseRequired
TLSVerifyClient off
TLSRenegotiate none
TLSLog none
"""
        return [env.deb + "/usr/sbin/proftpd", "-n", "-q", "-c", i.write("proftpd.conf", conf)], {}

    def notes(self):
        return ("AuthUserFile with a traditional crypt() hash, UseSendfile on, DelayEngine off, "
                "MaxInstances none, scoreboard on (default), NoSessionReuseRequired, TLSCACertificateFile set (without it "
                "every session parses the system's CA bundle: 38 ms of CPU); its master sleeps 200 ms whenever the end of a "
                "session interrupts its wait for new ones, which is what its log-in rates show")


class Pureftpd(Server):
    name = "pure-ftpd"

    def missing(self, env):
        if os.geteuid() != 0:
            return "needs root"
        return _ldd(env.deb + "/usr/sbin/pure-ftpd")

    def version(self, env):
        return "1.0.50 (Debian)"

    def command(self, i, env):
        a = env.account
        pw = i.write("pureftpd.passwd",
                     f"{USER}:{des_crypt(PASSWORD)}:{a.pw_uid}:{a.pw_gid}::{i.root}/./::::::::::::\n", 0o600)
        pdb = os.path.join(i.dir, "pureftpd.pdb")
        subprocess.run([env.deb + "/usr/bin/pure-pw", "mkdb", pdb, "-f", pw], check=True,
                       stdout=subprocess.DEVNULL)
        argv = [env.deb + "/usr/sbin/pure-ftpd", "-S", f"{i.ip},{i.port}", "-l", f"puredb:{pdb}",
                "-E", "-A", "-H", "-u", "1", "-c", "20000", "-I", "60", "-L", "200000:8",
                "-O", f"clf:{i.log}", "-g", os.path.join(i.dir, "pid"), "-f", "none"]
        if i.tls:
            argv += ["-Y", "2", "-2", env.both]
        return argv, {}

    def notes(self):
        return ("PureDB with a traditional crypt() hash, privilege separation on (Debian build: two processes "
                "a session), -L 200000:8 (default 10000 entries a listing), CLF transfer log; every log-in includes its "
                "built-in random sleep of up to 15 ms")


class Pyftpdlib(Server):
    name = "pyftpdlib"

    def missing(self, env):
        if not os.path.exists(env.cache + "/venv/bin/python"):
            return "not fetched (peers.sh python)"
        return None

    def version(self, env):
        return _out([env.cache + "/venv/bin/python", "-c",
                     "import pyftpdlib,sys;print(pyftpdlib.__ver__,'on Python',sys.version.split()[0])"]).strip()

    def command(self, i, env):
        conf = {"ip": i.ip, "port": i.port, "root": i.root, "user": USER, "password": PASSWORD,
                "log": i.log, "cert": env.both if i.tls else None}
        return [env.cache + "/venv/bin/python", os.path.join(HERE, "pyftpdlib_server.py"),
                json.dumps(conf)], {}

    def notes(self):
        return "asynchronous FTPServer (the default), DummyAuthorizer, sendfile, log to a file at INFO, max_cons 20000"


class Libunftp(Server):
    name = "libunftp"

    def exe(self, env):
        return env.cache + "/libunftp-target/release/libunftp_server"

    def missing(self, env):
        return None if os.access(self.exe(env), os.X_OK) else "not built (peers.sh libunftp)"

    def version(self, env):
        with open(os.path.join(HERE, "libunftp_server", "Cargo.toml")) as f:
            return re.search(r'libunftp = .*?"=([0-9.]+)"', f.read()).group(1)

    def command(self, i, env):
        return [self.exe(env), i.addr, i.root] + ([env.cert, env.key] if i.tls else []), {}

    def notes(self):
        return ("own minimal main() with the filesystem back end (unftp-sbe-fs), multi-threaded runtime, any password "
                "accepted, no log, TLS by rustls with aws-lc-rs; TLS 1.3 switched on (the library's default, and all "
                "that the unftp program offers, is TLS 1.2); no TCP_NODELAY, so the reply after a transfer waits for a delayed "
                "acknowledgement (40 ms); two descriptors a session; it loses a ClientHello that arrives right after its 234 "
                "(\"500 Invalid UTF8\"), hence errors in the TLS log-ins")


def des_crypt(password, salt="wb"):
    r = subprocess.run(["openssl", "passwd", "-1", "-salt", salt, password], stdout=subprocess.PIPE)
    try:
        import ctypes
        import ctypes.util
        lib = ctypes.CDLL(ctypes.util.find_library("crypt") or "libcrypt.so.1")
        lib.crypt.restype = ctypes.c_char_p
        h = lib.crypt(password.encode(), salt.encode())
        if h and len(h) == 13:
            return h.decode()
    except (OSError, AttributeError):
        pass
    return r.stdout.decode().strip()


def group_name(gid):
    import grp
    return grp.getgrgid(gid).gr_name


PEERS = (Vsftpd, Proftpd, Pureftpd, Pyftpdlib, Libunftp)


def cleanup_system():
    pam = f"/etc/pam.d/{PAM_SERVICE}"
    if os.path.exists(pam):
        try:
            os.unlink(pam)
        except OSError:
            pass


if __name__ == "__main__":
    sys.exit("this is a module; run compare.py or ftpbench.py")

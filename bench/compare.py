#!/usr/bin/env python3
"""Side-by-side benchmark of FTP servers on loopback.  See README.md.

Workloads are interleaved (server A, B, C, A, B, C, ...); figures are medians over rounds and ratios
are medians of the per-round ratios, so that a noisy machine harms all servers alike.
"""

import argparse
import json
import os
import random
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import servers as S

GIB = 1 << 30
MIB = 1 << 20


def log(*a):
    print(*a, file=sys.stderr, flush=True)


# --------------------------------------------------------------------------- data


def make_data(env, sizes):
    def tidy(path):
        os.chmod(path, 0o777 if os.path.isdir(path) else 0o644)
        os.chown(path, env.account.pw_uid, env.account.pw_gid)

    block = os.urandom(MIB)

    def blob(path, size):
        with open(path, "wb") as f:
            for _ in range(size // MIB):
                f.write(block)
        tidy(path)

    def many(path, n, size, form):
        os.makedirs(path)
        body = block[:size]
        for i in range(n):
            p = os.path.join(path, form % i)
            fd = os.open(p, os.O_WRONLY | os.O_CREAT, 0o644)
            if body:
                os.write(fd, body)
            os.close(fd)
            os.chown(p, env.account.pw_uid, env.account.pw_gid)
        tidy(path)

    for kind in ("disk", "shm"):
        root = env.roots[kind]
        os.makedirs(root, exist_ok=True)
        tidy(root)
        for d in ("up", "mix"):
            os.makedirs(os.path.join(root, d))
            tidy(os.path.join(root, d))
        blob(os.path.join(root, "big"), sizes["big"])
        blob(os.path.join(root, "mid"), sizes["mid"])
        blob(os.path.join(root, "half"), sizes["big"] // 2)
        many(os.path.join(root, "s16k"), sizes["files"], 16384, "f%05d")
    root = env.roots["disk"]
    many(os.path.join(root, "s1k"), sizes["files"], 1024, "f%05d")
    many(os.path.join(root, "many"), sizes["many"], 0, "entry-%06d.dat")
    many(os.path.join(root, "few"), 20, 100, "entry-%06d.dat")
    os.sync()


def clear_dir(env, path):
    """Empty an upload directory between runs (untimed)."""
    for e in os.scandir(path):
        if e.is_dir(follow_symlinks=False):
            shutil.rmtree(e.path, ignore_errors=True)
        else:
            os.unlink(e.path)


# --------------------------------------------------------------------------- workloads


class Metric:
    def __init__(self, key, unit, better, fn, digits=2):
        self.key, self.unit, self.better, self.fn, self.digits = key, unit, better, fn, digits


GBS = Metric("GB/s", "GB/s", "high", lambda r: r["bytes"] / r["secs"] / 1e9, 2)
CPU_GIB = Metric("CPU s/GiB", "s/GiB", "low", lambda r: r["cpu"] / (r["bytes"] / GIB), 3)
OPS = Metric("ops/s", "/s", "high", lambda r: r["ops"] / r["secs"], 0)
CPU_OP = Metric("CPU us/op", "us", "low", lambda r: r["cpu"] / max(r["ops"], 1) * 1e6, 1)
P50 = Metric("p50 us", "us", "low", lambda r: r["p50_us"], 0)
P99 = Metric("p99 us", "us", "low", lambda r: r["p99_us"], 0)
SECS = Metric("s", "s", "low", lambda r: r["secs"] / max(r["ops"], 1), 3)
CPU_S = Metric("CPU s", "s", "low", lambda r: r["cpu"] / max(r["ops"], 1), 3)


class Work:
    def __init__(self, name, kind, args, metrics, mlsd=False, clean=None, rounds=None, in_turn=False):
        self.name, self.kind, self.args, self.metrics = name, kind, args, metrics
        self.mlsd, self.clean, self.rounds = mlsd, clean, rounds
        # Client and server only ever wait for each other.
        self.in_turn = in_turn


def workloads(q, sizes, env):
    """q: quick."""
    big, mid, eighth = sizes["big"], sizes["mid"], sizes["mid"] // 2
    n = sizes["files"]
    cap = 0.4 if q else 0.7  # seconds per small-operation cell
    large = [GBS, CPU_GIB]
    ops = [OPS, CPU_OP]
    w = [
        Work("retr 1 stream", "disk", ["retr", "--path", "big", "--size", big], large),
        Work("retr 8 streams", "disk", ["retr", "--path", "half", "--size", big // 2, "--conns", 8], large),
        Work("stor tmpfs 1 stream", "shm", ["stor", "--path", "up/x", "--size", big], large),
        Work("stor tmpfs 8 streams", "shm", ["stor", "--path", "up/x", "--size", eighth, "--conns", 8], large),
        Work("stor disk 1 stream", "disk", ["stor", "--path", "up/x", "--size", big], large),
        Work("stor disk 8 streams", "disk", ["stor", "--path", "up/x", "--size", eighth, "--conns", 8], large),
        Work("tls retr 1 stream", "tls", ["retr", "--path", "half", "--size", big // 2], large),
        Work("tls retr 8 streams", "tls", ["retr", "--path", "mid", "--size", mid, "--conns", 8], large),
        Work("tls stor tmpfs 1 stream", "tls", ["stor", "--path", "up/x", "--size", big // 2], large),
        Work("tls stor tmpfs 8 streams", "tls", ["stor", "--path", "up/x", "--size", eighth, "--conns", 8], large),
    ]
    for size, tag, d in ((1024, "1K", "s1k"), (16384, "16K", "s16k")):
        for conns in (1, 16):
            w.append(Work(f"retr {tag} files, {conns} conn", "disk",
                          ["files-retr", "--path", d, "--size", size, "--files", n, "--count", n,
                           "--time", cap, "--conns", conns], ops, in_turn=conns == 1))
    for size, tag in ((1024, "1K"), (16384, "16K")):
        for conns in (1, 16):
            w.append(Work(f"stor {tag} files, {conns} conn", "shm",
                          ["files-stor", "--path", "up", "--size", size, "--count", n, "--time", cap,
                           "--conns", conns], ops, clean="up", in_turn=conns == 1))
    for conns in (1, 16):
        w.append(Work(f"stor 1K files to disk, {conns} conn", "disk",
                      ["files-stor", "--path", "up", "--size", 1024, "--count", n, "--time", cap,
                       "--conns", conns], ops, clean="up", in_turn=conns == 1))
    w.append(Work("tls retr 16K files, 16 conn", "tls",
                  ["files-retr", "--path", "s16k", "--size", 16384, "--files", n, "--count", n,
                   "--time", cap, "--conns", 16], ops))
    for kind, tag in (("disk", ""), ("tls", "tls ")):
        w.append(Work(f"{tag}login sequential", kind, ["sessions", "--count", 10**6, "--time", cap], ops,
                      in_turn=True))
        w.append(Work(f"{tag}login 32 at once", kind,
                      ["sessions", "--count", 10**6, "--time", cap, "--conns", 32], ops))
    lat = [OPS, P50, P99, CPU_OP]
    for name, line in (("NOOP", "NOOP"), ("PWD", "PWD"), ("SIZE", "SIZE big"), ("CWD", "CWD /few;CWD /")):
        w.append(Work(name, "disk", ["cmd", "--line", line, "--count", 10**6, "--time", cap / 3], lat, in_turn=True))
    w.append(Work("NOOP pipelined x100", "disk",
                  ["cmd", "--line", "NOOP", "--depth", 100, "--count", 10**6, "--time", cap / 3], [OPS, CPU_OP]))
    m = sizes["many"]
    w.append(Work(f"MLSD {m} entries", "disk", ["list", "--line", "MLSD many", "--files", m], [SECS, CPU_S], mlsd=True))
    w.append(Work(f"LIST {m} entries", "disk", ["list", "--line", "LIST many", "--files", m], [SECS, CPU_S]))
    w.append(Work("MLSD 20 entries", "disk",
                  ["list", "--line", "MLSD few", "--files", 20, "--count", 2000, "--time", cap], ops, mlsd=True,
                  in_turn=True))
    w.append(Work("LIST 20 entries", "disk",
                  ["list", "--line", "LIST few", "--files", 20, "--count", 2000, "--time", cap], ops, in_turn=True))
    w.append(Work("mixed 200 clients", "shm",
                  ["mixed", "--path", "mix", "--size", 65536, "--conns", 200, "--time", 3 if q else 20],
                  [OPS, P99, CPU_OP], clean="mix", rounds=1))
    return w


class LoadgenError(Exception):
    pass


class Loadgen:
    def __init__(self, env, args, timeout=120, cpus=None):
        pin = (lambda: os.sched_setaffinity(0, cpus)) if cpus else None
        self.p = subprocess.Popen([env.loadgen] + [str(a) for a in args], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=pin)
        self.timer = threading.Timer(timeout, self.p.kill)
        self.timer.start()

    def line(self):
        l = self.p.stdout.readline()
        if not l:
            self.p.wait()
            raise LoadgenError((self.p.stderr.read().decode() or "load generator ended or timed out").strip())
        return l.decode().strip()

    def go(self):
        self.p.stdin.write(b"\n")
        self.p.stdin.flush()

    def end(self):
        try:
            self.p.stdin.close()
            self.p.wait(60)
        except (OSError, subprocess.TimeoutExpired):
            self.p.kill()
            self.p.wait()
        self.timer.cancel()
        if self.p.returncode == 3:
            raise LoadgenError(self.p.stderr.read().decode().strip())

    def kill(self):
        self.timer.cancel()
        if self.p.poll() is None:
            self.p.kill()
            self.p.wait()


def target(inst, env):
    a = ["--addr", inst.addr, "--user", S.USER, "--pass", S.PASSWORD]
    return a + ["--tls", env.suite] if inst.tls else a


def run_cell(env, inst, w):
    every = os.sched_getaffinity(0)
    # Waking an idle CPU costs a virtual machine several times what the command does, and whether a server is woken
    # on the client's CPU or another is chance: without this, such rows tell how the scheduler felt.
    one = {min(every)} if w.in_turn else None
    if one:
        inst.group.pin(one)
    try:
        return measure(env, inst, w, one)
    finally:
        if one:
            inst.group.pin(every)


def measure(env, inst, w, cpus):
    lg = Loadgen(env, w.args[:1] + target(inst, env) + w.args[1:], cpus=cpus)
    try:
        if lg.line() != "READY":
            raise LoadgenError("no READY")
        c0 = inst.group.cpu()
        lg.go()
        r = json.loads(lg.line())
        r["cpu"] = inst.group.cpu() - c0
        lg.go()
        lg.end()
    except Exception:
        lg.kill()
        raise
    finally:
        if w.clean:
            clear_dir(env, os.path.join(inst.root, w.clean))
    if r["errors"] and not r["ops"]:
        raise LoadgenError(r["first_error"])
    return r


def run_idle(env, inst, n, cap):
    """Memory per logged-in idle session, log-in time, latency of an active client among them."""
    base_procs = len(inst.group.pids())
    base, _ = inst.group.pss()
    lg = Loadgen(env, ["idle"] + target(inst, env) + ["--count", n, "--conns", 32, "--time", cap], timeout=cap + 120)
    try:
        first = lg.line()
        if first != "READY":
            raise LoadgenError(json.loads(first).get("stopped") or "no session")
        c0 = inst.group.cpu()
        lg.go()
        r = json.loads(lg.line())
        r["cpu_login"] = inst.group.cpu() - c0
        pss, procs = inst.group.pss()
        lg.go()
        r.update(json.loads(lg.line()))
        lg.go()
        lg.end()
    except Exception:
        lg.kill()
        raise
    inst.settle(base_procs, 30)
    r.update(asked=n, pss=pss, pss_base=base, processes=procs,
             kib_per_session=(pss - base) / max(r["sessions"], 1) / 1024,
             logins_per_s=r["sessions"] / max(r["secs"], 1e-9))
    return r


IDLE_METRICS = [
    Metric("sessions", "", "high", lambda r: r["sessions"], 0),
    Metric("KiB PSS/session", "KiB", "low", lambda r: r["kib_per_session"], 1),
    Metric("logins/s", "/s", "high", lambda r: r["logins_per_s"], 0),
    Metric("NOOP p50 us", "us", "low", lambda r: r["p50_us"], 0),
    Metric("NOOP p99 us", "us", "low", lambda r: r["p99_us"], 0),
]


# --------------------------------------------------------------------------- summary


class Table:
    """results[workload][server] = list of per-round dicts metric -> value"""

    def __init__(self, order, peers, focus):
        self.order, self.peers, self.focus = order, peers, focus
        self.data = {}
        self.metrics = {}
        self.errors = {}

    def add(self, work, server, metrics, raw):
        row = self.data.setdefault(work, {}).setdefault(server, [])
        self.metrics[work] = metrics
        row.append({m.key: m.fn(raw) for m in metrics} | {"raw": raw})

    def fail(self, work, server, why, metrics):
        self.metrics.setdefault(work, metrics)
        self.data.setdefault(work, {})
        self.errors.setdefault(work, {})[server] = why

    def median(self, work, server, key):
        rows = self.data[work].get(server)
        return statistics.median(r[key] for r in rows) if rows else None

    def best_peer(self, work, m):
        cand = [(self.median(work, p, m.key), p) for p in self.peers if self.data[work].get(p)]
        if m.key not in ("sessions",):
            cand = [(v, p) for v, p in cand if v and v > 0]
        if not cand:
            return None
        return (max(cand) if m.better == "high" else min(cand))[1]

    def ratio(self, work, m, a, b):
        """median over rounds of a against b; above 1 means a is better"""
        ra, rb = self.data[work].get(a), self.data[work].get(b)
        if not ra or not rb:
            return None
        rs = []
        for x, y in zip(ra, rb):
            p, q = (x[m.key], y[m.key]) if m.better == "high" else (y[m.key], x[m.key])
            if q and q > 0 and p is not None:
                rs.append(p / q)
        return statistics.median(rs) if rs else None

    def rows(self):
        for work in self.data:
            for m in self.metrics[work]:
                best = self.best_peer(work, m)
                row = {
                    "workload": work, "metric": m.key, "better": m.better,
                    "medians": {s: self.median(work, s, m.key) for s in self.order},
                    "best_peer": best,
                    "best_peer_vs_limit": self.ratio(work, m, best, "limit") if best else None,
                }
                if self.focus:
                    row["focus_vs_best_peer"] = self.ratio(work, m, self.focus, best) if best else None
                    row["focus_vs_limit"] = self.ratio(work, m, self.focus, "limit")
                yield m, row

    def markdown(self):
        head = ["workload", "metric"] + self.order + ["best peer", "best peer/limit"]
        if self.focus:
            head += [f"{self.focus}/best peer", f"{self.focus}/limit"]
        out = ["| " + " | ".join(head) + " |", "|" + "---|" * 2 + "---:|" * (len(head) - 2)]
        last = None
        for m, r in self.rows():
            cells = [r["workload"] if r["workload"] != last else "", f"{m.key} {'↑' if m.better == 'high' else '↓'}"]
            last = r["workload"]
            for s in self.order:
                v = r["medians"][s]
                cells.append("–" if v is None else f"{v:,.{m.digits}f}")
            cells.append(r["best_peer"] or "–")
            cells.append(fmt_ratio(r["best_peer_vs_limit"]))
            if self.focus:
                cells += [fmt_ratio(r["focus_vs_best_peer"]), fmt_ratio(r["focus_vs_limit"])]
            out.append("| " + " | ".join(cells) + " |")
        return "\n".join(out)

    def error_list(self):
        return [f"- {w}, {s}: {why}" for w, d in self.errors.items() for s, why in d.items()]

    def op_errors(self):
        out = []
        for w, d in self.data.items():
            for s, rows in d.items():
                n = sum(r["raw"].get("errors", 0) or 0 for r in rows)
                if n:
                    first = next((r["raw"].get("first_error") for r in rows if r["raw"].get("first_error")), "")
                    out.append(f"- {w}, {s}: {n} errors ({first})")
        return out


def fmt_ratio(v):
    return "–" if v is None else f"{v:.2f}"


# --------------------------------------------------------------------------- main


def cpu_seconds():
    """(busy, stolen by the hypervisor) of the whole machine since boot"""
    with open("/proc/stat") as f:
        v = [int(x) / S.CLK_TCK for x in f.readline().split()[1:9]]
    return v[0] + v[1] + v[2] + v[5] + v[6], v[7]


class Others:
    """CPU time used meanwhile by processes that are not part of the comparison."""

    def __init__(self, instances):
        self.instances = instances
        self.t0, self.start = time.time(), self.sample()

    def sample(self):
        busy, stolen = cpu_seconds()
        own = sum(i.group.cpu() for i in self.instances) + time.process_time()
        r = resource.getrusage(resource.RUSAGE_CHILDREN)  # the load generators: they alone were waited for
        return busy - own - r.ru_utime - r.ru_stime, stolen

    def shares(self):
        a, b, n = self.start, self.sample(), (time.time() - self.t0) * os.cpu_count()
        return [max(0.0, (y - x) / n) for x, y in zip(a, b)]


def wait_for_quiet(limit, seconds):
    """Wait until other processes have used less than this share of the CPUs for ten seconds."""
    end = time.time() + seconds
    while True:
        a = cpu_seconds()[0]
        time.sleep(10)
        share = (cpu_seconds()[0] - a) / 10 / os.cpu_count()
        if share < limit or time.time() > end:
            return




def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("--binary", action="append", default=[], metavar="[NAME=]PATH",
                    help="wharf binary to measure; may be repeated with different names to compare builds")
    ap.add_argument("--focus", help="server whose ratios are printed (default: the first --binary)")
    ap.add_argument("--servers", help="comma-separated peers to include (default: all that are available); 'none'")
    ap.add_argument("--only", help="regular expression selecting workloads by name ('idle' selects the idle ones)")
    ap.add_argument("--rounds", type=int, help="rounds (default 3; --quick 1)")
    ap.add_argument("--quick", action="store_true", help="small sizes, one round, under three minutes")
    ap.add_argument("--tls-suite", default="aes256", choices=["aes256", "aes128", "chacha", "any"],
                    help="the one TLS 1.3 suite the load generator offers (default aes256)")
    ap.add_argument("--idle", default=None, help="idle session counts, comma-separated (default 1000,10000)")
    ap.add_argument("--cache", default=S.default_cache())
    ap.add_argument("--disk-dir", default="/var/tmp", help="where the disk-backed root is made")
    ap.add_argument("--shm-dir", default="/dev/shm", help="where the tmpfs-backed root is made")
    ap.add_argument("--wharf-toml", help="file with lines appended to wharf's configuration")
    ap.add_argument("--json", help="write all figures here")
    ap.add_argument("--markdown", help="write the tables here")
    ap.add_argument("--facts", action="store_true", help="also measure AEADs and upload sinks (default in a full run)")
    ap.add_argument("--wait-quiet", type=float, metavar="SHARE",
                    help="first wait until the machine uses less than this share of its CPUs (say 0.05)")
    ap.add_argument("--wait-seconds", type=float, default=1200, help="but no longer than this")
    ap.add_argument("--keep", action="store_true", help="keep the work directories (logs, configurations)")
    ap.add_argument("--gate", type=float, metavar="RATIO",
                    help="exit with status 2 when any ratio to the best peer is below this")
    ap.add_argument("--list", action="store_true", help="list workloads and servers, then stop")
    a = ap.parse_args()

    q = a.quick
    rounds = a.rounds or (1 if q else 3)
    sizes = {"big": 256 * MIB, "mid": 64 * MIB, "files": 3000, "many": 20000} if q else \
            {"big": GIB, "mid": 256 * MIB, "files": 10000, "many": 100000}
    idles = [int(x) for x in (a.idle or ("300,1000" if q else "1000,10000")).split(",") if x]

    work = tempfile.mkdtemp(prefix="wharf-bench-", dir=a.disk_dir)
    os.chmod(work, 0o755)
    shm = tempfile.mkdtemp(prefix="wharf-bench-", dir=a.shm_dir)
    os.chmod(shm, 0o755)
    env = S.Env(a.cache, work, os.path.join(work, "root"), os.path.join(shm, "root"))
    env.suite = a.tls_suite
    running = []
    try:
        return compare(a, q, rounds, sizes, idles, env, running)
    finally:
        for i in running:
            i.stop()
        S.Group.teardown()
        S.cleanup_system()
        if not a.keep:
            shutil.rmtree(work, ignore_errors=True)
        else:
            log("kept:", work)
        shutil.rmtree(shm, ignore_errors=True)


def pick_servers(a, env, extra=""):
    extra = open(a.wharf_toml).read() if a.wharf_toml else extra
    out, skipped, index = [S.Limit(0)], {}, 1
    mine = []
    for b in a.binary:
        name, _, path = b.rpartition("=")
        name = name or ("wharf" if not mine else f"wharf{len(mine) + 1}")
        s = S.Wharf(index, path, extra, name)
        index += 1
        mine.append(name)
        out.append(s)
    want = None if not a.servers else [x for x in a.servers.split(",") if x != "none"]
    for k, cls in enumerate(S.PEERS):
        if want is None or cls.name in want:
            out.append(cls(index + k))
    ok = []
    for s in out:
        why = s.missing(env)
        if why:
            skipped[s.name] = why
        else:
            ok.append(s)
    return ok, mine, skipped


def compare(a, q, rounds, sizes, idles, env, running):
    if not os.access(env.loadgen, os.X_OK):
        sys.exit("the load generator is not built: run ./peers.sh first")
    servers, mine, skipped = pick_servers(a, env)
    works = workloads(q, sizes, env)
    sel = re.compile(a.only) if a.only else None
    works = [w for w in works if not sel or sel.search(w.name)]
    idle_on = not sel or sel.search("idle")
    if a.list:
        print("servers:", ", ".join(s.name for s in servers), "| skipped:", skipped)
        print("\n".join(w.name for w in works) + ("\nidle sessions" if idle_on else ""))
        return 0

    if a.wait_quiet:
        wait_for_quiet(a.wait_quiet, a.wait_seconds)
    load0 = os.getloadavg()
    log(f"load average {load0[0]:.2f}; preparing data")
    t_start = time.time()
    env.certificate()
    make_data(env, sizes)
    facts = {"probe": json.loads(S._out([env.loadgen, "probe"]))}
    if a.facts or not q:
        facts["aead"] = json.loads(S._out([env.loadgen, "aead"]))
        facts["layers"] = json.loads(S._out([env.loadgen, "layers", "--cert", env.cert, "--key", env.key,
                                             "--tls", "aes256" if env.suite == "any" else env.suite]))
        facts["sinks"] = json.loads(S._out(
            [env.loadgen, "sinks", "--dirs", f"{env.roots['shm']},{env.roots['disk']}",
             "--size", str(512 * MIB), "--count", "3"]))
        facts["sinks"] = {k: v for k, v in zip(("tmpfs", "disk"), facts["sinks"].values())}
        s = facts["sinks"]["tmpfs"]
        S.Limit.splice = int(s["splice-1m"]["cpu_s_per_gib"] < s["rw-256k"]["cpu_s_per_gib"])

    inst = {}
    for s in list(servers):
        try:
            for k in s.kinds:
                i = S.Instance(s, k, env)
                i.start()
                running.append(i)
                inst[s.name, k] = i
                v = S._out([env.loadgen, "verify"] + target(i, env) + ["--path", "up", "--size", "3000000"]).strip()
                if '"ok":true' not in v:
                    raise RuntimeError(f"check of {s.name} ({k}) failed: {v[-300:]}")
        except (RuntimeError, ValueError, OSError, subprocess.CalledProcessError) as e:
            skipped[s.name] = f"{type(e).__name__}: {e}"
            log("skipped:", s.name, skipped[s.name])
            for k in s.kinds:
                i = inst.pop((s.name, k), None)
                if i:
                    i.stop()
            servers.remove(s)

    order = [s.name for s in servers]
    peers = [s.name for s in servers if s.name != "limit" and s.name not in mine]
    focus = a.focus or (mine[0] if mine and mine[0] in order else None)
    t = Table(order, peers, focus)
    log("servers:", ", ".join(order), "| accounting:", S.Group.kind)

    others = Others(running)
    for r in range(rounds):
        for n, w in enumerate(works):
            if w.rounds and r >= w.rounds:
                continue
            turn = list(servers)
            random.Random(1000 * r + n).shuffle(turn)  # so that no server always follows the same one
            for s in turn:
                if w.mlsd and not s.mlsd:
                    t.fail(w.name, s.name, "no MLSD", w.metrics)
                    continue
                i = inst[s.name, w.kind]
                t0 = time.time()
                try:
                    raw = run_cell(env, i, w)
                    t.add(w.name, s.name, w.metrics, raw)
                    note = " ".join(f"{m.key}={m.fn(raw):.{m.digits}f}" for m in w.metrics)
                    if raw["errors"]:
                        note += f"  ERRORS {raw['errors']}: {raw['first_error']}"
                except (LoadgenError, OSError, ValueError, ZeroDivisionError) as e:  # division: nothing was transferred
                    t.fail(w.name, s.name, str(e)[:200], w.metrics)
                    note = f"FAILED: {e}"
                i.calm()
                log(f"[{time.time() - t_start:5.0f}s] round {r + 1} {w.name:28} {s.name:10} {time.time() - t0:5.1f}s  {note}")

    others = others.shares()
    if idle_on:
        for n in idles:
            for s in servers:
                if not s.idle:
                    continue
                name = f"idle {n} sessions"
                # a fresh instance, so that memory kept from earlier work is not counted
                i = inst[s.name, "disk"]
                t0 = time.time()
                try:
                    i.stop()
                    i.start()
                    raw = run_idle(env, i, n, 10 if q else 25)
                    t.add(name, s.name, IDLE_METRICS, raw)
                    note = " ".join(f"{m.key}={m.fn(raw):.{m.digits}f}" for m in IDLE_METRICS)
                    if raw.get("stopped"):
                        note += f"  stopped: {raw['stopped']}"
                except (LoadgenError, RuntimeError, OSError, ValueError) as e:
                    t.fail(name, s.name, str(e)[:200], IDLE_METRICS)
                    note = f"FAILED: {e}"
                log(f"[{time.time() - t_start:5.0f}s] {name:36} {s.name:10} {time.time() - t0:5.1f}s  {note}")

    load1 = os.getloadavg()
    took = time.time() - t_start
    doc = report(t, servers, skipped, facts, env, rounds, load0, others, took)
    print(doc)
    if a.markdown:
        with open(a.markdown, "w") as f:
            f.write(doc + "\n")
    if a.json:
        out = {
            "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "seconds": took, "quick": q,
            "rounds": rounds, "sizes": sizes, "tls_suite": env.suite, "load_before": load0, "load_after": load1,
            "cpu_share_of_others": others[0], "cpu_share_stolen": others[1],
            "cpu_accounting": S.Group.kind, "limit_upload": "splice" if S.Limit.splice else "read/write",
            "servers": {s.name: {"version": s.version(env), "configuration": s.notes()} for s in servers},
            "skipped": skipped, "facts": facts, "errors": t.errors,
            "summary": [r for _, r in t.rows()],
            "rounds_data": t.data,
        }
        with open(a.json, "w") as f:
            json.dump(out, f, indent=1)
    if not focus:
        return 1 if mine else 0
    if focus in skipped or any(f", {focus}:" in e for e in t.op_errors()) or \
            any(focus in d for d in t.errors.values()):
        return 1
    behind = [r for _, r in t.rows() if (r["focus_vs_best_peer"] or 9) < (a.gate or 0)]
    return 2 if behind else 0


def report(t, servers, skipped, facts, env, rounds, load0, others, took):
    p = facts["probe"]
    out = ["# FTP servers side by side", "",
           f"{time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC, {p['cpus']} CPUs, Linux {p['kernel']}, loopback; "
           f"{rounds} interleaved round(s), medians; {took / 60:.1f} minutes; load average {load0[0]:.2f} before; "
           f"meanwhile other processes used {others[0]:.0%} of the CPUs and {others[1]:.0%} was stolen; CPU time from {'a cgroup per server' if S.Group.kind != 'proc' else '/proc'}; "
           f"TLS 1.3 {env.suite}.", "",
           "↑ higher is better, ↓ lower is better; every ratio is written so that above 1 is better. "
           f"`limit` is the loopback yardstick (uploads by {'splice' if S.Limit.splice else 'read/write'}).", "",
           t.markdown(), ""]
    if t.focus:
        behind = sorted(((r["focus_vs_best_peer"], r["workload"], r["metric"], r["best_peer"]) for _, r in t.rows()
                         if r["focus_vs_best_peer"] is not None and r["focus_vs_best_peer"] < 1))
        out += [f"## Where {t.focus} is behind the best peer", ""]
        out += [f"- {w}, {m}: {v:.2f} of {p}" for v, w, m, p in behind] or ["nowhere"]
        out.append("")
    e = t.op_errors()
    out += ["## Errors during the runs", ""] + (e or ["none"]) + [""]
    if t.error_list():
        out += ["## Not measured", ""] + t.error_list() + [""]
    idle = [(w, s, rows[0]["raw"]) for w, d in t.data.items() if w.startswith("idle") for s, rows in d.items()]
    if idle:
        out += ["## Idle sessions, details", "",
                "| workload | server | asked | reached | stopped by | processes | PSS MiB | log-in s | CPU s for log-ins |",
                "|---|---|---:|---:|---|---:|---:|---:|---:|"]
        for w, s, r in idle:
            out.append(f"| {w} | {s} | {r['asked']} | {r['sessions']} | {r.get('stopped') or ''} | {r['processes']} | "
                       f"{r['pss'] / MIB:.1f} | {r['secs']:.1f} | {r['cpu_login']:.1f} |")
        out.append("")
    out += ["## Servers", ""]
    for s in servers:
        out.append(f"- **{s.name}** {s.version(env)}: {s.notes()}".rstrip(": "))
    for s, why in skipped.items():
        out.append(f"- {s}: skipped, {why}")
    out += ["", "## Machine facts", "",
            f"- kernel TLS: {p['kernel_tls']}; io_uring: {p['io_uring']}; congestion control {p['congestion_control']}"]
    if "aead" in facts:
        l = facts["layers"]
        out += [f"- TLS records in memory, {env.suite}: rustls' buffered writer {l['rustls_writer_cpu_s_per_gib']:.3f} CPU s/GiB, "
                f"sealing in place {l['in_place_cpu_s_per_gib']:.3f}",
                "", "| AEAD, 16 KiB records, per CPU second | aws-lc-rs GB/s | ring GB/s | aws-lc-rs/ring |", "|---|---:|---:|---:|"]
        for k, v in facts["aead"].items():
            out.append(f"| {k} | {v['aws_lc_rs_gb_s']:.2f} | {v['ring_gb_s']:.2f} | {v['aws_over_ring']:.2f} |")
    if "sinks" in facts:
        kinds = list(next(iter(facts["sinks"].values())))
        out += ["", "| upload sink, one stream | " + " | ".join(kinds) + " |", "|---|" + "---:|" * len(kinds)]
        for d, v in facts["sinks"].items():
            out.append(f"| {d} GB/s | " + " | ".join(f"{v[k]['gb_s']:.2f}" for k in kinds) + " |")
            out.append(f"| {d} CPU s/GiB | " + " | ".join(f"{v[k]['cpu_s_per_gib']:.3f}" for k in kinds) + " |")
    return "\n".join(out)


if __name__ == "__main__":
    sys.exit(main())

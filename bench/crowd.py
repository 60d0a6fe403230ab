#!/usr/bin/env python3
"""How many sessions one machine holds: several wharf processes, each with as many idle sessions as its descriptors allow.

    ./crowd.py --binary ../target/release/wharf --sessions 100000

Prints one line of figures. Needs Linux and the load generator (`peers.sh`). All connections are over loopback, each server
on an address of its own.
"""

import argparse
import json
import os
import resource
import subprocess
import tempfile

LOADGEN = os.path.join(
    os.environ.get("WHARF_BENCH_CACHE", os.path.expanduser("~/.cache/wharf-bench")), "loadgen-target/release/loadgen")
PORT = 20991
# What a process opens besides its sessions.
SPARE = 300


def memory(pid):
    """The proportional set size in bytes."""
    with open(f"/proc/{pid}/smaps_rollup") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Pss:")) * 1024


def kernel_memory():
    """What the kernel keeps in slabs, in bytes: sockets are the most of it here."""
    with open("/proc/meminfo") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Slab:")) * 1024


class Server:
    def __init__(self, binary, directory, number):
        self.address = f"127.0.9.{number + 1}"
        home = os.path.join(directory, f"home{number}")
        os.mkdir(home)
        config = os.path.join(directory, f"wharf{number}.toml")
        with open(config, "w") as file:
            file.write(f"""listen = "{self.address}:{PORT}"
limits.max_connections = 0
limits.max_connections_per_ip = 0
limits.idle_timeout = "3600s"
log.file = "{directory}/log{number}"
[[users]]
name = "user"
password = "12345"
home = "{home}"
permissions = "elr"
""")
        self.process = subprocess.Popen([binary, "--config", config], stdout=subprocess.PIPE)
        if b"Serving" not in self.process.stdout.readline():
            raise SystemExit("wharf does not start")
        self.before = memory(self.process.pid)

    def grown(self):
        return memory(self.process.pid) - self.before

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Crowd:
    """The clients of one server."""

    def __init__(self, server, sessions):
        command = [LOADGEN, "idle", "--addr", f"{server.address}:{PORT}", "--user", "user", "--pass", "12345",
                   "--count", str(sessions), "--conns", "16", "--time", "300"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline().strip() != "READY":
            raise SystemExit("no session")

    def go(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def report(self):
        return json.loads(self.process.stdout.readline())

    def stop(self):
        self.process.kill()
        self.process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--sessions", type=int, default=100_000)
    arguments = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = -(-arguments.sessions // (hard - SPARE))
    each = -(-arguments.sessions // count)
    slabs = kernel_memory()
    running = []
    with tempfile.TemporaryDirectory() as directory:
        try:
            for number in range(count):
                running.append(Server(arguments.binary, directory, number))
            servers = list(running)
            crowds = []
            for server in servers:
                crowds.append(Crowd(server, each))
                running.append(crowds[-1])
            reached = 0
            # One after another: how fast they come is what other workloads measure.
            for crowd in crowds:
                crowd.go()
                report = crowd.report()
                reached += report["sessions"]
                if report["stopped"]:
                    print(report["stopped"])
            grown = sum(server.grown() for server in servers)
            kernel = kernel_memory() - slabs
            crowds[-1].go()
            noop = crowds[-1].report()
            print(f"{reached} sessions in {count} processes, {grown / reached / 1024:.2f} KiB PSS per session, "
                  f"{kernel / reached / 1024:.1f} KiB of kernel memory for both ends of one; "
                  f"NOOP p50 {noop['p50_us']:.0f} us, p99 {noop['p99_us']:.0f} us")
        finally:
            for each_one in reversed(running):
                each_one.stop()


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""How many sessions one machine holds: several wharf processes, each with as many idle sessions as its descriptors allow.

    ./crowd.py --binary ../target/release/wharf --sessions 100000

Prints one line of figures. Needs Linux and the load generator (`peers.sh`). All connections are over loopback, each server
on an address of its own.
"""

import argparse
import contextlib
import json
import os
import resource
import tempfile

import compare
import growth
import servers

PORT = 20991
# What a process opens besides its sessions.
SPARE = 300
# Seconds that the log-ins of one process may take.
PATIENCE = 300


def kernel_memory():
    """What the kernel keeps in slabs, in bytes: sockets are the most of it here."""
    with open("/proc/meminfo") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Slab:")) * 1024


class Member(growth.Server):
    """One server of many."""

    def __init__(self, binary, directory, number):
        own = os.path.join(directory, str(number))
        os.mkdir(own)
        self.address = f"127.0.9.{number + 1}"
        super().__init__(binary, own, (self.address, PORT))
        self.before = self.memory()

    def grown(self):
        return self.memory() - self.before


def clients(env, member, sessions):
    """The clients of one server, which log in when told to."""
    return compare.Loadgen(env, ["idle", "--addr", f"{member.address}:{PORT}", "--user", "user", "--pass", "12345",
                                 "--count", sessions, "--conns", 16, "--time", PATIENCE], timeout=2 * PATIENCE)


def next_report(crowd):
    crowd.go()
    return json.loads(crowd.line())


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
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        env = servers.Env(servers.default_cache(), directory, None, None)
        members, crowds = [], []
        for number in range(count):
            members.append(Member(arguments.binary, directory, number))
            stack.callback(members[-1].stop)
        for member in members:
            crowds.append(clients(env, member, each))
            stack.callback(crowds[-1].kill)
            if (first := crowds[-1].line()) != "READY":
                raise SystemExit(first)
        reached = 0
        # One after another: how fast they come is what other workloads measure.
        for crowd in crowds:
            report = next_report(crowd)
            reached += report["sessions"]
            if report["stopped"]:
                print(report["stopped"])
        grown = sum(member.grown() for member in members)
        kernel = kernel_memory() - slabs
        noop = next_report(crowds[-1])
        print(f"{reached} sessions in {count} processes, {grown / reached / 1024:.2f} KiB PSS per session, "
              f"{kernel / reached / 1024:.1f} KiB of kernel memory for both ends of one; "
              f"NOOP p50 {noop['p50_us']:.0f} us, p99 {noop['p99_us']:.0f} us")


if __name__ == "__main__":
    main()

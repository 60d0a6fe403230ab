#!/usr/bin/env python3
"""How the cost of wharf grows: with the number of sessions, and with the size of a directory.

    ./growth.py --binary ../target/release/wharf

Prints two Markdown tables. Needs Linux; the directories are made on tmpfs. CPU time is the server's own.
"""

import argparse
import os
import resource
import shutil
import socket
import subprocess
import tempfile
import time

ADDRESS = ("127.0.0.99", 20990)
LOGIN = b"USER user\r\nPASS 12345\r\n"


class Server:
    def __init__(self, binary, directory, address=ADDRESS):
        home = os.path.join(directory, "home")
        os.mkdir(home)
        config = os.path.join(directory, "wharf.toml")
        with open(config, "w") as file:
            file.write(f"""listen = "{address[0]}:{address[1]}"
limits.max_connections = 0
limits.idle_timeout = "3600s"
log.file = "{directory}/log"
[[users]]
name = "user"
password = "12345"
home = "{home}"
permissions = "elradfmwMT"
""")
        self.home = home
        self.process = subprocess.Popen([binary, "--config", config], stdout=subprocess.PIPE)
        if b"Serving" not in self.process.stdout.readline():
            raise SystemExit("wharf does not start")

    def cpu(self):
        """Seconds of CPU time so far."""
        return time.clock_gettime((~self.process.pid << 3) | 2)

    def memory(self):
        """The proportional set size in bytes."""
        with open(f"/proc/{self.process.pid}/smaps_rollup") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("Pss:")) * 1024

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Session:
    def __init__(self):
        self.socket = socket.create_connection(ADDRESS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.line(b"220")
        self.socket.sendall(LOGIN)
        lines = b""
        while lines.count(b"\r\n") < 2:
            lines += self.socket.recv(4096)
        assert b"230" in lines, lines

    def line(self, code):
        line = b""
        while not line.endswith(b"\r\n"):
            line += self.socket.recv(4096)
        assert line.startswith(code), line
        return line

    def ask(self, command, code):
        self.socket.sendall(command + b"\r\n")
        return self.line(code)


def sessions(server, counts):
    print("| sessions | log-in CPU µs | PSS per session | NOOP CPU µs, all in turn |")
    print("|---:|---:|---:|---:|")
    warm = [Session() for _ in range(200)]
    del warm
    time.sleep(0.5)
    for count in counts:
        memory, cpu = server.memory(), server.cpu()
        opened = [Session() for _ in range(count)]
        login, each = server.cpu() - cpu, (server.memory() - memory) / count
        rounds = max(1, 10_000 // count)
        cpu = server.cpu()
        for _ in range(rounds):
            for session in opened:
                session.ask(b"NOOP", b"200")
        noop = (server.cpu() - cpu) / (rounds * count)
        shown = f"{each / 1024:.1f} KiB" if count >= 100 else "–"
        print(f"| {count:,} | {login / count * 1e6:.0f} | {shown} | {noop * 1e6:.1f} |", flush=True)
        del opened
        time.sleep(0.5 + count / 10_000)


def directories(server, counts):
    print("\n| entries | verb | CPU µs per entry | first byte ms | memory MiB more |")
    print("|---:|---|---:|---:|---:|")
    for count in counts:
        directory = os.path.join(server.home, str(count))
        os.mkdir(directory)
        for number in range(count):
            os.close(os.open(f"{directory}/file-{number:07}.dat", os.O_CREAT | os.O_WRONLY))
        session = Session()
        for verb in (b"MLSD", b"LIST"):
            times = max(1, 20_000 // count)
            peak, first, cpu = 0, [], server.cpu()
            before = server.memory()
            for _ in range(times):
                port = int(session.ask(b"EPSV", b"229").split(b"|")[3])
                data = socket.create_connection((ADDRESS[0], port))
                begun = time.monotonic()
                session.socket.sendall(verb + b" %d\r\n" % count)
                size = len(data.recv(1 << 20))
                first.append(time.monotonic() - begun)
                while piece := data.recv(1 << 20):
                    if size >> 23 != (size + len(piece)) >> 23:
                        peak = max(peak, server.memory() - before)
                    size += len(piece)
                data.close()
                replies = b""
                while b"226" not in replies:
                    replies += session.socket.recv(4096)
            each = (server.cpu() - cpu) / (times * count) * 1e6
            first = sorted(first)[len(first) // 2] * 1e3
            grown = f"{peak / (1 << 20):.1f}" if peak else "–"
            print(f"| {count:,} | {verb.decode()} | {each:.2f} | {first:.2f} | {grown} |", flush=True)
        shutil.rmtree(directory)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--binary", default="../target/release/wharf")
    arguments = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    directory = tempfile.mkdtemp(prefix="wharf-growth-", dir="/dev/shm")
    server = Server(arguments.binary, directory)
    try:
        sessions(server, [1, 10, 100, 1_000, 10_000])
        directories(server, [100, 10_000, 1_000_000])
    finally:
        server.stop()
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()

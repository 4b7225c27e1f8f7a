#!/usr/bin/python3
"""Gearman, beanstalkd, redis and NATS beside drover: the same payload, the same windows, one run.

    ./dev bench peers [--quick] [--tasks N] [--only NAME]...

    apt-get install gearman-job-server beanstalkd redis-server nats-server

What is not installed is skipped, and said. Each server is started privately on a free port of
loopback and ended again; nothing of the machine's own services is touched. A client and a worker
process speak its protocol directly; the worker echoes. Tasks per second and round trips contain
their Python (below the servers' own limits but for NATS); the processor time of the server does
not, and is what compares best. drover's client and worker are its own (`drover bench`).
"""

import argparse
import collections
import json
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

BIN = os.environ["DROVER_BIN_DIR"]
PAYLOAD = b"x" * 32
DEADLINE_S = 20


def free_port():
    with socket.socket() as peer:
        peer.bind(("127.0.0.1", 0))
        return peer.getsockname()[1]


def cpu_s(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Wire:
    """A connection that collects what is to be sent, and reads by line or length."""

    def __init__(self, port):
        self.peer = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)
        self.peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.data, self.at, self.out = b"", 0, []

    def put(self, *parts):
        self.out += parts

    def flush(self):
        if self.out:
            self.peer.sendall(b"".join(self.out))
            self.out.clear()

    def has_more(self):
        return self.at < len(self.data)

    def _more(self):
        more = self.peer.recv(1 << 16)
        if not more:
            raise EOFError
        self.data, self.at = self.data[self.at:] + more, 0

    def line(self):
        while (end := self.data.find(b"\r\n", self.at)) < 0:
            self._more()
        line, self.at = self.data[self.at:end], end + 2
        return line

    def take(self, count):
        while len(self.data) - self.at < count:
            self._more()
        taken, self.at = self.data[self.at:self.at + count], self.at + count
        return taken


# ---- the systems: send(n) puts n tasks on their way, receive() waits for at least one result --------

class Redis:
    """Lists: RPUSH and BLPOP, a command per task."""
    packages, program = "redis-server", "redis-server"

    @staticmethod
    def command(port, folder):
        return ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "",
                "--appendonly", "no", "--dir", folder, "--loglevel", "warning"]

    @staticmethod
    def pack(*words):
        return b"".join([b"*%d\r\n" % len(words)] + [b"$%d\r\n%s\r\n" % (len(w), w) for w in words])

    PUSH = pack.__func__(b"RPUSH", b"tasks", PAYLOAD)
    PULL, POP = pack.__func__(b"BLPOP", b"tasks", b"0"), pack.__func__(b"BLPOP", b"results", b"0")

    def __init__(self, port):
        self.out, self.back, self.asked = Wire(port), Wire(port), False

    @staticmethod
    def item(wire):
        if wire.line() != b"*2":
            raise ValueError("redis")
        for _ in range(2):
            value = wire.take(int(wire.line()[1:]) + 2)[:-2]
        return value

    def send(self, count):
        self.out.put(self.PUSH * count)
        self.out.flush()

    def receive(self):
        self.back.put(self.POP)
        self.back.flush()
        self.item(self.back)
        while select.select([self.out.peer], [], [], 0)[0]:
            self.out.peer.recv(1 << 16)  # lengths of the list
        return 1

    @classmethod
    def work(cls, port, ready):
        wire = Wire(port)
        wire.put(cls.PULL)
        ready()
        while True:
            wire.flush()
            value = cls.item(wire)
            wire.put(cls.pack(b"RPUSH", b"results", value), cls.PULL)
            wire.flush()
            wire.line()


class Beanstalkd:
    """A tube of tasks, a tube of results; nothing is kept on disk."""
    packages, program = "beanstalkd", "beanstalkd"

    @staticmethod
    def command(port, folder):
        return ["beanstalkd", "-l", "127.0.0.1", "-p", str(port)]

    def __init__(self, port):
        self.out, self.back = Wire(port), Wire(port)
        self.out.put(b"use tasks\r\n")
        self.back.put(b"watch results\r\nignore default\r\n")
        for wire, lines in ((self.out, 1), (self.back, 2)):
            wire.flush()
            for _ in range(lines):
                wire.line()

    def send(self, count):
        self.out.put(b"put 0 0 60 %d\r\n%s\r\n" % (len(PAYLOAD), PAYLOAD) * count)
        self.out.flush()

    @staticmethod
    def reserved(wire):
        _, number, size = wire.line().split()
        return number, wire.take(int(size) + 2)[:-2]

    def receive(self):
        self.back.put(b"reserve\r\n")
        self.back.flush()
        number, _ = self.reserved(self.back)
        self.back.put(b"delete %s\r\n" % number)
        self.back.flush()
        self.back.line()
        while select.select([self.out.peer], [], [], 0)[0]:
            self.out.peer.recv(1 << 16)
        return 1

    @classmethod
    def work(cls, port, ready):
        wire = Wire(port)
        wire.put(b"watch tasks\r\nignore default\r\nuse results\r\n")
        wire.flush()
        for _ in range(3):
            wire.line()
        wire.put(b"reserve\r\n")
        ready()
        while True:
            wire.flush()
            number, body = cls.reserved(wire)
            wire.put(b"put 0 0 60 %d\r\n%s\r\ndelete %s\r\nreserve\r\n" % (len(body), body, number))
            wire.flush()
            wire.line()
            wire.line()


class Nats:
    """Core request and reply: nothing is kept, a task of a worker that dies is lost."""
    packages, program = "nats-server", "nats-server"

    @staticmethod
    def command(port, folder):
        return ["nats-server", "-a", "127.0.0.1", "-p", str(port)]

    @staticmethod
    def connect(port, subscription):
        wire = Wire(port)
        wire.line()  # INFO
        wire.put(b'CONNECT {"verbose":false}\r\nSUB %s 1\r\nPING\r\n' % subscription)
        wire.flush()
        while wire.line() != b"PONG":
            pass
        return wire

    def __init__(self, port):
        self.wire = self.connect(port, b"back")

    def send(self, count):
        self.wire.put(b"PUB tasks back %d\r\n%s\r\n" % (len(PAYLOAD), PAYLOAD) * count)
        self.wire.flush()

    @staticmethod
    def message(wire):
        """The body and where the answer goes; None for what is no message."""
        words = wire.line().split()
        if words[0] == b"PING":
            wire.put(b"PONG\r\n")
            return None
        return words[-2], wire.take(int(words[-1]) + 2)[:-2]

    def receive(self):
        count = 0
        while count == 0 or self.wire.has_more():
            count += self.message(self.wire) is not None
        return count

    @classmethod
    def work(cls, port, ready):
        wire = cls.connect(port, b"tasks")
        ready()
        while True:
            told = cls.message(wire)
            if told:
                wire.put(b"PUB %s %d\r\n%s\r\n" % (told[0], len(told[1]), told[1]))
            if not wire.has_more():
                wire.flush()


class Gearman:
    """Foreground jobs; its default of four threads."""
    packages, program = "gearman-job-server", "gearmand"
    CAN_DO, PRE_SLEEP, SUBMIT_JOB, GRAB_JOB, NO_JOB, JOB_ASSIGN, WORK_COMPLETE = 1, 4, 7, 9, 10, 11, 13

    @staticmethod
    def command(port, folder):
        return ["gearmand", "--listen=127.0.0.1", f"--port={port}", f"--log-file={folder}/log"]

    @staticmethod
    def packet(kind, *fields):
        body = b"\0".join(fields)
        return b"\0REQ" + struct.pack(">II", kind, len(body)) + body

    @staticmethod
    def read(wire):
        _, kind, size = struct.unpack(">4sII", wire.take(12))
        return kind, wire.take(size)

    def __init__(self, port):
        self.wire, self.number = Wire(port), 0

    def send(self, count):
        for _ in range(count):  # the unique name keeps them apart
            self.number += 1
            self.wire.put(self.packet(self.SUBMIT_JOB, b"echo", b"%d" % self.number, PAYLOAD))
        self.wire.flush()

    def receive(self):
        count = 0
        while count == 0 or self.wire.has_more():
            count += self.read(self.wire)[0] == self.WORK_COMPLETE
        return count

    @classmethod
    def work(cls, port, ready):
        wire = Wire(port)
        wire.put(cls.packet(cls.CAN_DO, b"echo"), cls.packet(cls.GRAB_JOB))
        ready()
        while True:
            wire.flush()
            kind, body = cls.read(wire)
            if kind == cls.JOB_ASSIGN:
                handle, _, payload = body.split(b"\0", 2)
                wire.put(cls.packet(cls.WORK_COMPLETE, handle, payload), cls.packet(cls.GRAB_JOB))
            elif kind == cls.NO_JOB:
                wire.put(cls.packet(cls.PRE_SLEEP))
            else:  # NOOP: there may be something
                wire.put(cls.packet(cls.GRAB_JOB))


SYSTEMS = {"Gearman": Gearman, "beanstalkd": Beanstalkd, "redis": Redis, "NATS": Nats}


# ---- measuring -------------------------------------------------------------------------------------

def start(system, folder):
    port = free_port()
    server = subprocess.Popen(system.command(port, folder), stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + DEADLINE_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return server, port
        except ConnectionRefusedError:
            if server.poll() is not None or time.monotonic() > deadline:
                server.kill()
                sys.exit(f"{system.program} did not start")
            select.select([], [], [], 0.02)


def start_worker(system, port):
    """Its pid, once it takes tasks."""
    told, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            system.work(port, lambda: os.write(tell, b"!"))
        except (EOFError, OSError, KeyboardInterrupt):
            pass
        os._exit(0)
    os.close(tell)
    os.read(told, 1)
    os.close(told)
    return pid


def run(client, tasks, window):
    """(tasks a second, round trips in seconds)"""
    sent = done = 0
    starts, times = collections.deque(), []
    begun = time.monotonic()
    while done < tasks:
        room = min(window - (sent - done), tasks - sent)
        if room > 0:
            client.send(room)
            starts.extend([time.monotonic()] * room)
            sent += room
        count = client.receive()
        now = time.monotonic()
        times += [now - starts.popleft() for _ in range(count)]
        done += count
    return tasks / (time.monotonic() - begun), times


def measure(system, tasks, windows):
    """window -> (tasks a second, server microseconds per task, p50 in microseconds)"""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        server, port = start(system, folder)
        worker = start_worker(system, port)
        try:
            client = system(port)
            run(client, 200, 1)
            for window in windows:
                count = tasks if window > 1 else max(200, tasks // 10)
                used = cpu_s(server.pid)
                rate, times = run(client, count, window)
                found[window] = (rate, 1e6 * (cpu_s(server.pid) - used) / count,
                                 1e6 * sorted(times)[len(times) // 2])
        finally:
            os.kill(worker, signal.SIGKILL)
            os.waitpid(worker, 0)
            server.kill()
            server.wait()
    return found


def measure_drover(tasks, windows):
    found = {}
    for window in windows:
        told = json.loads(subprocess.run(
            [os.path.join(BIN, "drover"), "--json", "bench", "--window", str(window), "--payload",
             str(len(PAYLOAD)), "--durability", "memory", "--tasks",
             str(tasks * 10 if window > 1 else max(200, tasks // 10))],
            capture_output=True, text=True, check=True, timeout=120,
            env={name: value for name, value in os.environ.items() if name != "DROVER_BROKER"}).stdout)
        found[window] = told["tasks_per_s"], told["broker_cpu_us_per_task"], told["p50_us"]
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="few tasks")
    parser.add_argument("--tasks", type=int, help="of each window (20000)")
    parser.add_argument("--only", action="append", choices=SYSTEMS, help="this one alone")
    options, _ = parser.parse_known_args()
    tasks = options.tasks or (2000 if options.quick else 20000)
    windows = (1, 64, 1000)
    os.environ["PATH"] += ":/usr/sbin:/usr/games"
    ours = measure_drover(tasks, windows)
    print(f"{'system':<12}{'window':>7}{'tasks/s':>10}{'server us/task':>16}{'p50 us':>10}   against drover:"
          " rate, server time", flush=True)
    for name in ["drover", *(options.only or SYSTEMS)]:
        if name != "drover" and not shutil.which(SYSTEMS[name].program):
            print(f"{name:<12}SKIPPED: not installed (apt-get install {SYSTEMS[name].packages})")
            continue
        found = ours if name == "drover" else measure(SYSTEMS[name], tasks, windows)
        for window, (rate, used, p50) in found.items():
            print(f"{name:<12}{window:>7}{rate:>10.0f}{used:>16.1f}{p50:>10.0f}   "
                  f"{rate / ours[window][0]:.3f}, {used / max(ours[window][1], 0.01):.1f}", flush=True)


if __name__ == "__main__":
    main()

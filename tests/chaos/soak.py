"""Load and faults for as long as asked, and whether anything has grown.

    ./dev soak [MINUTES] [--keys]
    soak.py [--minutes N] [--seed N] [--keep TIME] [--round SECONDS] [--keys]

Three workers live through all of it, in rounds: commands map, submit and change shared data, and
look at every result; the nemesis (nemesis.py) stops, cuts off, kills executors; two more workers
come and go, and are killed with their agents and zygotes; pages are open and metrics are fetched
(Viewers). Then all is healed, the work ends, what was kept for its retention time goes, and memory,
descriptors, threads and disk are measured. With --keys everybody has a key, and all is encrypted.

For the first two thirds of the time the broker lives, too: what it gathers must show. In the rest
it is killed again and again, and recovers from its journal: then the workers must not gather
anything by coming back, nor the disk by recoveries. A broker that has recovered is compared with
one that has (reading the journal takes memory of which it keeps some).

What is broken at once ends the run with 1; so does what has grown from the third round to the
last of either part by more than what is allowed here, all of which is shown at the end; and so
does a message that the broker takes for none, since all peers here are honest. A short --keep
makes races with what ends more likely.
"""

import argparse
import collections
import os
import signal
import socket
import subprocess
import sys
import threading
import time

from fleet import SCALE, Fleet, Program, descendants, module, until
from link import Links
from nemesis import KINDS, Nemesis, schedule
from test_fleet import WorkerSlot

ROUND_SECONDS = 45
WARM_ROUNDS = 2
WORKERS, SLOTS, LOADERS, GUESTS = 3, 4, 3, 2
ITEMS = 400
KILL_SHARE = 1 / 3  # of the time in which the broker is killed, too
KILL_ROUNDS_MAX = 5  # then it should have been
LEAVE_OUT = [kind for kind in KINDS if kind.endswith("client")]
EXIT_ZYGOTE_GONE = 74
TIMES = ("--heartbeat", "200ms", "--lease", "3s", "--reconnect-grace", "1s",
         "--keep-failed", "10s", "--session", "60s")
# By how much each may grow after the warm rounds: a share of the first, and a number.
ALLOWED = {"rss": (0.10, 4 << 20), "fds": (0, 2), "threads": (0, 0), "children": (0, 1),
           "disk": (0.5, 140 << 20), "accounted": (0.1, 1 << 20)}

ROLES = {"broker": "broker", "fleet": "work", "load": "admin"}
TOKEN = "0123456789abcdef-soak"
ASKED = ("status", "history?span=hour", "tasks", "queues", "workers")  # of the API, in turn

Sample = collections.namedtuple("Sample", "who what value")


class Worker(WorkerSlot):
    def launch(self):
        return self.world.fleet.start(
            "drover-worker", "--broker", self.endpoint, "--name", self.name, "--slots", SLOTS,
            "--load", module("demo"), "--allow-exec", "sha256sum", "--task-output", "drop",
            "--log-level", "warn")


class KeyedFleet(Fleet):
    """A fleet in which everybody has a key of a table."""

    def make_keys(self):
        lines = [self.drover("keygen", name, "--role", role, "--out", self.folder).stdout
                 for name, role in ROLES.items()]
        self.write("accounts", "".join(lines[1:]))
        os.chmod(self.path("accounts"), 0o644)
        self.write("token", TOKEN + "\n")
        os.chmod(self.path("token"), 0o600)
        self.variables = {"DROVER_BROKER_KEY": self.path("broker.pub"),
                          "DROVER_IDENTITY": self.path("load.key"),
                          "DROVER_WORKER_IDENTITY": self.path("fleet.key"),
                          "DROVER_WORKER_BROKER_KEY": self.path("broker.pub")}
        return ["--identity", self.path("broker.key"), "--accounts", self.path("accounts"),
                "--http-token-file", self.path("token")]

    def environment(self):
        return {**super().environment(), **getattr(self, "variables", {})}


class World:
    """What the nemesis works on: a broker, workers behind links, no clients that it may touch."""

    def __init__(self, fleet, links, seed, keep, guard=()):
        self.fleet, self.links, self.seed, self.guard = fleet, links, seed, guard
        self.clients = []
        self.keep = keep
        self.broker_kills = 0
        os.mkdir(fleet.path("broker"))
        self.start_broker()
        fleet.endpoint = f"ipc://{fleet.path('broker/c')}"
        self.workers = [Worker(self, letter, fleet.path("broker/w"))
                        for letter in "abc"[:WORKERS]]
        self.guests = [Worker(self, letter, fleet.path("broker/w")) for letter in "mn"[:GUESTS]]
        self.mortals = self.guests  # whose agents and zygotes may be killed
        for slot in self.workers:
            slot.start()
            slot.program.wait_ready()

    def start_broker(self):
        self.broker = Program("drover-broker",
                              ["--data", self.fleet.path("data"), "--bind", "ipc://c",
                               "--bind-workers", "ipc://w", "--http", "127.0.0.1:0", *TIMES,
                               "--keep", self.keep, *self.guard],
                              self.fleet.path("broker"), self.fleet.environment())
        self.fleet.programs.append(self.broker)
        self.broker.wait_ready()

    def mend(self):
        """Starts again what was killed; what has ended otherwise is an error."""
        if self.broker.process.poll() == -signal.SIGKILL:
            self.broker_kills += 1
            self.start_broker()
        for program in [self.broker, *(slot.program for slot in self.workers)]:
            if program.process.poll() is not None:
                raise AssertionError(f"{program.name} ended with {program.process.returncode}: "
                                     f"{program.stderr()[-2000:]}")
        for guest in self.guests:
            if ended_by_force(guest):
                guest.start()


def ended_by_force(guest):
    """Whether it, or its zygote, was killed; AssertionError when it ended in another way."""
    code = guest.program.process.poll()
    if code not in (None, -signal.SIGKILL, EXIT_ZYGOTE_GONE):
        raise AssertionError(f"worker {guest.name} ended with {code}: "
                             f"{guest.program.stderr()[-2000:]}")
    return code is not None


class Crew:
    """Jobs in threads of their own, until told; counts what they did."""

    def __init__(self, jobs):
        self.over = threading.Event()
        self.counts = collections.Counter()
        self.wrong = []
        self.threads = [threading.Thread(target=self.work, args=(job,)) for job in jobs]
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join()
        if self.wrong:
            raise AssertionError("\n".join(self.wrong))


class Load(Crew):
    """Commands in threads, one after the other, until told; counts what they did."""

    def __init__(self, fleet):
        self.fleet = fleet
        super().__init__(range(LOADERS))

    def work(self, number):
        steps = [self.map, self.submit, self.share, self.checksum]
        try:
            while not self.over.is_set():
                steps[number % len(steps)](number)
                number += 1
        except (AssertionError, subprocess.TimeoutExpired) as problem:
            self.wrong.append(str(problem))

    def drover(self, *words, stdin=None):
        # The broker may be stopped for longer than a command waits for its first contact.
        return self.fleet.drover("--connect-timeout", f"{60 * SCALE}s", *words, stdin=stdin,
                                 seconds=120, check=False)

    def map(self, _number):
        done = self.drover("map", "square", "--retries", "20", stdin="".join(
            f"{n}\n" for n in range(ITEMS)))
        self.check(done, [str(n * n) for n in range(ITEMS)])
        self.counts["mapped"] += ITEMS

    def submit(self, number):
        done = self.drover("submit", "echo", f'"{number}"', "--retries", "20", "--wait")
        self.check(done, [f'"{number}"'])
        self.counts["submitted"] += 1

    def share(self, number):
        done = self.drover("kv", "set", f"key-{number % 50}", f'"{"x" * 500}"')
        self.check(done, None)
        self.counts["set"] += 1

    def checksum(self, _number):
        done = self.drover("xargs", "--retries", "20", "sha256sum", stdin=f"{__file__}\n" * 20)
        self.check(done, None)
        self.counts["commands"] += 20

    def check(self, done, wanted):
        if done.returncode != 0 or (wanted is not None and done.stdout.split() != wanted):
            raise AssertionError(f"{' '.join(done.args)}: exit {done.returncode}\n"
                                 f"{done.stdout[-500:]}{done.stderr[-1000:]}")


class Viewers(Crew):
    """Two pages that are open, and one who asks for metrics and documents again and again, over
    connections of their own; whatever becomes of the broker, they go on. What they are answered
    must be an answer."""

    PAGES = 2

    def __init__(self, world):
        self.world = world
        super().__init__([self.read_stream] * self.PAGES + [self.ask_around])

    def work(self, job):
        while not self.over.is_set():
            try:
                job()
            except OSError:
                self.over.wait(0.2)  # the broker is away, or stopped for longer than one waits
            except Exception as problem:  # pylint: disable=broad-exception-caught
                self.wrong.append(repr(problem))
                return

    def get(self, path):
        host, _, port = self.world.broker.ready.get("http", "").rpartition(":")
        if not host:
            raise ConnectionError("the broker is about to serve")
        peer = socket.create_connection((host, int(port)), timeout=2)
        peer.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                     f"Authorization: Bearer {TOKEN}\r\n\r\n".encode())
        return peer

    def check(self, path, first):
        # 503: it drains, or does not answer in time.
        if first and not first.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 503 ")):
            raise AssertionError(f"GET {path}: {first[:200]!r}")

    def read_stream(self):
        with self.get("/api/v1/events") as peer:
            first = b""
            while not self.over.is_set():
                more = peer.recv(1 << 16)
                if not more:
                    return
                first = first or more
                self.check("/api/v1/events", first)
                self.counts["of the stream"] += more.count(b"event: status")

    def ask_around(self):
        for path in ("/metrics", *(f"/api/v1/{name}" for name in ASKED)):
            with self.get(path) as peer:
                first = peer.recv(1 << 16)
                while peer.recv(1 << 16):
                    pass
            self.check(path, first)
            self.counts["asked over HTTP"] += bool(first)
            self.over.wait(0.1)


# ---- measuring ------------------------------------------------------------------------------------

def status_of(pid):
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        return dict(line.split(":", 1) for line in file)


def samples(world):
    """Numbers of everything that lives through all rounds."""
    found = []
    programs = [("broker", world.broker)] + [(slot.letter, slot.program)
                                             for slot in world.workers]
    for who, program in programs:
        told = status_of(program.pid)
        found += [Sample(who, "rss", int(told["VmRSS"].split()[0]) << 10),
                  Sample(who, "fds", len(os.listdir(f"/proc/{program.pid}/fd"))),
                  Sample(who, "threads", int(told["Threads"])),
                  Sample(who, "children", len(descendants(program.pid)))]
    disk = sum(os.stat(os.path.join(folder, name)).st_blocks * 512
               for folder, _, names in os.walk(world.fleet.path("data")) for name in names)
    broker = world.fleet.status()["broker"]
    return [*found, Sample("broker", "disk", disk),
            Sample("broker", "accounted", broker["memory_bytes"])]


def human(what, value):
    return f"{value / (1 << 20):.1f}M" if what in ("rss", "disk", "accounted") else str(value)


def grown(first, last):
    """What has grown beyond what is allowed, in words."""
    before = {(sample.who, sample.what): sample.value for sample in first}
    for sample in last:
        share, number = ALLOWED[sample.what]
        old = before[sample.who, sample.what]
        if sample.value > old + old * share + number:
            yield (f"{sample.what} of {sample.who}: {human(sample.what, old)} at first, "
                   f"{human(sample.what, sample.value)} at the end")


# ---- the rounds -----------------------------------------------------------------------------------

def be_quiet(world):
    """Everything ends, and what was kept for a time is gone."""
    def is_idle():
        tasks = world.fleet.status()["tasks"]
        return not any(tasks[state] for state in ("waiting", "delayed", "queued", "running"))
    until(is_idle, "nothing is left to do", 60)
    until(lambda: world.fleet.json("task", "ls")["tasks"] == [], "all results are gone", 60)


def one_round(world, seed, seconds, spares):
    load, viewers = Load(world.fleet), Viewers(world)
    nemesis = Nemesis(world, schedule(seed, seconds, [*LEAVE_OUT, *spares]),
                      world.fleet.path("history-nemesis"))
    try:
        for guest in world.guests:
            guest.start()
        nemesis.follow()
        for guest in world.guests:
            if not ended_by_force(guest):
                code = guest.program.terminate(60)
                begins = code == -signal.SIGTERM and "ready " not in guest.program.stdout_so_far()
                if code not in (0, EXIT_ZYGOTE_GONE) and not begins:  # killed a moment ago, or started
                    raise AssertionError(f"worker {guest.name} ended with {code}")
    finally:
        nemesis.close()
        viewers.stop()
        load.stop()
    be_quiet(world)
    return load.counts + viewers.counts, nemesis.done


def show(number, counts, deeds, taken):
    work = ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))
    print(f"round {number}: {work}; {sum(deeds.values()) - deeds['left out']} faults")
    for who in dict.fromkeys(sample.who for sample in taken):
        print(f"  {who:8}" + "  ".join(f"{sample.what} {human(sample.what, sample.value)}"
                                       for sample in taken if sample.who == who), flush=True)


def compare(first, last, part):
    """Each number where it is first compared and at the end of a part."""
    before = {(sample.who, sample.what): sample.value for sample in first}
    print(f"to the end of {part}:")
    for who in dict.fromkeys(sample.who for sample in last):
        print(f"  {who:8}" + "  ".join(
            f"{sample.what} {human(sample.what, before[who, sample.what])} -> "
            f"{human(sample.what, sample.value)}" for sample in last if sample.who == who))


class Soak:
    def __init__(self, fleet, world, seconds):
        self.fleet, self.world, self.seconds = fleet, world, seconds
        self.number, self.malformed = 0, 0
        self.first = self.taken = None
        self.problems = []

    def round(self, spares):
        self.number += 1
        counts, deeds = one_round(self.world, self.world.seed + self.number, self.seconds, spares)
        self.taken = samples(self.world)
        show(self.number, counts, deeds, self.taken)
        self.malformed += self.fleet.status()["tasks"]["malformed"]
        if self.number == WARM_ROUNDS + 1:
            self.first = self.taken

    def broker_is_new(self):
        """Its numbers count from now on."""
        disk = [sample for sample in self.first if sample.what == "disk"]
        self.first = [*(sample for sample in self.first if sample.who != "broker"), *disk,
                      *(sample for sample in self.taken
                        if sample.who == "broker" and sample.what != "disk")]

    def judge(self, part):
        compare(self.first, self.taken, part)
        self.problems += [f"{what} of {part}" for what in grown(self.first, self.taken)]


def soak(minutes, seed, keep="10s", seconds=ROUND_SECONDS, with_keys=False):
    begin = time.monotonic()
    end = begin + minutes * 60
    with KeyedFleet() as fleet, Links() as links:
        world = World(fleet, links, seed, keep, fleet.make_keys() if with_keys else ())
        run = Soak(fleet, world, seconds)
        while run.number <= WARM_ROUNDS + 1 or time.monotonic() < end - minutes * 60 * KILL_SHARE:
            run.round(["kill broker"])
        run.judge("the part in which the broker lives")
        killed = None  # the first round in which it was, which a short one may leave out
        last = run.number + KILL_ROUNDS_MAX
        while time.monotonic() < end or run.number <= (last if killed is None else killed):
            run.round([])
            if killed is None and world.broker_kills > 0:
                killed = run.number
                run.broker_is_new()
        run.judge(f"the part in which it was killed {world.broker_kills} times")
        tasks = {name: count for name, count in fleet.status()["tasks"].items() if count}
        print(f"in all, since the broker was killed last: {tasks}")
    if run.malformed:
        run.problems.append(f"{run.malformed} messages of honest peers were none")
    if world.broker_kills == 0:
        run.problems.append("the broker was never killed")
    for problem in run.problems:
        print(f"WRONG: {problem}")
    print(f"{run.number} rounds, seed {seed}: " + ("not flat" if run.problems else "flat"))
    return 1 if run.problems else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "big"))
    parser.add_argument("--keep", default="10s", help="how long results are kept")
    parser.add_argument("--round", type=float, default=ROUND_SECONDS, help="seconds of load in one")
    parser.add_argument("--keys", action="store_true", help="everybody has a key")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}, {arguments.minutes} minutes, "
          f"{'with' if arguments.keys else 'without'} keys", flush=True)
    sys.exit(soak(arguments.minutes, arguments.seed, arguments.keep, arguments.round,
                  arguments.keys))


if __name__ == "__main__":
    main()

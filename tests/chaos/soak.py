"""Load and faults for as long as asked, and whether anything has grown.

    ./dev soak [MINUTES]
    soak.py [--minutes N] [--seed N] [--keep TIME]

A broker with a journal and three workers live through all of it, in rounds: commands map, submit
and change shared data, and look at every result; the nemesis (nemesis.py) stops, cuts off, kills
executors; two more workers come and go. Then all is healed, the work ends, what was kept for its
retention time goes, and memory, descriptors, threads and disk are measured. What is broken at
once ends the run with 1; so does what has grown from the third round to the last by more than
what is allowed here, both of which are shown at the end; and so does a message that the broker
takes for none, since all peers here are honest. A short --keep makes races with what ends more
likely. Programs that are killed as a whole are the matter of test_fleet.py: there
is nothing left to measure of them.
"""

import argparse
import collections
import os
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
LEAVE_OUT = [kind for kind in KINDS
             if kind.endswith("client") or kind in ("kill broker", "kill agent", "kill zygote")]
TIMES = ("--heartbeat", "200ms", "--lease", "3s", "--reconnect-grace", "1s",
         "--keep-failed", "10s", "--session", "60s")
# By how much each may grow after the warm rounds: a share of the first, and a number.
ALLOWED = {"rss": (0.10, 4 << 20), "fds": (0, 2), "threads": (0, 0), "children": (0, 1),
           "disk": (0.5, 140 << 20), "accounted": (0.1, 1 << 20)}

Sample = collections.namedtuple("Sample", "who what value")


class Worker(WorkerSlot):
    def launch(self):
        return self.world.fleet.start(
            "drover-worker", "--broker", self.endpoint, "--name", self.name, "--slots", SLOTS,
            "--load", module("demo"), "--allow-exec", "sha256sum", "--task-output", "drop",
            "--log-level", "warn")


class World:
    """What the nemesis works on: a broker, workers behind links, no clients that it may touch."""

    def __init__(self, fleet, links, seed, keep):
        self.fleet, self.links, self.seed = fleet, links, seed
        self.clients = []
        os.mkdir(fleet.path("broker"))
        self.broker = Program("drover-broker",
                              ["--data", fleet.path("data"), "--bind", "ipc://c",
                               "--bind-workers", "ipc://w", "--no-http", *TIMES,
                               "--keep", keep],
                              fleet.path("broker"), fleet.environment())
        fleet.programs.append(self.broker)
        self.broker.wait_ready()
        fleet.endpoint = f"ipc://{fleet.path('broker/c')}"
        self.workers = [Worker(self, letter, fleet.path("broker/w"))
                        for letter in "abc"[:WORKERS]]
        self.guests = [Worker(self, letter, fleet.path("broker/w")) for letter in "mn"[:GUESTS]]
        for slot in self.workers:
            slot.start()
            slot.program.wait_ready()

    def mend(self):
        for program in [self.broker, *(slot.program for slot in self.workers)]:
            if program.process.poll() is not None:
                raise AssertionError(f"{program.name} ended with {program.process.returncode}: "
                                     f"{program.stderr()[-2000:]}")


class Load:
    """Commands in threads, one after the other, until told; counts what they did."""

    def __init__(self, fleet):
        self.fleet = fleet
        self.over = threading.Event()
        self.counts = collections.Counter()
        self.wrong = []
        self.threads = [threading.Thread(target=self.work, args=(n,)) for n in range(LOADERS)]
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join()
        if self.wrong:
            raise AssertionError("\n".join(self.wrong))

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
            yield (f"{sample.what} of {sample.who}: {human(sample.what, old)} after round "
                   f"{WARM_ROUNDS + 1}, {human(sample.what, sample.value)} at the end")


# ---- the rounds -----------------------------------------------------------------------------------

def be_quiet(world):
    """Everything ends, and what was kept for a time is gone."""
    def is_idle():
        tasks = world.fleet.status()["tasks"]
        return not any(tasks[state] for state in ("waiting", "delayed", "queued", "running"))
    until(is_idle, "nothing is left to do", 60)
    until(lambda: world.fleet.json("task", "ls")["tasks"] == [], "all results are gone", 60)


def one_round(world, seed):
    load = Load(world.fleet)
    nemesis = Nemesis(world, schedule(seed, ROUND_SECONDS, LEAVE_OUT),
                      world.fleet.path("history-nemesis"))
    try:
        for guest in world.guests:
            guest.start()
        nemesis.follow()
        for guest in world.guests:
            code = guest.program.terminate(60)
            if code != 0:
                raise AssertionError(f"worker {guest.name} ended with {code}")
    finally:
        nemesis.close()
        load.stop()
    be_quiet(world)
    return load.counts, nemesis.done


def show(number, counts, deeds, taken):
    work = ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))
    print(f"round {number}: {work}; {sum(deeds.values()) - deeds['left out']} faults")
    for who in dict.fromkeys(sample.who for sample in taken):
        print(f"  {who:8}" + "  ".join(f"{sample.what} {human(sample.what, sample.value)}"
                                       for sample in taken if sample.who == who), flush=True)


def compare(first, last):
    """Each number after the warm rounds and at the end."""
    before = {(sample.who, sample.what): sample.value for sample in first}
    print(f"from round {WARM_ROUNDS + 1} to the end:")
    for who in dict.fromkeys(sample.who for sample in last):
        print(f"  {who:8}" + "  ".join(
            f"{sample.what} {human(sample.what, before[who, sample.what])} -> "
            f"{human(sample.what, sample.value)}" for sample in last if sample.who == who))


def soak(minutes, seed, keep="10s"):
    end = time.monotonic() + minutes * 60
    number, first = 0, None
    with Fleet() as fleet, Links() as links:
        world = World(fleet, links, seed, keep)
        while number <= WARM_ROUNDS + 1 or time.monotonic() < end:
            number += 1
            counts, deeds = one_round(world, seed + number)
            taken = samples(world)
            show(number, counts, deeds, taken)
            if number == WARM_ROUNDS + 1:
                first = taken
        tasks = {name: count for name, count in fleet.status()["tasks"].items() if count}
        print(f"in all: {tasks}")
    compare(first, taken)
    problems = list(grown(first, taken))
    if tasks.get("malformed"):
        problems.append(f"{tasks['malformed']} messages of honest peers were none")
    for problem in problems:
        print(f"WRONG: {problem}")
    print(f"{number} rounds, seed {seed}: " + ("not flat" if problems else "flat"))
    return 1 if problems else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "big"))
    parser.add_argument("--keep", default="10s", help="how long results are kept")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}, {arguments.minutes} minutes", flush=True)
    sys.exit(soak(arguments.minutes, arguments.seed, arguments.keep))


if __name__ == "__main__":
    main()

"""A fleet that is killed, stopped and cut off all the time, and what it promised all the same.

    ./dev test -R chaos.fleet
    DROVER_BIN_DIR=... test_fleet.py [--seed N] [--seconds N]    (README.md)

Clients submit, handlers run, a nemesis does its work (nemesis.py), all write down what they saw;
in the end everything is healed, someone else asks the broker for every task, and the history is
checked (history.py). The seed makes the schedule of faults; the same seed and seconds give the
same one again.
"""

import argparse
import os
import subprocess
import sys
import unittest

import history
from fleet import DEADLINE, SCALE, TEST_MODULES, Fleet, Program, test_module, until
from link import Links
from nemesis import Nemesis, schedule

CLIENT = os.path.join(os.path.dirname(TEST_MODULES), "chaos_client")
WORKERS, SLOTS = 3, 4
CLIENTS, THREADS = 2, 12
SECONDS = 60 if SCALE == 1 else 12  # of the schedule, which is stretched by SCALE
OVER = (69, 74)  # a worker without a zygote ends: no broker took its last results, or one did
STORIES = 10  # of tasks for which a promise was broken, told in full
TIMES = ("--heartbeat", f"{200 * SCALE}ms", "--lease", f"{3 * SCALE}s", "--reconnect-grace",
         f"{1 * SCALE}s", "--reattach", f"{15 * SCALE}s", "--session", "1h")


class Slot:
    """A place of the fleet in which one program after another lives, behind one link."""

    def __init__(self, world, letter, far):
        self.world = world
        self.letter = letter
        self.lives = 0
        self.program = None
        near = world.fleet.path(f"link-{letter}")
        self.endpoint = f"ipc://{near}"
        self.link = world.links.open(near, far)

    @property
    def name(self):
        return f"{self.letter}{self.lives}"

    def start(self):
        self.lives += 1
        self.program = self.launch()


class WorkerSlot(Slot):
    def launch(self):
        return self.world.fleet.start(
            "drover-worker", "--broker", self.endpoint, "--name", self.name, "--slots", SLOTS,
            "--load", test_module("chronicle"), environment={"CHAOS_WORKER": self.name})


class ClientSlot(Slot):
    def launch(self):
        world = self.world
        program = Program(CLIENT,
                          ["load", self.endpoint, world.log(f"client-{self.name}"),
                           world.log("runs"), THREADS, world.seed * 1000 + self.lives],
                          world.fleet.folder)
        world.fleet.programs.append(program)
        return program


class World:
    """The programs, the links between them, and the files of the history."""

    def __init__(self, fleet, links, seed):
        self.fleet = fleet
        self.links = links
        self.seed = seed
        self.logs = []
        self.broker_lives = 0
        self.peak_recovery_ms = 0
        os.mkdir(fleet.path("broker"))
        self.start_broker()
        self.workers = [WorkerSlot(self, letter, fleet.path("broker/w"))
                        for letter in "abcdefgh"[:WORKERS]]
        self.clients = [ClientSlot(self, letter, fleet.path("broker/c"))
                        for letter in "xyz"[:CLIENTS]]
        for slot in self.workers:
            slot.start()
            slot.program.wait_ready()
        for slot in self.clients:
            slot.start()

    def log(self, name):
        path = self.fleet.path(f"history-{name}")
        if path not in self.logs:
            self.logs.append(path)
        return path

    def start_broker(self):
        """Its endpoints are told relative to its own folder, so that nobody goes around a link."""
        self.broker_lives += 1
        self.broker = Program("drover-broker",
                              ["--data", self.fleet.path("data"), "--bind", "ipc://c",
                               "--bind-workers", "ipc://w", *TIMES],
                              self.fleet.path("broker"), self.fleet.environment())
        self.fleet.programs.append(self.broker)
        self.broker.wait_ready()
        self.peak_recovery_ms = max(self.peak_recovery_ms,
                                    int(self.broker.ready["recovery_ms"]))

    def mend(self):
        """Starts again what has ended."""
        if self.broker.process.poll() is not None:
            if self.broker.process.returncode != -9:
                raise AssertionError(f"the broker ended: {self.broker.stderr()}")
            self.start_broker()
        for slot in self.workers + self.clients:
            code = slot.program.process.poll()
            if code is not None:
                if code not in ((-9, *OVER) if slot in self.workers else (-9,)):
                    raise AssertionError(f"{slot.name} ended with {code}")
                slot.start()

    def finish(self):
        """No new work; the clients wait for what they have submitted."""
        self.mend()
        for slot in self.clients:
            slot.program.signal(15)
        for slot in self.clients:
            try:
                code = slot.program.process.wait(3 * DEADLINE * SCALE)
            except subprocess.TimeoutExpired:
                self.tell_open()
                raise AssertionError(f"client {slot.name} waits for ever") from None
            if code != 0:
                raise AssertionError(f"client {slot.name} ended with {code}")

    def tell_open(self):
        """What the clients still wait for, as they and as the broker see it; for people."""
        events = history.read(path for path in self.logs if os.path.exists(path))
        ended = {event["unit"] for event in events if event["event"] in ("end", "unknown")}
        last = {slot.name for slot in self.clients}
        self.fleet.endpoint = f"ipc://{self.fleet.path('broker/c')}"
        for name in last:
            own = history.read([self.log(f"client-{name}")])
            for unit in sorted({event["unit"] for event in own} - ended)[:STORIES]:
                print(f"{name} waits for", history.story(events, unit))
                shown = self.fleet.drover("--json", "show", unit, check=False)
                print(shown.returncode, shown.stdout, shown.stderr, flush=True)


def verify(world, units):
    """Someone who submitted none of them asks for all."""
    done = subprocess.run(
        [CLIENT, "verify", f"ipc://{world.fleet.path('broker/c')}", world.log("verify"),
         str(3 * DEADLINE * SCALE)], input="".join(unit + "\n" for unit in units), text=True,
        capture_output=True, check=False, timeout=5 * DEADLINE * SCALE)
    if done.returncode not in (0, 1) or done.stderr:
        raise AssertionError(f"verify: {done.returncode} {done.stderr}")


class Chaos(unittest.TestCase):
    seed = 0
    seconds = SECONDS

    def setUp(self):
        self.fleet = Fleet()
        self.failed = True

    def tearDown(self):
        self.fleet.__exit__(AssertionError if self.failed else None, None, None)

    def run_world(self, world):
        nemesis = Nemesis(world, schedule(self.seed, self.seconds), world.log("nemesis"))
        try:
            nemesis.follow()
            world.finish()
        finally:
            nemesis.close()
        events = history.read(path for path in world.logs if os.path.exists(path))
        verify(world, sorted({event["unit"] for event in events if event["event"] == "sent"}))
        events = history.read(path for path in world.logs if os.path.exists(path))
        report = history.check(events)
        for unit in report.suspects[:STORIES]:
            print(history.story(events, unit))
        return nemesis, report

    def test_nothing_that_was_acknowledged_is_lost_or_ends_twice(self):
        print(f"seed {self.seed}, {self.seconds} s", flush=True)
        with Links() as links:
            world = World(self.fleet, links, self.seed)
            nemesis, report = self.run_world(world)
            tasks = self.counters(world)
        print(f"nemesis: {', '.join(f'{what} {n}' for what, n in sorted(nemesis.done.items()))}")
        print(f"broker: {world.broker_lives} lives, longest recovery "
              f"{world.peak_recovery_ms} ms, counts {tasks}")
        print(report.text(), flush=True)
        self.assertEqual(report.broken, [])
        self.assertGreater(report.counts["acked"], 10)
        self.failed = False

    def counters(self, world):
        self.fleet.endpoint = f"ipc://{self.fleet.path('broker/c')}"
        tasks = self.fleet.status()["tasks"]
        until(lambda: self.fleet.status()["tasks"]["running"] == 0, "nothing runs")
        open_count = sum(tasks[state] for state in ("waiting", "delayed", "queued", "running"))
        ended = sum(tasks[state] for state in ("succeeded", "failed", "cancelled", "expired",
                                               "lost_at_restart"))
        self.assertEqual(tasks["submitted"], open_count + ended)
        return {name: count for name, count in tasks.items() if count}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, help="of the schedule of faults")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="how long it lasts")
    arguments = parser.parse_args()
    given = os.environ.get("DROVER_TEST_SEED")
    fallback = int(given, 0) if given else int.from_bytes(os.urandom(4), "big")
    Chaos.seed = fallback if arguments.seed is None else arguments.seed
    Chaos.seconds = arguments.seconds
    unittest.main(argv=sys.argv[:1], verbosity=2)


if __name__ == "__main__":
    main()

"""A broker that keeps what it acknowledged: killed and started again, refused data, a full life."""

import collections
import os
import struct
import subprocess
import threading
import time
import unittest

from fleet import BIN, DEADLINE, SCALE, Fleet, test_module, until

KILLS = 12
PERIOD = 0.3  # seconds between the kills
ELEMENTS = 600


class Durable(unittest.TestCase):
    def setUp(self):
        self.fleet = Fleet()
        self.failed = True

    def tearDown(self):
        self.fleet.__exit__(AssertionError if self.failed else None, None, None)

    def done(self):
        self.failed = False

    def broker(self, *arguments):
        """A broker with its data in the fleet's folder, at the same endpoints each time."""
        return self.fleet.start(
            "drover-broker", "--data", self.fleet.path("data"), "--bind", self.fleet.endpoint,
            "--bind-workers", self.fleet.worker_endpoint, *arguments)

    def ledger(self, name):
        """How often each entry ran."""
        try:
            with open(self.fleet.path(name), encoding="ascii") as file:
                return collections.Counter(line.split()[0] for line in file)
        except FileNotFoundError:
            return collections.Counter()

    # ---- the life of the data ----

    def test_what_was_acknowledged_is_there_after_sigkill(self):
        broker = self.broker().wait_ready()
        self.assertEqual(broker.ready["records"], "0")
        task = self.fleet.submit("square", "12")
        self.fleet.drover("kv", "set", "name", '"value"')
        self.fleet.drover("queue", "pause", "other")
        broker.kill()
        broker = self.broker().wait_ready()
        self.assertGreater(int(broker.ready["records"]), 3)
        self.assertEqual(self.fleet.state(task), "queued")
        self.assertEqual(self.fleet.drover("kv", "get", "name").stdout.strip(), '"value"')
        self.assertIn("true", self.fleet.drover("--json", "queue", "ls").stdout)
        self.fleet.worker()
        self.assertEqual(self.fleet.drover("wait", task).returncode, 0)
        self.assertEqual(self.fleet.drover("result", task).stdout.strip(), "144")
        tasks = self.fleet.status()["tasks"]
        self.assertEqual((tasks["submitted"], tasks["succeeded"]), (1, 1))
        self.done()

    def test_level_is_named_and_memory_tasks_are_lost(self):
        broker = self.broker().wait_ready()
        weak = self.fleet.submit("nobody.offers.this", "1", "--durability", "memory")
        strong = self.fleet.submit("nobody.offers.this", "2", "--durability", "written")
        broker.kill()
        self.broker().wait_ready()
        self.assertEqual(self.fleet.state(strong), "queued")
        self.assertNotEqual(self.fleet.drover("show", weak, check=False).returncode, 0)
        self.done()

    def test_queue_prescribes_the_level_of_its_tasks(self):
        broker = self.broker().wait_ready()
        self.fleet.drover("queue", "set", "weak", "--durability", "memory")
        self.fleet.drover("queue", "set", "half", "--durability", "written")
        levels = {}
        for queue, asked in (("weak", ()), ("half", ()), ("default", ()),
                             ("weak", ("--durability", "synced"))):
            task = self.fleet.submit("nobody.offers.this", "1", "--queue", queue, *asked)
            levels[task] = self.fleet.show(task)["level"]
        self.assertEqual(list(levels.values()), ["memory", "written", "synced", "synced"])
        broker.kill()
        broker = self.broker().wait_ready()
        for task, level in levels.items():
            done = self.fleet.drover("show", task, check=False)
            self.assertEqual(done.returncode == 0, level != "memory")
        queues = {row["name"]: row["durability"]
                  for row in self.fleet.json("queue", "ls")["queues"]}
        self.assertEqual((queues["weak"], queues["half"]), ("memory", "written"))
        self.fleet.drover("queue", "set", "weak", "--durability", "default")
        task = self.fleet.submit("nobody.offers.this", "1", "--queue", "weak")
        self.assertEqual(self.fleet.show(task)["level"], "synced")
        self.done()

    def test_dump_names_what_is_in_the_journal(self):
        broker = self.broker().wait_ready()
        self.fleet.submit("square", "12")
        self.fleet.drover("kv", "set", "name", '"value"')
        self.assertEqual(broker.terminate(), 0)
        done = subprocess.run([os.path.join(BIN, "drover-broker"), "journal", "dump",
                               self.fleet.path("data")], capture_output=True, text=True,
                              check=True, timeout=DEADLINE * SCALE)
        names = {word for line in done.stdout.splitlines() for word in line.split()
                 if word.startswith("name=")}
        self.assertLessEqual({"name=task", "name=session", "name=kv"}, names)
        self.done()

    def test_second_broker_on_the_data_is_refused(self):
        self.broker().wait_ready()
        second = self.fleet.start(
            "drover-broker", "--data", self.fleet.path("data"), "--bind",
            f"ipc://{self.fleet.path('c2')}", "--bind-workers", f"ipc://{self.fleet.path('w2')}")
        self.assertEqual(second.wait(), 74)
        self.assertIn("in use", second.stderr())
        self.done()

    def in_hand(self, task):
        """Makes broker.hand say what it says after a crash with this task in hand."""
        alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
        number = 0
        for letter in task:
            number = number * 32 + alphabet.index(letter)
        with open(os.path.join(self.fleet.path("data"), "broker.hand"), "r+b") as page:
            self.assertEqual(page.read(8), b"DRVHAND1")
            page.write(number.to_bytes(16, "big") + struct.pack("=II", 0xffffffff, 1))

    def test_task_in_hand_at_two_crashes_is_set_aside(self):
        broker = self.broker().wait_ready()
        poison, other = (self.fleet.submit("square", n) for n in ("12", "13"))
        broker.kill()
        self.in_hand(poison)
        broker = self.broker().wait_ready()
        self.assertIn(poison, broker.stderr())
        self.assertEqual(self.fleet.state(poison), "queued")
        broker.kill()
        self.in_hand(poison)
        broker = self.broker().wait_ready()
        self.fleet.worker()
        self.assertEqual(self.fleet.until_state(other, "succeeded")["attempt"], 1)
        document = self.fleet.show(poison)
        self.assertEqual((document["state"], document["error"]["kind"]), ("failed", "refused"))
        self.assertIn("set aside", document["error"]["text"])
        broker.kill()
        self.broker().wait_ready()
        self.assertEqual(self.fleet.state(poison), "failed")
        self.done()

    def test_damage_is_refused_and_named(self):
        broker = self.broker().wait_ready()
        for _ in range(3):
            self.fleet.submit("square", "12")
        self.assertEqual(broker.terminate(), 0)
        folder = self.fleet.path("data")
        segment = max((name for name in os.listdir(folder)
                       if os.path.getsize(os.path.join(folder, name)) > 4096
                       and b"square" in open(os.path.join(folder, name), "rb").read()),
                      key=lambda name: name)
        path = os.path.join(folder, segment)
        with open(path, "r+b") as file:
            offset = file.read().index(b"square")
            file.seek(offset)
            file.write(b"SQUARE")
        broker = self.broker()
        self.assertEqual(broker.wait(), 65)
        self.assertIn(segment, broker.stderr())
        self.done()

    # ---- killed all the time ----

    def commands(self, count, results):
        """One after the other, each its own client: a task that is waited for, and a count."""
        for number in range(count):
            payload = f'"{self.fleet.path("single")} s{number} 5"'
            done = subprocess.run(
                [os.path.join(BIN, "drover"), "submit", "enter", payload, "--wait"],
                capture_output=True, text=True, check=False, env=self.fleet.environment(),
                timeout=DEADLINE * SCALE)
            results.append((number, done.returncode, done.stdout.strip(), done.stderr))

    def test_killed_under_load_runs_everything_exactly_once(self):
        broker = self.broker().wait_ready()
        for name in ("a", "b"):
            self.fleet.worker("--name", name, "--slots", "4", "--load", test_module("ledger"),
                              load=())
        lines = "".join(f'"{self.fleet.path("map")} {n} 20"\n' for n in range(ELEMENTS))
        mapping = subprocess.Popen(
            [os.path.join(BIN, "drover"), "map", "enter"], text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.fleet.environment())
        answer = []
        reader = threading.Thread(target=lambda: answer.extend(mapping.communicate(lines)))
        results = []
        single = threading.Thread(target=self.commands, args=(20, results))
        reader.start()
        single.start()
        until(lambda: len(self.ledger("map")) > 0, "the first element runs")
        kills = 0
        while (reader.is_alive() or single.is_alive()) and kills < KILLS:
            self.pause(PERIOD)
            broker.kill()
            broker = self.broker().wait_ready()
            kills += 1
        reader.join(DEADLINE * SCALE)
        single.join(DEADLINE * SCALE)
        self.assertFalse(reader.is_alive() or single.is_alive(), "the clients wait for ever")
        self.assertGreaterEqual(kills, 2)
        out, err = answer
        self.assertEqual(mapping.returncode, 0, err)
        self.assertEqual(out.split(), [f'"{n}"' for n in range(ELEMENTS)])
        self.assertEqual([(code, text) for _, code, text, _ in results],
                         [(0, f'"s{n}"') for n in range(20)], results)
        for ledger, count in (("map", ELEMENTS), ("single", 20)):
            runs = self.ledger(ledger)
            self.assertEqual(len(runs), count)
            self.assertEqual([name for name, times in runs.items() if times != 1], [])
        tasks = self.fleet.status()["tasks"]
        self.assertEqual((tasks["charged"], tasks["failed"], tasks["lost_at_restart"]), (0, 0, 0))
        self.done()

    def pause(self, seconds):
        """Lets time pass: what happens meanwhile is the clients' business."""
        until(lambda start=time.monotonic(): time.monotonic() - start >= seconds * SCALE,
              "time passes")


if __name__ == "__main__":
    unittest.main(verbosity=2)

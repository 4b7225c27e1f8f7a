"""A fleet on several hosts, made of network namespaces: cables are pulled and put back.

A host that is cut off is told nothing: its packets vanish, and TCP goes on trying for minutes. What
finds it are the heartbeats. Skipped (77), with the reason, where there can be no namespaces.
"""

import json
import sys
import time
import unittest

from fleet import SCALE, Fleet, module, until
from hosts import Hosts, why_not

SKIPPED = 77
HEARTBEAT = 0.1  # seconds, as below
LEASE = 0.8
QUICK = ("--heartbeat", "100ms", "--lease", "800ms", "--reconnect-grace", "300ms", "--reattach",
         "600ms")
TASK_MS = 2500  # longer than what is needed to find out
PATIENCE = 60   # seconds: a connection that is being made while the cable is out takes its time


class OnHosts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.hosts = Hosts("broker", "a", "b", "client")
        cls.addClassCleanup(cls.hosts.close)

    def setUp(self):
        self.fleet = Fleet()
        self.failed = True
        address = self.hosts.address("broker")
        self.broker = self.fleet.start(
            "drover-broker", "--memory", "--insecure", "--bind", f"tcp://{address}:*",
            "--bind-workers", f"tcp://{address}:*", *QUICK,
            inside=self.hosts.inside("broker")).wait_ready()
        self.fleet.endpoint = self.broker.ready["endpoint"]
        self.fleet.worker_endpoint = self.broker.ready["worker_endpoint"]
        self.workers = {name: self.start_worker(name) for name in ("a", "b")}
        self.fleet.inside = self.hosts.inside("client")

    def start_worker(self, name):
        return self.fleet.start("drover-worker", "--name", name, "--label", f"host={name}",
                                "--slots", "1", "--load", module("demo"),
                                inside=self.hosts.inside(name)).wait_ready()

    def tearDown(self):
        self.fleet.__exit__(AssertionError if self.failed else None, None, None)
        self.hosts.heal()

    # ---- what the stories are made of ----

    def start_task(self):
        """A task that runs on one of the workers: its id, that worker, the other."""
        task = self.fleet.submit("sleep", str(TASK_MS))
        first = self.fleet.until_state(task, "running")["worker"]
        return task, first, next(name for name in self.workers if name != first)

    def until_found(self, task, since):
        """Waits until the task runs elsewhere; the seconds that it took to find out."""
        until(lambda: self.fleet.show(task)["attempt"] == 2, "a second attempt is under way")
        took = time.monotonic() - since
        print(f"cut off: found after {took:.2f} s (lease {LEASE} s)", file=sys.stderr)
        # Heartbeats and the lease, and time for commands to be run; TCP would take minutes.
        self.assertLess(took, HEARTBEAT + LEASE + 5 * SCALE)

    def welcomes(self, name):
        return self.workers[name].stderr().count('msg=connected')

    def check_end(self, task, first, other):
        """One result, of the second attempt; nothing is held."""
        document = self.fleet.until_state(task, "succeeded", seconds=PATIENCE)
        self.assertEqual(document["attempt"], 2)
        self.assertEqual([(attempt["worker"], attempt["outcome"])
                          for attempt in document["attempts"]],
                         [(first, "lost"), (other, "succeeded")])
        self.fleet.until_workers(2, seconds=PATIENCE)
        tasks = self.fleet.status()["tasks"]
        self.assertEqual((tasks["submitted"], tasks["succeeded"], tasks["running"]), (1, 1, 0))
        for name in self.workers:
            self.assertEqual(self.fleet.json("worker", "show", name)["leases"], [])
        # It is of use again.
        done = self.fleet.drover("submit", "square", "9", "--wait", "--require", f"host={first}")
        self.assertEqual(done.stdout, "81\n")

    # ---- stories ----

    def test_fleet_works_across_hosts(self):
        for name in self.workers:
            done = self.fleet.drover("submit", "square", "7", "--wait", "--require",
                                     f"host={name}")
            self.assertEqual(done.stdout, "49\n")
        numbers = "".join(f"{number}\n" for number in range(200))
        squares = "".join(f"{number * number}\n" for number in range(200))
        self.assertEqual(self.fleet.drover("map", "square", stdin=numbers).stdout, squares)
        self.failed = False

    def test_worker_cut_off_and_healed(self):
        """Its task runs elsewhere; it comes back with a new hello, and its late result is stale."""
        task, first, other = self.start_task()
        before = self.welcomes(first)
        self.hosts.down(first)
        self.until_found(task, time.monotonic())
        self.fleet.until_state(task, "succeeded", seconds=PATIENCE)
        self.hosts.up(first)
        until(lambda: self.fleet.status()["tasks"]["stale_results"] == 1,
              "the late result was counted", PATIENCE)
        self.check_end(task, first, other)
        self.assertGreater(self.welcomes(first), before)
        self.failed = False

    def test_worker_whose_packets_vanish_and_healed(self):
        """The connection is half open: only silence tells. The hello that has been on its way since
        then speaks of the attempt as running, and is told that it no longer counts."""
        task, first, other = self.start_task()
        before = self.welcomes(first)
        self.hosts.unplug(first)
        self.until_found(task, time.monotonic())
        self.fleet.until_state(task, "succeeded", seconds=PATIENCE)
        self.hosts.plug(first)
        self.check_end(task, first, other)
        self.assertGreater(self.welcomes(first), before)
        self.failed = False

    def test_worker_that_is_not_heard_and_healed(self):
        """One way: the broker speaks to it, and hears nothing. Its attempt may be told to end."""
        task, first, other = self.start_task()
        self.hosts.deafen(first, "broker")
        self.until_found(task, time.monotonic())
        self.fleet.until_state(task, "succeeded", seconds=PATIENCE)
        self.hosts.hear(first, "broker")
        self.check_end(task, first, other)
        self.failed = False

    def test_worker_that_hears_nothing_and_healed(self):
        """The other way: the broker hears it, for as long as TCP goes on without being answered."""
        task, first, other = self.start_task()
        before = self.welcomes(first)
        self.hosts.deafen("broker", first)
        document = self.fleet.until_state(task, "succeeded", seconds=PATIENCE)
        self.hosts.hear("broker", first)
        self.fleet.until_workers(2, seconds=PATIENCE)
        until(lambda: self.welcomes(first) > before, "it is welcomed again", PATIENCE)
        # Whichever way it went: one result.
        self.assertIn((document["attempt"], document["attempts"][-1]["worker"]),
                      ((1, first), (2, other)))
        tasks = self.fleet.status()["tasks"]
        self.assertEqual((tasks["submitted"], tasks["succeeded"]), (1, 1))
        until(lambda: all(self.fleet.json("worker", "show", name)["leases"] == []
                          for name in self.workers), "nobody holds anything")
        done = self.fleet.drover("submit", "square", "9", "--wait", "--require", f"host={first}")
        self.assertEqual(done.stdout, "81\n")
        self.failed = False

    def test_client_cut_off_gets_its_result_afterwards(self):
        """Its wait survives: it asks again when it is back."""
        client = self.fleet.start("drover", "--json", "submit", "sleep", "1200", "--wait",
                                  inside=self.hosts.inside("client"))
        self.fleet.inside = self.hosts.inside("broker")
        until(lambda: self.fleet.status()["tasks"]["running"] == 1, "the task runs")
        self.hosts.unplug("client")
        until(lambda: self.fleet.status()["tasks"]["succeeded"] == 1, "the task has ended")
        self.hosts.plug("client")
        self.assertEqual(json.loads(client.read_line(PATIENCE))["state"], "succeeded")
        self.assertEqual(client.wait(), 0)
        self.failed = False


if __name__ == "__main__":
    REASON = why_not()
    if REASON is not None:
        print(f"SKIPPED: {REASON}", file=sys.stderr)
        sys.exit(SKIPPED)
    unittest.main()

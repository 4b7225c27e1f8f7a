"""Schedules of a broker with a journal: what overlaps, and what becomes of them when it is killed.

That a broker was away for an hour is made by tests/shim/ahead_clock.c, so that nothing waits.
"""

import os
import unittest

from fleet import TEST_MODULES, Fleet, test_module, until

SHIM = os.path.join(TEST_MODULES, "ahead_clock.so")
HOUR = 3600
LATE = 300  # seconds after the last instant: more than the 60 that are no delay


class ScheduleRestart(unittest.TestCase):
    def setUp(self):
        self.fleet = self.enterContext(Fleet())

    def broker(self, ahead=0):
        """A broker with its data in the fleet's folder, at the same endpoints each time."""
        options = os.environ.get("ASAN_OPTIONS", "")
        preload = {"LD_PRELOAD": SHIM, "AHEAD_CLOCK": str(ahead),
                   "ASAN_OPTIONS": f"{options}:verify_asan_link_order=0"} if ahead else {}
        return self.fleet.start(
            "drover-broker", "--data", self.fleet.path("data"), "--bind", self.fleet.endpoint,
            "--bind-workers", self.fleet.worker_endpoint, environment=preload).wait_ready()

    def worker(self):
        return self.fleet.worker("--load", test_module("ledger"), "--slots", "4")

    def add(self, name, *arguments, period="1s", payload="60000"):
        self.fleet.drover("schedule", "add", name, "--every", period, "sleep", payload,
                          "--group", name, *arguments)

    def schedule(self, name):
        return self.fleet.json("schedule", "show", name)

    def tasks(self, name, *states):
        """Ids of the tasks of a schedule."""
        words = [word for state in states for word in ("--state", state)]
        return [row["id"] for row in
                self.fleet.json("task", "ls", "--group", name, *words)["tasks"]]

    def until_running(self, name):
        """Its one task that runs."""
        (task,) = until(lambda: self.tasks(name, "running"), "a run")
        return task

    def ledger(self):
        try:
            with open(self.fleet.path("ledger"), encoding="ascii") as file:
                return [line.split()[0] for line in file]
        except FileNotFoundError:
            return []

    # ---- overlap ----

    def test_skip_leaves_out_what_would_overlap(self):
        self.broker()
        self.worker()
        self.add("skip")
        first = self.until_running("skip")
        until(lambda: self.schedule("skip")["skipped"] >= 2, "two that were left out")
        row = self.schedule("skip")
        self.assertEqual((row["overlap"], row["runs"], row["unfinished"], row["backlog"]),
                         ("skip", 1, 1, 0))
        self.assertEqual(self.tasks("skip"), [first])
        self.fleet.drover("cancel", first)
        until(lambda: self.tasks("skip", "running") not in ([], [first]), "the next run")

    def test_queue_runs_one_after_the_other(self):
        broker = self.broker()
        self.worker()
        self.add("queue", "--overlap", "queue")
        first = self.until_running("queue")
        until(lambda: self.schedule("queue")["backlog"] >= 2, "two that wait")
        self.fleet.drover("schedule", "pause", "queue")
        waiting = self.schedule("queue")["backlog"]
        self.assertEqual(self.tasks("queue"), [first])
        broker.kill()  # what waits is still there afterwards
        self.broker()
        self.assertEqual(self.schedule("queue")["backlog"], waiting)
        for left in range(waiting, 0, -1):
            self.fleet.drover("cancel", self.until_running("queue"))
            until(lambda: self.schedule("queue")["backlog"] == left - 1, "the next one")
        self.fleet.drover("cancel", self.until_running("queue"))
        until(lambda: self.schedule("queue")["unfinished"] == 0, "the end")
        self.assertEqual(len(self.tasks("queue")), waiting + 1)
        self.assertEqual(self.schedule("queue")["skipped"], 0)

    def test_replace_ends_the_run_before(self):
        self.broker()
        self.worker()
        self.add("replace", "--overlap", "replace")
        first = self.until_running("replace")
        self.fleet.until_state(first, "cancelled")
        until(lambda: self.tasks("replace", "running") not in ([], [first]), "the next run")
        self.assertLessEqual(len(self.tasks("replace", "running")), 1)

    # ---- a broker that is killed ----

    def restart_after_an_hour(self, *policy):
        """A schedule with a period of ten minutes, of which six instants were missed."""
        broker = self.broker()
        self.worker()
        self.add("often", *policy, period="10m", payload="1")
        broker.kill()
        self.broker(ahead=HOUR + LATE)
        return lambda: self.schedule("often")

    def test_last_missed_run_runs_once(self):
        show = self.restart_after_an_hour("--missed", "run")
        until(lambda: show().get("last", {}).get("state") == "succeeded", "the last one")
        self.assertEqual((show()["runs"], show()["skipped"]), (1, 5))
        self.assertEqual(len(self.tasks("often")), 1)

    def test_missed_runs_are_skipped(self):
        show = self.restart_after_an_hour("--missed", "skip")
        until(lambda: show()["skipped"] == 6, "all are left out")
        self.assertEqual((show()["runs"], self.tasks("often")), (0, []))
        self.assertIn("missed", show()["trouble"])

    def test_missed_run_that_is_too_late_is_skipped(self):
        show = self.restart_after_an_hour("--missed", "run", "--late", "4m")
        until(lambda: show()["skipped"] == 6, "all are left out")
        self.assertEqual(show()["runs"], 0)

    def test_pause_and_run_outlive_the_broker(self):
        broker = self.broker()
        payload = f'"{self.fleet.path("ledger")} tick 0"'
        self.fleet.drover("schedule", "add", "tick", "--every", "1s", "--group", "tick",
                          "--missed", "run", "enter", payload, "--paused")
        self.fleet.drover("schedule", "resume", "tick")
        self.fleet.drover("schedule", "pause", "tick")
        runs = self.schedule("tick")["runs"]
        task = self.fleet.drover("schedule", "run", "tick").stdout.strip()
        broker.kill()
        self.broker(ahead=HOUR)
        self.worker()
        row = self.schedule("tick")
        self.assertTrue(row["paused"])
        self.assertNotIn("next", row)
        self.fleet.until_state(task, "succeeded")
        until(lambda: self.schedule("tick")["unfinished"] == 0, "all have ended")
        self.assertEqual(self.schedule("tick")["runs"], runs + 1)
        self.assertEqual(self.ledger(), ["tick"] * (runs + 1))
        self.fleet.drover("schedule", "resume", "tick")
        until(lambda: self.schedule("tick")["runs"] > runs + 1, "it goes on")


if __name__ == "__main__":
    unittest.main()

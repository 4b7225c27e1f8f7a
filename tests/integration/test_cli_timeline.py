"""Where the time of a task has gone, as `drover show` tells it."""

import os
import pty
import re
import subprocess
import unittest

from fleet import BIN, DEADLINE, SCALE, Fleet

PARTS = ("queued_us", "transfer_us", "run_us", "return_us")


class Timeline(unittest.TestCase):
    def setUp(self):
        self.fleet = Fleet()
        self.addCleanup(self.fleet.__exit__, None, None, None)
        self.fleet.broker()

    def show_on_a_terminal(self, task):
        master, slave = pty.openpty()
        try:
            subprocess.run([os.path.join(BIN, "drover"), "show", task], stdin=subprocess.DEVNULL,
                           stdout=slave, check=True, env=self.fleet.environment(),
                           timeout=DEADLINE * SCALE)
            return os.read(master, 65536).decode()
        finally:
            os.close(slave)
            os.close(master)

    def test_its_parts_are_told_and_drawn(self):
        task = self.fleet.submit("sleep", "200")
        self.assertNotIn("timeline", self.fleet.show(task)) # nobody has it yet
        self.fleet.worker("--slots", "1")
        document = self.fleet.until_state(task, "succeeded")
        timeline, attempt = document["timeline"], document["attempts"][-1]
        self.assertEqual(timeline["attempt"], 1)
        self.assertEqual([timeline[part] for part in PARTS], [attempt[part] for part in PARTS])
        self.assertGreater(timeline["queued_us"], 0)
        self.assertGreaterEqual(timeline["run_us"], 200000)
        # They begin with the submit and end with the acceptance.
        whole_ms = document["submitted_age_ms"] - document["ended_age_ms"]
        self.assertAlmostEqual(sum(timeline[part] for part in PARTS) / 1000, whole_ms, delta=5)
        words = self.fleet.drover("show", task).stdout
        self.assertRegex(words, r"(?m)^timeline +queued .+, transfer .+, run .+, return .+$")
        drawn = self.show_on_a_terminal(task)
        self.assertTrue(re.search(r"(?m)^timeline +\|\.+>+=+<+\|\r?$", drawn), drawn)
        self.assertRegex(drawn, r"\. queued .+  > transfer .+  = run .+  < return ")

    def test_a_running_task_has_come_so_far(self):
        self.fleet.worker("--slots", "1")
        task = self.fleet.submit("sleep", "600000")
        document = self.fleet.until_state(task, "running")
        self.assertIn("run_us", document["timeline"])
        self.assertNotIn("return_us", document["timeline"])

    def test_an_attempt_that_failed_has_its_own(self):
        self.fleet.worker("--slots", "1")
        task = self.fleet.submit("fail", '"x"', "--retries", "1", "--backoff", "50ms")
        document = self.fleet.until_state(task, "failed")
        first, second = document["attempts"]
        self.assertGreaterEqual(second["queued_us"], 25000) # the back-off, with its jitter
        self.assertEqual(document["timeline"]["attempt"], 2)
        self.assertIn("transfer_us", first)


if __name__ == "__main__":
    unittest.main()

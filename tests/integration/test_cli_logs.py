"""What tasks print, followed live and asked for afterwards, from the worker to the terminal."""

import json
import os
import unittest

from fleet import DEADLINE, Fleet, test_module, until


class Logs(unittest.TestCase):
    def setUp(self):
        self.fleet = Fleet()
        self.addCleanup(self.fleet.__exit__, None, None, None)
        self.fleet.broker()

    def start_script(self):
        """A command that prints, waits for the gate to be opened, and prints again; its task."""
        os.mkfifo(self.fleet.path("gate"))
        script = f"echo one; echo two >&2; cat {self.fleet.path('gate')}; echo three"
        self.fleet.start("drover", "run", "--", "sh", "-c", script)
        return until(lambda: [task["id"] for task in self.fleet.json("task", "ls")["tasks"]],
                     "the task is there")[0]

    def open_gate(self):
        with open(self.fleet.path("gate"), "w", encoding="ascii") as gate:
            gate.write("through\n")

    def test_followed_from_before_its_start_to_its_end(self):
        task = self.start_script()
        reader = self.fleet.start("drover", "logs", "-f", task)
        self.fleet.worker("--slots", "1", "--allow-exec", "sh")
        self.assertEqual(reader.read_line(), "one")
        self.open_gate()
        self.assertEqual([reader.read_line(), reader.read_line()], ["through", "three"])
        self.assertEqual(reader.wait(), 0)
        self.assertEqual(reader.stderr(), "two\n")

    def test_what_was_printed_is_kept_with_the_result(self):
        self.fleet.worker("--slots", "1", "--load", test_module("rough"))
        task = self.fleet.submit("speak", '"up"')
        self.fleet.until_state(task, "succeeded")
        done = self.fleet.drover("logs", task)
        self.assertEqual((done.stdout, done.stderr), ("out up\n", "err up\n"))
        rows = [json.loads(line) for line in
                self.fleet.drover("--json", "logs", task).stdout.splitlines()]
        self.assertEqual({row["stream"] for row in rows if "stream" in row}, {"stdout", "stderr"})

    def test_a_task_that_nobody_knows_is_told(self):
        done = self.fleet.drover("logs", "0" * 26, check=False, seconds=DEADLINE)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(len(done.stderr.splitlines()), 1)


if __name__ == "__main__":
    unittest.main()

"""How far tasks are, as a terminal shows it while one waits."""

import os
import pty
import subprocess
import unittest

from fleet import BIN, DEADLINE, SCALE, Fleet, test_module, until


class Progress(unittest.TestCase):
    def setUp(self):
        self.fleet = Fleet()
        self.addCleanup(self.fleet.__exit__, None, None, None)
        self.fleet.broker()

    def worker(self):
        self.fleet.worker("--slots", "1", "--load", test_module("rough"))

    def on_a_terminal(self, *arguments):
        """The command with a terminal for its stderr: the process, and what to read from."""
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        process = subprocess.Popen([os.path.join(BIN, "drover"), *arguments], stderr=slave,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   env=self.fleet.environment())
        os.close(slave)
        self.addCleanup(process.wait)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.kill)
        return process, master

    def until_drawn(self, master, text):
        seen = b""

        def drawn():
            nonlocal seen
            seen += os.read(master, 65536)
            return text.encode() in seen
        until(drawn, f"{text!r} is drawn")

    def active(self):
        return [task["id"] for task in self.fleet.json("task", "ls")["tasks"]
                if task["state"] in ("queued", "running")]

    def test_submit_shows_the_progress_that_its_handler_reports(self):
        self.worker()
        process, master = self.on_a_terminal("submit", "halfway", "--wait")
        self.until_drawn(master, "45.0 %  nearly half")
        self.fleet.drover("cancel", self.active()[0])
        self.assertEqual(process.wait(DEADLINE * SCALE), 1)

    def test_wait_says_what_a_task_waits_for_and_how_far_it_is(self):
        task = self.fleet.submit("halfway")
        process, master = self.on_a_terminal("wait", task)
        self.until_drawn(master, "no worker offers type halfway")
        self.worker()
        self.until_drawn(master, "45.0 %  nearly half")
        self.fleet.drover("cancel", task)
        self.assertEqual(process.wait(DEADLINE * SCALE), 1)
        self.assertEqual(process.stdout.read().decode(), f"{task} cancelled\n")

    def test_wait_counts_several(self):
        self.worker()
        tasks = [self.fleet.submit("square", "1"), self.fleet.submit("halfway")]
        _, master = self.on_a_terminal("wait", *tasks)
        self.until_drawn(master, "1 of 2")
        self.fleet.drover("cancel", tasks[1])

    def test_off_a_terminal_nothing_is_drawn(self):
        self.worker()
        done = self.fleet.drover("submit", "sleep", "1800", "--wait")
        self.assertEqual(done.stderr, "")


if __name__ == "__main__":
    unittest.main()

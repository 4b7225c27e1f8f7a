"""`drover top` in a pseudo-terminal, against a real broker and workers."""

import os
import signal
import subprocess
import unittest

from fleet import BIN, Fleet, until
from terminal import Terminal

QUICK = ("--interval", "100ms")


class Top(unittest.TestCase):
    def setUp(self):
        self.fleet = self.enterContext(Fleet())
        self.server = self.fleet.broker()

    def terminal(self, *arguments, rows=24, columns=80, **environment):
        words = [os.path.join(BIN, "drover"), "top", *QUICK, *arguments]
        environment = {"TERM": "xterm", "LC_ALL": "C.UTF-8", **environment}
        return self.enterContext(
            Terminal(words, {**self.fleet.environment(), **environment}, rows, columns))

    def quit(self, terminal):
        terminal.press("q")
        self.assertEqual(terminal.wait(), 0)

    def test_workers_are_seen_drained_and_resumed(self):
        self.fleet.worker("--name", "alpha", "--slots", "2")
        self.fleet.worker("--name", "beta", "--slots", "1")
        top = self.terminal()
        top.until_text("> alpha", "beta", "[2 workers]", "q quit")
        self.assertGreater(top.screen.colours, 0)
        top.press("\033OB", "d")
        top.until_text("> beta    draining", "draining beta")
        self.assertEqual([worker["state"] for worker in self.fleet.status()["workers"]
                          if worker["name"] == "beta"], ["draining"])
        top.press("r")
        top.until_text("> beta    connected", "resumed beta")
        top.press("\r")
        top.until_text("worker beta", "types and models")
        top.press("\033")
        top.until_text("[2 workers]")
        for key, text in (("1", "MEMORY %"), ("3", "idle"),
                          ("4", "QUEUE"), ("?", "asks first")):
            top.press(key)
            top.until_text(text)
        self.quit(top)

    def test_a_task_is_opened_and_cancelled(self):
        self.fleet.worker("--slots", "1")
        runs = self.fleet.submit("sleep", "60000")
        self.fleet.until_state(runs, "running")
        waits = self.fleet.submit(
            "nobody", "1", "--need", "gpu=1", "--need", "memory=4G", "--require", "zone=eu",
            "--limit", "memory=1G", "--limit", "cpu=30s", "--keep", "7d", "--fairness-key", "me",
            "--backoff", "2s", "--expire", "1h", "--group", "some", "--tag", "a=b")
        top = self.terminal()
        top.press("5")
        top.until_text(runs, waits, "[5 tasks]")
        top.press("/", "nobody", "\r")
        top.until(lambda: runs not in top.text(), "the other one is filtered away")
        top.press("\r")
        top.until_text("why", "no worker offers type nobody", "needs          gpu=1, memory=4G",
                       "limits         memory=1G, cpu=30s", "require        zone=eu",
                       "fairness       me", "keep           7d", "expire         1h", "tags           a=b",
                       "backoff        2s", "group          some", "expires in     59m")
        top.press("\033", "\033")
        top.until_text(f"> {waits}", runs)
        top.press("c")
        top.until_text(f"cancel task {waits}? (y/n)")
        top.press("n")
        top.until_text("not cancelled")
        top.press("/", "sleep", "\r", "c", "y")
        top.until_text(f"cancelling {runs}")
        self.fleet.until_state(runs, "cancelled")
        self.assertEqual(self.fleet.state(waits), "queued")
        self.quit(top)

    def test_it_follows_the_size_of_the_terminal(self):
        self.fleet.worker("--name", "alpha")
        top = self.terminal()
        top.until_text("> alpha", "drover top", "HEARD")
        top.resize(6, 30)
        top.until_text("> alpha", "q quit", "[2 workers]")
        self.assertNotIn("HEARD", top.text())
        top.resize(3, 19)
        top.until_text("too small (q quits)")
        top.resize(30, 160)
        top.until_text("> alpha", "drover top", "HEARD", "MODEL", "TYPES")
        top.until(lambda: "q quit" in top.lines()[29], "the keys are in the last line")
        self.quit(top)

    def test_it_survives_a_restart_of_the_broker(self):
        self.fleet.worker("--name", "alpha")
        top = self.terminal()
        top.until_text("> alpha")
        self.server.kill()
        top.until_text("reconnecting", "alpha")
        top.press("?")
        top.until_text("asks first")
        top.press("\033")
        top.until_text("reconnecting", "alpha")
        self.fleet.broker()
        top.until(lambda: "reconnecting" not in top.text() and "alpha" in top.text(),
                  "it goes on with the new broker")
        self.fleet.submit("nobody", "1")
        top.press("4")
        top.until_text("> default")
        self.quit(top)

    def test_without_colours_and_with_hostile_text(self):
        self.fleet.submit("nobody", "1", "--queue", "bulk")
        top = self.terminal(NO_COLOR="1", TERM="vt100", LC_ALL="C")
        top.press("4")
        top.until_text("> bulk", "[4 queues]")
        self.assertEqual(top.screen.colours, 0)
        top.press("/", "\u4e16\033[31m".encode(), "\x07")
        top.press("\033")
        self.quit(top)
        plain = self.terminal(NO_COLOR="1")
        plain.press("4")
        plain.until_text("> bulk")
        self.assertEqual(plain.screen.colours, 0)
        self.quit(plain)

    def test_signals_and_a_terminal_that_goes_give_it_back(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            top = self.terminal()
            top.until_text("[2 workers]")
            top.signal(number)
            self.assertEqual(top.wait(), 0)
        top = self.terminal()
        top.until_text("[2 workers]")
        top.hang_up()
        until(lambda: top.process.poll() is not None, "it ends with its terminal")

    def test_what_cannot_be_drawn_on_is_refused(self):
        done = self.fleet.drover("top", check=False)
        self.assertEqual(done.returncode, 64)
        self.assertIn("status --watch", done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1)
        done = self.fleet.drover("--json", "top", check=False)
        self.assertEqual(done.returncode, 64)
        for term, text in (("dumb", "cannot be drawn on"), ("nonesuch", "not known")):
            top = self.terminal(TERM=term)
            self.assertEqual(top.wait(), 64)
            self.assertIn(text, top.text().replace("\n", " "))
        done = subprocess.run([os.path.join(BIN, "drover"), "top", "--interval", "1ms"],
                              env=self.fleet.environment(), capture_output=True, text=True,
                              check=False)
        self.assertEqual(done.returncode, 64)


if __name__ == "__main__":
    unittest.main(verbosity=2)

"""`drover run` prints what its command prints while it runs, and all of it."""

import os
import subprocess
import unittest

from fleet import BIN, DEADLINE, SCALE, Fleet


class Live(unittest.TestCase):
    def setUp(self):
        self.fleet = Fleet()
        self.addCleanup(self.fleet.__exit__, None, None, None)
        self.fleet.broker()
        self.fleet.worker("--slots", "1", "--allow-exec", "sh")

    def start(self, *words):
        process = subprocess.Popen([os.path.join(BIN, "drover"), "run", *words],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, env=self.fleet.environment())
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def test_lines_come_while_it_runs(self):
        fifo = self.fleet.path("fifo")
        os.mkfifo(fifo)
        process = self.start("--", "sh", "-c",
                             f"echo one; echo uno >&2; read x < {fifo}; echo two; exit 3")
        self.assertEqual(process.stdout.readline(), b"one\n")
        self.assertEqual(process.stderr.readline(), b"uno\n")
        self.assertIsNone(process.poll())
        with open(fifo, "w", encoding="ascii") as file:
            file.write("\n")
        self.assertEqual(process.stdout.read(), b"two\n")
        self.assertEqual(process.wait(DEADLINE * SCALE), 3)
        self.assertEqual(process.stderr.read(), b"")

    def test_all_of_much_output_is_printed_once_and_in_order(self):
        done = self.fleet.drover("run", "--", "sh", "-c",
                                 "seq 1 700000; seq 1 70000 >&2; exit 7", check=False)
        self.assertEqual(done.returncode, 7)
        self.assertEqual(done.stdout, "".join(f"{n}\n" for n in range(1, 700001)))
        self.assertEqual(done.stderr, "".join(f"{n}\n" for n in range(1, 70001)))

    def test_a_command_that_is_ended_has_said_what_it_said(self):
        done = self.fleet.drover("run", "--timeout", "700ms", "--", "sh", "-c",
                                 "echo before; sleep 1000", check=False)
        self.assertEqual((done.returncode, done.stdout), (1, "before\n"), done.stderr)
        self.assertIn("timeout", done.stderr)

    def test_a_second_attempt_is_printed_after_the_first(self):
        mark = self.fleet.path("mark")
        done = self.fleet.drover("run", "--retries", "1", "--backoff", "50ms", "--", "sh", "-c",
                                 f"echo try; test -e {mark} && exit 0; touch {mark}; exit 1")
        self.assertIn(done.stdout, ("try\ntry\n", "try\n"))


if __name__ == "__main__":
    unittest.main()

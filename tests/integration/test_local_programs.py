"""Private pools from programs: the examples, the command, a program that is its own worker."""

import os
import signal
import subprocess
import tempfile
import unittest

from fleet import BIN, SCALE, module, until

EXAMPLES = os.path.join(os.path.dirname(BIN), "examples")


class Local(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="drover-test-")
        self.addCleanup(self.folder.cleanup)
        self.files = os.path.join(self.folder.name, "files")
        self.temporary = os.path.join(self.folder.name, "tmp")
        os.mkdir(self.files)
        os.mkdir(self.temporary)
        self.environment = {**os.environ, "TMPDIR": self.temporary,
                            "DROVER_TEST_MARK": self.folder.name}

    def run_program(self, path, *arguments, stdin="", code=0, **environment):
        done = subprocess.run([path, *arguments], input=stdin, capture_output=True, text=True,
                              check=False, cwd=self.files, timeout=60 * SCALE,
                              env={**self.environment, **environment})
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done

    def drover(self, *arguments, **options):
        return self.run_program(os.path.join(BIN, "drover"), *arguments, **options)

    def marked(self):
        """The processes that this test has caused."""
        found = []
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{name}/environ", "rb") as file:
                    if f"DROVER_TEST_MARK={self.folder.name}".encode() in file.read().split(b"\0"):
                        found.append(int(name))
            except OSError:
                pass
        return found

    def until_nothing_is_left(self):
        until(lambda: not self.marked(), "the pool's processes are gone")
        until(lambda: not os.listdir(self.temporary), "the pool's files are gone")

    # ---- examples ----

    def test_examples_print_what_they_promise(self):
        for name, arguments, lines in (
                ("local_pool", [module("demo")], ["49"]),
                ("own_handlers", [], ["27"]),
                ("local_map", ["8"], ["0", "1", "7", "2", "5", "8", "16", "3"])):
            with self.subTest(example=name):
                done = self.run_program(os.path.join(EXAMPLES, name), *arguments)
                self.assertEqual((done.stdout.splitlines(), done.stderr), (lines, ""))
        self.until_nothing_is_left()

    # ---- a program that is its own worker ----

    def test_own_program_serves_only_when_it_is_marked(self):
        """The second start is a worker with the options of drover-worker."""
        program = os.path.join(EXAMPLES, "own_handlers")
        done = self.run_program(program, "--call", "cube", "4", DROVER_WORKER_MAIN="1")
        self.assertEqual(done.stdout, "64\n")
        done = self.run_program(program, "--call", "cube", "4")
        self.assertEqual(done.stdout, "27\n")
        done = self.run_program(program, "--nonsense", DROVER_WORKER_MAIN="1", code=64)
        self.assertIn("--nonsense", done.stderr)

    def test_own_program_is_shown_as_itself(self):
        """What runs is the program, and its pool ends when it is killed."""
        program = subprocess.Popen([os.path.join(EXAMPLES, "local_map"), "100000000"],
                                   stdout=subprocess.PIPE, env=self.environment,
                                   cwd=self.files)
        self.assertEqual(program.stdout.readline(), b"0\n")
        names = [os.path.basename(os.readlink(f"/proc/{pid}/exe")) for pid in self.marked()]
        self.assertIn("drover-local", names)
        self.assertGreaterEqual(names.count("local_map"), 3)  # itself, the agent, the zygote
        self.assertNotIn("drover-worker", names)
        program.send_signal(signal.SIGKILL)
        program.wait()
        program.stdout.close()
        self.until_nothing_is_left()

    # ---- the command ----

    def test_command_runs_on_a_pool_of_its_own(self):
        load = f"2?load={module('demo')}"
        self.assertEqual(self.drover("--local", load, "submit", "square", "9", "--wait").stdout,
                         "81\n")
        done = self.drover("map", "square", stdin="1\n2\n3\n", DROVER_BROKER="local://" + load)
        self.assertEqual(done.stdout, "1\n4\n9\n")
        self.until_nothing_is_left()

    def test_xargs_on_a_pool_works_like_xargs(self):
        """The command is allowed because it is asked for, and runs where the caller is."""
        for name in ("a", "b"):
            with open(os.path.join(self.files, name), "w", encoding="ascii") as file:
                file.write(f"in {name}\n")
        done = self.drover("xargs", "cat", stdin="a\nb\n", DROVER_BROKER="local://2")
        self.assertEqual(done.stdout, "in a\nin b\n")
        done = self.drover("--local", "1", "run", "--", "sh", "-c", "pwd; exit 3", code=3)
        self.assertEqual(done.stdout.strip(), os.path.realpath(self.files))
        done = self.drover("xargs", "echo", stdin="x\n",
                           DROVER_BROKER="local://2?allow-exec=echo&exec-dir=%2F")
        self.assertEqual(done.stdout, "x\n")
        self.until_nothing_is_left()

    def test_pool_of_a_command_outlives_its_interrupt(self):
        """Ctrl-C is for the command, which cancels its task; the pool does not see it."""
        started = os.path.join(self.files, "started")
        command = subprocess.Popen(
            [os.path.join(BIN, "drover"), "--local", "1", "run", "--", "sh", "-c",
             f"echo > {started}; exec tail -f /dev/null"],
            env=self.environment, cwd=self.files, stderr=subprocess.PIPE, text=True,
            process_group=0)
        until(lambda: os.path.exists(started), "the command runs")
        os.killpg(command.pid, signal.SIGINT)
        _, words = command.communicate(timeout=60 * SCALE)
        self.assertEqual((command.returncode, words),
                         (130, "drover: run: interrupted, the command was cancelled\n"))
        self.until_nothing_is_left()

    def test_mistakes_are_told(self):
        for arguments, words in (
                (["--local", "x", "status"], "'x' is no number of slots"),
                (["--local", "1", "status"], "nothing to run"),
                (["--local", "1?load=/nonexistent.so", "status"], "/nonexistent.so"),
                (["--local", f"1?load={module('demo')}", "submit", "noop"], "say --wait"),
                (["--broker", "local://1?lod=x", "status"], "unknown key 'lod'")):
            with self.subTest(arguments=arguments):
                done = self.drover(*arguments, code=64)
                self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
                self.assertIn(words, done.stderr)
        done = self.drover("--local", "1", "run", "--", "true", code=69,
                           DROVER_BIN_DIR="/nonexistent")
        self.assertIn("there is no directory /nonexistent", done.stderr)

    def test_keeper_is_not_for_people(self):
        for arguments in ([], ["--help"], ["3", "-1", "own", "warn", "b", "w"]):
            done = self.run_program(os.path.join(BIN, "drover-local"), *arguments, code=64)
            self.assertIn("started by the client library", done.stderr)


if __name__ == "__main__":
    unittest.main()

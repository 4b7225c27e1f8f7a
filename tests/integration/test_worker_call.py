"""drover-worker --call: one handler of every kind, without a broker; and under a debugger."""

import json
import os
import shutil
import subprocess
import sys
import unittest

from fleet import BIN, DEADLINE, SCALE, Fleet, module

# Where the build is instrumented, a signal is to end the process all the same.
PLAIN_SIGNALS = {name: os.environ.get(name, "") + ":handle_segv=0"
                 for name in ("ASAN_OPTIONS", "TSAN_OPTIONS")}
ECHO = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "unit", "worker",
                    "persist_echo.py")
CONFIG = """
[handler.upper]
command = tr a-z A-Z
stdin = text
stdout = text
[handler.talk]
command = sh -c
argument = echo to stderr >&2; exit 3
[handler.killed]
command = sh -c
argument = kill -9 $$
[handler.stay]
command = /usr/bin/python3
argument = %s
persist = yes
[handler.gone]
command = /nowhere/at/all
""" % ECHO


class Call(unittest.TestCase):
    def setUp(self):
        self.fleet = Fleet()
        self.addCleanup(self.fleet.__exit__, None, None, None)
        self.config = self.fleet.write("worker.ini", CONFIG)

    def call(self, *words, stdin=b""):
        command = [os.path.join(BIN, "drover-worker"), "--config", self.config, "--load",
                   module("demo"), "--allow-exec", "sh", "--call", *words]
        done = subprocess.run(command, input=stdin, capture_output=True, check=False,
                              timeout=DEADLINE * SCALE, cwd=self.fleet.folder,
                              env={**os.environ, **PLAIN_SIGNALS})
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def assert_refused(self, *words, code=64, text="", stdin=b""):
        status, out, err = self.call(*words, stdin=stdin)
        self.assertEqual((status, out), (code, ""), err)
        self.assertEqual(err.count("\n"), 1, err)
        self.assertTrue(err.startswith("drover-worker: "), err)
        self.assertIn(text, err)

    def test_a_function_prints_its_result(self):
        self.assertEqual(self.call("square", "12"), (0, "144\n", ""))
        self.assertEqual(self.call("noop"), (0, "null\n", ""))

    def test_a_payload_comes_from_stdin(self):
        self.assertEqual(self.call("echo", "-", stdin=b'{"a": [1, 2.5, "x"]}\n'),
                         (0, '{"a":[1,2.5,"x"]}\n', ""))
        long = json.dumps("y" * 300000).encode()
        self.assertEqual(self.call("echo", "-", stdin=long)[1].encode(), long + b"\n")
        self.assert_refused("echo", "-", text="no JSON")

    def test_bad_words_are_told_in_one_line(self):
        self.assert_refused("square", "{", text="no JSON")
        self.assert_refused("square", "1 2", text="no JSON")
        self.assert_refused("cube", "1", text="cube")
        self.assert_refused("square", "1", "2", text="unexpected")

    def test_a_failure_has_its_code_and_text(self):
        self.assert_refused("fail", '"for a reason"', code=1, text="demo: for a reason")
        self.assert_refused("square", '"x"', code=1, text="bad-arg: integer wanted")

    def test_progress_and_partial_data_are_shown(self):
        status, out, err = self.call("count", "3")
        self.assertEqual((status, out), (0, "3\n"))
        self.assertEqual([line for line in err.splitlines() if line.startswith("data")],
                         ["data 1", "data 2", "data 3"])
        self.assertIn("progress 1000/1000", err)

    def test_shared_data_is_not_there(self):
        self.assert_refused("kv_get", '"key"', code=1, text="unavailable")

    def test_a_command_runs_as_in_a_worker(self):
        self.assertEqual(self.call("upper", '"shout"'), (0, '"SHOUT"\n', ""))
        status, out, err = self.call("talk")
        self.assertEqual((status, out), (1, ""))
        self.assertEqual(err.splitlines(), ["to stderr", "drover-worker: exit: the command ended "
                                            "with exit code 3"])
        self.assert_refused("killed", code=1, text="signal 9 (SIGKILL)")
        self.assert_refused("gone", code=1, text="/nowhere/at/all cannot be started")

    def test_a_command_that_a_task_names(self):
        status, out, _ = self.call("exec:sh", '{"argv": ["sh", "-c", "echo hi; exit 2"]}')
        result = json.loads(out)
        self.assertEqual((status, result["exit"]), (1, 2))
        self.assert_refused("exec:sh", '{"argv": ["rm"]}', code=1, text="denied")

    def test_a_persistent_command(self):
        self.assertEqual(self.call("stay", '{"do": "echo", "value": [1, null]}')[:2],
                         (0, "[1,null]\n"))
        status, out, err = self.call("stay", '{"do": "progress"}')
        self.assertEqual((status, out), (0, "null\n"), err)
        for line in ("progress 500/1000", "log half way", 'data [1,"a"]', "to stderr"):
            self.assertIn(line, err)
        self.assert_refused("stay", '{"do": "error"}', code=1, text="sorry: as asked")

    def test_a_crash_ends_it_by_the_signal(self):
        status, out, err = self.call("crash")
        self.assertEqual((status, out), (-11, ""))
        self.assertIn("about to crash", err)

    def test_modules_that_cannot_be_loaded(self):
        done = subprocess.run([os.path.join(BIN, "drover-worker"), "--load", "./missing.so",
                               "--call", "square", "1"], capture_output=True, text=True,
                              check=False, timeout=DEADLINE * SCALE)
        self.assertEqual(done.returncode, 64, done.stderr)
        self.assertIn("missing.so", done.stderr)


class Debugger(unittest.TestCase):
    """What worker/README.md says about a crash, done."""

    def test_gdb_stops_where_the_handler_crashes(self):
        if shutil.which("gdb") is None:
            sys.stderr.write("SKIPPED: gdb is not installed; nothing shows that it finds a crash\n")
            self.skipTest("gdb is not installed")
        if SCALE > 1:
            self.skipTest("an instrumented program has its own handlers")
        done = subprocess.run(
            ["gdb", "-q", "-batch", "-nx", "-ex", "set debuginfod enabled off", "-ex", "run",
             "-ex", "backtrace", "-ex", "print drover_job_attempt(job)", "-ex", "frame function crash",
             "-ex", "info args", "--args", os.path.join(BIN, "drover-worker"), "--load",
             module("demo"), "--call", "crash"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            timeout=3 * DEADLINE * SCALE)
        if "ptrace: Operation not permitted" in done.stderr:
            sys.stderr.write("SKIPPED: this machine lets nobody trace processes\n")
            self.skipTest("no ptrace here")
        self.assertIn("SIGSEGV", done.stdout, done.stderr)
        self.assertRegex(done.stdout, r"#\d+ +.*\bcrash \(job=.*demo\.c:\d+")
        self.assertIn("job = 0x", done.stdout)


if __name__ == "__main__":
    unittest.main()

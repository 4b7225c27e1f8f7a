"""map, run and xargs against a broker and two workers."""

import hashlib
import json
import os
import signal
import subprocess
import unittest

from fleet import BIN, DEADLINE, SCALE, Fleet, until


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


class Stream(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.fleet = cls.enterClassContext(Fleet())
        cls.fleet.broker()
        allowed = [word for name in ("sh", "cat", "sha256sum", "/bin/echo")
                   for word in ("--allow-exec", name)]
        for name in ("one", "two"):
            cls.fleet.worker("--slots", "4", "--name", name, *allowed)

    def drover(self, *arguments, code=0, **options):
        done = self.fleet.drover(*arguments, check=False, **options)
        self.assertEqual(done.returncode, code, f"{arguments}\n{done.stdout}{done.stderr}")
        return done

    # ---- map ----

    def test_map_keeps_the_order_of_ten_thousand(self):
        count = 10000
        done = self.drover("map", "square", stdin="".join(f"{n}\n" for n in range(count)),
                           seconds=2 * DEADLINE)
        self.assertEqual(done.stdout.split(), [str(n * n) for n in range(count)])
        self.assertEqual(done.stderr, "")

    def test_map_in_batches_gives_the_same(self):
        done = self.drover("map", "square", "--batch", "5", stdin="\n".join(map(str, range(20))))
        self.assertEqual(done.stdout.split(), [str(n * n) for n in range(20)])

    def test_map_of_nothing_is_nothing(self):
        self.assertEqual(self.drover("map", "square", stdin="").stdout, "")
        self.assertEqual(self.drover("map", "square", stdin="\n \n").stdout, "")

    def test_map_prints_failed_elements_in_their_place(self):
        done = self.drover("map", "square", stdin='1\n"x"\n3\n', code=1)
        lines = done.stdout.splitlines()
        self.assertEqual((lines[0], lines[2]), ("1", "9"))
        self.assertEqual(json.loads(lines[1])["error"]["kind"], "handler")
        self.assertIn("1 elements did not succeed", done.stderr)

    def test_map_stops_on_the_first_error(self):
        stdin = '1\n"x"\n' + "60000\n" * 20
        done = self.drover("map", "sleep", "--stop-on-error", stdin=stdin, code=1)
        self.assertEqual(len(done.stdout.splitlines()), 2, done.stdout)
        self.assertRegex(done.stderr, "element (1 )?did not succeed")
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        until(lambda: not self.active(), "all elements have ended")

    def test_map_does_not_wait_for_the_turn_of_an_error(self):
        stdin = '60000\n"x"\n' + "60000\n" * 20
        done = self.drover("map", "sleep", "--stop-on-error", stdin=stdin, code=1)
        self.assertEqual(done.stdout, "")
        self.assertIn("an element did not succeed; array", done.stderr)
        until(lambda: not self.active(), "all elements have ended")

    def test_what_failed_while_one_waited_can_be_looked_at(self):
        done = self.drover("submit", "fail", '"no luck"', "--wait", code=1)
        task = done.stderr.split("task ")[1].split()[0]
        self.assertEqual(self.fleet.show(task)["state"], "failed")
        again = self.fleet.drover("retry", task).stdout.split()[1]
        self.fleet.until_state(again, "failed")

    def test_map_with_json_prints_outcomes(self):
        done = self.drover("--json", "map", "square", stdin='1\n"x"\n', code=1)
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual([row["index"] for row in rows], [0, 1])
        self.assertEqual([row["state"] for row in rows], ["succeeded", "failed"])
        self.assertEqual(rows[0]["value"], 1)
        self.assertEqual(rows[1]["error"]["code"], "bad-arg")

    def test_map_names_the_malformed_line(self):
        path = self.fleet.write("items", "1\n2\n{\n4\n")
        done = self.drover("map", "square", path, code=64)
        self.assertEqual(len(done.stderr.splitlines()), 1)
        self.assertIn(f"{path}:3:", done.stderr)
        until(lambda: not self.active(), "nothing of the array is left")

    def active(self):
        tasks = self.fleet.status()["tasks"]
        return tasks["waiting"] + tasks["delayed"] + tasks["queued"] + tasks["running"]

    def test_map_streams_results_before_the_input_ends(self):
        with subprocess.Popen([os.path.join(BIN, "drover"), "map", "square"], text=True,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              env=self.fleet.environment()) as process:
            for number in (3, 4):
                process.stdin.write(f"{number}\n")
                process.stdin.flush()
                self.assertEqual(process.stdout.readline(), f"{number * number}\n")
            process.stdin.close()
            self.assertEqual(process.wait(DEADLINE * SCALE), 0)

    def shell(self, script):
        """A line of shell with the command as $0."""
        return subprocess.run(["sh", "-c", script, os.path.join(BIN, "drover")],
                              capture_output=True, text=True, check=False, cwd=self.fleet.folder,
                              env=self.fleet.environment(), timeout=DEADLINE * SCALE)

    def test_map_with_a_closed_stdin_is_a_map_of_nothing(self):
        done = self.shell('"$0" map square <&-')
        self.assertEqual((done.returncode, done.stdout), (0, ""))

    def test_map_whose_reader_leaves_is_cancelled(self):
        done = self.shell('seq 1 100000 | "$0" map square | head -n 1')
        self.assertEqual(done.stdout, "1\n")
        self.assertNotIn("stdout", done.stderr)
        until(lambda: not any(task["state"] in ("queued", "running")
                              for task in self.fleet.json("task", "ls")["tasks"]),
              "nothing of the map is left")

    def test_output_that_finds_no_room_is_told(self):
        for command in ("map square", "status", "--json status"):
            done = self.shell(f'echo 3 | "$0" {command} >/dev/full')
            self.assertEqual(done.returncode, 74, command)
            self.assertIn("No space left on device", done.stderr, command)

    def test_map_interrupted_cancels_what_is_left(self):
        path = self.fleet.write("sleeps", "60000\n" * 20)
        process = self.fleet.start("drover", "map", "sleep", path)
        until(lambda: self.fleet.status()["tasks"]["running"] > 0, "an element runs")
        process.signal(signal.SIGINT)
        self.assertEqual(process.wait(), 128 + signal.SIGINT)
        until(lambda: not self.active(), "all elements have ended")

    def test_map_out_of_time_exits_with_124(self):
        done = self.drover("map", "sleep", "--wait-timeout", "100ms", stdin="60000\n", code=124)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        until(lambda: not self.active(), "all elements have ended")

    # ---- run ----

    def test_run_prints_and_exits_as_the_command(self):
        done = self.drover("run", "--", "sh", "-c", "echo out; echo err >&2; exit 7", code=7)
        self.assertEqual((done.stdout, done.stderr), ("out\n", "err\n"))
        self.assertEqual(self.drover("run", "/bin/echo", "--help-me").stdout, "--help-me\n")

    def test_run_of_a_killed_command_exits_with_128_and_the_signal(self):
        self.drover("run", "--", "sh", "-c", "kill -TERM $$", code=128 + signal.SIGTERM)

    def test_run_sends_stdin_when_asked(self):
        self.assertEqual(self.drover("run", "--stdin", "cat", stdin="hello").stdout, "hello")
        self.assertEqual(self.drover("run", "cat", stdin="hello").stdout, "")

    def test_run_with_json_tells_all(self):
        done = self.drover("--json", "run", "--", "sh", "-c", "echo out; exit 3", code=3)
        document = json.loads(done.stdout)
        self.assertEqual((document["exit"], document["signal"], document["stdout"]),
                         (3, 0, "out\n"))
        self.assertEqual(document["state"], "failed")
        self.assertEqual(document["error"]["exit_code"], 3)

    def test_run_out_of_time_is_cancelled(self):
        done = self.drover("run", "--wait-timeout", "200ms", "--", "sh", "-c", "sleep 60", code=124)
        self.assertIn("cancelled", done.stderr)
        until(lambda: not self.active(), "nothing runs any more")

    def test_run_over_its_attempt_timeout_fails(self):
        done = self.drover("run", "--timeout", "100ms", "--", "sh", "-c", "sleep 60", code=1)
        self.assertIn("timeout", done.stderr)

    def test_run_of_a_command_that_nobody_allows_warns(self):
        done = self.drover("run", "--wait-timeout", "2s", "--", "not-allowed", code=124)
        self.assertIn("no worker offers 'exec:not-allowed'", done.stderr)

    # ---- xargs ----

    def files(self, count):
        names = []
        for number in range(count):
            names.append(self.fleet.write(f"file {number}", f"content {number}\n" * number))
        return names

    def test_xargs_equals_sha256sum(self):
        names = self.files(200)
        wanted = "".join(f"{digest(name)}  {name}\n" for name in names)
        for options in ([], ["-n", "7"], ["-P", "3"], ["--null"]):
            separator = "\0" if options == ["--null"] else "\n"
            done = self.drover("xargs", *options, "sha256sum", stdin=separator.join(names))
            self.assertEqual(done.stdout, wanted, options)
        path = self.fleet.write("names", "\n".join(names) + "\n")
        self.assertEqual(self.drover("xargs", "--from", path, "sha256sum", "{}").stdout, wanted)

    def test_xargs_takes_names_that_are_no_utf8(self):
        name = os.path.join(os.fsencode(self.fleet.folder), b"caf\xe9")
        with open(name, "wb") as file:
            file.write(b"coffee\n")
        with open(self.fleet.path("odd names"), "wb") as file:
            file.write(name + b"\n")
        done = self.drover("xargs", "--from", self.fleet.path("odd names"), "cat", "{}")
        self.assertEqual(done.stdout, "coffee\n")

    def test_xargs_replaces_the_place_anywhere(self):
        done = self.drover("xargs", "/bin/echo", "a{}b", "{}{}", stdin="x\n\ny z\n")
        self.assertEqual(done.stdout, "axb xx\nay zb y zy z\n")

    def test_xargs_exits_with_123_when_one_failed(self):
        script = 'echo "out $0"; echo "err $0" >&2; [ "$0" != 2 ]'
        done = self.drover("xargs", "sh", "-c", script, stdin="1\n2\n3\n", code=123)
        self.assertEqual(done.stdout, "out 1\nout 2\nout 3\n")
        self.assertIn("err 1\n", done.stderr)
        self.assertIn("xargs: command 2: handler: ", done.stderr)

    def test_xargs_with_json_prints_a_line_per_command(self):
        done = self.drover("--json", "xargs", "/bin/echo", stdin="1\n2\n")
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual([(row["index"], row["exit"], row["stdout"]) for row in rows],
                         [(0, 0, "1\n"), (1, 0, "2\n")])

    def test_xargs_of_nothing_runs_nothing(self):
        self.assertEqual(self.drover("xargs", "/bin/echo", stdin="").stdout, "")


if __name__ == "__main__":
    unittest.main()

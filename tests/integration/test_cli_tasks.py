"""Tasks on the command line, from submit to forget, against a broker and a worker."""

import base64
import json
import os
import signal
import subprocess
import unittest

from fleet import BIN, SCALE, Fleet, test_module, until

NOBODY = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


class Tasks(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.fleet = cls.enterClassContext(Fleet())
        cls.fleet.broker()
        cls.fleet.worker("--slots", "2", "--name", "one")

    def drover(self, *arguments, code=0, **options):
        done = self.fleet.drover(*arguments, check=False, **options)
        self.assertEqual(done.returncode, code, f"{arguments}\n{done.stdout}{done.stderr}")
        return done

    def one_line(self, *arguments, code):
        done = self.drover(*arguments, code=code)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        return done.stderr

    # ---- submit, result ----

    def test_submit_prints_the_id_and_result_the_value(self):
        task = self.fleet.submit("square", "7")
        self.assertRegex(task, r"^[0-9A-Z]{26}$")
        self.assertEqual(self.drover("result", task).stdout, "49\n")
        outcome = self.fleet.json("result", task)
        self.assertEqual((outcome["id"], outcome["state"], outcome["attempt"], outcome["value"]),
                         (task, "succeeded", 1, 49))
        self.assertNotIn("error", outcome)

    def test_submit_with_wait_prints_the_result(self):
        self.assertEqual(self.drover("submit", "square", "5", "--wait").stdout, "25\n")
        self.assertEqual(self.fleet.json("submit", "square", "5", "--wait")["value"], 25)
        self.assertEqual(self.fleet.json("submit", "noop").keys(), {"id"})

    def test_payload_comes_from_many_places(self):
        path = self.fleet.write("payload.json", '{"a": [1, "é"]}')
        for arguments, stdin in ((['{"a":[1,"é"]}'], None), (["-"], '{"a":[1,"\\u00e9"]}'),
                                 (["--file", path], None)):
            done = self.drover("submit", "echo", *arguments, "--wait", stdin=stdin)
            self.assertEqual(done.stdout, '{"a":[1,"é"]}\n')
        self.assertEqual(self.drover("submit", "echo", "--wait").stdout, "null\n")

    def test_raw_payload_comes_back_as_bytes(self):
        raw = bytes(range(256)) * 10
        with open(self.fleet.path("raw"), "wb") as file:
            file.write(raw)
        done = subprocess.run([os.path.join(BIN, "drover"), "submit", "echo", "--raw",
                               self.fleet.path("raw"), "--wait"], capture_output=True,
                              env=self.fleet.environment(), check=True, timeout=20 * SCALE)
        self.assertEqual(done.stdout, raw)
        outcome = self.fleet.json("submit", "echo", "--raw", self.fleet.path("raw"), "--wait")
        self.assertEqual(outcome["content_type"], "application/octet-stream")

    def test_failure_is_told_on_stderr_with_exit_1(self):
        text = self.one_line("submit", "fail", '"bad luck"', "--wait", code=1)
        self.assertRegex(text, r"^drover: task [0-9A-Z]{26} failed: handler: bad luck \(demo\)$")
        text = self.one_line("submit", "crash", "--wait", code=1)
        self.assertRegex(text, "failed: crash: ")
        text = self.one_line("submit", "sleep", "60000", "--timeout", "100ms", "--wait", code=1)
        self.assertRegex(text, "failed: timeout: ")
        done = self.drover("--json", "submit", "fail", '"bad luck"', "--wait", code=1)
        error = json.loads(done.stdout)["error"]
        self.assertEqual((error["kind"], error["code"], error["text"]),
                         ("handler", "demo", "bad luck"))

    def test_text_of_peers_is_escaped(self):
        text = self.one_line("submit", "fail", '"\\u001b[31mred"', "--wait", code=1)
        self.assertNotIn("\033", text)
        self.assertIn("\\x1b[31mred", text)

    def test_type_that_nobody_offers_is_warned_about_and_refused_with_strict(self):
        done = self.drover("submit", "squear", "1", "--expire", "1h")
        self.assertIn("no worker offers 'squear'", done.stderr)
        self.assertIn("square", done.stderr)
        self.assertEqual(self.drover("why", done.stdout.strip()).returncode, 0)
        self.drover("cancel", done.stdout.strip())
        self.assertIn("no connected worker offers",
                      self.one_line("submit", "squear", "--strict", code=1))

    def test_durability_that_the_store_cannot_give_is_refused(self):
        self.one_line("submit", "noop", "--durability", "synced", code=1)

    def test_losses_are_a_budget_of_their_own(self):
        def left(*options):
            task = self.fleet.submit("noop", "--delay", "1h", *options)
            shown = self.fleet.show(task)
            self.drover("cancel", task)
            return shown["losses_left"], shown["retries_left"]
        self.assertEqual(left("--retries", "1"), (3, 1))
        self.assertEqual(left("--losses", "0"), (0, 0))
        self.assertEqual(left("--losses", "7"), (7, 0))
        self.drover("submit", "noop", "--losses", "-1", code=64)

    def test_parent_that_never_was_is_told_as_such(self):
        text = self.one_line("submit", "noop", "--after", NOBODY, code=1)
        self.assertIn(f"there is no task {NOBODY} to wait for", text)
        self.assertNotIn("did not succeed", text)

    # ---- deadlines ----

    def test_deadlines_exit_with_124_and_the_task_goes_on(self):
        task = self.fleet.submit("sleep", "60000")
        self.assertIn(task, self.one_line("result", task, "--timeout", "0", code=124))
        self.one_line("result", task, "--timeout", "50ms", code=124)
        self.one_line("wait", task, "--timeout", "50ms", code=124)
        self.fleet.until_state(task, "running")
        self.assertEqual(self.drover("cancel", task).stdout, f"{task} cancelled\n")
        text = self.one_line("submit", "sleep", "60000", "--wait", "--wait-timeout", "50ms",
                             code=124)
        self.drover("cancel", text.split("task ")[1].split()[0])

    # ---- wait, cancel, retry, forget ----

    def test_wait_tells_each_end(self):
        good = self.fleet.submit("square", "1")
        bad = self.fleet.submit("fail", '"x"')
        done = self.drover("wait", good, bad, code=1)
        self.assertEqual(sorted(done.stdout.splitlines()),
                         sorted([f"{good} succeeded", f"{bad} failed"]))
        done = self.drover("--json", "wait", good)
        self.assertEqual(json.loads(done.stdout), {"task": good, "state": "succeeded"})

    def test_wait_for_a_queue_ends_when_it_is_empty(self):
        tasks = [self.fleet.submit("sleep", "20", "--queue", "short") for _ in range(5)]
        done = self.drover("wait", "--queue", "short")
        self.assertTrue(set(done.stdout.split()) - {"succeeded"} <= set(tasks))
        for task in tasks:
            self.assertEqual(self.fleet.state(task), "succeeded")
        self.assertEqual(self.drover("wait", "--queue", "nothing-there").stdout, "")

    def test_cancel_of_a_running_task_waits_for_its_end(self):
        task = self.fleet.submit("spin", "60000")
        self.fleet.until_state(task, "running")
        done = self.fleet.json("cancel", task, "--reason", "enough")
        self.assertEqual(done, {"task": task, "state": "cancelled"})
        self.assertEqual(self.fleet.state(task), "cancelled")
        self.assertIn("cancelled", self.one_line("result", task, code=1))
        self.assertEqual(self.fleet.show(task)["error"]["text"], "cancelled by request: enough")

    def test_cancel_without_waiting_returns_at_once(self):
        task = self.fleet.submit("sleep", "60000")
        self.assertEqual(self.drover("cancel", task, "--no-wait").stdout, f"{task} cancelling\n")
        self.fleet.until_state(task, "cancelled")

    def test_cancel_of_an_ended_task_tells_its_state(self):
        task = self.fleet.submit("square", "2")
        self.drover("wait", task)
        self.assertEqual(self.drover("cancel", task).stdout, f"{task} succeeded\n")

    def test_retry_submits_anew(self):
        task = self.fleet.submit("fail", '"x"', "--queue", "retried")
        self.drover("wait", task, code=1)
        old, new = self.drover("retry", task).stdout.split()
        self.assertEqual(old, task)
        self.assertEqual(self.fleet.show(new)["retry_of"], task)
        self.drover("wait", new, code=1)
        done = self.drover("retry", "--failed", "--queue", "retried")
        self.assertEqual({line.split()[0] for line in done.stdout.splitlines()}, {new})
        good = self.fleet.submit("square", "2")
        self.drover("wait", good)
        self.assertIn("has succeeded", self.one_line("retry", good, code=1))

    def test_retry_of_all_that_failed_leaves_out_what_was_retried(self):
        def again():
            done = self.drover("--json", "retry", "--failed", "--queue", "anew")
            return [json.loads(line) for line in done.stdout.splitlines()]
        task = self.fleet.submit("kv_get", '"anew"', "--queue", "anew")
        done = self.drover("--json", "map", "kv_get", "--queue", "anew", "--keep", "1h",
                           stdin='"anew"\n', code=1)
        array = json.loads(done.stdout.splitlines()[0])["id"]
        self.drover("wait", task, code=1)
        self.drover("kv", "set", "anew", "1")
        first = {line["task"]: line["retried_as"] for line in again()}
        self.assertEqual(first.keys(), {task, array})
        self.drover("wait", *first.values())
        rows = self.fleet.json("task", "ls", "--queue", "anew")["tasks"]
        self.assertEqual({row["id"]: row["retried_as"] for row in rows if "retried_as" in row},
                         first)
        self.assertEqual(again(), [])
        self.drover("wait", self.drover("retry", task).stdout.split()[1])

    def test_retry_of_an_array_leaves_out_what_was_retried(self):
        done = self.drover("--json", "map", "kv_get", "--queue", "parts", "--keep", "1h",
                           stdin='"parts"\n"parts2"\n"parts"\n', code=1)
        array = json.loads(done.stdout.splitlines()[0])["id"]
        for key in ("parts", "parts2"):
            self.drover("kv", "set", key, f'"{key}"')
        first = self.drover("retry", f"{array}.0").stdout.split()[1]
        rest = self.drover("retry", array).stdout.split()[1]
        self.drover("wait", first, rest)
        self.assertEqual(self.drover("result", rest).stdout, '"parts2"\n"parts"\n')
        self.assertEqual(self.fleet.show(rest)["count"], 2)
        for index in (1, 2):
            self.drover("retry", f"{array}.{index}")
        self.assertIn("nothing to retry", self.one_line("retry", array, code=1))
        self.assertNotIn(array, self.drover("retry", "--failed", "--queue", "parts").stdout)

    def test_what_expires_before_it_is_due_is_refused(self):
        times = ("--delay", "2s", "--expire", "1s")
        nodes = {"nodes": [{"name": "early", "type": "square", "delay": "2s", "expire": "1s"}]}
        for words, stdin in (
                (("submit", "square", "1", *times), None),
                (("map", "square", *times), "1\n"),
                (("schedule", "add", "early", "--every", "1h", "square", "1", *times), None),
                (("graph", "submit", "-"), json.dumps(nodes))):
            with self.subTest(words=words):
                done = self.drover("--json", *words, stdin=stdin, code=64)
                error = json.loads(done.stderr)["error"]
                self.assertEqual(error["code"], "invalid")
                self.assertIn("expire is not longer than delay", error["text"])

    def test_retry_of_no_group_is_told(self):
        for command in (("retry", "--failed"), ("cancel",)):
            self.assertIn("there is no group 'nosuch'",
                          self.one_line(*command, "--group", "nosuch", code=1))

    def test_forget_drops_the_task(self):
        task = self.fleet.submit("square", "3")
        self.drover("wait", task)
        self.drover("forget", task)
        for command in ("result", "show", "why", "cancel", "retry", "forget"):
            self.assertIn("no such task", self.one_line(command, task, code=1))

    def test_task_that_never_was_is_told(self):
        for command in ("result", "wait", "show", "why", "cancel", "retry", "forget"):
            self.assertIn("no such task", self.one_line(command, NOBODY, code=1))
            error = json.loads(self.one_line("--json", command, NOBODY, code=1))["error"]
            self.assertEqual((error["code"], error["exit"]), ("unknown", 1))

    # ---- show, why, task ls ----

    def test_show_tells_everything(self):
        task = self.fleet.submit("crash")
        self.drover("wait", task, code=1)
        text = self.drover("show", task).stdout
        for part in (task, "failed", "crash", "one", "about to crash", "ATTEMPT"):
            self.assertIn(part, text)
        document = self.fleet.show(task)
        for key in ("id", "state", "type", "queue", "attempts", "error", "why", "level"):
            self.assertIn(key, document)
        self.assertIn("about to crash", document["error"]["stderr"])

    def test_show_tells_the_options(self):
        task = self.fleet.submit(
            "noop", "--need", "gpu=1", "--need", "memory=4G", "--require", "zone=eu",
            "--limit", "memory=1G", "--limit", "cpu=30s", "--limit", "files=9", "--keep", "7d",
            "--fairness-key", "me", "--backoff", "2s", "--backoff-max", "3s", "--expire", "1h")
        lines = self.drover("show", task).stdout.splitlines()
        for name, text in (("needs", "gpu=1, memory=4G"), ("require", "zone=eu"), ("keep", "7d"),
                           ("limits", "memory=1G, cpu=30s, files=9"), ("fairness", "me"),
                           ("backoff", "2s"), ("backoff-max", "3s"), ("expire", "1h")):
            self.assertIn(f"{name:14} {text}", lines)
        self.assertTrue(any(line.startswith("expires in     59m") for line in lines), lines)
        child = self.fleet.submit("noop", "--after", task, "--after-any", task, "--key", "mine")
        lines = self.drover("show", child).stdout.splitlines()
        self.assertIn(f"after          {task} queued, {task} queued (or ended)", lines)
        self.assertIn("key            mine", lines)
        self.drover("cancel", child)
        self.drover("cancel", task)
        self.assertNotIn("expires_in_ms", self.fleet.show(task))
        self.drover("submit", "noop", "--need", "gpu=1K", code=64)
        self.drover("submit", "noop", "--need", "memory=much", code=64)
        graph = self.fleet.write("late.json", json.dumps({"name": "late", "nodes": [
            {"name": "a", "type": "noop", "elements": [1], "expire": "1h", "delay": "30m"}]}))
        array = self.fleet.json("graph", "submit", graph)["nodes"]["a"]
        self.assertEqual(self.fleet.show(array)["expire_ms"], 3600000)
        self.assertNotIn("expires_in_ms", self.fleet.show(array))
        self.assertIn("expires_in_ms", self.fleet.show(f"{array}.0"))
        self.drover("graph", "cancel", "late")

    def test_why_is_one_line(self):
        self.drover("queue", "pause", "why")
        task = self.fleet.submit("square", "1", "--queue", "why")
        self.assertIn("paused", self.drover("why", task).stdout)
        self.assertEqual(self.fleet.json("why", task)["reason"], "paused")
        self.drover("queue", "resume", "why")
        self.drover("wait", task)
        self.assertEqual(self.fleet.json("why", task)["reason"], "ended")

    def test_task_list_is_filtered(self):
        task = self.fleet.submit("square", "1", "--queue", "listed")
        failed = self.fleet.submit("fail", '"x"', "--queue", "listed")
        self.drover("wait", task, failed, code=1)

        def ids(*filters):
            return {row["id"] for row in self.fleet.json("task", "ls", "--queue", "listed",
                                                         *filters)["tasks"]}
        self.assertEqual(ids(), {task, failed})
        self.assertEqual(ids("--state", "failed"), {failed})
        self.assertEqual(ids("--state", "failed", "--state", "succeeded"), {task, failed})
        self.assertEqual(ids("--type", "square"), {task})
        self.assertEqual(len(ids("--limit", "1")), 1)
        text = self.drover("tasks", "ls", "--queue", "listed").stdout
        self.assertEqual(len(text.splitlines()), 3)
        self.assertTrue(text.startswith("TASK"), text)

    # ---- arrays ----

    def test_latest_result_is_that_of_the_last_retry(self):
        task = self.fleet.submit("kv_get", '"late"')
        self.drover("wait", task, code=1)
        first = self.drover("retry", task).stdout.split()[1]
        self.drover("wait", first, code=1)
        self.drover("kv", "set", "late", '"here"')
        last = self.drover("retry", first).stdout.split()[1]
        self.drover("wait", last)
        self.drover("result", task, code=1)
        self.assertEqual(self.drover("result", task, "--latest").stdout, '"here"\n')

    def test_latest_result_of_an_array_is_merged(self):
        keys = "".join(f'"merge{n}"\n' for n in range(4))
        self.drover("kv", "set", "merge1", "1")
        done = self.drover("--json", "map", "kv_get", "--keep", "1h", stdin=keys, code=1)
        array = json.loads(done.stdout.splitlines()[0])["id"]
        self.drover("kv", "set", "merge2", "2")
        again = self.drover("retry", array).stdout.split()[1]
        self.drover("wait", again, code=1)
        self.drover("kv", "set", "merge3", "3")
        last = self.drover("retry", again).stdout.split()[1]
        self.drover("wait", last, code=1)
        lines = self.drover("result", array, "--latest", code=1).stdout.splitlines()
        self.assertEqual(lines[1:], ["1", "2", "3"])
        self.assertIn("error", json.loads(lines[0]))
        lines = self.drover("result", array, code=1).stdout.splitlines()
        self.assertEqual(["error" in line for line in lines], [True, False, True, True])

    def test_latest_result_of_an_array_knows_what_was_retried_by_itself(self):
        """Before its array was retried, without it, and after."""
        keys = "".join(f'"own{n}"\n' for n in range(5))
        self.drover("kv", "set", "own0", "0")
        done = self.drover("--json", "map", "kv_get", "--keep", "1h", stdin=keys, code=1)
        array = json.loads(done.stdout.splitlines()[0])["id"]

        def retry(task, **values):
            for key, value in values.items():
                self.drover("kv", "set", key, value)
            again = self.drover("retry", task).stdout.split()[1]
            self.drover("wait", again, code=1 if task == array else 0)
            return again

        def latest():
            done = self.fleet.drover("result", array, "--latest", check=False)
            return ["-" if "error" in line else line for line in done.stdout.splitlines()]

        retry(f"{array}.1", own1="1")
        self.assertEqual(latest(), ["0", "1", "-", "-", "-"])
        retry(array, own3="3")
        self.assertEqual(latest(), ["0", "1", "-", "3", "-"])
        self.assertTrue(self.fleet.show(f"{array}.1")["left_out"])
        retry(f"{array}.4", own4="4")
        self.assertNotIn("left_out", self.fleet.show(f"{array}.4"))
        self.assertEqual(latest(), ["0", "1", "-", "3", "-"])
        self.drover("kv", "set", "own2", "2")
        again = self.drover("retry", array).stdout.split()[1]
        self.drover("wait", again)
        self.assertEqual(self.fleet.show(again)["count"], 2)
        self.assertEqual(latest(), ["0", "1", "2", "3", "4"])

    def test_elements_of_an_array_have_results_of_their_own(self):
        done = self.drover("--json", "map", "square", "-", "--keep", "1h", stdin="1\n2\n3\n")
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual([(row["index"], row["value"]) for row in rows], [(0, 1), (1, 4), (2, 9)])

    def test_signal_ends_a_wait(self):
        task = self.fleet.submit("sleep", "60000")
        waiting = self.fleet.start("drover", "submit", "sleep", "60000", "--wait")
        until(lambda: self.fleet.json("task", "ls", "--type", "sleep", "--state", "running")
              ["tasks"].__len__() == 2, "both are running")
        waiting.signal(signal.SIGINT)
        self.assertEqual(waiting.wait(), -signal.SIGINT)
        rows = self.fleet.json("task", "ls", "--type", "sleep", "--state", "running")["tasks"]
        self.drover("cancel", *[row["id"] for row in rows])
        self.assertIn(task, {row["id"] for row in rows})


class LastWords(unittest.TestCase):
    def test_show_tells_the_last_words_line_by_line(self):
        fleet = self.enterContext(Fleet())
        fleet.broker()
        fleet.worker("--load", test_module("rough"))
        task = fleet.submit("rant", "700")
        fleet.drover("wait", task, check=False)
        said = fleet.drover("show", task).stdout.splitlines()
        words = [line.strip() for line in said if line.startswith(" " * 15 + "line ")]
        self.assertEqual(words[-1], "line 700")
        self.assertGreater(len(words), 300)
        self.assertTrue(any(line.startswith("stderr ") for line in said), said)
        self.assertEqual(fleet.show(task)["error"]["stderr"].splitlines()[-1], "line 700")
        task = fleet.submit("rant", "0")
        fleet.drover("wait", task, check=False)
        self.assertIn("\\xff", fleet.drover("show", task).stdout)
        error = fleet.show(task)["error"]
        self.assertNotIn("stderr", error)
        self.assertEqual(base64.b64decode(error["stderr_bytes"]), b"no text: \xff\n")


if __name__ == "__main__":
    unittest.main()

"""Queues, workers, status, shared data and completion against a broker and a worker."""

import json
import re
import signal
import unittest

from fleet import Fleet, until

BROKER = {"id", "version", "uptime_ms", "rss_bytes", "cpu_percent", "store"}
TASKS = {"submitted", "waiting", "delayed", "queued", "running", "succeeded", "failed",
         "cancelled", "expired", "lost_at_restart", "retried", "stale_results"}
QUEUE = {"name", "depth", "running", "oldest_age_ms", "paused"}
WORKER = {"id", "name", "host", "pid", "state", "slots", "running", "model", "labels",
          "heartbeat_age_ms", "stats"}
STATS = {"cpu_percent", "memory_percent", "disk_percent", "process_count", "load1", "bytes_sent",
         "bytes_recv", "packets_sent", "packets_recv"}


class Operate(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.fleet = cls.enterClassContext(Fleet())
        cls.broker = cls.fleet.broker()
        cls.worker = cls.fleet.worker("--slots", "2", "--name", "one", "--label", "zone=a",
                                      "--resource", "gpu=1")
        # A result that is kept keeps its queue in the lists.
        cls.fleet.drover("submit", "square", "1", "--wait", "--keep", "1h")

    def drover(self, *arguments, code=0, **options):
        done = self.fleet.drover(*arguments, check=False, **options)
        self.assertEqual(done.returncode, code, f"{arguments}\n{done.stdout}{done.stderr}")
        return done

    # ---- status ----

    def test_status_has_its_keys(self):
        self.drover("submit", "square", "2", "--wait")
        status = self.fleet.status()
        self.assertLessEqual(BROKER, status["broker"].keys())
        self.assertLessEqual(TASKS, status["tasks"].keys())
        self.assertLessEqual(QUEUE, status["queues"][0].keys())
        worker = status["workers"][0]
        self.assertLessEqual(WORKER, worker.keys())
        self.assertLessEqual(STATS, worker["stats"].keys())
        self.assertEqual((worker["name"], worker["pid"], worker["slots"], worker["labels"]),
                         ("one", self.worker.pid, 2, {"zone": "a"}))
        tasks = status["tasks"]
        self.assertEqual(tasks["submitted"], sum(
            tasks[state] for state in TASKS - {"submitted", "retried", "stale_results"}))

    def test_status_is_a_table_for_people(self):
        self.drover("submit", "square", "2", "--wait")
        text = self.drover("status").stdout
        for part in ("broker", "succeeded", "QUEUE", "default", "HOST", "all hosts", "WORKER",
                     "one", "zone=a"):
            self.assertIn(part, text)
        self.assertNotIn("\033", text)
        for command in (("status",), ("queue", "ls")): # how long 99 of 100 waited and ran
            lines = self.drover(*command).stdout.splitlines()
            head = next(n for n, line in enumerate(lines) if "WAIT P99" in line)
            row = next(line for line in lines[head:] if line.startswith("default"))
            self.assertRegex(row, r"default +0 +0 +\d+ +[\d.]+ +-? +[\d.]+ \w+ +[\d.]+ \w+ ", lines[head])

    def test_status_tells_what_fires_and_nobody_has_taken_note_of(self):
        def lines():
            return [line for line in self.drover("status").stdout.splitlines()
                    if line.startswith("alert ")]
        self.assertRegex(self.drover("status").stdout.splitlines()[0],
                         r"  loop [\d.]+ ms  journal [\d.]+ ms$")
        rules = [f"some{n}" for n in range(7)]
        for rule in rules:
            self.drover("alert", "add", rule, "workers > 0")
        told = until(lambda: (lambda found: found if len(found) == 6 else None)(lines()),
                     "five are told, and how many more")
        self.assertRegex(told[0], r"^alert   warning  some\d: workers is 1 \(above 0\)  for \d")
        self.assertIn("and 2 more", told[5])
        self.drover("alert", "ack", rules[0])
        self.drover("alert", "silence", rules[1], "--for", "1h")
        for rule in rules[3:]:
            self.drover("alert", "rm", rule)
        told = until(lambda: (lambda found: found if len(found) == 1 else None)(lines()),
                     "what somebody knows of is not told")
        self.assertIn(rules[2], told[0])
        self.drover("alert", "silence", rules[1], "--for", "0")
        for rule in rules[:3]:
            self.drover("alert", "rm", rule)
        self.assertEqual(lines(), [])

    def test_log_tells_which_alert_fires_and_that_it_is_over(self):
        self.drover("queue", "pause", "logged")
        self.drover("alert", "add", "deep", "queue_depth > 0 only logged")
        task = self.fleet.submit("square", "1", "--queue", "logged")
        told = r"\blevel=%s .*\bstate=%s .*\brule=deep subject=logged text=.*%s"
        until(lambda: re.search(told % ("warn", "firing", r"is 1 \(above 0\)"),
                                self.broker.stderr()), "it fires")
        self.drover("cancel", task)
        until(lambda: re.search(told % ("info", "resolved", r"is 0 \(no longer above 0\)"),
                                self.broker.stderr()), "it is over")
        self.drover("alert", "rm", "deep")
        self.drover("queue", "resume", "logged")

    def test_a_task_is_watched_until_it_has_ended(self):
        task = self.fleet.submit("square", "3", "--delay", "300ms")
        for command in ("show", "why"):
            process = self.fleet.start("drover", "--json", command, task, "--watch", "100ms")
            states = []
            while "succeeded" not in states:
                states.append(json.loads(process.read_line())["state"])
            process.signal(signal.SIGINT)
            process.wait()
        self.drover("show", "--group", "g", "--watch", code=64)
        self.drover("why", "nonsense", code=64)

    def test_status_is_watched(self):
        process = self.fleet.start("drover", "--json", "status", "--watch", "100ms")
        first, second = (json.loads(process.read_line()) for _ in range(2))
        self.assertLess(first["broker"]["uptime_ms"], second["broker"]["uptime_ms"])
        self.assertEqual(process.terminate(), 0)

    # ---- queues ----

    def test_queue_is_paused_purged_and_resumed(self):
        self.assertEqual(self.drover("queue", "pause", "q1").stdout, "q1 paused\n")
        task = self.fleet.submit("square", "1", "--queue", "q1")
        rows = {row["name"]: row for row in self.fleet.json("queues", "ls")["queues"]}
        self.assertEqual((rows["q1"]["paused"], rows["q1"]["depth"]), (True, 1))
        self.assertEqual(self.fleet.json("queue", "purge", "q1"), {"queue": "q1", "cancelled": 1})
        self.assertEqual(self.fleet.state(task), "cancelled")
        self.drover("queue", "resume", "q1")
        task = self.fleet.submit("square", "1", "--queue", "q1")
        self.drover("wait", task)

    def test_queue_limits_are_set_shown_and_told(self):
        self.drover("queue", "set", "narrow", "rate=100/s", "concurrency=1", "per-key=3")
        row = {row["name"]: row for row in self.fleet.json("queue", "ls")["queues"]}["narrow"]
        self.assertEqual((row["rate"], row["concurrency"], row["per_key"]), (100, 1, 3))
        self.assertIn("100/s", self.drover("queue", "ls").stdout)
        first = self.fleet.submit("sleep", "60000", "--queue", "narrow", "--fairness-key", "a")
        self.fleet.until_state(first, "running")
        second = self.fleet.submit("square", "3", "--queue", "narrow", "--fairness-key", "b")
        self.assertIn("concurrency 1 of 1 in queue narrow", self.drover("why", second).stdout)
        self.drover("cancel", first)
        self.assertEqual(self.drover("result", second).stdout, "9\n")
        self.drover("queue", "set", "narrow", "speed=3", code=64)
        self.drover("queue", "set", "narrow", "max-bytes=1M", "durability=memory")
        self.drover("queue", "set", "narrow", "max-bytes=much", code=64)
        self.drover("queue", "set", "narrow", "durability=some", code=64)
        self.drover("queue", "set", "narrow", "max-bytes=0", "durability=default")
        self.drover("queue", "set", "narrow", "rate=0", "--concurrency", "0", "--per-key", "0")

    def test_queue_ages_and_places(self):
        self.drover("queue", "set", "old", "aging=10ms", "placement=pack", "concurrency=1")
        row = {row["name"]: row for row in self.fleet.json("queue", "ls")["queues"]}["old"]
        self.assertEqual((row["aging_ms"], row["placement"]), (10, "pack"))
        self.assertRegex(self.drover("queue", "ls").stdout, r"old .* 10 ms +pack")
        first = self.fleet.submit("sleep", "60000", "--queue", "old")
        self.fleet.until_state(first, "running")
        second = self.fleet.submit("square", "3", "--queue", "old", "--priority", "-3")
        until(lambda: "its priority has risen from -3 to" in self.drover("why", second).stdout,
              "its waiting is told")
        self.drover("cancel", first)
        self.assertEqual(self.drover("result", second).stdout, "9\n")
        self.drover("queue", "set", "old", "--aging", "0s", "--placement", "auto")
        self.drover("queue", "set", "old", "placement=here", code=64)
        self.drover("queue", "set", "old", "aging=soon", code=64)
        self.drover("queue", "set", "old", "aging=31d", code=64)

    def test_needs_are_counted_and_told(self):
        first = self.fleet.submit("sleep", "60000", "--need", "gpu=1")
        self.fleet.until_state(first, "running")
        resources = self.fleet.json("worker", "show", "one")["resources"]
        self.assertEqual(set(resources), {"cpus", "gpu", "memory"})
        self.assertEqual(resources["gpu"], {"total": 1, "used": 1})
        self.assertRegex(self.drover("worker", "show", "one").stdout,
                         r"(?m)^resources +cpus 0 of \d+, gpu 1 of 1, memory 0 B of [\d.]+ [MG]iB$")
        second = self.fleet.submit("square", "3", "--need", "gpu=1")
        self.assertIn("have a slot free, but not gpu=1", self.drover("why", second).stdout)
        third = self.fleet.submit("square", "3", "--need", "gpu=2")
        self.assertIn("no worker for type square has gpu=2", self.drover("why", third).stdout)
        self.drover("cancel", first)
        self.assertEqual(self.drover("result", second).stdout, "9\n")
        self.drover("cancel", third)

    def test_limit_of_a_task_ends_it(self):
        task = self.fleet.submit("spin", "60000", "--limit", "cpu=50ms", "--limit", "memory=1G")
        self.drover("wait", task, code=1)
        error = self.fleet.json("show", task)["error"]
        self.assertEqual((error["kind"], error["code"]), ("limit", "cpu"))
        self.assertIn("its limit of 50 ms", error["text"])
        self.drover("submit", "noop", "--limit", "luck=1", code=64)

    def test_queue_limit_makes_submit_busy(self):
        self.drover("queue", "pause", "small")
        self.drover("queue", "set", "small", "--max-count", "1")
        task = self.fleet.submit("square", "1", "--queue", "small")
        done = self.drover("submit", "square", "1", "--queue", "small", "--busy-timeout", "0",
                           code=75)
        self.assertEqual(len(done.stderr.splitlines()), 1)
        self.drover("submit", "square", "1", "--queue", "small", "--busy-timeout", "50ms", code=75)
        self.drover("queue", "set", "small", "--max-count", "0", "--weight", "3")
        self.drover("submit", "square", "1", "--queue", "small")
        self.drover("queue", "resume", "small")
        self.drover("wait", "--queue", "small")
        self.assertEqual(self.fleet.state(task), "succeeded")

    # ---- workers ----

    def test_worker_is_listed_and_shown(self):
        rows = self.fleet.json("workers", "ls")["workers"]
        self.assertEqual([row["name"] for row in rows], ["one"])
        self.assertIn("square", rows[0]["types"])
        task = self.fleet.submit("sleep", "60000")
        self.fleet.until_state(task, "running")
        self.assertEqual([lease["id"] for lease in self.fleet.json("worker", "show", "one")
                          ["leases"]], [task])
        self.assertIn(task, self.drover("worker", "show", "one").stdout)
        self.drover("cancel", task)
        self.assertIn("one", self.drover("worker", "ls").stdout)
        self.assertIn("nobody", self.drover("worker", "show", "nobody", code=1).stderr)

    def test_worker_is_drained_and_resumed(self):
        self.assertEqual(self.drover("worker", "drain", "one").stdout, "one draining\n")
        task = self.fleet.submit("square", "4")
        self.assertEqual(self.fleet.state(task), "queued")
        self.drover("worker", "resume", "one")
        self.assertEqual(self.drover("result", task).stdout, "16\n")

    # ---- shared data ----

    def test_shared_data_is_set_read_and_deleted(self):
        first = int(self.drover("kv", "set", "k1", '{"a": [1]}').stdout)
        self.assertEqual(self.drover("kv", "get", "k1").stdout, '{"a":[1]}\n')
        self.assertEqual(self.fleet.json("kv", "get", "k1"),
                         {"key": "k1", "version": first, "value": {"a": [1]}})
        self.assertGreater(int(self.drover("kv", "set", "k1", "-", stdin="2").stdout), first)
        self.drover("kv", "del", "k1")
        self.assertIn("k1", self.drover("kv", "get", "k1", code=1).stderr)
        self.assertIn("k1", self.drover("kv", "del", "k1", code=1).stderr)

    def test_shared_number_is_counted(self):
        self.assertEqual(self.drover("kv", "incr", "n").stdout, "1\n")
        self.assertEqual(self.drover("kv", "incr", "n", "-5").stdout, "-4\n")
        self.assertEqual(self.fleet.json("kv", "incr", "n", "10"), {"key": "n", "value": 6})
        self.drover("kv", "set", "text", '"x"')
        self.drover("kv", "incr", "text", code=1)

    def test_shared_data_is_compared_and_set(self):
        version = int(self.drover("kv", "cas", "c", "0", "1").stdout)
        done = self.drover("kv", "cas", "c", "0", "2", code=1)
        self.assertIn(f"version {version}, not 0", done.stderr)
        self.drover("kv", "cas", "c", str(version), "2")
        self.assertEqual(self.drover("kv", "get", "c").stdout, "2\n")

    def test_shared_data_is_listed_by_prefix(self):
        for key in ("list/a", "list/b", "other"):
            self.drover("kv", "set", key, "1")
        entries = self.fleet.json("kv", "ls", "list/")["entries"]
        self.assertEqual({entry["key"] for entry in entries}, {"list/a", "list/b"})
        lines = self.drover("kv", "ls", "list/").stdout.splitlines()
        self.assertEqual([line.split()[0] for line in lines], ["KEY", "list/a", "list/b"])

    def test_shared_data_expires(self):
        self.drover("kv", "set", "short", "1", "--ttl", "50ms")
        until(lambda: self.fleet.drover("kv", "get", "short", check=False).returncode == 1,
              "the entry is gone")

    # ---- completion ----

    def test_completion_knows_names_from_the_broker(self):
        def offered(*words):
            return self.drover("__complete", "--", *words).stdout.splitlines()
        self.drover("submit", "noop", "--wait")
        self.assertEqual(offered("worker", "drain", ""), ["one"])
        self.assertIn("default", offered("queue", "pause", "d"))
        self.assertEqual(offered("submit", "squ"), ["square"])
        self.assertEqual(offered("submit", "noop", "--queue=defa"), ["--queue=default"])


if __name__ == "__main__":
    unittest.main()

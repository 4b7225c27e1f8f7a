"""Keys, groups, tags and the other options of tasks, as a user meets them, over restarts too."""

import json
import re
import time
import unittest
from datetime import datetime, timedelta, timezone

from fleet import Fleet, until

LATE = "1h"  # never, in a test


class Durable(unittest.TestCase):
    """A broker with data, which a test may kill; no worker until one is asked for."""

    def setUp(self):
        self.fleet = self.enterContext(Fleet())
        self.start()

    def start(self):
        self.broker = self.fleet.start(
            "drover-broker", "--data", self.fleet.path("data"), "--bind", self.fleet.endpoint,
            "--bind-workers", self.fleet.worker_endpoint, "--no-http").wait_ready()

    def restart(self):
        self.broker.kill()
        self.start()

    def drover(self, *arguments, code=0, **options):
        done = self.fleet.drover(*arguments, check=False, **options)
        self.assertEqual(done.returncode, code, f"{arguments}\n{done.stdout}{done.stderr}")
        return done

    def lines(self, *arguments, **options):
        return [json.loads(line) for line in
                self.drover("--json", *arguments, **options).stdout.splitlines()]


class Keys(Durable):
    def test_one_task_for_a_key_from_two_clients_and_over_a_restart(self):
        first = self.fleet.start("drover", "submit", "square", "7", "--key", "k", "--wait")
        until(lambda: self.fleet.status()["key_count"] == 1, "the first submit was taken")
        task = self.fleet.json("task", "ls")["tasks"][0]["id"]
        second = self.fleet.start("drover", "submit", "square", "8", "--key", "k", "--wait")
        until(lambda: self.fleet.status()["tasks"]["attached"] == 1, "the second has attached")
        done = self.drover("submit", "echo", "--key", "k")
        self.assertEqual(done.stdout.strip(), task)
        self.assertIn(f"attached to {task}", done.stderr)
        self.restart()
        self.assertEqual(self.fleet.json("submit", "square", "9", "--key", "k"),
                         {"id": task, "attached": True})
        self.assertEqual(self.fleet.show("key:k")["id"], task)
        self.fleet.worker()
        self.assertEqual((first.wait(), second.wait()), (0, 0))
        self.assertEqual((first.stdout_so_far(), second.stdout_so_far()), ("49\n", "49\n"))
        self.assertIn(task, second.stderr())
        self.assertEqual(self.fleet.status()["tasks"]["submitted"], 1)

    def test_window_keeps_a_key_over_the_end_and_the_restart(self):
        self.fleet.worker()
        kept = self.fleet.submit("square", "2", "--key", "kept", "--key-window", LATE)
        gone = self.fleet.submit("square", "3", "--key", "gone", "--key-window", LATE)
        free = self.fleet.submit("square", "4", "--key", "free")
        self.drover("wait", kept, gone, free)
        self.drover("forget", gone)
        self.restart()
        self.fleet.until_workers(1)
        self.assertEqual(self.fleet.submit("square", "5", "--key", "kept"), kept)
        self.assertEqual(self.drover("submit", "square", "6", "--key", "kept", "--wait").stdout,
                         "4\n")
        self.assertEqual(self.fleet.submit("square", "5", "--key", "gone"), gone)
        self.drover("result", "key:gone", code=1)
        self.assertNotEqual(self.fleet.submit("square", "5", "--key", "free"), free)

    def test_key_stands_where_an_id_goes(self):
        side = self.fleet.submit("square", "5", "--key", "a/b", "--queue", "side")
        self.assertEqual(self.fleet.show("key:side/a/b")["id"], side)
        self.assertEqual(self.fleet.json("why", "--queue", "side", "key:a/b")["id"], side)
        text = self.drover("show", "key:a/b", code=1).stderr
        self.assertIn("no task of queue 'a' has this key", text)
        self.assertEqual(self.lines("cancel", "key:side/a/b")[0]["task"], side)
        again = self.lines("retry", "key:side/a/b")[0]["retried_as"]
        self.assertEqual(self.fleet.show("key:side/a/b")["id"], again)
        self.fleet.worker()
        self.drover("wait", "key:side/a/b")
        self.assertEqual(self.drover("result", "key:side/a/b").stdout, "25\n")
        self.assertEqual(self.drover("logs", "key:side/a/b").returncode, 0)
        self.drover("forget", "key:side/a/b")
        for mistake in (["cancel", "key:"], ["submit", "square", "1", "--key", ""],
                        ["submit", "square", "1", "--key-window", "1m"]):
            self.drover(*mistake, code=64)

    def test_parents_are_named_by_key(self):
        first = self.fleet.submit("square", "2", "--key", "k", "--queue", "side")
        other = self.fleet.submit("square", "3", "--key", "a/b")
        text = self.drover("submit", "square", "1", "--after", "key:k", code=1).stderr
        self.assertIn("no task of queue 'default' has this key", text)
        child = self.fleet.submit("square", "4", "--queue", "side", "--after", "key:k",
                                  "--after-any", "key:default/a/b")
        self.assertEqual([(parent["id"], parent["when"])
                          for parent in self.fleet.show(child)["parents"]],
                         [(first, "succeeded"), (other, "ended")])

    def test_map_with_a_key_reads_the_first_array(self):
        numbers = "".join(f"{n}\n" for n in range(1, 301))
        first = self.fleet.start("drover", "map", "square", self.fleet.write("in", numbers),
                                 "--key", "m")
        until(lambda: self.fleet.status()["key_count"] == 1, "the first array was opened")
        second = self.fleet.start("drover", "map", "square", self.fleet.write("other", "5\n"),
                                  "--key", "m")
        until(lambda: self.fleet.status()["tasks"]["attached"] == 1, "the second has attached")
        self.fleet.worker()
        squares = "".join(f"{n * n}\n" for n in range(1, 301))
        self.assertEqual((first.wait(), second.wait()), (0, 0))
        self.assertEqual(first.stdout_so_far(), squares)
        self.assertEqual(second.stdout_so_far(), squares)
        self.assertEqual(self.fleet.status()["tasks"]["submitted"], 300)


class Groups(Durable):
    def states(self, group):
        return self.fleet.json("group", "show", group)["groups"][0]["states"]

    def test_group_is_counted_listed_awaited_and_cancelled(self):
        other = self.fleet.submit("square", "1", "--group", "other", "--tag", "customer=7")
        tasks = {self.fleet.submit("square", str(n), "--group", "nightly", "--tag",
                                   f"customer={n}") for n in range(6, 9)}
        self.assertEqual({row["name"] for row in self.fleet.json("groups", "ls")["groups"]},
                         {"nightly", "other"})
        self.assertEqual(self.states("nightly")["queued"], 3)
        self.assertIn("nightly", self.drover("show", "--group", "nightly").stdout)

        def ids(*filters):
            return {row["id"] for row in self.fleet.json("task", "ls", *filters)["tasks"]}
        self.assertEqual(ids("--group", "nightly"), tasks)
        self.assertEqual(len(ids("--group", "nightly", "--tag", "customer=7")), 1)
        self.assertEqual(len(ids("--tag", "customer=7")), 2)
        self.restart()
        self.assertEqual(ids("--group", "nightly", "--state", "queued"), tasks)
        there = self.fleet.status()["broker"]["clients"]
        waiting = self.fleet.start("drover", "wait", "--group", "nightly")
        by_tag = self.fleet.start("drover", "wait", "--tag", "customer=7")
        until(lambda: self.fleet.status()["broker"]["clients"] == there + 2, "both wait")
        self.fleet.worker()
        self.assertEqual((waiting.wait(), by_tag.wait()), (0, 0))
        self.assertEqual({line.split()[0] for line in waiting.stdout_so_far().splitlines()},
                         tasks)
        self.assertIn(other, by_tag.stdout_so_far())
        self.drover("forget", sorted(tasks)[0])
        self.assertEqual(self.states("nightly")["succeeded"], 3)
        self.drover("forget", *sorted(tasks)[1:])
        self.assertIn("no group", self.drover("group", "show", "nightly", code=1).stderr)

    def test_wait_for_a_group_tells_what_had_failed_before(self):
        self.fleet.worker()
        failed = self.fleet.submit("fail", '"for a reason"', "--group", "g")
        self.drover("submit", "square", "2", "--group", "h", "--wait", "--keep", "1h")
        self.drover("wait", failed, code=1)
        done = self.drover("wait", "--group", "g", code=1)
        self.assertIn("group g: 1 failed", done.stderr)
        self.drover("wait", "--group", "h")
        self.assertIn("no group 'nope'", self.drover("wait", "--group", "nope", code=1).stderr)

    def test_cancel_of_a_group_takes_what_runs_and_arrays_too(self):
        self.fleet.worker("--slots", "1")
        running = self.fleet.submit("spin", "60000", "--group", "g")
        self.fleet.until_state(running, "running")
        self.fleet.submit("square", "1", "--group", "g", "--tag", "t=1")
        free = self.fleet.submit("square", "3")
        tagged = self.fleet.submit("square", "1", "--tag", "t=1", "--queue", "side")
        self.assertEqual(self.fleet.json("cancel", "--group", "g"),
                         {"group": "g", "cancelled": 2})
        self.assertEqual(self.fleet.state(running), "cancelled")
        self.drover("wait", free)
        self.drover("wait", "--all")
        self.assertEqual(self.fleet.state(tagged), "succeeded")
        self.fleet.submit("sleep", "60000", "--tag", "t=2")
        self.assertEqual([line["state"] for line in self.lines("cancel", "--tag", "t=2")],
                         ["cancelled"])
        self.drover("cancel", "--group", "nobody", code=1)
        self.drover("cancel", "--tag", "odd", code=64)
        self.drover("cancel", code=64)

    def test_events_are_told_by_group(self):
        reader = self.fleet.start("drover", "--json", "events", "--group", "g", "--kind",
                                  "task.submitted", "--count", "1")
        until(lambda: self.fleet.submit("square", "1") and
              self.fleet.submit("square", "1", "--group", "g") and reader.stdout_so_far(),
              "an event has come")
        self.assertEqual(reader.wait(), 0)
        self.assertEqual(json.loads(reader.stdout_so_far())["group"], "g")

    def test_completion_offers_groups(self):
        self.fleet.submit("square", "1", "--group", "nightly")
        done = self.drover("__complete", "--", "wait", "--group", "")
        self.assertEqual(done.stdout, "nightly\n")


class Options(Durable):
    """Each option of a task, after the broker was killed."""

    def run_all(self, *arguments):
        self.restart()
        self.fleet.worker(*arguments)

    def test_priority_is_kept(self):
        low = self.fleet.submit("square", "1", "--priority", "-5")
        high = self.fleet.submit("square", "1", "--priority", "5")
        reader = self.fleet.start("drover", "wait", low, high)
        self.run_all("--slots", "1", "--prefetch", "0")
        self.assertEqual(reader.wait(), 0)
        ended = {task: self.fleet.show(task)["ended_age_ms"] for task in (low, high)}
        self.assertGreaterEqual(ended[high], ended[low])

    def test_delay_and_not_before_are_kept(self):
        later = datetime.now(timezone(timedelta(hours=2))) + timedelta(hours=1)
        early = datetime.now(timezone.utc) - timedelta(days=1)
        delayed = self.fleet.submit("square", "1", "--delay", LATE)
        dated = self.fleet.submit("square", "2", "--not-before", later.isoformat())
        past = self.fleet.submit("square", "3", "--not-before",
                                 early.strftime("%Y-%m-%dT%H:%M:%SZ"))
        soon = self.fleet.submit("square", "4", "--delay", "300ms")
        self.run_all()
        self.drover("wait", past, soon)
        for task in (delayed, dated):
            self.assertEqual(self.fleet.state(task), "delayed")
            seconds = re.search(r"starts in (\d+)", self.drover("why", task).stdout)
            self.assertIsNotNone(seconds)
            self.assertLessEqual(3500, int(seconds.group(1)))
            self.assertLessEqual(int(seconds.group(1)), 3600)
        for mistake in (["--not-before", "tomorrow"], ["--not-before", "2026-02-29T00:00:00Z"],
                        ["--not-before", later.isoformat(), "--delay", "1s"]):
            self.drover("submit", "square", "1", *mistake, code=64)

    def test_expiry_is_kept(self):
        task = self.fleet.submit("square", "1", "--expire", "400ms")
        safe = self.fleet.submit("square", "1", "--expire", LATE)
        self.restart()
        self.fleet.until_state(task, "expired")
        self.fleet.worker()
        self.drover("wait", safe)
        self.assertEqual(self.lines("result", task, code=1)[0]["error"]["kind"], "expired")

    def test_timeout_of_an_attempt_is_kept_and_retried(self):
        task = self.fleet.submit("spin", "60000", "--timeout", "100ms", "--retries", "1",
                                 "--backoff", "1ms")
        self.run_all()
        self.assertEqual(self.lines("result", task, code=1)[0]["error"]["kind"], "timeout")
        self.assertEqual([attempt["outcome"] for attempt in self.fleet.show(task)["attempts"]],
                         ["failed", "failed"])

    def test_backoff_doubles_up_to_its_bound(self):
        begin = time.monotonic()
        task = self.fleet.submit("fail", '"x"', "--retries", "4", "--backoff", "50ms",
                                 "--backoff-max", "60ms")
        endless = self.fleet.submit("fail", '"x"', "--retries", "4", "--backoff", LATE)
        self.run_all()
        self.assertEqual(self.lines("result", task, code=1)[0]["attempt"], 5)
        self.assertLess(time.monotonic() - begin, 30)
        self.fleet.until_state(endless, "delayed")
        self.restart()
        document = self.fleet.until_state(endless, "delayed")
        self.assertEqual((document["attempt"], document["retries_left"]), (1, 3))
        self.assertIn("retry", self.drover("why", endless).stdout)

    def test_permanent_error_is_not_retried(self):
        task = self.fleet.submit("sleep", '"no number"', "--retries", "5")
        self.run_all()
        outcome = self.lines("result", task, code=1)[0]
        self.assertEqual(outcome["attempt"], 1)
        self.assertTrue(outcome["error"]["permanent"])

    def test_retention_is_kept(self):
        short = self.fleet.submit("square", "1", "--keep", "300ms")
        long = self.fleet.submit("square", "1", "--keep", LATE)
        auto = self.fleet.submit("square", "1")
        self.run_all()
        self.drover("wait", long, auto)
        until(lambda: "no such task" in self.fleet.drover("show", short, check=False).stderr,
              "the short one is forgotten")
        self.restart()
        for task in (long, auto):
            self.assertEqual(self.drover("result", task).stdout, "1\n")
        self.fleet.until_workers(1)
        waited = self.fleet.json("submit", "square", "2", "--wait")["id"]
        self.assertIn("no such task", self.drover("show", waited, code=1).stderr)


if __name__ == "__main__":
    unittest.main()

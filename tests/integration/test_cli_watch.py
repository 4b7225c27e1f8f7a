"""Events and watches of shared data through the programs: filters, slow readers, restarts."""

import json
import signal
import unittest

from fleet import Fleet, until

ELEMENTS = 3000  # two events each: more than the window of a reader


class Watch(unittest.TestCase):
    def setUp(self):
        self.fleet = self.enterContext(Fleet())
        self.server = self.fleet.broker()

    def subscribed(self, *arguments):
        """`drover events`, once its subscription is in force; queue.* must be among the kinds."""
        process = self.fleet.start("drover", "--json", "events", *arguments)

        def is_told():
            self.fleet.drover("queue", "pause", "marker")
            return "\n" in process.stdout_so_far()
        until(is_told, "the reader is there")
        self.fleet.drover("queue", "resume", "marker")
        while json.loads(process.read_line())["event"] != "queue.resumed":
            pass
        return process

    # ---- events ----

    def test_a_task_is_told_from_submit_to_end(self):
        events = self.subscribed()
        worker = self.fleet.worker("--slots", "1", "--name", "one")
        done = self.fleet.drover("submit", "square", "3", "--wait", "--tag", "env=prod")
        self.assertEqual(done.stdout, "9\n")
        told = []
        while not told or told[-1]["event"] != "task.ended":
            told.append(json.loads(events.read_line()))
        self.assertEqual([event["event"] for event in told],
                         ["worker.connected", "task.submitted", "task.started", "task.ended"])
        ended = told[-1]
        self.assertEqual((ended["type"], ended["queue"], ended["state"], ended["worker"]),
                         ("square", "default", "succeeded", "one"))
        self.assertRegex(ended["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        worker.terminate()
        self.assertEqual(json.loads(events.read_line())["event"], "worker.left")

    def test_filters_and_ends(self):
        self.fleet.worker("--slots", "1")
        reader = self.subscribed("--kind", "task.ended,queue")
        self.fleet.drover("submit", "square", '"no number"', "--wait", check=False)
        event = json.loads(reader.read_line())
        self.assertEqual((event["event"], event["state"], event["error"]),
                         ("task.ended", "failed", "handler"))
        done = self.fleet.drover("events", "--kind", "nothing", check=False)
        self.assertEqual(done.returncode, 64)
        done = self.fleet.drover("events", "--timeout", "10ms", check=False)
        self.assertEqual((done.returncode, done.stdout), (0, ""))
        done = self.fleet.drover("events", "--count", "1", "--timeout", "10ms", check=False)
        self.assertEqual(done.returncode, 124)

    def test_people_get_a_line_with_the_time(self):
        reader = self.fleet.start("drover", "events", "-f", "--kind", "queue")

        def is_told():
            self.fleet.drover("queue", "pause", "q")
            return "\n" in reader.stdout_so_far()
        until(is_told, "the reader is there")
        self.assertRegex(reader.read_line(), r"^\d\d:\d\d:\d\d\.\d{3} queue\.paused +queue=q$")

    def test_a_reader_that_stops_reading_misses_and_is_told(self):
        """F22: bounded for it, nothing for others; when it reads again it hears how many."""
        self.fleet.worker("--slots", "2")
        events = self.subscribed("--kind", "task,queue")
        events.signal(signal.SIGSTOP)
        events.until_stopped()
        numbers = "".join(f"{number}\n" for number in range(ELEMENTS))
        done = self.fleet.drover("map", "square", "-", stdin=numbers)
        self.assertEqual(len(done.stdout.splitlines()), ELEMENTS)
        events.signal(signal.SIGCONT)
        told, event = 0, {}
        while event.get("event") != "gap":
            event = json.loads(events.read_line())
            told += event["event"] != "gap"
        self.assertGreater(event["missed"], 0)
        # The array itself is told three times at most, its elements twice each.
        self.assertLessEqual(told + event["missed"], 2 * ELEMENTS + 3)
        self.fleet.drover("queue", "pause", "after")
        while event["event"] != "queue.paused":
            event = json.loads(events.read_line())

    def test_events_go_on_after_a_restart_of_the_broker(self):
        events = self.subscribed("--kind", "queue")
        self.server.kill()
        self.fleet.broker()
        self.assertEqual(json.loads(events.read_line()), {"event": "gap", "missed": None})
        self.fleet.drover("queue", "pause", "after")
        event = json.loads(events.read_line())
        self.assertEqual((event["event"], event["queue"]), ("queue.paused", "after"))

    # ---- shared data ----

    def test_shared_data_is_watched(self):
        self.fleet.drover("kv", "set", "a/1", '"one"')
        watch = self.fleet.start("drover", "--json", "kv", "watch", "a/*")
        present = json.loads(watch.read_line())
        self.assertEqual((present["event"], present["key"], present["bytes"]),
                         ("kv.present", "a/1", 4))
        self.assertEqual(json.loads(watch.read_line())["event"], "kv.ready")
        self.fleet.drover("kv", "set", "b", "1")
        self.fleet.drover("kv", "set", "a/2", "2", "--ttl", "50ms")
        self.fleet.drover("kv", "del", "a/1")
        told = [json.loads(watch.read_line()) for _ in range(3)]
        self.assertEqual(sorted((event["event"], event["key"]) for event in told),
                         [("kv.deleted", "a/1"), ("kv.expired", "a/2"), ("kv.set", "a/2")])
        one = self.fleet.drover("kv", "watch", "b", "--count", "2")
        self.assertIn("kv.present", one.stdout)
        self.assertIn("kv.ready", one.stdout)


if __name__ == "__main__":
    unittest.main(verbosity=2)

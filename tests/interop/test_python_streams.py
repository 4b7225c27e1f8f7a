"""Streams, with a client and a worker written from the document alone, and a broker of ours."""

import json
import os
import subprocess
import sys
import unittest

from drover_client import Client, RequestError
from drover_stream import (
    EVENTS_STREAM, FOLLOW_FLAG, LOGS_STREAM, PREFIX_FLAG, PRESENT_FLAG, SHARED_DATA_STREAM)
from drover_wire import id_text
from fleet import DEADLINE, SCALE, Fleet

TIMEOUT = 20 * SCALE
SUBMITTED, STARTED, PROGRESS, ENDED = 1, 3, 4, 8  # kinds of events
RUNNING, SUCCEEDED = 4, 5


def bits(*kinds):
    return sum(1 << kind for kind in kinds)


class Streams(unittest.TestCase):
    def setUp(self):
        self.fleet = self.enterContext(Fleet())
        self.broker = self.fleet.broker()
        self.client = Client(self.fleet.endpoint, timeout=TIMEOUT)
        self.addCleanup(self.client.abandon)

    def python_worker(self):
        program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "drover_worker.py")
        process = subprocess.Popen([sys.executable, program, self.fleet.worker_endpoint],
                                   stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.assertTrue(process.stdout.readline().startswith("ready"))
        return process

    def test_the_broker_announces_what_it_serves(self):
        self.assertLessEqual({"events", "logs", "shared_data"}, set(self.client.capabilities))

    # ---- events ----

    def test_events_of_a_task(self):
        self.python_worker()
        events = self.client.subscribe(EVENTS_STREAM, mask=bits(SUBMITTED, STARTED, ENDED))
        task = self.client.submit("square", 4)
        self.assertEqual(self.client.result(task), 16)
        told = []
        while not told or told[-1]["event"] != "task.ended":
            told += self.client.take(events)
        self.assertEqual([event["event"] for event in told],
                         ["task.submitted", "task.started", "task.ended"])
        self.assertEqual({event["id"] for event in told}, {id_text(task)})
        self.assertEqual((told[-1]["state"], told[-1]["worker"]), ("succeeded", "python-worker"))
        self.assertEqual(events.missed, 0)
        self.client.unsubscribe(events)

    def test_progress_is_an_event(self):
        self.python_worker()
        events = self.client.subscribe(EVENTS_STREAM, mask=bits(PROGRESS))
        task = self.client.submit("half")
        told = self.client.take(events)
        self.assertEqual((told[0]["permille"], told[0]["text"]), (500, "half"))
        self.client.cancel(task)

    def test_a_reader_that_takes_nothing_misses_and_nobody_waits_for_it(self):
        self.python_worker()
        events = self.client.subscribe(EVENTS_STREAM, items=20, mask=bits(STARTED, ENDED))
        tasks = self.client.submit_many("square", range(100))
        self.assertEqual([self.client.result(task) for task in tasks],
                         [number * number for number in range(100)])
        self.assertEqual(events.received, 20)
        taken = len(self.client.take(events))
        self.client.take(events, lambda: events.missed > 0)
        self.assertEqual(taken + events.missed, 200)

    def test_nothing_is_lost_with_a_connection(self):
        events = self.client.subscribe(EVENTS_STREAM, mask=bits(SUBMITTED))
        other = Client(self.fleet.endpoint, timeout=TIMEOUT)
        self.addCleanup(other.abandon)
        other.submit_many("nobody.offers.this", range(3))
        self.client.drop_connection()
        other.submit_many("nobody.offers.this", range(4))
        told = []
        while len(told) < 7:
            told += self.client.take(events)
        self.assertEqual((events.missed, events.begun_anew), (0, 0))
        self.assertEqual(len({event["id"] for event in told}), 7)

    def test_a_restart_of_the_broker_is_told(self):
        events = self.client.subscribe(EVENTS_STREAM, mask=bits(SUBMITTED))
        self.broker.kill()
        self.fleet.broker()
        self.client.take(events, lambda: events.begun_anew == 1)
        self.client.submit("nobody.offers.this")
        self.assertEqual(self.client.take(events)[0]["event"], "task.submitted")

    def test_what_is_wrong_is_refused(self):
        for stream, code in ((9, "unsupported"), (LOGS_STREAM, "invalid")):
            with self.assertRaises(RequestError) as caught:
                self.client.subscribe(stream)
            self.assertEqual(caught.exception.code, code)
        with self.assertRaises(RequestError) as caught:
            self.client.subscribe(LOGS_STREAM, task=os.urandom(16))
        self.assertEqual(caught.exception.code, "unknown")

    # ---- output ----

    def read_to_the_end(self, logs):
        pieces = []
        while not logs.state:
            pieces += self.client.take(logs)
        return pieces + self.client.take(logs)

    def test_output_is_followed_from_before_the_start_to_the_end(self):
        task = self.client.submit("talk", 100)
        logs = self.client.subscribe(LOGS_STREAM, flags=FOLLOW_FLAG, task=task)
        self.python_worker()
        pieces = self.read_to_the_end(logs)
        self.assertEqual(logs.state, SUCCEEDED)
        text = {stream: b"".join(piece.text for piece in pieces if piece.stream == stream)
                for stream in (1, 2)}
        self.assertEqual(text, {1: b"out 100\nbye\n", 2: b"err\n"})
        self.assertEqual({piece.attempt for piece in pieces}, {1})

    def test_output_is_kept_with_the_task(self):
        self.python_worker()
        task = self.client.submit("talk", 0)
        self.assertEqual(self.client.result(task), "said")
        pieces = self.read_to_the_end(self.client.subscribe(LOGS_STREAM, task=task, mask=2))
        self.assertEqual(b"".join(piece.text for piece in pieces), b"out 0\nbye\n")

    def test_output_of_a_running_task_is_what_its_worker_has(self):
        self.python_worker()
        events = self.client.subscribe(EVENTS_STREAM, mask=bits(STARTED))
        task = self.client.submit("talk", 600000)
        self.client.take(events)
        pieces = []
        while not pieces:  # it has started, and says something at any moment
            logs = self.client.subscribe(LOGS_STREAM, task=task, mask=2)
            pieces = self.read_to_the_end(logs)
        self.assertEqual((pieces[0].text, logs.state), (b"out 600000\n", RUNNING))
        self.client.cancel(task)

    def test_the_command_prints_output(self):
        self.python_worker()
        task = id_text(self.client.submit("talk", 50))
        done = self.fleet.drover("logs", "-f", task, seconds=DEADLINE)
        self.assertEqual((done.stdout, done.stderr), ("out 50\nbye\n", "err\n"))
        done = self.fleet.drover("logs", task, "--data")
        self.assertEqual(done.stdout, '{"part":1}\n')
        lines = self.fleet.drover("--json", "logs", task).stdout.splitlines()
        last = json.loads(lines[-1])
        self.assertEqual(last, {"task": task, "state": "succeeded"})
        pieces = [json.loads(line) for line in lines[:-1]]
        self.assertEqual([piece["stream"] for piece in pieces],
                         ["stdout", "stderr", "data", "stdout"])
        self.assertEqual((pieces[3]["offset"], pieces[3]["text"]), (7, "bye\n"))
        done = self.fleet.drover("logs", id_text(os.urandom(16)), check=False)
        self.assertEqual(done.returncode, 1)

    def test_the_command_prints_the_output_of_an_array_with_numbers(self):
        self.python_worker()
        array = self.client.open_array("talk", [1, 2])
        self.client.outcome(array)
        done = self.fleet.drover("logs", id_text(array))
        self.assertEqual(sorted(done.stdout.splitlines()),
                         ["0: bye", "0: out 1", "1: bye", "1: out 2"])

    # ---- shared data ----

    def test_shared_data_is_watched(self):
        self.client.set("a/1", "one")
        watch = self.client.subscribe(SHARED_DATA_STREAM, text="a/",
                                      flags=PREFIX_FLAG | PRESENT_FLAG)
        told = []
        while len(told) < 2:
            told += self.client.take(watch)
        self.assertEqual([event["event"] for event in told], ["kv.present", "kv.ready"])
        version = self.client.set("a/2", "two")
        event = self.client.take(watch)[0]
        self.assertEqual((event["event"], event["key"], event["version"]),
                         ("kv.set", "a/2", version))


if __name__ == "__main__":
    unittest.main(verbosity=2)

"""A worker written from the document alone, with our broker and with clients of both kinds."""

import os
import signal
import sys
import unittest
import unittest.mock

from drover_client import TASK, WORKERS, Client, TaskError
from fleet import SCALE, Fleet, Program, until

HERE = os.path.dirname(os.path.abspath(__file__))
TIMEOUT = 20 * SCALE


class PythonWorker(Program):
    """drover_worker.py as a process; Program wants a binary of ours, which this is not."""

    def __init__(self, endpoint, folder, *arguments):
        script = os.path.join(HERE, "drover_worker.py")
        with unittest.mock.patch("fleet.BIN", os.path.dirname(sys.executable)):
            super().__init__(os.path.basename(sys.executable), [script, endpoint, *arguments],
                             folder)

    def wait_ready(self, seconds=20):
        line = self.read_line(seconds)
        assert line is not None and line.startswith("ready "), (line, self.stderr())
        return line.split()[1:]


class WithPythonWorker(unittest.TestCase):
    """A fresh broker and one Python worker for every test."""

    def setUp(self):
        self.fleet = Fleet()
        self.fleet.__enter__()
        self.addCleanup(self.fleet.__exit__, None, None, None)
        self.broker = self.fleet.broker()
        self.worker = self.start_worker("--name", "snake")

    def start_worker(self, *arguments):
        worker = PythonWorker(self.fleet.worker_endpoint, self.fleet.folder, *arguments)
        self.fleet.programs.append(worker)
        worker.words = worker.wait_ready()
        return worker

    def connect(self):
        client = Client(self.fleet.endpoint, timeout=TIMEOUT)
        self.addCleanup(client.abandon)
        return client


class WithOurCommand(WithPythonWorker):

    def test_submit_and_wait(self):
        self.assertEqual(self.fleet.drover("submit", "square", "9", "--wait").stdout.strip(), "81")

    def test_map(self):
        done = self.fleet.drover("map", "square", stdin="".join(f"{n}\n" for n in range(300)))
        self.assertEqual(done.stdout.split(), [str(n * n) for n in range(300)])

    def test_map_with_a_shared_value(self):
        done = self.fleet.drover("map", "add", "--with", "1000", stdin="1\n2\n3\n")
        self.assertEqual(done.stdout.split(), ["1001", "1002", "1003"])

    def test_failure(self):
        done = self.fleet.drover("submit", "fail", '"out of eggs"', "--wait", check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("out of eggs", done.stdout + done.stderr)

    def test_cancel(self):
        task = self.fleet.submit("sleep", "600000")
        self.fleet.until_state(task, "running")
        self.fleet.drover("cancel", task)
        self.fleet.until_state(task, "cancelled")

    def test_timeout(self):
        task = self.fleet.submit("sleep", "600000", "--timeout", "50ms")
        document = self.fleet.until_state(task, "failed")
        self.assertEqual(document["error"]["kind"], "timeout")

    def test_retries(self):
        task = self.fleet.submit("flaky", "3", "--retries", "5", "--backoff", "10ms")
        document = self.fleet.until_state(task, "succeeded")
        self.assertEqual(document["attempt"], 3)

    def test_status_shows_the_worker(self):
        def workers():
            return [worker for worker in self.fleet.status()["workers"]
                    if worker.get("stats", {}).get("memory_total", 0) > 0]
        worker = until(workers, "a heartbeat with statistics")[0]
        self.assertEqual((worker["name"], worker["model"]), ("snake", "thread"))
        self.assertEqual(worker["pid"], self.worker.pid)

    def test_the_name_is_taken(self):
        self.assertEqual(self.worker.words[0], "snake")
        self.assertEqual(self.start_worker("--name", "snake").words[0], "snake-2")

    def test_drain(self):
        self.fleet.drover("worker", "drain", "snake")
        task = self.fleet.submit("square", "4")
        until(lambda: self.fleet.status()["workers"][0]["state"] == "draining", "it drains")
        self.assertEqual(self.fleet.state(task), "queued")
        self.fleet.drover("worker", "resume", "snake")
        self.fleet.until_state(task, "succeeded")

    def test_the_worker_ends_when_it_has_finished(self):
        task = self.fleet.submit("sleep", "2500")
        self.fleet.until_state(task, "running")
        self.assertEqual(self.worker.terminate(), 0)
        self.fleet.until_state(task, "succeeded")
        until(lambda: not self.fleet.status()["workers"], "the worker is gone")


class WithOurClientAndWorkerOfPython(WithPythonWorker):

    def test_values_go_both_ways(self):
        client = self.connect()
        self.assertEqual(client.call("square", 12), 144)
        self.assertEqual(client.call("echo", [None, True, 2.5, "ä", b"\x00"]),
                         [None, True, 2.5, "ä", b"\x00"])

    def test_large_values(self):
        client = self.connect()
        value = bytes(range(256)) * 12000
        self.assertEqual(client.call("echo", value), value)

    def test_a_map_with_a_shared_value(self):
        client = self.connect()
        self.assertEqual(client.map("add", range(500), shared=1000), list(range(1000, 1500)))

    def test_an_error_has_code_and_text(self):
        with self.assertRaises(TaskError) as caught:
            self.connect().call("fail", "no", retries=5)
        self.assertEqual((caught.exception.code, caught.exception.text), ("asked", "no"))

    def test_what_the_handler_knows_of_itself(self):
        client = self.connect()
        task = client.submit("report")
        self.assertEqual(client.result(task),
                         {"id": task, "index": -1, "attempt": 1, "pid": self.worker.pid})

    def test_progress_is_seen(self):
        client = self.connect()
        task = client.submit("half")
        until(lambda: client.query(TASK, task).get("progress") == {"permille": 500, "text": "half"},
              "progress is seen")
        client.cancel(task)
        self.assertEqual(client.outcome(task).state, "cancelled")

    def test_a_lost_connection_loses_no_work(self):
        """What runs, runs on, is listed with ATTACH, and its results are taken."""
        client = self.connect()
        ids = client.submit_many("sleep", [200] * 6)
        until(lambda: client.query(WORKERS)["workers"][0]["running"] == 2, "two run")
        self.worker.signal(signal.SIGUSR1)
        self.assertEqual(self.worker.wait_ready(), ["snake", "2"])
        outcomes = [client.outcome(task) for task in ids]
        self.assertEqual({outcome.state for outcome in outcomes}, {"succeeded"})
        # Nothing was run twice: no lease was lost.
        self.assertEqual({outcome.attempt for outcome in outcomes[:2]}, {1})
        self.assertEqual(client.query(1)["tasks"]["stale_results"], 0)

    def test_a_killed_worker_s_tasks_run_elsewhere(self):
        client = self.connect()
        task = client.submit("sleep", 3000)
        until(lambda: client.query(WORKERS)["workers"][0]["running"] == 1, "it runs")
        self.start_worker("--name", "other")
        self.worker.kill()
        outcome = client.outcome(task, timeout=2 * TIMEOUT)
        self.assertEqual((outcome.state, outcome.attempt), ("succeeded", 2))

    def test_a_worker_survives_a_restart_of_the_broker(self):
        client = self.connect()
        self.assertEqual(client.call("square", 2), 4)
        self.broker.kill()
        self.fleet.broker()
        self.assertEqual(self.worker.wait_ready()[1], "2")
        client.until_session(2)
        self.assertEqual(client.call("square", 3), 9)


if __name__ == "__main__":
    unittest.main()

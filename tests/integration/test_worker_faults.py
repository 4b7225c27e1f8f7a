"""What becomes of work when workers or the broker are killed, stopped or told to end."""

import filecmp
import json
import os
import signal
import subprocess
import unittest

from fleet import (BIN, DEADLINE, SCALE, Fleet, descendants, is_alive, name_of, test_module,
                   until)

QUICK = ("--heartbeat", "100ms", "--lease", "600ms", "--reconnect-grace", "300ms", "--reattach",
         "600ms")


class Faults(unittest.TestCase):
    def setUp(self):
        self.fleet = Fleet()
        self.failed = True

    def tearDown(self):
        # The logs of the programs are shown for tests that did not come to their last line.
        self.fleet.__exit__(AssertionError if self.failed else None, None, None)

    def start(self, *names, slots=1, load=()):
        """A broker with short times, and workers of these names, with these test modules."""
        self.broker = self.fleet.broker(*QUICK)
        loads = [word for name in load for word in ("--load", test_module(name))]
        self.workers = {name: self.fleet.worker("--name", name, "--slots", str(slots), *loads)
                        for name in names}

    def until_running(self, task):
        """Waits until a worker has said that it started; its name."""
        return self.fleet.until_state(task, "running")["worker"]

    def done(self):
        self.failed = False

    # ---- workers that go ----

    def test_killed_worker_s_task_runs_elsewhere(self):
        self.start("a", "b")
        task = self.fleet.submit("sleep", str(1500 * SCALE))
        first = self.until_running(task)
        self.workers[first].kill()
        document = self.fleet.until_state(task, "succeeded")
        self.assertEqual(document["attempt"], 2)
        second = next(name for name in self.workers if name != first)
        self.assertEqual([(attempt["worker"], attempt["attempt"])
                          for attempt in document["attempts"]], [(first, 1), (second, 2)])
        tasks = self.fleet.status()["tasks"]
        self.assertEqual((tasks["submitted"], tasks["succeeded"], tasks["failed"]), (1, 1, 0))
        self.done()

    def test_stopped_worker_s_late_result_is_stale(self):
        self.start("a", "b")
        task = self.fleet.submit("sleep", str(1000 * SCALE))
        first = self.until_running(task)
        self.workers[first].signal(signal.SIGSTOP)
        self.workers[first].until_stopped()
        document = self.fleet.until_state(task, "succeeded")
        self.assertEqual(document["attempt"], 2)
        self.workers[first].signal(signal.SIGCONT)
        self.fleet.until_workers(2)
        # It holds nothing of the past and works on.
        until(lambda: all(worker["running"] == 0 and worker["assigned"] == 0
                          for worker in self.fleet.status()["workers"]), "nobody holds anything")
        self.assertEqual(self.fleet.show(task)["attempt"], 2)
        other = next(name for name in self.workers if name != first)
        self.assertEqual(self.workers[other].terminate(), 0)
        self.assertEqual(self.fleet.drover("submit", "square", "9", "--wait").stdout, "81\n")
        self.assertEqual(self.fleet.status()["tasks"]["succeeded"], 2)
        self.done()

    def test_stopped_worker_s_running_task_is_ended(self):
        self.start("a", "b")
        task = self.fleet.submit("sleep", "600000")
        first = self.until_running(task)
        self.workers[first].signal(signal.SIGSTOP)
        self.workers[first].until_stopped()
        self.fleet.until_state(task, "running")
        until(lambda: self.fleet.show(task).get("attempt") == 2
              and self.fleet.show(task)["state"] == "running", "the second attempt runs")
        self.workers[first].signal(signal.SIGCONT)
        self.fleet.until_workers(2)
        # The slot is free again only when the first attempt was ended.
        second = self.fleet.submit("sleep", "600000")
        self.assertEqual(self.until_running(second), first)
        self.done()

    def test_superseded_handler_s_write_is_refused_counted_and_shown(self):
        self.start("a", "b", load=("rough",))
        path = self.fleet.path("go")
        task = self.fleet.submit("supersede", json.dumps(path))
        first = self.until_running(task)
        self.workers[first].signal(signal.SIGSTOP)
        self.workers[first].until_stopped()
        until(lambda: self.fleet.drover("kv", "get", "writer", check=False).stdout == "2\n",
              "the second attempt has written")
        self.fleet.write("go", "")
        until(lambda: os.path.exists(path + ".asked"), "the first attempt writes, too")
        self.workers[first].signal(signal.SIGCONT)
        until(lambda: self.fleet.status()["tasks"]["stale_writes"] == 1, "its write was refused")
        self.assertIn("1 stale writes", self.fleet.drover("status").stdout)
        self.assertEqual(self.fleet.drover("kv", "get", "writer").stdout, "2\n")
        self.assertEqual(self.fleet.show(task)["attempt"], 2)
        self.done()

    # ---- work that turns out to be longer than work like it ----

    def test_short_result_does_not_wait_for_a_long_task_behind_it(self):
        """Both are placed together, since such tasks were short; the long one looks at nothing."""
        self.broker = self.fleet.broker()
        self.fleet.worker("--name", "a", "--slots", "1")
        self.fleet.drover("map", "spin", stdin="0\n" * 300)
        self.fleet.drover("queue", "pause", "default")
        short = self.fleet.submit("spin", "0")
        long = self.fleet.submit("spin", str(600000 * SCALE))
        self.fleet.drover("queue", "resume", "default")
        self.fleet.until_state(short, "succeeded")
        self.until_running(long)
        self.fleet.drover("cancel", long)
        self.assertEqual(self.fleet.state(long), "cancelled")
        self.done()

    # ---- payloads that fill every queue on their way ----

    def large(self, name, mebibytes):
        """A file of that size; its path."""
        path = self.fleet.path(name)
        with open(path, "wb") as file:
            file.write(os.urandom(1 << 20) * mebibytes)
        return path

    def echo(self, path):
        """Sends the file through a worker; what came back, by its path, when that has ended."""
        with open(path + ".out", "wb") as out:
            return subprocess.Popen([os.path.join(BIN, "drover"), "submit", "echo", "--raw", path,
                                     "--wait"], stdout=out, env=self.fleet.environment())

    def test_large_payloads_travel_while_heartbeats_go_on(self):
        """Each is more than a connection's queue holds beside it, and two are under way at once."""
        # Instrumented, each byte costs so much that everybody is late; then the lease is longer.
        self.broker = self.fleet.broker("--heartbeat", "100ms", "--lease", f"{15 * SCALE}s")
        for name in "ab":
            self.fleet.worker("--name", name, "--slots", "1")
        paths = [self.large(f"large{n}", 17 + n) for n in range(3 if SCALE == 1 else 2)]
        clients = [self.echo(path) for path in paths]
        for client, path in zip(clients, paths):
            self.assertEqual(client.wait(3 * DEADLINE * SCALE), 0)
            self.assertTrue(filecmp.cmp(path, path + ".out", shallow=False))
        self.assertNotIn("connection dropped", self.broker.stderr())
        self.assertEqual(self.fleet.status()["tasks"]["retried"], 0)
        self.done()

    def test_worker_that_stopped_amid_a_large_payload_comes_back(self):
        self.broker = self.fleet.broker("--lease", f"{2 * SCALE}s")
        worker = self.fleet.worker("--name", "a", "--slots", "1")
        self.fleet.drover("queue", "pause", "default")
        client = self.echo(self.large("large", 20))
        until(lambda: self.fleet.status()["tasks"]["queued"] == 1, "the payload is at the broker")
        worker.signal(signal.SIGSTOP)
        worker.until_stopped()
        self.fleet.drover("queue", "resume", "default")
        self.broker.until_log("worker lost")
        self.fleet.worker("--name", "b", "--slots", "1")
        self.assertEqual(client.wait(3 * DEADLINE * SCALE), 0)
        worker.signal(signal.SIGCONT)
        self.fleet.until_workers(2)
        self.assertEqual(self.fleet.drover("submit", "square", "9", "--wait").stdout, "81\n")
        self.done()

    def test_terminated_worker_loses_nothing(self):
        self.start("a")
        running = self.fleet.submit("sleep", str(600 * SCALE))
        self.until_running(running)
        waiting = [self.fleet.submit("square", str(n)) for n in range(20)]
        worker = self.workers["a"]
        worker.signal(signal.SIGTERM)
        self.assertEqual(worker.wait(), 0)
        document = self.fleet.show(running)
        self.assertEqual((document["state"], document["attempt"]), ("succeeded", 1))
        self.fleet.worker("--name", "b")
        for task in waiting:
            document = self.fleet.until_state(task, "succeeded")
            self.assertEqual(document["worker"] if "worker" in document else "b", "b")
        tasks = self.fleet.status()["tasks"]
        self.assertEqual((tasks["succeeded"], tasks["failed"]), (21, 0))
        self.done()

    def test_drain_beyond_its_grace_gives_tasks_back(self):
        self.broker = self.fleet.broker(*QUICK)
        worker = self.fleet.worker("--name", "a", "--slots", "1", "--grace", "100ms")
        task = self.fleet.submit("sleep", str(1200 * SCALE))
        self.fleet.until_state(task, "running")
        self.assertEqual(worker.terminate(), 0)
        self.fleet.until_state(task, "queued")
        document = self.fleet.show(task)
        self.assertEqual(document["losses_left"], 3)
        self.assertEqual(document["attempts"][0]["outcome"], "interrupted")
        self.fleet.worker("--name", "b")
        self.assertEqual(self.fleet.until_state(task, "succeeded")["attempt"], 2)
        self.done()

    def test_killed_zygote_costs_losses_and_no_retries(self):
        self.start("a")
        running = self.fleet.submit("spin", "600000")
        self.until_running(running)
        waiting = self.fleet.submit("square", "4")
        zygote = next(pid for pid in descendants(self.workers["a"].pid)
                      if name_of(pid) == "drover-zygote")
        os.kill(zygote, signal.SIGKILL)
        self.assertEqual(self.workers["a"].wait(), 74)
        document = self.fleet.until_state(running, "queued")
        self.assertEqual((document["losses_left"], document["retries_left"]), (2, 0))
        self.assertEqual([attempt["outcome"] for attempt in document["attempts"]], ["lost"])
        self.assertEqual(self.fleet.show(waiting)["losses_left"], 3)
        self.fleet.worker("--name", "b", "--slots", "2")
        self.fleet.until_state(waiting, "succeeded")
        self.fleet.until_state(running, "running")
        self.done()

    def test_killed_agent_takes_its_executors_with_it(self):
        self.start("a", slots=2)
        for _ in range(2):
            self.until_running(self.fleet.submit("spin", "600000"))
        family = descendants(self.workers["a"].pid)
        self.assertGreaterEqual(len(family), 3)
        self.workers["a"].kill()
        until(lambda: not any(is_alive(pid) for pid in family), "all its processes have ended")
        self.done()

    # ---- a broker that goes ----

    def test_restarted_broker_finds_its_workers_working(self):
        self.start("a")
        task = self.fleet.submit("sleep", "600000")
        self.until_running(task)
        executors = descendants(self.workers["a"].pid)
        self.broker.kill()
        self.workers["a"].until_log("broker lost")
        self.broker = self.fleet.broker(*QUICK)
        self.fleet.until_workers(1)
        # It keeps what it runs while the broker waits for whoever may want it...
        self.assertTrue(executors <= descendants(self.workers["a"].pid))
        self.assertIsNone(self.workers["a"].process.poll())
        # ... and when nobody does, it is free for the next.
        done = self.fleet.drover("submit", "square", "12", "--wait")
        self.assertEqual(done.stdout, "144\n")
        self.done()

    def test_broker_that_comes_late_is_found(self):
        worker = self.fleet.worker(ready=False)
        worker.until_log("no broker")
        self.fleet.broker()
        worker.wait_ready()
        self.assertEqual(self.fleet.drover("submit", "square", "3", "--wait").stdout, "9\n")
        self.done()

    # ---- the plain way ----

    def test_wrong_endpoint_names_the_right_one(self):
        self.start()
        worker = self.fleet.worker("--broker", self.fleet.endpoint, ready=False)
        self.assertEqual(worker.wait(), 64)
        self.assertIn(self.fleet.worker_endpoint, worker.stderr())
        self.done()

    def test_second_worker_of_a_name_gets_another(self):
        self.start("w")
        second = self.fleet.worker("--name", "w")
        self.assertEqual(second.ready["name"], "w-2")
        self.done()

    def test_status_shows_the_host_of_each_worker(self):
        self.start("a")
        worker = self.fleet.status()["workers"][0]
        self.assertEqual((worker["name"], worker["pid"], worker["slots"], worker["state"]),
                         ("a", self.workers["a"].pid, 1, "connected"))
        self.assertEqual(worker["host"], os.uname().nodename)
        for key in ("cpu_percent", "memory_percent", "disk_percent"):
            self.assertTrue(0 <= worker["stats"][key] <= 100, key)
        for key in ("process_count", "load1", "bytes_sent", "bytes_recv", "packets_sent",
                    "packets_recv"):
            self.assertGreaterEqual(worker["stats"][key], 0, key)
        self.assertGreater(worker["stats"]["memory_total"], 0)
        self.assertIn("details", self.fleet.json("worker", "show", "a"))
        self.done()

    def test_configured_command_is_a_handler(self):
        self.fleet.broker()
        config = self.fleet.write("worker.ini", "[worker]\nslots = 1\n[handler.upper]\n"
                                  "command = tr a-z A-Z\nstdin = text\nstdout = text\n")
        self.fleet.start("drover-worker", "--config", config).wait_ready()
        done = self.fleet.drover("submit", "upper", '"loud"', "--wait")
        self.assertEqual(done.stdout, '"LOUD"\n')
        self.done()


if __name__ == "__main__":
    unittest.main()

"""How drover-worker starts, and how it refuses to: options, modules, endpoints, brokers away."""

import os
import re
import signal
import socket
import subprocess
import unittest

from fleet import BIN, DEADLINE, SCALE, Fleet, module, until
from hangup import HangsUp
from stage import ERROR, Stage

WRONG_ENDPOINT, VERSION, DENIED = 14, 13, 10


def run(*arguments, environment=None):
    """Runs drover-worker to its end."""
    return subprocess.run([os.path.join(BIN, "drover-worker"), *arguments], capture_output=True,
                          text=True, check=False, timeout=DEADLINE * SCALE,
                          env={**os.environ, **(environment or {})})


class Refusals(unittest.TestCase):
    """One line on stderr and exit code 64."""

    def assert_refused(self, done, *parts):
        self.assertEqual(done.returncode, 64, done.stderr)
        self.assertEqual(done.stdout, "")
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertTrue(done.stderr.startswith("drover-worker: "), done.stderr)
        for part in parts:
            self.assertIn(part, done.stderr)

    def test_unknown_option(self):
        self.assert_refused(run("--speed", "9"), "--speed")

    def test_malformed_values(self):
        self.assert_refused(run("--load", "x.so", "--grace", "soon"), "soon")
        self.assert_refused(run("--load", "x.so", "--broker", "localhost"), "tcp://HOST:PORT")
        self.assert_refused(run("--load", "x.so"), "x.so") # no such file
        self.assert_refused(run("--load", "x.so", "--stats", "host,gpu"), "--stats gpu",
                            "processes[:N|:all]")
        self.assert_refused(run("--load", "x.so", "--stats", "processes:0"), "processes:0")
        self.assert_refused(run("--load", "x.so", "--stats-interval", "1ms"), "stats-interval")

    def test_environment_is_checked_like_options(self):
        self.assert_refused(run("--load", "x.so", environment={"DROVER_WORKER_SLOTS": "none"}),
                            "DROVER_WORKER_SLOTS")

    def test_nothing_to_run(self):
        self.assert_refused(run(), "nothing to run")

    def test_rules_that_cannot_be_kept(self):
        self.assert_refused(run("--load", module("demo"), "--type", "nobody:concurrency=1"),
                            "type nobody", "no such handler")
        self.assert_refused(run("--load", module("demo"), "--type", "square:model=exec"),
                            "a function cannot run as exec")

    def test_module_that_cannot_be_loaded_says_why(self):
        with Fleet() as fleet:
            broken = fleet.write("broken.so", "this is no shared object")
            done = run("--load", broken)
            self.assertEqual(done.returncode, 64, done.stderr)
            self.assertIn("broken.so", done.stderr)
            self.assertRegex(done.stderr, "too short|invalid ELF header")
            done = run("--load", fleet.path("missing.so"))
            self.assertEqual(done.returncode, 64, done.stderr)
            self.assertIn("No such file", done.stderr)

    def test_file_is_checked(self):
        with Fleet() as fleet:
            good = fleet.write("good.ini", "[worker]\nslots = 2\n[handler.x]\ncommand = true\n")
            bad = fleet.write("bad.ini", "[handler.x]\ncommand = true\ncolour = red\n")
            done = run("--config", good, "--check-config")
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
            self.assert_refused(run("--config", bad, "--check-config"), "bad.ini:3", "colour")
            done = run("--load", module("demo"), "--check-config")
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
            self.assert_refused(run("--load", fleet.path("no.so"), "--check-config"), "no.so")


class Words(unittest.TestCase):
    def test_help_and_version(self):
        done = run("--help")
        self.assertEqual(done.returncode, 0)
        for option in ("--broker", "--load", "--slots", "--allow-exec", "--grace", "--config"):
            self.assertIn(option, done.stdout)
        self.assertRegex(run("--version").stdout, r"^drover-worker \d+\.\d+\.\d+\n$")

    def test_call_runs_one_handler_here(self):
        done = run("--load", module("demo"), "--call", "square", "12")
        self.assertEqual((done.returncode, done.stdout), (0, "144\n"), done.stderr)
        done = run("--load", module("demo"), "--call", "fail", '"for a reason"')
        self.assertEqual(done.returncode, 1)
        self.assertIn("for a reason", done.stderr)
        done = run("--load", module("demo"), "--call", "square", "{")
        self.assertEqual(done.returncode, 64)
        self.assertEqual(run("--load", module("demo"), "--call", "cube").returncode, 64)


class Meeting(unittest.TestCase):
    """With a broker that the test plays."""

    def setUp(self):
        self.fleet = Fleet()
        self.addCleanup(self.fleet.__exit__, None, None, None)
        self.stage = Stage(self.fleet.folder)
        self.addCleanup(self.stage.__exit__)

    def start(self, *arguments):
        return self.fleet.worker("--broker", self.stage.endpoint, *arguments, ready=False)

    def test_hello_says_what_the_worker_offers(self):
        worker = self.start("--name", "w.1", "--slots", "3", "--queue", "fast", "--label", "a=b",
                            "--resource", "gpu=2", "--resource", "cpus=3",
                            "--resource", "memory=1000", "--prefetch", "5")
        peer = self.stage.greet()
        low, high, role, session, resume, name = peer.hello[:6]
        self.assertEqual((low, high, role, resume, name), (1, 1, 2, False, "w.1"))
        self.assertEqual(len(session), 16)
        self.assertEqual(peer.hello[9], 3 + 5)
        slots, pid, host, types, queues, labels, resources, leases, model = peer.hello[11]
        self.assertEqual((slots, pid, leases, model), (3, worker.pid, 0, 1))
        self.assertEqual(host, socket.gethostname())
        self.assertIn(["square", 1, 0], types)
        self.assertEqual((queues, labels, resources), (["fast"], [["a", "b"]], [["gpu", 2], ["cpus", 3], ["memory", 1000]]))

    def test_hello_says_how_types_run(self):
        self.start("--model", "thread", "--type", "square:model=fork,concurrency=2", "--type",
                   "spin:concurrency=1", "--allow-exec", "true")
        peer = self.stage.greet()
        types = peer.hello[11][3]
        self.assertIn(["square", 3, 2], types)
        self.assertIn(["spin", 2, 1], types)
        self.assertIn(["exec:true", 4, 0], types)
        self.assertEqual(peer.hello[11][8], 2)

    def test_ready_line_names_session_name_and_types(self):
        worker = self.start("--name", "w")
        self.stage.accept(name="w-2")
        worker.wait_ready()
        self.assertEqual(worker.ready["name"], "w-2")
        self.assertTrue(re.fullmatch("[0-9A-Z]{26}", worker.ready["worker"]))
        self.assertIn("square", worker.ready["types"].split(","))

    def test_heartbeats_carry_the_host(self):
        self.start()
        peer = self.stage.accept(heartbeat_ms=20)
        lease = peer.lease("sleep", 60000)
        peer.started()
        while not peer.last_beat[0] or not peer.last_beat[1][2]: # disks are looked at apart
            peer.until_beat()
        running, host = peer.last_beat[:2]
        self.assertEqual(running[0][:4], lease)
        cpu, memory, disk, processes, load, sent, received, *_ = host
        self.assertTrue(0 <= cpu <= 100 and 0 < memory <= 100 and 0 < disk <= 100, host)
        self.assertTrue(processes > 0 and load >= 0 and sent >= 0 and received >= 0, host)
        self.assertGreater(host[9], host[10])
        self.assertGreater(host[11], 0)

    def test_stats_none_leaves_the_host_out(self):
        self.start("--stats", "none")
        peer = self.stage.accept(heartbeat_ms=20)
        self.assertIsNone((peer.last_beat + [None, None])[1])
        self.assertEqual(peer.details, {})

    def test_first_heartbeat_has_all_statistics_before_ready(self):
        worker = self.start()
        peer = self.stage.greet().welcome(heartbeat_ms=60000)
        self.assertEqual(worker.stdout_so_far(), "")
        peer.until_beat()
        worker.wait_ready()
        self.assertGreater(peer.last_beat[1][9], 0)
        self.assertEqual(set(peer.details), {"pid_space", "interval_ms", "host", "net", "disk",
                                             "cgroup", "executors", "processes", "sandbox"})
        disk = peer.details["disk"]
        self.assertTrue(disk["stale"] or "/" in [mount["path"] for mount in disk["mounts"]], disk)

    def test_groups_and_interval_are_chosen(self):
        self.start("--stats", "executors,processes:all", "--stats-interval", "100ms")
        peer = self.stage.accept(heartbeat_ms=20)
        lease = peer.lease("sleep", 60000)
        peer.started()

        def executor():
            peer.until_beat()
            return next((one for one in peer.details.get("executors", {}).get("list", [])
                         if "id" in one and one.get("cpu_percent") is not None), None)
        one = until(executor, "the executor is shown with its task")
        self.assertEqual((one["state"], one["type"], one["attempt"], one["model"]),
                         ("busy", "sleep", lease[3], "prefork"))
        self.assertGreater(one["rss_bytes"], 0)
        self.assertIsNone(peer.last_beat[1])
        rows = {row["pid"]: row for row in peer.details["processes"]["list"]}
        self.assertIn(one["pid"], rows)
        self.assertTrue({"name", "state", "cpu_percent", "memory_percent", "rss_bytes", "threads",
                         "parent"} <= rows[one["pid"]].keys())

    def test_wrong_endpoint_ends_with_the_right_one(self):
        worker = self.start()
        peer = self.stage.greet()
        peer.send(ERROR, WRONG_ENDPOINT, "this is the client endpoint", 0, 1, 1, "tcp://right:1")
        self.assertEqual(worker.wait(), 64)
        self.assertIn("this is the client endpoint", worker.stderr())
        self.assertIn("tcp://right:1", worker.stderr())

    def test_other_refusals_end_with_their_words(self):
        for code, exit_code in ((VERSION, 69), (DENIED, 77)):
            worker = self.start()
            self.stage.greet().send(ERROR, code, f"words of {code}", 0, 1, 1, None)
            self.assertEqual(worker.wait(), exit_code)
            self.assertIn(f"words of {code}", worker.stderr())

    def test_no_broker_is_logged_once_and_tried_on(self):
        self.stage.close()
        worker = self.start()
        worker.until_log("no broker")
        self.assertIsNone(worker.process.poll())
        self.stage.open()
        self.stage.accept()
        worker.wait_ready()
        self.assertEqual(worker.stderr().count("no broker"), 1)

    def test_second_broker_is_tried_when_the_first_is_away(self):
        worker = self.fleet.worker("--broker", "ipc://" + self.fleet.path("nobody"), "--broker",
                                   self.stage.endpoint, ready=False)
        self.stage.accept()
        worker.wait_ready()

    def test_broker_that_hangs_up_in_the_greeting_may_want_a_key(self):
        with HangsUp() as endpoint:
            worker = self.fleet.worker("--broker", endpoint, ready=False)
            worker.until_log("if the broker wants a key")
            self.assertIsNone(worker.process.poll())

    def test_service_manager_is_told(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(self.fleet.path("notify"))
            manager.settimeout(DEADLINE * SCALE)
            worker = self.fleet.start("drover-worker", "--broker", self.stage.endpoint, "--load",
                                      module("demo"), environment={
                                          "NOTIFY_SOCKET": self.fleet.path("notify")})
            self.assertEqual(manager.recv(999), b"READY=1\nSTATUS=no broker yet")
            peer = self.stage.accept()
            self.assertRegex(manager.recv(999), rb"\ASTATUS=serving as \S+\Z")
            peer.send(ERROR, 5, "first line\nREADY=0", 0, 0, 0)
            told = manager.recv(999)
            self.assertTrue(told.startswith(b"STATUS=no broker: "), told)
            self.assertNotIn(b"\n", told)
            worker.signal(signal.SIGTERM)
            while not told.startswith(b"STOPPING=1"):
                told = manager.recv(999)
            self.assertEqual(told, b"STOPPING=1\nSTATUS=draining: what runs has 30 s to end")
            self.assertEqual(worker.wait(), 0)


if __name__ == "__main__":
    unittest.main()

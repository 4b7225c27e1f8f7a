"""bench, on a fleet of its own and on one that is there."""

import json
import os
import signal
import subprocess
import tempfile
import unittest

from fleet import BIN, DEADLINE, SCALE, Fleet, until

RUN_KEYS = {"tasks", "failed", "seconds", "tasks_per_s", "window", "rate_per_s", "payload_bytes",
            "durability", "model", "slots", "p50_us", "p90_us", "p99_us", "p999_us", "max_us"}
DEPTH_KEYS = {"tasks", "seconds", "submit_per_s", "drain_per_s", "payload_bytes", "durability",
              "broker_rss_before_bytes", "broker_rss_full_bytes", "broker_rss_after_bytes",
              "broker_bytes_per_task"}
MACHINE_KEYS = {"broker_cpu_us_per_task", "worker_cpu_us_per_task", "client_cpu_us_per_task",
                "broker_rss_bytes", "store", "machine", "disk"}


def alone(*arguments, json_wanted=True):
    """The command without a broker in its environment: it makes its own."""
    environment = {name: value for name, value in os.environ.items() if name != "DROVER_BROKER"}
    words = ["--json"] if json_wanted else []
    done = subprocess.run([os.path.join(BIN, "drover"), *words, "bench", *arguments],
                          capture_output=True, text=True, check=False, env=environment,
                          timeout=2 * DEADLINE * SCALE)
    return done


class Private(unittest.TestCase):

    def document(self, *arguments):
        done = alone(*arguments)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return json.loads(done.stdout)

    def test_a_private_fleet_is_measured(self):
        told = self.document("--tasks", "3000", "--window", "100", "--payload", "100", "--slots", "1")
        self.assertEqual(set(told), RUN_KEYS | MACHINE_KEYS)
        self.assertEqual((told["tasks"], told["failed"]), (3000, 0))
        self.assertEqual((told["window"], told["payload_bytes"], told["slots"]), (100, 100, 1))
        self.assertEqual((told["model"], told["store"]), ("prefork", "memory"))
        self.assertAlmostEqual(told["tasks_per_s"], 3000 / told["seconds"], delta=1)
        self.assertGreater(told["p50_us"], 0)
        self.assertGreaterEqual(told["max_us"], told["p99_us"])
        self.assertGreaterEqual(told["p99_us"], told["p50_us"])
        self.assertGreater(told["client_cpu_us_per_task"], 0)
        self.assertGreater(told["broker_rss_bytes"], 1 << 20)

    def test_one_in_flight_is_a_round_trip(self):
        told = self.document("--window", "1", "--tasks", "200")
        self.assertEqual((told["tasks"], told["window"]), (200, 1))
        self.assertLessEqual(told["p50_us"] / 1e6 * 100, told["seconds"])

    def test_a_fixed_rate_is_kept(self):
        """Tasks are due one after the other, so the run takes as long as their number says."""
        told = self.document("--rate", "500", "--tasks", "251")
        self.assertEqual((told["tasks"], told["rate_per_s"]), (251, 500))
        self.assertGreaterEqual(told["seconds"], 0.5)

    def test_large_payloads_go_through(self):
        told = self.document("--payload", "1M", "--tasks", "20", "--window", "4")
        self.assertEqual((told["failed"], told["payload_bytes"]), (0, 1 << 20))

    def test_depth_is_filled_and_drained(self):
        told = self.document("--depth", "20000")
        self.assertEqual(set(told), DEPTH_KEYS | MACHINE_KEYS)
        self.assertEqual(told["tasks"], 20000)
        self.assertGreater(told["broker_rss_full_bytes"], told["broker_rss_before_bytes"])

    def test_people_get_a_table_and_a_picture(self):
        done = alone("--tasks", "500", "--window", "50", json_wanted=False)
        self.assertEqual(done.returncode, 0)
        for text in ("tasks              500 of 32 bytes, 50 in flight, durability memory",
                     "round trip         p50 ", "cpu per task       broker ", "####"):
            self.assertIn(text, done.stdout)

    def test_mistakes_are_told(self):
        for arguments, text in ((("--window", "0"), "--window"), (("--payload", "7"), "--payload"),
                                (("--durability", "paper"), "--durability"),
                                (("--tasks", "many"), "--tasks"), (("more",), "'more'")):
            done = alone(*arguments)
            self.assertEqual(done.returncode, 64, arguments)
            self.assertEqual(len(done.stderr.splitlines()), 1)
            self.assertIn(text, done.stderr)

    def test_durable_tasks_get_a_journal_that_is_gone_afterwards(self):
        with tempfile.TemporaryDirectory() as folder:
            told = self.document("--durability", "synced", "--tasks", "300", "--data", folder)
            self.assertEqual((told["failed"], told["store"]), (0, "journal"))
            self.assertNotEqual(told["disk"], "")
            self.assertEqual(os.listdir(folder), [])

    def test_a_journal_needs_a_place(self):
        done = alone("--durability", "written", "--tasks", "10", "--data", "/nowhere/at/all")
        self.assertEqual(done.returncode, 74)
        self.assertIn("/nowhere/at/all", done.stderr)


class Named(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.fleet = cls.enterClassContext(Fleet())
        cls.fleet.broker()
        cls.fleet.worker("--slots", "2")

    def test_a_named_broker_is_measured(self):
        told = self.fleet.json("bench", "--tasks", "1000")
        self.assertEqual((told["tasks"], told["failed"]), (1000, 0))
        self.assertIsNone(told["broker_cpu_us_per_task"])
        self.assertEqual(self.fleet.status()["tasks"]["succeeded"] >= 1000, True)

    def test_its_fleet_is_not_ours_to_shape(self):
        done = self.fleet.drover("bench", "--slots", "3", check=False)
        self.assertEqual(done.returncode, 64)
        self.assertIn("--slots", done.stderr)

    def test_interrupted_it_says_what_it_has_and_leaves_no_queue_paused(self):
        process = self.fleet.start("drover", "bench", "--depth", "50000000")
        def queue():
            return [row for row in self.fleet.json("queue", "ls")["queues"]
                    if row["name"].startswith("bench-")]
        until(lambda: queue() and queue()[0]["depth"] > 0, "tasks are gathered")
        process.signal(signal.SIGINT)
        self.assertEqual(process.wait(), 128 + signal.SIGINT)
        until(lambda: not queue() or (queue()[0]["depth"] == 0 and not queue()[0]["paused"]),
              "the queue is empty and open")


if __name__ == "__main__":
    unittest.main()

"""`drover doctor` with a broker, without one, and with things that are wrong."""

import json
import os
import socket
import unittest

from fleet import Fleet, module, test_module

STATES = {"ok", "warn", "fail"}


class Doctor(unittest.TestCase):
    def setUp(self):
        self.fleet = Fleet()
        self.addCleanup(self.fleet.__exit__, None, None, None)

    def doctor(self, *arguments, code=0):
        """What was found, by name; of several of a name the last."""
        done = self.fleet.drover("doctor", "--json", "--connect-timeout", "500ms", *arguments,
                                 check=False)
        self.assertEqual((done.returncode, done.stderr), (code, ""), done.stdout)
        document = json.loads(done.stdout)
        self.assertEqual(set(document), {"state", "checks"})
        for check in document["checks"]:
            self.assertLessEqual({"name", "state", "text"}, set(check))
            self.assertIn(check["state"], STATES)
            if check["state"] != "ok":
                self.assertTrue(check["advice"], check)
        self.assertEqual(document["state"] == "fail", code == 1)
        return {check["name"]: check for check in document["checks"]}

    def test_healthy_fleet_passes(self):
        self.fleet.broker()
        self.fleet.worker("--slots", "3")
        checks = self.doctor("--load", module("demo"), "--data", self.fleet.folder)
        for name in ("broker", "version", "worker port", "workers", "programs", "module"):
            self.assertEqual(checks[name]["state"], "ok", checks[name])
        self.assertLessEqual({"descriptors", "memory", "clock", "core dumps", "temporary", "data"},
                             set(checks))
        self.assertIn("3 slots", checks["workers"]["text"])
        self.assertIn("answers within", checks["broker"]["text"])

    def test_lines_say_what_and_what_to_do(self):
        self.fleet.broker()
        lines = self.fleet.drover("doctor").stdout.splitlines()
        at = next(i for i, line in enumerate(lines) if line.startswith("warn  workers"))
        self.assertIn("0 connected", lines[at])
        self.assertIn("-> ", lines[at + 1])

    def test_without_a_broker_the_rest_is_looked_at(self):
        checks = self.doctor(code=1)
        self.assertEqual(checks["broker"]["state"], "fail")
        self.assertIn("there is no such socket", checks["broker"]["text"])
        self.assertIn("start drover-broker", checks["broker"]["advice"])
        self.assertNotIn("workers", checks)
        self.assertIn("clock", checks)

    def test_port_without_a_broker_is_told_apart(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            checks = self.doctor("--broker", f"tcp://127.0.0.1:{port}", code=1)
            self.assertIn("something listens there", checks["broker"]["text"])
        checks = self.doctor("--broker", f"tcp://127.0.0.1:{port}", code=1)
        self.assertIn("nothing listens there", checks["broker"]["text"])
        checks = self.doctor("--broker", "tcp://nobody.invalid:7710", code=1)
        self.assertIn("name of the host", checks["broker"]["text"])

    def test_port_for_workers_is_told(self):
        self.fleet.broker()
        checks = self.doctor("--broker", self.fleet.worker_endpoint, code=1)
        self.assertIn("endpoint for workers", checks["broker"]["text"])
        self.assertIn(self.fleet.endpoint, checks["broker"]["text"])

    def test_modules_that_cannot_be_loaded_are_told(self):
        self.fleet.broker()
        for path, words in (("/nonexistent.so", "cannot open shared object"),
                            (test_module("unresolved"), "drover_test_function_that_nobody_has"),
                            (test_module("odd_abi"), "ABI 2"),
                            ("/etc/passwd", "/etc/passwd")):
            with self.subTest(path=path):
                checks = self.doctor("--load", path, code=1)
                self.assertEqual(checks["module"]["state"], "fail")
                self.assertIn(words, checks["module"]["text"])

    def test_data_directory_that_cannot_be_used_is_told(self):
        self.fleet.broker()
        checks = self.doctor("--data", "/proc/nothing", code=1)
        self.assertEqual(checks["data"]["state"], "fail")
        checks = self.doctor("--data", os.path.join(self.fleet.folder, "to", "come"))
        self.assertIn(self.fleet.folder, checks["data"]["text"])

    def test_private_pool_is_looked_at_too(self):
        checks = self.doctor("--connect-timeout", "20s", "--local", f"2?load={module('demo')}")
        self.assertIn("2 slots", checks["workers"]["text"])
        checks = self.doctor("--local", "1", code=1)
        self.assertIn("nothing to run", checks["broker"]["text"])


if __name__ == "__main__":
    unittest.main()

"""docker/make-keys, which makes and changes the keys of the fleet in containers."""

import os
import stat
import subprocess
import unittest

from fleet import BIN, Fleet

SCRIPT = os.path.join(os.environ.get("DROVER_SOURCE_DIR", os.getcwd()), "docker", "make-keys")


class MakeKeys(unittest.TestCase):
    def setUp(self):
        self.fleet = Fleet(tcp=True)
        self.addCleanup(self.fleet.__exit__, None, None, None)
        for folder in ("broker", "worker", "client", "metrics"):
            os.mkdir(self.fleet.path(folder))
        self.make()

    def make(self, *words, code=0):
        environment = {"PATH": f"{os.path.abspath(BIN)}:/usr/bin:/bin", "DROVER_KEYS": self.fleet.folder}
        done = subprocess.run(["/bin/sh", SCRIPT, *words], env=environment, capture_output=True,
                              text=True, check=False)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout + done.stderr

    def read(self, name):
        with open(self.fleet.path(name), encoding="ascii") as file:
            return file.read()

    def accounts(self):
        return [line.split()[1] for line in self.read("broker/accounts").splitlines()]

    def test_first_start_makes_all_and_the_next_changes_nothing(self):
        self.assertEqual(self.accounts(), ["operator", "worker", "monitor", "client"])
        self.assertEqual(self.read("metrics/metrics-token"), self.read("broker/metrics-token"))
        self.assertNotEqual(self.read("broker/http-token"), self.read("broker/metrics-token"))
        mode = os.stat(self.fleet.path("broker/metrics-token")).st_mode
        self.assertEqual(stat.S_IMODE(mode), 0o600)
        before = self.read("broker/accounts"), self.read("broker/metrics-token")
        self.make()
        self.assertEqual((self.read("broker/accounts"), self.read("broker/metrics-token")), before)

    def test_fleet_of_before_gets_the_token_for_metrics(self):
        before = self.read("broker/accounts"), self.read("broker/http-token")
        os.unlink(self.fleet.path("broker/metrics-token"))
        self.fleet.write("metrics/http-token", "x")
        self.make()
        self.assertEqual(self.read("metrics/metrics-token"), self.read("broker/metrics-token"))
        self.assertEqual(os.listdir(self.fleet.path("metrics")), ["metrics-token"])
        self.assertEqual((self.read("broker/accounts"), self.read("broker/http-token")), before)

    def test_accounts_come_and_go_by_their_whole_name(self):
        for name in ("alice", "malice"):
            self.make("add", name, "submit")
        self.assertIn("remove it first", self.make("add", "alice", "submit", code=73))
        with open(self.fleet.path("broker/accounts"), "a", encoding="ascii") as table:
            table.write("limit alice tasks=1\nlimit malice tasks=2\n")
        was = self.read("client/alice.key")
        self.make("remove", "alice")
        self.assertEqual([name for name in self.accounts() if "alice" in name], ["malice", "malice"])
        self.assertFalse(os.path.exists(self.fleet.path("client/alice.key")))
        self.make("add", "alice", "submit")
        self.assertNotEqual(self.read("client/alice.key"), was)

    def test_add_that_was_interrupted_can_be_done_again(self):
        self.fleet.write("client/alice.key", "half of a k")
        self.make("add", "alice", "submit")
        self.assertIn("secret", self.read("client/alice.key"))

    def test_names_lead_nowhere_else(self):
        for name in ("../broker/broker", ".x", "a b", ""):
            self.make("add", name, "submit", code=64)
            self.make("remove", name, code=64)
        self.assertTrue(os.path.exists(self.fleet.path("broker/broker.key")))

    def test_broker_takes_what_was_made(self):
        self.fleet.broker("--identity", self.fleet.path("broker/broker.key"), "--accounts",
                          self.fleet.path("broker/accounts"), "--http", "127.0.0.1:0",
                          "--http-token-file", self.fleet.path("broker/http-token"),
                          "--http-metrics-token-file", self.fleet.path("broker/metrics-token"))
        self.fleet.drover("--identity", self.fleet.path("client/client.key"), "status")


if __name__ == "__main__":
    unittest.main(verbosity=2)

"""The programs under the system call filters of the units that they come with."""

import json
import os
import shutil
import subprocess
import sys
import unittest

import filtered
from fleet import BIN, Fleet, module

SOURCE = os.environ.get("DROVER_SOURCE_DIR", os.getcwd())
UNITS = {"broker": ("broker/install/drover-broker.service.in",),
         "worker": ("worker/install/drover-worker.service.in",
                    "worker/install/drover-worker@.service.in")}
# What worker.ini shows as possible, switched on.
CONFINED = """[handler.confined]
command = /usr/bin/cat -- {}
stdin = none
stdout = text
read = /usr %s
limit-memory = 256M
limit-cpu = 10s
[handler.strict]
command = /usr/bin/echo strict
stdin = none
stdout = text
seccomp = strict
[type.square]
model = fork
seccomp = network-less
"""


def under(unit):
    """The words before a program that runs as in that unit."""
    return (sys.executable, filtered.__file__, os.path.join(SOURCE, unit))


class Units(unittest.TestCase):
    def test_programs_work_under_the_filters_of_their_units(self):
        """A broker with its journal and its page, a worker that keeps handlers to paths, limits
        and fewer system calls, and a client."""
        with Fleet(tcp=True) as fleet:
            broker = fleet.start("drover-broker", "--data", fleet.path("data"), "--bind",
                                 "tcp://127.0.0.1:*", "--bind-workers", "tcp://127.0.0.1:*",
                                 "--http", "127.0.0.1:0",
                                 inside=under(UNITS["broker"][0])).wait_ready()
            fleet.endpoint = broker.ready["endpoint"]
            fleet.worker_endpoint = broker.ready["worker_endpoint"]
            os.mkdir(fleet.path("in"))
            fleet.write("in/a", "inside")
            fleet.write("secret", "outside")
            config = fleet.write("worker.ini", CONFINED % fleet.path("in"))
            for unit in UNITS["worker"]:
                with self.subTest(unit):
                    worker = fleet.start("drover-worker", "--config", config, "--load",
                                         module("demo"), "--allow-exec", "sha256sum",
                                         inside=under(unit)).wait_ready()
                    self.serve(fleet)
                    self.assertEqual(worker.terminate(), 0)
            self.assertEqual(broker.terminate(), 0)

    def serve(self, fleet):
        def result(*words):
            return fleet.drover("submit", *words, "--wait").stdout.strip()

        self.assertEqual(result("square", "5"), "25")
        self.assertEqual(result("strict", "null"), '"strict"')
        self.assertEqual(result("confined", f'"{fleet.path("in/a")}"'), '"inside"')
        done = fleet.drover("submit", "confined", f'"{fleet.path("secret")}"', "--wait",
                            "--retries", "0", check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("exit code 1", done.stderr)

    def analyze(self, folder, *words):
        """systemd's own judgement, without a service manager."""
        return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True,
                              check=False, cwd=folder, timeout=60)

    def placed(self, fleet):
        """The units as they are installed, for the programs that were built; their names."""
        names = []
        for path in sum(UNITS.values(), ()):
            with open(os.path.join(SOURCE, path), encoding="utf-8") as file:
                text = file.read()
            names.append(os.path.basename(path)[:-len(".in")])
            fleet.write(names[-1], text.replace("@CMAKE_INSTALL_FULL_BINDIR@", BIN)
                        .replace("@CMAKE_INSTALL_FULL_SYSCONFDIR@", "/etc"))
        return names

    def test_units_are_what_systemd_takes(self):
        """Every line is known and makes sense, that of the drop-in as well; a wrong one is told."""
        with Fleet() as fleet:
            names = self.placed(fleet)
            os.mkdir(fleet.path("drover-worker.service.d"))
            shutil.copy(os.path.join(SOURCE, "worker/install/key.conf"),
                        fleet.path("drover-worker.service.d/key.conf"))
            words = ("verify", "--man=no", "--recursive-errors=no")
            done = self.analyze(fleet.folder, *words, *(f"./{name}" for name in names))
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            fleet.write("drover-worker.service.d/key.conf", "[Service]\nStandardInputs=null\n")
            self.assertIn("Unknown key 'StandardInputs'",
                          self.analyze(fleet.folder, *words, "./drover-worker.service").stderr)

    def test_units_leave_little_open(self):
        """By systemd's marks, of 10; and what no unit of ours must leave open, whatever the marks."""
        needed = {"CapabilityBoundingSet=~CAP_SYS_ADMIN", "NoNewPrivileges=", "ProtectSystem=",
                  "PrivateDevices=", "PrivateTmp=", "RestrictNamespaces=~user",
                  "ProtectKernelModules=", "RestrictSUIDSGID=", "UMask=", "User=/DynamicUser="}
        with Fleet() as fleet:
            for name in self.placed(fleet):
                with self.subTest(name):
                    limit = 15 if "broker" in name else 23  # handlers do more than a broker
                    done = self.analyze(fleet.folder, "security", "--offline=true", "--no-pager",
                                        f"--threshold={limit}", "--json=short", f"./{name}")
                    self.assertEqual(done.returncode, 0, done.stderr)
                    kept = {row["name"] for row in json.loads(done.stdout) if row["set"]}
                    self.assertEqual(needed - kept, set())

    def test_filter_is_felt(self):
        """Without this the other test could not fail."""
        with Fleet() as fleet:
            unit = fleet.write("narrow.service", "SystemCallFilter=@system-service\n"
                               "SystemCallFilter=~@privileged @resources\n")
            program = fleet.start("drover-broker", "--memory", "--no-http", "--bind",
                                  "tcp://127.0.0.1:*", "--bind-workers", "tcp://127.0.0.1:*",
                                  inside=(sys.executable, filtered.__file__, unit))
            self.assertNotEqual(program.wait(), 0)
            self.assertIn("Operation not permitted", program.stderr())


if __name__ == "__main__":
    if shutil.which("systemd-analyze") is None:
        print("SKIPPED, there is no systemd-analyze to say what the groups of system calls have")
        sys.exit(77)
    if os.environ.get("DROVER_TEST_SANITIZER", "none") != "none":
        print("SKIPPED, sanitizers want system calls that the units forbid")
        sys.exit(77)
    unittest.main(verbosity=2)

"""What the packages' scripts ask of systemd, with commands in its place that write down what they
were asked. The scripts look for /run/systemd/system, which is a folder of the test here."""

import os
import subprocess
import tempfile
import unittest

SOURCE = os.environ.get("DROVER_SOURCE_DIR", ".")
SCRIPTS = os.path.join(SOURCE, "common", "install", "debian")
RUNS = "/run/systemd/system"


class PackageScripts(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="drover-scripts-")
        self.addCleanup(self.folder.cleanup)
        os.mkdir(self.path("bin"))
        for name in ("systemctl", "systemd-sysusers", "systemd-tmpfiles", "rm", "rmdir"):
            self.fake(name, "exit 0")

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def fake(self, name, end):
        file = self.path(f"bin/{name}")
        with open(file, "w", encoding="ascii") as script:
            script.write(f'#!/bin/sh\necho "{name} $*" >>"{self.path("asked")}"\n{end}\n')
        os.chmod(file, 0o755)

    def run_script(self, name, component, *arguments, runs=True):
        """Its exit code, and the lines of what it asked for."""
        with open(os.path.join(SCRIPTS, f"{name}.in"), encoding="ascii") as file:
            text = file.read().replace("@COMPONENT@", component)
        if name != "conffiles":
            self.assertIn(RUNS, text)
        if runs:
            os.makedirs(self.path("systemd"), exist_ok=True)
        with open(self.path(name), "w", encoding="ascii") as file:
            file.write(text.replace(RUNS, self.path("systemd")))
        open(self.path("asked"), "w", encoding="ascii").close()
        done = subprocess.run(["/bin/sh", self.path(name), *arguments], check=False, text=True,
                              stderr=subprocess.PIPE,
                              env={"PATH": self.path("bin") + ":/usr/bin:/bin"})
        self.told = done.stderr.splitlines()
        with open(self.path("asked"), encoding="ascii") as file:
            return done.returncode, file.read().splitlines()

    def test_upgrade_restarts_what_runs(self):
        for component in ("broker", "worker"):
            self.assertEqual(self.run_script("postinst", component, "configure", "1.0"), (0, [
                f"systemd-sysusers drover-{component}.conf",
                f"systemd-tmpfiles --create drover-{component}.conf",
                "systemctl daemon-reload",
                f"systemctl try-restart drover-{component}.service drover-{component}@*.service"]))

    def test_first_installation_starts_nothing(self):
        code, asked = self.run_script("postinst", "broker", "configure", "")
        self.assertEqual((code, asked[2:]), (0, ["systemctl daemon-reload"]))

    def test_removal_stops_instances_too(self):
        self.assertEqual(self.run_script("prerm", "worker", "remove"), (0, [
            "systemctl disable --now drover-worker.service",
            "systemctl stop drover-worker@*.service"]))

    def test_upgrade_stops_nothing(self):
        self.assertEqual(self.run_script("prerm", "worker", "upgrade", "2.0"), (0, []))

    def test_purge_takes_the_data_of_its_own_program_alone(self):
        for component, data in (("broker", "/var/lib/drover"), ("worker", "/var/lib/drover-worker")):
            self.assertEqual(self.run_script("postrm", component, "purge"), (0, [
                f"rm -rf {data}", "rmdir --ignore-fail-on-non-empty /etc/drover",
                "systemctl daemon-reload"]))
        self.assertEqual(self.run_script("postrm", "broker", "remove"),
                         (0, ["systemctl daemon-reload"]))

    def test_without_systemd_it_is_not_asked(self):
        for name, word in (("postinst", "configure"), ("prerm", "remove"), ("postrm", "remove")):
            code, asked = self.run_script(name, "broker", word, "1.0", runs=False)
            self.assertEqual(code, 0)
            self.assertFalse([line for line in asked if line.startswith("systemctl")], name)

    def test_systemd_that_fails_is_told(self):
        """Each failure is, what follows is asked all the same, and the package is whole: a service
        that does not start would else keep dpkg from going on."""
        for name, words in (("postinst", ("configure", "1.0")), ("prerm", ("remove",)),
                            ("postrm", ("remove",))):
            self.fake("systemctl", "exit 0")
            code, asked = self.run_script(name, "broker", *words)
            self.assertEqual((code, self.told), (0, []), name)
            self.fake("systemctl", "exit 1")
            self.assertEqual(self.run_script(name, "broker", *words), (0, asked), name)
            self.assertEqual(self.told, [f"drover-broker: {line} failed" for line in asked
                                         if line.startswith("systemctl ")], name)

    def test_failure_to_make_the_user_fails(self):
        """Without it the service cannot run, nor may its files belong to another."""
        self.fake("systemd-sysusers", "exit 1")
        self.assertNotEqual(self.run_script("postinst", "broker", "configure", "")[0], 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)

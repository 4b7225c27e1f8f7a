"""The rules for Prometheus in docker/prometheus: right, firing when they should, and about metrics
that a broker tells."""

import os
import re
import shutil
import subprocess
import unittest
import urllib.request

from fleet import Fleet, until

SOURCE = os.environ.get("DROVER_SOURCE_DIR", os.getcwd())
FOLDER = os.path.join(SOURCE, "docker", "prometheus")
CASES = os.path.join(SOURCE, "tests", "integration", "prometheus_rules.yml")


def promtool(*words):
    return subprocess.run(["promtool", *words], capture_output=True, text=True, check=False)


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


class Rules(unittest.TestCase):
    def setUp(self):
        self.fleet = Fleet()
        self.addCleanup(self.fleet.__exit__, None, None, None)

    @unittest.skipUnless(shutil.which("promtool"), "there is no promtool")
    def test_rules_fire_when_they_should(self):
        done = promtool("check", "config", "--syntax-only", os.path.join(FOLDER, "prometheus.yml"))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        cases = read(CASES).replace("RULES", os.path.join(FOLDER, "rules.yml"))
        done = promtool("test", "rules", self.fleet.write("cases.yml", cases))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_every_metric_of_a_rule_is_told(self):
        rules = re.sub(r'summary: ".*"', "", read(os.path.join(FOLDER, "rules.yml")))
        wanted = set(re.findall(r"\bdrover_\w+", rules))
        self.assertGreater(len(wanted), 8)
        broker = self.fleet.broker("--http", "127.0.0.1:0")
        self.fleet.worker()
        self.fleet.submit("square", 1)
        self.fleet.submit("of-nobody", 1)  # waits, so that it has an age

        def missing():
            with urllib.request.urlopen(f"http://{broker.ready['http']}/metrics") as answer:
                text = answer.read().decode()
            return wanted - set(re.findall(r"^(drover_\w+)", text, re.MULTILINE))
        try:
            until(lambda: not missing(), "every metric is told")
        except AssertionError:
            self.assertEqual(missing(), set())


if __name__ == "__main__":
    unittest.main(verbosity=2)

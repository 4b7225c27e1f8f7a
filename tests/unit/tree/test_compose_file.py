"""docker/docker-compose.yml says nothing that docker-compose 1.29 or compose v2 does not know.

Both read the Compose specification, each with gaps: the keys below are those that either knows,
from https://github.com/compose-spec/compose-spec/blob/main/schema/compose-spec.json and from the
schema that docker-compose 1.29 brings along. Whether 1.29 takes the file is seen by ./dev docker.
"""

import os
import sys
import unittest

try:
    import yaml
except ImportError:
    print("SKIPPED, there is no python3-yaml to read the file with")
    sys.exit(77)

TREE = os.environ.get("DROVER_SOURCE_DIR", os.getcwd())
TOP = {"services", "networks", "volumes"}  # `version` is obsolete for one, `name` new to the other
SERVICE = {"build", "cap_drop", "command", "cpus", "depends_on", "entrypoint", "environment",
           "healthcheck", "image", "init", "logging", "mem_limit", "networks", "pids_limit",
           "ports", "profiles", "read_only", "restart", "scale", "secrets", "security_opt",
           "stop_grace_period", "tmpfs", "user", "volumes"}
BUILD = {"context", "dockerfile", "target", "args"}
HEALTH = {"test", "interval", "timeout", "retries", "start_period"}
LOG = {"driver", "options"}


class ComposeFile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with open(os.path.join(TREE, "docker", "docker-compose.yml"), encoding="utf-8") as file:
            cls.project = yaml.safe_load(file)

    def knows(self, found, known, where):
        self.assertEqual(set(found) - set(known), set(), f"keys of {where}")

    def test_keys_are_known_to_both(self):
        self.knows([key for key in self.project if not key.startswith("x-")], TOP | {"secrets"},
                   "the file")
        for name, service in self.project["services"].items():
            self.knows(service, SERVICE, name)
            self.knows(service.get("build", {}), BUILD, f"{name}.build")
            self.knows(service.get("healthcheck", {}), HEALTH, f"{name}.healthcheck")
            self.knows(service.get("logging", {}), LOG, f"{name}.logging")

    def test_forms_are_those_that_both_read(self):
        """Long forms of ports, volumes and dependencies differ; texts and lists do not."""
        for name, service in self.project["services"].items():
            for key in ("ports", "volumes", "tmpfs", "depends_on", "profiles", "networks",
                        "cap_drop", "security_opt"):
                for entry in service.get(key, []):
                    self.assertIsInstance(entry, str, f"{name}.{key}")
            self.assertIsInstance(service["image"], str)

    def test_commands_of_the_default_show_no_files(self):
        """Who may submit names their files: none of them prints what is in these, nor lists of
        names that stand in a file, as wc --files0-from does."""
        value = self.project["services"]["worker"]["environment"]["DROVER_WORKER_ALLOW_EXEC"]
        self.assertEqual(value.partition(":-")[2].rstrip("}").split(","), ["sha256sum"])

    def test_images_have_health_checks(self):
        """For who runs single containers, with other engines than compose."""
        with open(os.path.join(TREE, "docker", "Dockerfile"), encoding="utf-8") as file:
            targets = dict(part.split("\n", 1) for part in file.read().split("\nFROM ")[1:])
        for name in ("broker", "worker"):
            self.assertRegex(targets[f"runtime AS {name}"], r"(?m)^HEALTHCHECK .*--interval=", name)

    def test_prometheus_has_the_token_for_metrics_alone(self):
        with open(os.path.join(TREE, "docker", "prometheus", "prometheus.yml"),
                  encoding="utf-8") as file:
            scrape = yaml.safe_load(file)["scrape_configs"][0]
        self.assertEqual(scrape["authorization"]["credentials_file"], "/keys/metrics-token")
        volumes = self.project["services"]["prometheus"]["volumes"]
        self.assertEqual([volume for volume in volumes if volume.startswith("keys-")],
                         ["keys-metrics:/keys:ro"])

    def test_what_is_named_is_there(self):
        names = set(self.project.get("volumes") or {})
        for name, service in self.project["services"].items():
            for network in service.get("networks", []):
                self.assertIn(network, self.project["networks"], name)
            for volume in service.get("volumes", []):
                source = volume.split(":")[0]
                self.assertTrue(source in names or source[0] in "./$", f"{name}: {volume}")
            for other in service.get("depends_on", []):
                self.assertIn(other, self.project["services"], name)


if __name__ == "__main__":
    unittest.main(verbosity=2)

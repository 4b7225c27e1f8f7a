"""docker/docker-compose.yml says nothing that docker-compose 1.29 or compose v2 does not know.

Both read the Compose specification, each with gaps: the keys below are those that either knows,
from https://github.com/compose-spec/compose-spec/blob/main/schema/compose-spec.json and from the
schema that docker-compose 1.29 brings along. Whether 1.29 takes the file is seen by ./dev docker; what
compose v2 would refuse or warn of, which no package of Debian 12 has, by tests/support/compose_rules.py.
"""

import copy
import os
import re
import subprocess
import sys
import tempfile
import unittest

import compose_rules

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

    def test_names_of_the_page_can_be_said(self):
        """Prometheus asks for it as `broker`, whatever else is allowed."""
        value = self.project["services"]["broker"]["environment"]["DROVER_BROKER_HTTP_ALLOW_HOST"]
        for environment, names in (({}, "broker,localhost"),
                                   ({"DROVER_ALLOW_HOST": "a.example,b"}, "broker,a.example,b")):
            self.assertEqual(compose_rules.interpolate(value, environment), names)

    # ---- what README.md says ----

    def readme(self):
        with open(os.path.join(TREE, "docker", "README.md"), encoding="utf-8") as file:
            return file.read()

    def test_single_containers_publish_what_compose_does(self):
        said = re.findall(r"-p 127\.0\.0\.1:(\d+):(\d+)", self.readme())
        ports = [compose_rules.interpolate(port, {}).split(":")[1:]
                 for port in self.project["services"]["broker"]["ports"]]
        self.assertEqual([list(pair) for pair in said], ports)

    def test_restoring_puts_a_backup_in_the_place_of_what_is_there(self):
        """The words of README.md, in a folder, with a program that says whether the copy is whole."""
        script = re.search(r"--entrypoint sh broker -c '\n(.*?)'\n", self.readme(), re.DOTALL)[1]
        for verdict, left in ((1, {"old": 0o644}), (0, {"new": 0o600})):
            with self.subTest(verdict=verdict), tempfile.TemporaryDirectory() as folder:
                data, backup = os.path.join(folder, "data"), os.path.join(folder, "backup", "one")
                os.makedirs(data)
                os.makedirs(backup)
                for path in (os.path.join(data, "old"), os.path.join(backup, "new")):
                    with open(path, "w", encoding="ascii"):
                        os.chmod(path, 0o644)
                words = script.replace("/var/lib/drover", data).replace("/backup/NAME", backup)
                words = words.replace("drover-broker journal verify", f"return_{verdict}")
                begin = "return_0() { return 0; }\nreturn_1() { return 1; }\n"
                subprocess.run(["/bin/sh", "-c", begin + words], check=False, timeout=30)
                self.assertEqual({name: os.stat(os.path.join(data, name)).st_mode & 0o777
                                  for name in os.listdir(data)}, left)

    # ---- compose v2 ----

    def test_compose_v2_takes_it(self):
        """With what the file says itself, and with all that the environment may say."""
        compose_rules.check(self.project, {})
        compose_rules.check(self.project, {
            "DROVER_PUBLISH": "0.0.0.0", "DROVER_ALLOW_HOST": "fleet.example",
            "DROVER_PORT": "17710", "DROVER_HTTP_PORT": "17780",
            "DROVER_WORKERS": "5", "DROVER_WORKER_CPUS": "0.5", "DROVER_WORKER_MEMORY": "256m",
            "DROVER_BROKER_MEMORY": "2g", "DROVER_ACCOUNT": "alice", "DROVER_TAG": "1.0",
            "DROVER_HANDLERS": "/srv/handlers", "DROVER_PROMETHEUS_PORT": "19090"})

    def test_rules_of_compose_v2_are_felt(self):
        """Each of these is refused or warned of by compose v2; without this the other test could not fail."""
        for why, change in (
                ("version", lambda file: file.update(version="3.9")),
                ("additional property", lambda file: file.update(service={})),
                ("additional property", lambda file: file["services"]["broker"].update(memory="1g")),
                ("no text like", lambda file: file["services"].update({"a b": {"image": "x"}})),
                ("no text like", lambda file: file["services"]["broker"].update(stop_grace_period="20")),
                ("no text like", lambda file: file["services"]["broker"].update(mem_limit="1 GiB")),
                ("no text like", lambda file: file["services"]["broker"].update(ports=["host:7710:7710"])),
                ("no text like", lambda file: file["services"]["broker"].update(restart="sometimes")),
                ("no text like", lambda file: file["services"]["client"].update(profiles=["-"])),
                ("no text like", lambda file: file["services"]["broker"].update(image="Broker Image")),
                ("wants to be a text",
                 lambda file: file["services"]["broker"]["environment"].update(DROVER_X=True)),
                ("neither true nor false", lambda file: file["services"]["client"].update(init="maybe")),
                ("no number", lambda file: file["services"]["worker"].update(scale="two")),
                ("no number", lambda file: file["services"]["worker"].update(pids_limit="${X:-many}")),
                ("something twice", lambda file: file["services"]["broker"].update(cap_drop=["ALL", "ALL"])),
                ("begins with", lambda file: file["services"]["broker"]["healthcheck"].update(
                    test=["drover", "status"])),
                ("invalid interpolation", lambda file: file["services"]["broker"].update(image="x:$(tag)")),
                ("is not set", lambda file: file["services"]["broker"].update(image="x:${TAG}")),
                ("is scaled", lambda file: file["services"]["worker"].update(ports=["7711:7711"])),
                ("not there", lambda file: file["services"]["broker"].update(depends_on=["key"])),
                ("may be off", lambda file: file["services"]["broker"].update(depends_on=["prometheus"])),
                ("no check", lambda file: file["services"]["broker"].update(
                    depends_on={"keys": {"condition": "service_healthy"}})),
                ("cycle", lambda file: file["services"]["keys"].update(depends_on=["broker"])),
                ("declared", lambda file: file["volumes"].update(more=None)),
                ("declared", lambda file: file["services"]["broker"].update(networks=["other"])),
                ("neither an image", lambda file: file["services"].update({"idle": {"command": ["x"]}}))):
            file = copy.deepcopy(self.project)
            change(file)
            with self.subTest(why), self.assertRaisesRegex(compose_rules.Complaint, why):
                compose_rules.check(file, {})


if __name__ == "__main__":
    unittest.main(verbosity=2)

"""The fleet of docker/: built from the source, scaled, used, and broken.

A real engine runs it (engine.py). One story, since bringing the fleet up is what takes time:
build, up with five workers, the demonstration from a client's container, a worker that loses its
network, a broker that is killed, health, page, backup, scaling down, stopping, and the data after all of it.
"""

import json
import os
import shutil
import signal
import sys
import tempfile
import time
import unittest

import debian
import engine
from fleet import is_alive, until

HERE = os.path.dirname(os.path.abspath(__file__))
WORKERS, SLOTS = 5, 2
TASKS = 80             # of the stories with faults
TASK_MS = 1000         # each; so they fill the fleet for 8 s
TARGETS = ("broker", "worker", "client")
PROMETHEUS = ("--profile", "prometheus")
GET = ("import sys, urllib.request as u; print(u.urlopen(u.Request(sys.argv[1], headers="
       "{'Authorization': 'Bearer ' + sys.argv[2]}), timeout=30).read().decode())")
DEMO = r"""
set -e
drover submit square 5 --wait
seq 0 9 | drover map square
seq 1 20 | drover map square --batch 5 | tail -n 1
drover submit kv_put '{"key":"greeting","value":"hello"}' --wait >/dev/null
drover submit kv_get '"greeting"' --wait
drover submit crash --wait 2>&1 | grep -o 'signal 11'
ls /usr/share/base-files/* | sort >/tmp/names
xargs -a /tmp/names sha256sum >/tmp/here
drover xargs --from /tmp/names sha256sum >/tmp/fleet
cmp /tmp/here /tmp/fleet && echo same sums
"""
DEMO_PRINTS = ["25", *[str(n * n) for n in range(10)], "400", '"hello"', "signal 11", "same sums"]


def say(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


class Story(unittest.TestCase):
    def test_fleet_in_containers_keeps_its_promises(self):
        override = os.path.join(HERE, "override.yml")
        with engine.Engine(online=True) as self.docker:
            self.fleet = engine.Compose(self.docker, override)
            self.build()
        with engine.Engine() as self.docker:
            with engine.Compose(self.docker, override) as self.fleet:
                self.come_up()
                self.are_shut_in()
                self.ask_for_keys()
                self.start_prometheus()
                self.demonstrate()
                self.lose_network()
                self.kill_broker()
                self.are_healthy()
                self.watch()
                self.watch_with_prometheus()
                self.back_up()
                self.scale_down()
                self.stop_and_start()
            self.leave_nothing()

    # ---- the chapters ----

    def build(self):
        begin = time.monotonic()
        base = self.docker.base_image()
        say(f"base image {base} after {time.monotonic() - begin:.0f} s")
        # The first two are kept by name, so that the next run need not install packages.
        network = ["--network", "host"] if self.docker.is_own else []
        for target in ("deps", "runtime", *TARGETS):
            start = time.monotonic()
            tag = self.fleet.environment["DROVER_TAG"] if target in TARGETS else "test"
            self.docker.run("build", *network, "--build-arg", f"BASE={base}",
                            "--build-arg", "BUILD_TYPE=Debug", "-f",
                            os.path.join(engine.SOURCE, "docker", "Dockerfile"), "--target",
                            target, "-t", f"drover-{target}:{tag}", engine.SOURCE, merge=True)
            say(f"{target}: {time.monotonic() - start:.0f} s")
        with tempfile.TemporaryDirectory() as context:
            shutil.copy(os.path.join(HERE, "prometheus.Dockerfile"),
                        os.path.join(context, "Dockerfile"))
            if os.path.exists("/usr/bin/prometheus"):
                shutil.copy("/usr/bin/prometheus", context)
            self.docker.run("build", *network, "--build-arg", f"BASE={base}", "-t",
                            engine.PROMETHEUS_TAG, context, merge=True)
        if self.docker.is_own:
            self.docker.run("image", "prune", "-f")
        say(f"images after {time.monotonic() - begin:.0f} s: " + ", ".join(
            f"{target} {int(self.docker.inspect(self.image(target), '{{.Size}}')) >> 20} MiB"
            for target in TARGETS))

    def image(self, target):
        return f"drover-{target}:{self.fleet.environment['DROVER_TAG']}"

    def come_up(self):
        self.fleet.run("up", "-d", "--no-build", "--scale", f"worker={WORKERS}")
        self.fleet.until_workers(WORKERS)
        names = {worker["name"] for worker in self.fleet.status()["workers"]}
        hosts = {self.docker.inspect(one, "{{.Config.Hostname}}")
                 for one in self.fleet.containers("worker")}
        self.assertEqual(names, hosts)
        say(f"{WORKERS} workers are connected")

    def are_shut_in(self):
        """No rights, no writable root, no shell between the engine's signals and the program."""
        for service, program in (("broker", "drover-broker"), ("worker", "drover-worker")):
            one = self.fleet.containers(service)[0]
            self.assertEqual(self.inside(one, "cat /proc/1/comm"), program)
            self.assertEqual(self.inside(one, "id -u"), "771")
            self.assertEqual(self.inside(one, "touch /usr/local/x 2>/dev/null || echo no"), "no")
            status = self.inside(one, "grep -E 'CapEff|NoNewPrivs' /proc/1/status")
            self.assertEqual(status.split(), ["CapEff:", "0" * 16, "NoNewPrivs:", "1"])
            memory, processes = self.docker.inspect(
                one, "{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}}").split()
            self.assertEqual((int(memory) >> 20, processes),
                             {"broker": (1024, "64"), "worker": (512, "512")}[service])
        port = self.fleet.run("port", "broker", "7710").strip()
        self.assertTrue(port.startswith("127.0.0.1:"), port)
        self.hide_keys()

    def hide_keys(self):
        """Handlers do not read the key of their worker, where kernel and engine let workers see to that."""
        name = self.fleet.status()["workers"][0]["name"]
        box = until(lambda: json.loads(self.fleet.drover("--json", "worker", "show", name))
                    .get("details", {}).get("sandbox"), "a worker has told its sandbox", 30)
        tried = self.fleet.drover("run", "--", "sha256sum", "/keys/worker/worker.key", check=False)
        self.assertEqual(tried.strip() == "", box["key"] == "landlock", (box, tried))
        say(f"the key of a worker: {box['key']} {box.get('key_why', '')}")

    def ask_for_keys(self):
        """Nobody without a key takes part; another account is let in once the table is read again."""
        run = ("run", "--rm", "-T", "-e")
        said = self.fleet.run(*run, "DROVER_IDENTITY=", "client", "status", check=False, merge=True)
        self.assertIn("the broker wants a key", said)
        self.fleet.run("run", "--rm", "-T", "keys", "add", "alice", "submit")
        alice = (*run, "DROVER_IDENTITY=/keys/client/alice.key", "client", "submit", "square", "7",
                 "--wait")
        said = self.fleet.run(*alice, check=False, merge=True)
        self.assertIn("does not know this key", said)
        # `docker kill` would take it for a stop by hand, and not start it again when it dies.
        self.fleet.run("exec", "-T", "broker", "sh", "-c",
                       "drover-broker --check-config && kill -HUP 1")
        until(lambda: self.fleet.run(*alice, check=False).strip() == "49", "alice is let in", 30)
        secrets = self.inside(self.fleet.containers("worker")[0], "ls /keys/*")
        self.assertNotIn("broker.key", secrets)
        self.assertNotIn("alice.key", secrets)
        say("keys were made, are asked for, and one was added")

    def inside(self, container, command):
        return self.docker.run("exec", container, "sh", "-c", command).strip()

    def demonstrate(self):
        printed = self.fleet.run("run", "--rm", "-T", "--entrypoint", "sh", "client", "-c", DEMO)
        self.assertEqual(printed.split("\n"), [*DEMO_PRINTS, ""])
        say("the demonstration ran in a client's container")

    def submit(self):
        """Ids of many tasks, each of them acknowledged."""
        ids = self.inside(self.fleet.containers("broker")[0],
                          f"seq {TASKS} | xargs -P 4 -I N drover submit sleep {TASK_MS}")
        self.assertEqual(len(ids.split()), TASKS)
        return ids.split()

    def until_all_succeeded(self, ids):
        waited = self.fleet.drover("wait", "--timeout", "90s", *ids)
        self.assertEqual(waited.count("succeeded"), TASKS, waited)

    def lose_network(self):
        before = self.fleet.status()["tasks"]
        ids = self.submit()
        victim = self.fleet.containers("worker")[0]
        name = self.docker.inspect(victim, "{{.Config.Hostname}}")
        until(lambda: self.worker(name)["running"] > 0, "the victim runs a task", 30)
        network = f"{self.fleet.name}_fleet"
        self.docker.run("network", "disconnect", network, victim)
        until(lambda: self.worker(name)["state"] != "connected", "the broker misses it", 30)
        self.until_all_succeeded(ids)
        after = self.fleet.status()["tasks"]
        self.assertGreater(after["charged"], before["charged"])
        listed = json.loads(self.fleet.drover("--json", "task", "ls", "--limit", "1000"))["tasks"]
        self.moved = [task["id"] for task in listed if task["id"] in ids and task["attempt"] > 1]
        self.assertEqual(after["failed"], before["failed"])
        self.docker.run("network", "connect", network, victim)
        self.fleet.until_workers(WORKERS)
        say(f"a worker was cut off: {after['charged'] - before['charged']} attempts charged, "
            f"{after['requeued_free'] - before['requeued_free']} given back free, none lost")

    def worker(self, name):
        """What status says of it; one that was forgotten is not connected."""
        found = [worker for worker in self.fleet.status()["workers"] if worker["name"] == name]
        return found[0] if found else {"state": "gone", "running": 0}

    def kill_broker(self):
        before = self.before_kill = self.fleet.status()
        ids = self.submit()
        broker = self.fleet.containers("broker")[0]
        os.kill(int(self.docker.inspect(broker, "{{.State.Pid}}")), signal.SIGKILL)
        until(lambda: self.docker.inspect(broker, "{{.RestartCount}}") == "1", "it is restarted", 30)
        until(self.fleet.status, "it serves again", 30)
        self.until_all_succeeded(ids)
        after = self.fleet.status()
        self.assertGreater(after["broker"]["epoch"], before["broker"]["epoch"])
        self.assertEqual(after["tasks"]["lost_at_restart"], 0)
        self.assertEqual(after["tasks"]["charged"], before["tasks"]["charged"])
        self.assertEqual(after["tasks"]["succeeded"], before["tasks"]["succeeded"] + TASKS)
        self.fleet.until_workers(WORKERS)
        say(f"the broker was killed: {TASKS} of {TASKS} acknowledged tasks succeeded, "
            "none ran twice")

    def back_up(self):
        """Of the running broker, by a second container on its volume."""
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o777)
            said = self.fleet.run("run", "--rm", "-T", "-v", f"{folder}:/backup", "broker", "journal",
                                  "backup", "/var/lib/drover", "/backup/one", merge=True)
            self.assertNotEqual(os.listdir(os.path.join(folder, "one")), [], said)
        say("the volume was backed up while the broker served")

    def watch(self):
        """Page, API and metrics, by the port that is published on loopback: they tell what happened."""
        address = self.fleet.run("port", "broker", "7780").strip()
        self.assertTrue(address.startswith("127.0.0.1:"), address)
        token = self.inside(self.fleet.containers("broker")[0], "cat /keys/broker/http-token")
        self.get(address, "/readyz", token, check=True)
        self.assertIn("<html", self.get(address, "/", token, check=True))
        self.assertEqual(self.get(address, "/api/v1/status", "wrong"), "")
        told = json.loads(self.get(address, "/api/v1/status", token, check=True))
        was = self.before_kill  # by the command, in the life before
        self.assertGreater(told["broker"]["epoch"], was["broker"]["epoch"])
        self.assertEqual(told["tasks"]["charged"], was["tasks"]["charged"])
        self.assertGreater(was["tasks"]["charged"], 0)  # of the worker that lost its network
        self.assertEqual({worker["state"] for worker in told["workers"]}, {"connected"})
        metrics = dict(line.rsplit(" ", 1) for line in
                       self.get(address, "/metrics", token, check=True).splitlines()
                       if line and line[0] != "#")
        for name, number in (("drover_workers", WORKERS),
                             ("drover_charged_total", told["tasks"]["charged"]),
                             ('drover_tasks_ended_total{state="lost_at_restart"}', 0)):
            self.assertEqual(float(metrics[name]), number, name)
        outcomes = [attempt["outcome"] for task in self.moved for attempt in json.loads(
            self.get(address, f"/api/v1/task/{task}", token, check=True))["attempts"]]
        self.assertIn("lost", outcomes)
        say("page, API and metrics answer on loopback, and tell what happened")

    def get(self, address, path, token="", check=False):
        return engine.run([*self.docker.inside(), sys.executable, "-c", GET,
                           f"http://{address}{path}", token], os.environ, check=check)

    def start_prometheus(self):
        """Early: until it asks for the first time a quarter of a minute may pass."""
        self.fleet.run(*PROMETHEUS, "up", "-d", "--no-build", "--no-recreate", "--no-deps",
                       "prometheus")

    def watch_with_prometheus(self):
        """The profile of the compose file: it reads the broker's metrics, and has the rules."""
        address = self.fleet.run(*PROMETHEUS, "port", "prometheus", "9090").strip()
        self.assertTrue(address.startswith("127.0.0.1:"), address)
        query = "/api/v1/query?query=drover_workers"
        try:
            until(lambda: f'"{WORKERS}"]' in self.get(address, query),
                  "Prometheus has read the broker's metrics", 60)
        except AssertionError as error:
            said = self.get(address, "/api/v1/targets")
            raise AssertionError(f"{error}; {self.get(address, query)}; {said}") from error
        self.assertIn('"name":"', self.get(address, "/api/v1/rules"))
        self.fleet.run(*PROMETHEUS, "rm", "-s", "-f", "prometheus")
        say("Prometheus read the metrics and the rules")

    def are_healthy(self):
        for service in ("broker", "worker"):
            for one in self.fleet.containers(service):
                until(lambda one=one: self.docker.inspect(one, "{{.State.Health.Status}}")
                      == "healthy", f"{service} {one[:12]} is healthy", 30)
        say("all containers are healthy")

    def scale_down(self):
        before = self.fleet.status()["tasks"]
        ids = self.submit()
        self.fleet.run("up", "-d", "--no-build", "--no-recreate", "--scale", "worker=2")
        self.fleet.until_workers(2)
        self.until_all_succeeded(ids)
        after = self.fleet.status()["tasks"]
        self.assertEqual(after["charged"], before["charged"])
        say("scaled to two workers under load: nothing ran twice")

    def stop_and_start(self):
        before = self.fleet.status()["tasks"]
        begin = time.monotonic()
        self.fleet.run("stop")
        seconds = time.monotonic() - begin
        for service in ("broker", "worker"):
            for one in self.fleet.containers(service, everything=True):
                self.assertEqual(self.docker.inspect(one, "{{.State.ExitCode}}"), "0")
        # As for an upgrade: new containers on the old volume.
        self.fleet.run("rm", "-f")
        self.fleet.run("up", "-d", "--no-build", "--scale", "worker=1")
        self.fleet.until_workers(1)
        after = self.fleet.status()["tasks"]
        self.assertEqual([after[key] for key in ("submitted", "succeeded", "failed")],
                         [before[key] for key in ("submitted", "succeeded", "failed")])
        say(f"stopped in {seconds:.1f} s, exit codes 0; new containers have the old data")

    def leave_nothing(self):
        left = self.docker.run("ps", "-aq", "-f",
                               f"label=com.docker.compose.project={self.fleet.name}")
        self.assertEqual(left, "")


def main():
    why = engine.why_not() or debian.why_not()
    if why is None:
        try:
            with engine.Engine() as docker:
                docker.run("version")
        except (OSError, AssertionError) as problem:
            why = f"an engine cannot be started here: {problem}"
    if why is not None:
        print(f"SKIPPED, nothing was tested: {why}", flush=True)
        sys.exit(77)
    unittest.main(verbosity=2)


if __name__ == "__main__":
    main()

"""A Docker engine to test with, and the compose file of docker/ on it.

    why = engine.why_not()
    with Engine(online=True) as docker:        # to build, with the network of this machine
        docker.run("build", ...)               # its output; AssertionError when it fails
    with Engine() as docker, Compose(docker) as fleet:
        fleet.run("up", "-d")                  # docker-compose with the project's files

The engine that answers (DOCKER_HOST, or the usual socket) is taken as it is, and what the test
made in it is removed. Where none does, one is started, with a socket and directories of its own,
and ended with the block or with this process. To build, it has no networks but this machine's; to
run, it lives in a network name space of its own, with all that it likes to do to packet filters
and bridges, from which nothing gets out. Its images are kept in the cache of debian.py, so that
the second run is quick.
"""

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile

import debian
from fleet import until

SOURCE = os.environ.get("DROVER_SOURCE_DIR", os.getcwd())
PR_SET_PDEATHSIG = 1
START_SECONDS = 60
COMMAND_SECONDS = 900
# An engine that leaves the network of this machine alone.
ONLINE = ("--iptables=false", "--ip-forward=false", "--ip-masq=false", "--bridge=none")
ALONE = ("unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")
BASE_TAG = "drover-test-base"
PROMETHEUS_TAG = "drover-test-prometheus"


def binary(name):
    """Debian's own program when it is there; a newer command wants a plugin to build."""
    return f"/usr/bin/{name}" if os.path.exists(f"/usr/bin/{name}") else shutil.which(name)


def answers(environment):
    """Whether an engine answers there."""
    if binary("docker") is None:
        return False
    done = subprocess.run([binary("docker"), "version", "-f", "{{.Server.Version}}"],
                          env=environment, capture_output=True, text=True, timeout=30,
                          check=False)
    return done.returncode == 0 and done.stdout.strip() != ""


def compose_words():
    if binary("docker-compose"):
        return [binary("docker-compose")]
    done = subprocess.run([binary("docker"), "compose", "version"], capture_output=True,
                          check=False)
    return [binary("docker"), "compose"] if done.returncode == 0 else None


def why_not():
    """Why there can be no engine here, in words; None: there can, as far as one can tell."""
    if binary("docker") is None:
        return "there is no docker command (./dev deps deploy)"
    if compose_words() is None:
        return "there is no docker-compose (./dev deps deploy)"
    if answers(os.environ):
        return None
    if shutil.which("dockerd") is None:
        return "no engine answers, and there is no dockerd to start one (./dev deps deploy)"
    if os.geteuid() != 0:
        return "no engine answers, and starting one needs root"
    return None


def end_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Engine:
    """One that answers, or one of our own."""

    def __init__(self, online=False):
        self.process = None
        self.is_online = online
        self.environment = {**os.environ, "DOCKER_BUILDKIT": "0", "COMPOSE_DOCKER_CLI_BUILD": "0"}
        self.is_own = not answers(os.environ)

    def __enter__(self):
        if self.is_own:
            self.lock = debian.Lock("docker")
            self.lock.__enter__()
            self.folder = tempfile.mkdtemp(prefix="drover-docker-")
            self.environment["DOCKER_HOST"] = f"unix://{self.folder}/socket"
            try:
                self.start()
            except BaseException:
                self.__exit__(None, None, None)
                raise
        return self

    def start(self):
        with open(os.path.join(self.folder, "log"), "wb") as log:
            before, flags = ((), ONLINE) if self.is_online else (ALONE, ())
            self.process = subprocess.Popen(
                [*before, "dockerd", *flags, "--log-level=warn", "--data-root", debian.cache("docker"), "--exec-root",
                 os.path.join(self.folder, "exec"), "--pidfile", os.path.join(self.folder, "pid"),
                 "-H", self.environment["DOCKER_HOST"]],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=end_with_parent)

        def is_up():
            if self.process.poll() is not None:
                raise OSError("dockerd ended: " + self.log()[-3000:])
            return os.path.exists(f"{self.folder}/socket") and answers(self.environment)
        until(is_up, "the engine answers", START_SECONDS)
        self.run("container", "prune", "-f")  # of a run that was killed

    def log(self):
        with open(os.path.join(self.folder, "log"), encoding="utf-8", errors="replace") as file:
            return file.read()

    def __exit__(self, *exception):
        if not self.is_own:
            return
        if self.process is not None:
            self.process.terminate()
            self.process.wait()
        self.unmount()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.lock.__exit__()

    def unmount(self):
        """What an engine leaves mounted below its folder, such as a network namespace."""
        with open("/proc/self/mounts", encoding="ascii", errors="replace") as file:
            places = [line.split()[1] for line in file]
        for place in reversed(places):
            if place.startswith(self.folder + "/"):
                subprocess.run(["umount", "--lazy", place], check=False)

    def run(self, *words, **options):
        return run([binary("docker"), *words], self.environment, **options)

    def inside(self):
        """Words that run a command where the engine publishes ports."""
        return ["nsenter", f"--net=/proc/{self.process.pid}/ns/net"] if self.is_own else []

    def inspect(self, container, template):
        return self.run("inspect", "-f", template, container).strip()

    def has_image(self, name):
        return self.run("images", "-q", name).strip() != ""

    def base_image(self):
        """The image to build on: $DROVER_TEST_BASE, Debian's slim one if the engine has it
        already, else one of debootstrap's making."""
        given = os.environ.get("DROVER_TEST_BASE")
        if given:
            return given
        if self.has_image("debian:12-slim"):
            return "debian:12-slim"
        if not self.has_image(BASE_TAG):
            with subprocess.Popen(["tar", "-C", debian.base(), "-c", "."],
                                  stdout=subprocess.PIPE) as pack:
                self.run("import", "-", BASE_TAG, stdin=pack.stdout)
            if pack.returncode != 0:
                raise AssertionError("tar failed")
        return BASE_TAG


def run(command, environment, check=True, merge=False, **options):
    """Output of a command; merge: with what it says on stderr. AssertionError when it fails."""
    options.setdefault("stdin", subprocess.DEVNULL)
    if options.get("input") is not None:
        del options["stdin"]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT if merge else subprocess.PIPE, text=True,
                          check=False, timeout=COMMAND_SECONDS, **options)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout[-4000:]}"
                             f"{(done.stderr or '')[-4000:]}")
    return done.stdout


class Compose:
    """The project of docker/docker-compose.yml, with changes for tests; all of it is removed."""

    def __init__(self, docker, *overrides):
        self.docker = docker
        self.name = f"drover-test-{os.getpid()}"
        folder = os.path.join(SOURCE, "docker")
        files = [os.path.join(folder, "docker-compose.yml"), *overrides]
        self.words = [*compose_words(), "-p", self.name, "--project-directory", folder,
                      *(word for file in files for word in ("-f", file))]
        self.environment = {
            **docker.environment, "DROVER_TAG": "test" if docker.is_own else self.name,
            "DROVER_PORT": "0", "DROVER_HTTP_PORT": "0", "DROVER_PROMETHEUS_PORT": "0",
            "DROVER_PROMETHEUS": PROMETHEUS_TAG, "PYTHONWARNINGS": "ignore"}

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None:
            sys.stderr.write(self.run("ps", check=False))
            sys.stderr.write(self.run("logs", "--no-color", "--tail=60", check=False))
        self.run("down", "-v", "--remove-orphans", "-t", "5", check=False)
        if not self.docker.is_own:
            for target in ("broker", "worker", "client"):
                self.docker.run("rmi", f"drover-{target}:{self.name}", check=False)

    def run(self, *words, **options):
        return run([*self.words, *words], self.environment, **options)

    def containers(self, service, everything=False):
        """Ids of the service's containers that run; everything: and of those that do not."""
        words = ["ps", "-q", "--no-trunc", "-f", f"label=com.docker.compose.project={self.name}",
                 "-f", f"label=com.docker.compose.service={service}",
                 "-f", "label=com.docker.compose.oneoff=False"]
        return self.docker.run(*words, *(["-a"] if everything else [])).split()

    def drover(self, *words, check=True):
        """What the command in the broker's container prints."""
        broker = self.containers("broker", everything=True)[0]
        return self.docker.run("exec", broker, "drover", *words, check=check)

    def status(self):
        """The broker's status; None while it cannot be asked."""
        text = self.drover("--connect-timeout", "2s", "--json", "status", check=False)
        try:
            return json.loads(text)
        except ValueError:
            return None

    def until_workers(self, count, seconds=60):
        def there():
            status = self.status()
            return status and sum(w["state"] == "connected" for w in status["workers"]) == count
        until(there, f"{count} workers are connected", seconds)

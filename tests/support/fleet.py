"""A broker and workers as real processes, for tests in Python.

    with Fleet() as fleet:
        broker = fleet.broker()
        worker = fleet.worker("--load", module("demo"))
        done = fleet.drover("submit", "square", "7", "--wait")
        fleet.until(lambda: fleet.status()["tasks"]["succeeded"] == 1, "one task succeeded")

Everything lives in one temporary directory and listens on unix sockets in it, or on free ports
when a test asks for TCP. Waiting is for an event with a deadline, never for a length of time;
deadlines grow where the build is instrumented. When the block is left every process that was
started is killed, and what it wrote to stderr is shown if the test failed.
"""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

BIN = os.environ.get("DROVER_BIN_DIR", "build/debug/bin")
MODULES = os.environ.get("DROVER_MODULE_DIR", "build/debug/modules")
TEST_MODULES = os.environ.get("DROVER_TEST_MODULE_DIR", "build/debug/tests/modules")
SCALE = int(os.environ.get("DROVER_TEST_TIME_SCALE", "1"))
DEADLINE = 20  # seconds, before scaling, within which anything healthy happens
POLL = 0.02    # seconds between two looks at something that cannot be waited for


def module(name):
    """The path of a handler module that is shipped."""
    return os.path.join(MODULES, name + ".so")


def test_module(name):
    """The path of a handler module that only tests load."""
    return os.path.join(TEST_MODULES, name + ".so")


def until(condition, what, seconds=DEADLINE):
    """Waits until condition() is true and returns what it gave; AssertionError at the deadline."""
    deadline = time.monotonic() + seconds * SCALE
    pause = threading.Event()
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds * SCALE} s: {what}")
        pause.wait(POLL)


def is_alive(pid):
    """Whether a process exists and is no zombie that could be waited for.

    The first thread of a process that was killed is a zombie while others still end; until they
    have, waitpid() finds nothing.
    """
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
            return fields[0] not in "ZX" or int(fields[17]) > 1  # its threads: proc(5)
    except (FileNotFoundError, ProcessLookupError):
        return False


def parent_of(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return int(file.read().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def name_of(pid):
    """What a process calls itself; "" when it is gone."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8") as comm:
            return comm.read().strip()
    except OSError:
        return ""


def descendants(pid):
    """All living processes below pid."""
    parents = {int(name): parent_of(int(name)) for name in os.listdir("/proc") if name.isdigit()}
    found, ring = set(), {pid}
    while ring:
        ring = {child for child, parent in parents.items() if parent in ring} - found
        found |= ring
    return {child for child in found if is_alive(child)}


class Program:
    """One started program; `ready` holds the words of its ready line."""

    def __init__(self, name, arguments, folder, environment=None, inside=()):
        self.name = name
        self.arguments = [str(argument) for argument in arguments]
        self.ready = {}
        self._text = b""
        self.log = tempfile.NamedTemporaryFile(
            prefix=os.path.basename(name) + "-", suffix=".log", dir=folder, delete=False)
        self.process = subprocess.Popen(
            [*inside, os.path.join(BIN, name), *self.arguments], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=self.log, cwd=folder, env=environment,
            process_group=0)
        self.pid = self.process.pid

    def stderr(self):
        with open(self.log.name, encoding="utf-8", errors="replace") as file:
            return file.read()

    def _fail(self, message):
        raise AssertionError(f"{self.name} {' '.join(self.arguments)}: {message}\n{self.stderr()}")

    def read_line(self, seconds=DEADLINE):
        """The next line of stdout, or None at its end."""
        deadline = time.monotonic() + seconds * SCALE
        stream = self.process.stdout.fileno()
        while b"\n" not in self._text:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([stream], [], [], left)[0]:
                self._fail("no line on stdout")
            more = os.read(stream, 65536)
            if not more:
                return None
            self._text += more
        line, _, self._text = self._text.partition(b"\n")
        return line.decode()

    def stdout_so_far(self):
        """What can be read of stdout without waiting, and was not read as a line."""
        stream = self.process.stdout.fileno()
        while select.select([stream], [], [], 0)[0]:
            more = os.read(stream, 65536)
            if not more:
                break
            self._text += more
        return self._text.decode()

    def wait_ready(self, seconds=DEADLINE):
        line = self.read_line(seconds)
        if line is None or not line.startswith("ready "):
            self._fail(f"not ready but {line!r}, exit code {self.process.poll()}")
        self.ready = dict(word.split("=", 1) for word in line.split()[1:])
        return self

    def signal(self, number):
        """Sends a signal; a program that has ended is left alone."""
        if self.process.poll() is None:
            os.kill(self.pid, number)

    def interrupt(self):
        """SIGINT to its whole process group, as Ctrl-C in a terminal does."""
        os.killpg(self.pid, signal.SIGINT)

    def wait(self, seconds=DEADLINE):
        """Its exit code (negative: the signal that ended it)."""
        try:
            return self.process.wait(seconds * SCALE)
        except subprocess.TimeoutExpired:
            return self._fail(f"still runs after {seconds * SCALE} s")

    def kill(self):
        """SIGKILL, and waits for its end."""
        self.signal(signal.SIGKILL)
        return self.process.wait()

    def terminate(self, seconds=DEADLINE):
        """SIGTERM, and waits for its end; the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait(seconds)

    def until_stopped(self):
        """After SIGSTOP: waits until the kernel has stopped it."""
        def stopped():
            with open(f"/proc/{self.pid}/stat", encoding="ascii", errors="replace") as file:
                return file.read().rpartition(")")[2].split()[0] in "Tt"
        until(stopped, f"{self.name} is stopped")

    def until_log(self, text, seconds=DEADLINE):
        """Waits until its stderr contains a text."""
        until(lambda: text in self.stderr(), f"{self.name} logs {text!r}", seconds)

    def close(self):
        self.kill()
        self.process.stdout.close()
        self.log.close()


class Fleet:
    """Starts programs and ends them all."""

    def __init__(self, tcp=False):
        self.folder = tempfile.mkdtemp(prefix="drover-test-")
        self.programs = []
        self.inside = ()  # words before each `drover` command (hosts.py)
        self.tcp = tcp
        self.endpoint = f"ipc://{self.folder}/client"
        self.worker_endpoint = f"ipc://{self.folder}/worker"

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        for program in reversed(self.programs):
            # Executors end with their agent; a stopped one must be able to notice.
            program.close()
        if kind is not None:
            for program in self.programs:
                sys.stderr.write(f"---- {program.name} {' '.join(program.arguments)}\n")
                sys.stderr.write(program.stderr())
        shutil.rmtree(self.folder, ignore_errors=True)

    def path(self, name):
        """The path of a file of that name in the fleet's folder."""
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path(name)

    def start(self, name, *arguments, environment=None, inside=()):
        """Starts a program without waiting for it; inside: words before the command (hosts.py)."""
        program = Program(name, arguments, self.folder,
                          {**self.environment(), **(environment or {})}, inside)
        self.programs.append(program)
        return program

    def environment(self):
        return {**os.environ, "DROVER_BROKER": self.endpoint,
                "DROVER_WORKER_BROKER": self.worker_endpoint}

    def broker(self, *arguments):
        """Starts a broker (again: at the same place) and waits until it serves."""
        free = "tcp://127.0.0.1:*"
        first = free if self.tcp and self.endpoint.startswith("ipc") else self.endpoint
        second = free if self.tcp and self.worker_endpoint.startswith("ipc") \
            else self.worker_endpoint
        program = self.start("drover-broker", "--memory", "--bind", first, "--bind-workers",
                             second, *arguments).wait_ready()
        self.endpoint = program.ready["endpoint"]
        self.worker_endpoint = program.ready["worker_endpoint"]
        return program

    def worker(self, *arguments, load=("demo",), ready=True):
        """Starts a worker with the demo module and, by default, waits until it is welcomed."""
        loads = [word for name in load for word in ("--load", module(name))]
        program = self.start("drover-worker", *loads, *arguments)
        return program.wait_ready() if ready else program

    # ---- the command ----

    def drover(self, *arguments, stdin=None, check=True, seconds=DEADLINE):
        """Runs `drover` to its end; check: AssertionError unless its exit code is 0."""
        command = [*self.inside, os.path.join(BIN, "drover"),
                   *[str(argument) for argument in arguments]]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False,
                              env=self.environment(), cwd=self.folder, timeout=seconds * SCALE)
        if check and done.returncode != 0:
            raise AssertionError(
                f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def json(self, *arguments, **options):
        """The document that a command prints with --json."""
        return json.loads(self.drover("--json", *arguments, **options).stdout)

    def submit(self, *arguments):
        """Submits a task; its id."""
        return self.drover("submit", *arguments).stdout.strip()

    def show(self, task):
        return self.json("show", task)

    def state(self, task):
        return self.show(task)["state"]

    def status(self):
        return self.json("status")

    def until_state(self, task, *states, seconds=DEADLINE):
        """Waits until the task is in one of the states; its document."""
        def reached():
            document = self.show(task)
            return document if document["state"] in states else None
        return until(reached, f"task {task} is {' or '.join(states)}", seconds)

    def until_workers(self, count, seconds=DEADLINE):
        """Waits until so many workers are connected."""
        until(lambda: sum(worker["state"] == "connected"
                          for worker in self.status()["workers"]) == count,
              f"{count} workers are connected", seconds)

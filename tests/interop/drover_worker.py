"""A drover worker, written from common/PROTOCOL.md alone.

    worker = Worker(endpoint, {"square": lambda task: task.value * task.value})
    worker.run()

Handlers run in threads, one per slot, and get a Task; what they return is the result, what they
raise is the error. A handler that runs for long looks at task.is_cancelled() or sleeps with
task.pause(). Run as a program it offers the handlers of HANDLERS:

    drover_worker.py ENDPOINT [--name NAME] [--slots N]

It prints "ready NAME" when it was welcomed. SIGTERM drains it, SIGUSR1 drops its connection as a
network failure would.
"""

import argparse
import collections
import os
import queue
import random
import signal
import socket
import sys
import threading
import time

import zmq

from drover_wire import (
    ABORT, ACK, ATTACH, CODES, DRAIN, ERROR, FOLLOW, GO, GOODBYE, HEARTBEAT, HELLO, LEASE, LOG,
    RECALL, REPORT,
    SHARED, WELCOME, WORKER_ROLE, Backoff, Builder, Connection, Value, WireError, at, pack,
    python_of)

WAITING, RUNNING, HELD = 1, 2, 3                  # states of a lease in ATTACH
SUCCEEDED, FAILED, CANCELLED = 1, 2, 3            # outcomes
RECALLED, DRAINING, ABORTED, NO_CONTACT, NO_HANDLER = 1, 2, 3, 4, 5
CONFIRM_FLAG, SHARED_FLAG = 1, 2
HANDLER_ERROR, TIMEOUT_ERROR = 1, 3
THREAD_MODEL = 2
STDOUT, STDERR, LOG_LINES, DATA = 1, 2, 3, 4      # output streams
TAIL_MAX = 32768                                  # bytes of output kept of an attempt
STARTED_AT_ONCE_S = 0.001                         # a task that runs longer is reported


class HandlerError(Exception):
    """What a handler raises to name its error by a code, or to say that trying again is no use."""

    def __init__(self, text, code="", permanent=False):
        super().__init__(text)
        self.code = code
        self.permanent = permanent


class Task:
    """What a handler sees of its task."""

    def __init__(self, lease, worker):
        self.id = lease.id
        self.index = lease.index
        self.attempt = lease.attempt
        self.meta = lease.meta
        self.value = python_of(lease.value)
        self.shared = python_of(lease.shared)
        self._lease = lease
        self._worker = worker

    def is_cancelled(self):
        return self._lease.cancelled.is_set()

    def pause(self, seconds):
        """True when the task was cancelled meanwhile."""
        return self._lease.cancelled.wait(seconds)

    def progress(self, permille, text=""):
        self._worker.tell(("progress", self._lease, permille, text))

    def write(self, data, stream=STDOUT):
        """Output, for those who follow and with the result."""
        self._worker.tell(("output", self._lease, stream, data))

    def emit(self, value):
        """Partial data: a value for those who follow."""
        self.write(pack(value), DATA)


class Lease:
    """One lease in the books."""

    def __init__(self, handle, task, index, attempt, value, meta, group):
        self.handle = handle
        self.id = task
        self.index = index
        self.attempt = attempt
        self.value = value
        self.meta = meta
        self.type = group[0]
        self.timeout_s = group[2] / 1000
        self.flags = group[5]
        self.shared = None
        self.state = WAITING
        self.may_run = not self.flags & CONFIRM_FLAG
        self.is_void = False        # stale: report nothing
        self.is_reported = False    # STARTED was sent
        self.timed_out = False
        self.started_at = None
        self.run_us = 0
        self.outcome = None         # (outcome, Value or None, error or None)
        self.cancelled = threading.Event()
        self.streams = 0            # bit n: somebody follows output stream n
        self.output = collections.deque()           # (stream, offset, bytes): the last of it
        self.offsets = [0] * (DATA + 1)             # by stream

    def keep(self, stream, data):
        """Adds output to the tail; the piece."""
        piece = (stream, self.offsets[stream], data)
        self.offsets[stream] += len(data)
        self.output.append(piece)
        while len(self.output) > 512 or sum(len(one[2]) for one in self.output) > TAIL_MAX:
            self.output.popleft()
        return piece

    def tail(self, builder):
        """L of a result."""
        if not self.output:
            return None
        text = b"".join(data for _, _, data in self.output)
        return [builder.val(Value(text)),
                [[stream, offset, len(data)] for stream, offset, data in self.output]]

    @property
    def key(self):
        return (self.id, self.index, self.attempt)

    @property
    def ref(self):
        return [self.handle, self.id, self.index, self.attempt]


class Worker:
    """A session of a worker."""

    def __init__(self, endpoint, handlers, name="python-worker", slots=2, prefetch=4,
                 credit_bytes=1 << 20, queues=(), labels=()):
        self.endpoint = endpoint
        self.handlers = handlers
        self.name = name
        self.slots = slots
        self.credit_items = slots + prefetch
        self.credit_bytes = credit_bytes
        self.queues = list(queues)
        self.labels = [list(label) for label in labels]
        self.session = os.urandom(16)
        self.connections = 0
        self.on_welcome = None
        self._leases = collections.OrderedDict()    # key: Lease
        self._shared = {}                           # array: Value
        self._returned = []                         # (lease, reason), to be reported
        self._progress = {}                         # key: (lease, permille, text)
        self._context = zmq.Context()
        self._backoff = Backoff(random.Random())
        self._connection = None
        self._is_welcome = False
        self._is_known = False
        self._is_draining = False
        self._is_ending = False
        self._retry_at = 0
        self._heartbeat_at = 0
        self._heartbeat_s = 1.0
        self._lease_s = 10.0
        self._tasks = queue.Queue()
        self._told = queue.Queue()
        self._bell_out, self._bell_in = os.pipe()
        os.set_blocking(self._bell_in, False)
        self._drop = False
        for _ in range(slots):
            threading.Thread(target=self._execute, daemon=True).start()

    # ---- the threads ----

    def tell(self, what):
        """Hands something over to the loop."""
        self._told.put(what)
        self._ring()

    def _ring(self):
        try:
            os.write(self._bell_in, b"!")
        except BlockingIOError:
            pass  # it rings already

    def _execute(self):
        while True:
            lease = self._tasks.get()
            began = time.monotonic()
            try:
                result = self.handlers[lease.type](Task(lease, self))
                outcome = (SUCCEEDED, None if result is None else Value.of(result), None)
            except HandlerError as error:
                outcome = (FAILED, None,
                           error_of(HANDLER_ERROR, error.code, error, error.permanent))
            except Exception as error:  # pylint: disable=broad-except
                outcome = (FAILED, None, error_of(HANDLER_ERROR, type(error).__name__, error))
            lease.run_us = int((time.monotonic() - began) * 1e6)
            self.tell(("done", lease, outcome))

    # ---- from outside ----

    def end(self, *_):
        """Finishes what runs, gives back the rest, says goodbye; run() returns."""
        self._is_ending = True
        self._ring()

    def lose_connection(self, *_):
        """What a network failure does."""
        self._drop = True
        self._ring()

    # ---- the loop ----

    def run(self):
        while not self._is_over():
            self.turn()
        if self._is_welcome:
            self._connection.send(GOODBYE, 0, "")
        if self._connection is not None:
            self._connection.close(linger_ms=1000)
        self._context.term()

    def _is_over(self):
        if not self._is_ending or self._leases or self._returned:
            return False
        return not self._is_welcome or self._connection.is_idle()

    def turn(self):
        """Waits for something to happen and does what is due."""
        now = time.monotonic()
        if self._connection is None and now >= self._retry_at:
            self._connect()
        self._poll(now)
        try:
            self._hear()
            self._take_told()
            if self._drop:
                raise WireError("as asked")
            self._look_after_leases()
            if self._is_welcome:
                self._report()
            if self._connection is not None:
                self._connection.turn()
                self._keep_alive()
        except WireError:
            self._lose()

    def _poll(self, now):
        poller = zmq.Poller()
        poller.register(self._bell_out, zmq.POLLIN)
        until = [now + 1, self._heartbeat_at]
        if self._connection is None:
            until = [self._retry_at]
        else:
            self._connection.watch(poller)
            until.append(self._connection.deadline() or until[0])
        until += [lease.started_at + lease.timeout_s for lease in self._leases.values()
                  if lease.state == RUNNING and lease.timeout_s and not lease.timed_out]
        until += [lease.started_at + STARTED_AT_ONCE_S for lease in self._leases.values()
                  if lease.state == RUNNING and not lease.is_reported]
        events = dict(poller.poll(max(int((min(until) - now) * 1000) + 1, 0)))
        if self._bell_out in events:
            os.read(self._bell_out, 4096)

    def _hear(self):
        connection = self._connection
        if connection is None:
            return
        for message in connection.receive():
            self._on_message(connection, message)
            if connection is not self._connection:
                return

    def _connect(self):
        offers = [[name, 0, 0] for name in sorted(self.handlers)]
        known = [[*lease.key, lease.state] for lease in self._leases.values()]
        for lease in self._leases.values():
            lease.handle = 0  # the broker's shorthand was for the old connection
            lease.streams = 0
        self._connection = Connection(self._context, self.endpoint, self.credit_bytes)
        self._connection.send(
            HELLO, 1, 1, WORKER_ROLE, self.session, self._is_known, self.name, "drover-python/1",
            ["logs"], 0, self.credit_items, self.credit_bytes,
            [self.slots, os.getpid(), socket.gethostname(), offers, self.queues, self.labels, [],
             len(known), THREAD_MODEL])
        for first in range(0, len(known), 1024):
            self._connection.send(ATTACH, known[first:first + 1024])
        self._heartbeat_at = time.monotonic() + self._heartbeat_s

    def _lose(self):
        self._drop = False
        self._is_welcome = False
        if self._connection is not None:
            self._connection.close()
        self._connection = None
        self._returned.clear()  # those leases are not listed, which says the same
        self._retry_at = time.monotonic() + self._backoff.next_s()

    def _keep_alive(self):
        now = time.monotonic()
        if now - self._connection.heard_at > self._lease_s:
            for lease in [lease for lease in self._leases.values() if lease.state == WAITING]:
                del self._leases[lease.key]
            raise WireError("no contact")
        if now >= self._heartbeat_at:
            self._heartbeat_at = now + self._heartbeat_s
            if self._is_welcome:
                self._connection.send(HEARTBEAT, self._running(now), host_numbers())

    def _running(self, now):
        return [[*lease.ref, int((now - lease.started_at) * 1000)]
                for lease in self._leases.values() if lease.state == RUNNING]

    # ---- what the broker says ----

    def _on_message(self, connection, message):
        handler = {WELCOME: self._on_welcome, LEASE: self._on_lease, RECALL: self._on_recall,
                   ABORT: self._on_abort, GO: self._on_go, SHARED: self._on_shared,
                   FOLLOW: self._on_follow, DRAIN: self._on_drain, ERROR: self._on_error, ACK: self._on_ack,
                   HEARTBEAT: self._on_heartbeat, GOODBYE: self._on_goodbye}.get(message.kind)
        if handler is None:
            connection.send(ERROR, 11, "", 0, message.kind, message.seq, None)
        else:
            handler(message)
        connection.settle(message.seq)

    def _on_welcome(self, message):
        self._connection.welcome(message)
        self.name = message.field(16, self.name)
        self._heartbeat_s = at(message.field(12), 0, 1000) / 1000
        self._lease_s = at(message.field(12), 1, 10000) / 1000
        self._is_welcome = self._is_known = True
        self._backoff.reset()
        self.connections += 1
        if self.on_welcome is not None:
            self.on_welcome(self)
        self._send_results([lease for lease in self._leases.values() if lease.state == HELD])

    def _on_lease(self, message):
        for group in message.field(4, []):
            for entry in group[6]:
                lease = Lease(entry[0], entry[1], at(entry, 2, -1), at(entry, 3, 0),
                              message.value(at(entry, 4)), at(entry, 5), group)
                if lease.flags & SHARED_FLAG:
                    lease.shared = self._shared.get(lease.id)
                self._leases[lease.key] = lease
                if lease.type not in self.handlers:
                    self._give_back(lease, NO_HANDLER)

    def _find(self, entry):
        lease = self._leases.get((entry[1], entry[2], entry[3]))
        if lease is not None and entry[0]:
            lease.handle = entry[0]
        return lease

    def _on_recall(self, message):
        for entry in message.field(4, []):
            lease = self._find(entry)
            if lease is None:
                continue  # its return or result is on the way
            if lease.state == WAITING:
                self._give_back(lease, RECALLED)
            else:
                lease.is_reported = False  # the answer is STARTED

    def _on_abort(self, message):
        for entry in message.field(4, []):
            lease = self._find(entry)
            if lease is None:
                continue
            lease.is_void = CODES.get(at(entry, 4)) == "stale"
            if lease.state == RUNNING:
                lease.cancelled.set()
            elif lease.is_void:
                del self._leases[lease.key]
            elif lease.state == WAITING:
                self._give_back(lease, ABORTED)

    def _on_go(self, message):
        for entry in message.field(4, []):
            lease = self._find(entry)
            if lease is not None:
                lease.may_run = True

    def _on_shared(self, message):
        value = message.value(message.field(5))
        if value is None:
            self._shared.pop(message.field(4), None)
        else:
            self._shared[message.field(4)] = value

    def _on_follow(self, message):
        for entry in message.field(4, []):
            lease = self._find(entry)
            if lease is None or lease.state == HELD:
                continue
            lease.streams = at(entry, 4, 0)
            if lease.streams:
                for piece in lease.output:
                    self._send_output(lease, piece)
                self._connection.send(LOG, *lease.ref, STDOUT, lease.offsets[STDOUT], 1)

    def _send_output(self, lease, piece):
        stream, offset, data = piece
        if lease.streams >> stream & 1 and self._connection.has_room():
            self._connection.send(LOG, *lease.ref, stream, offset, 0, blob=data)

    def _on_heartbeat(self, message):
        if next_us := message.field(6, 0):
            self._heartbeat_at = time.monotonic() + min(next_us / 1e6, self._lease_s / 2)

    def _on_drain(self, message):
        self._is_draining = message.field(4, False)

    def _on_ack(self, message):
        """Notes: results that were not taken; their message is settled, so they are dropped."""

    def _on_error(self, message):
        code = CODES.get(message.field(4, 0))
        if self._is_welcome and code in ("unsupported", "busy", "draining"):
            return
        if code in ("version", "wrong_endpoint", "denied"):
            sys.exit(f"drover_worker: {code}: {message.field(5, '')}")
        self._lose()

    def _on_goodbye(self, message):
        self._lose()

    # ---- leases ----

    def _give_back(self, lease, reason):
        del self._leases[lease.key]
        self._returned.append((lease, reason))

    def _look_after_leases(self):
        now = time.monotonic()
        free = self.slots - sum(lease.state == RUNNING for lease in self._leases.values())
        for lease in list(self._leases.values()):
            if lease.state == RUNNING:
                if lease.timeout_s and now >= lease.started_at + lease.timeout_s:
                    lease.timed_out = True
                    lease.cancelled.set()
            elif lease.state == WAITING and (self._is_draining or self._is_ending):
                self._give_back(lease, DRAINING)
            elif lease.state == WAITING and lease.may_run and free > 0 and self._is_welcome:
                free -= 1
                lease.state = RUNNING
                lease.started_at = now
                self._tasks.put(lease)

    def _take_told(self):
        while not self._told.empty():
            what = self._told.get()
            if what[0] == "done":
                self._on_done(what[1], what[2])
            elif what[0] == "output":
                piece = what[1].keep(*what[2:])
                if self._is_welcome:
                    self._send_output(what[1], piece)
            elif what[1].state == RUNNING:
                self._progress[what[1].key] = what[1:]

    def _on_done(self, lease, outcome):
        self._progress.pop(lease.key, None)
        if lease.is_void:
            del self._leases[lease.key]
            return
        if lease.timed_out:
            outcome = (FAILED, None, error_of(TIMEOUT_ERROR, "", "timeout"))
        elif lease.cancelled.is_set() and outcome[0] != SUCCEEDED:
            outcome = (CANCELLED, None, None)
        lease.outcome = outcome
        lease.state = HELD
        if self._is_welcome:
            self._send_results([lease])

    # ---- reports ----

    def _send_results(self, leases):
        """Each is kept until the REPORT that carries it is settled."""
        for lease in leases:
            builder = Builder(self._connection)
            outcome, value, error = lease.outcome
            entry = [*lease.ref, outcome, builder.val(value), error, lease.run_us, None,
                     lease.tail(builder)]
            self._connection.send(REPORT, [], [entry], builder=builder,
                                  on_settled=lambda lease=lease: self._leases.pop(lease.key, None))

    def _report(self):
        """Everything but results."""
        now = time.monotonic()
        started = [lease for lease in self._leases.values()
                   if not lease.is_reported and self._is_to_be_reported(lease, now)]
        progress = [[*lease.ref, permille, text]
                    for lease, permille, text in self._progress.values()]
        if not started and not self._returned and not progress:
            return
        for lease in started:
            lease.is_reported = True
        self._progress.clear()
        self._connection.send(
            REPORT, [lease.ref for lease in started[:500]], [],
            [[*lease.ref, reason] for lease, reason in self._returned[:500]], progress[:20])
        del self._returned[:500]

    @staticmethod
    def _is_to_be_reported(lease, now):
        """Started for longer than 1 ms, or waiting for GO."""
        if lease.state == RUNNING:
            return now - lease.started_at >= STARTED_AT_ONCE_S
        return lease.state == WAITING and not lease.may_run


def error_of(kind, code, text, permanent=False):
    return [kind, code, str(text)[:1000], -1, 0, 1 if permanent else 0, b""]


def host_numbers():
    """H: what a few files of /proc tell; the rest is 0."""
    memory = {}
    with open("/proc/meminfo", encoding="ascii") as file:
        for line in file:
            name, _, rest = line.partition(":")
            memory[name] = int(rest.split()[0]) * 1024
    used = memory["MemTotal"] - memory["MemAvailable"]
    processes = sum(name.isdigit() for name in os.listdir("/proc"))
    uptime_ms = int(time.clock_gettime(time.CLOCK_BOOTTIME) * 1000)
    disk = os.statvfs("/")
    return [0.0, 100.0 * used / memory["MemTotal"],
            100.0 * (1 - disk.f_bavail / max(disk.f_blocks, 1)), processes, os.getloadavg()[0],
            0, 0, 0, 0, memory["MemTotal"], used, os.cpu_count(), uptime_ms]


# ---- handlers ----


def sleep_ms(task):
    """Sleeps so many milliseconds; ends early when it is cancelled."""
    if task.pause(task.value / 1000):
        raise HandlerError("cancelled")
    return task.value


def fail(task):
    raise HandlerError(str(task.value), code="asked", permanent=True)


def flaky(task):
    """Fails until the attempt that its value names."""
    if task.attempt < task.value:
        raise HandlerError(f"attempt {task.attempt}")
    return task.attempt


def half(task):
    """Reports progress, and waits to be cancelled."""
    task.progress(500, "half")
    if not task.pause(600):
        raise HandlerError("nobody cancelled it")
    raise HandlerError("cancelled")


def report(task):
    """What a task knows of itself."""
    return {"id": task.id, "index": task.index, "attempt": task.attempt, "pid": os.getpid()}


def talk(task):
    """Says what it is given, waits for its end to be asked for, says more."""
    task.write(f"out {task.value}\n".encode())
    task.write(b"err\n", STDERR)
    task.emit({"part": 1})
    task.pause(task.value / 1000)
    task.write(b"bye\n")
    return "said"


HANDLERS = {
    "talk": talk,
    "square": lambda task: task.value * task.value,
    "echo": lambda task: task.value,
    "add": lambda task: task.value + task.shared,
    "sleep": sleep_ms,
    "fail": fail,
    "flaky": flaky,
    "half": half,
    "report": report,
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("endpoint")
    parser.add_argument("--name", default="python-worker")
    parser.add_argument("--slots", type=int, default=2)
    options = parser.parse_args()
    worker = Worker(options.endpoint, HANDLERS, options.name, options.slots)
    worker.on_welcome = lambda worker: print("ready", worker.name, worker.connections, flush=True)
    signal.signal(signal.SIGTERM, worker.end)
    signal.signal(signal.SIGUSR1, worker.lose_connection)
    worker.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())

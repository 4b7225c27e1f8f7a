"""A broker that a test plays itself, message by message, for real workers.

    with Stage(folder) as stage:
        worker = fleet.start("drover-worker", "--broker", stage.endpoint, ...)
        peer = stage.accept()
        peer.lease("square", 7)
        report = peer.report()
        assert report.results[0].value == 49

Only what common/PROTOCOL.md says; nothing is shared with the real broker. Heartbeats of the worker
are answered on the way. Everything received is settled unless `peer.settle` is False.
"""

import itertools
import os
import time
from collections import namedtuple

import msgpack
import zmq

from fleet import DEADLINE, SCALE

HELLO, WELCOME, GOODBYE, ERROR, CREDIT, CHUNK, ACK, HEARTBEAT, ATTACH, MOVED = range(1, 11)
KV, REPLY = 22, 36
LEASE, REPORT, RECALL, ABORT, GO, LOG, AWAIT, SHARED, DRAIN, FOLLOW = range(64, 74)
CONFIRM = 1
TAIL_END = 1
EPOCH = 7000

Result = namedtuple("Result", "id index attempt outcome value error run_us usage tail")
Log = namedtuple("Log", "id index attempt stream offset flags text")
Report = namedtuple("Report", "seq started results returned progress")


class Peer:
    """One connection of a worker."""

    def __init__(self, stage, address, hello, attached):
        self.stage = stage
        self.address = address
        self.hello = hello
        self.attached = attached  # [[id, index, attempt, state]]
        self.sent = 0
        self.received = 0
        self.settled = 0
        self.settle = True
        self.beats = 0
        self.details = {}  # the last that a heartbeat had
        self.transfers = {}
        self.handles = itertools.count(1)
        self.pending = []

    def send(self, kind, *fields, blob=b""):
        self.sent += 1
        head = [kind, EPOCH, self.sent, self.settled, *fields]
        self.stage.socket.send_multipart([self.address, msgpack.packb(head), blob])

    # ---- what a broker says ----

    def welcome(self, resumed=False, heartbeat_ms=200, lease_ms=60000, name=None):
        limits = [131072, 262144, 1024, 65536, 67108864, 1024, 10000000, 1024]
        self.send(WELCOME, 1, os.urandom(16), "stage", resumed, [], 0, 4 << 20, limits,
                  [heartbeat_ms, lease_ms, 15000, 1, 3600000], [], [self.stage.endpoint], 1,
                  name or self.hello[5])
        return self

    def lease(self, kind, payload=None, task=None, index=-1, attempt=1, flags=0, timeout_ms=0,
              term_ms=2000, kill_ms=5000):
        """Leases one attempt; its ref."""
        ref = [next(self.handles), task or os.urandom(16), index, attempt]
        blob = msgpack.packb(payload)
        self.send(LEASE, [[kind, "default", timeout_ms, term_ms, kill_ms, flags,
                           [[*ref, [0, len(blob)], None]]]], blob=blob)
        return ref

    def recall(self, *refs):
        self.send(RECALL, list(refs))

    def go(self, *refs):
        self.send(GO, list(refs))

    def follow(self, ref, *streams):
        self.send(FOLLOW, [[*ref, sum(1 << stream for stream in streams)]])

    def abort(self, *refs, code):
        self.send(ABORT, [[*ref, code] for ref in refs])

    # ---- what the worker says ----

    def receive(self, *kinds, seconds=DEADLINE):
        """The fields and the blob of the next message of one of these kinds; others but
        heartbeats and acknowledgements wait their turn."""
        for at, (kind, fields, blob) in enumerate(self.pending):
            if kind in kinds:
                del self.pending[at]
                return kind, fields, blob
        deadline = time.monotonic() + seconds * SCALE
        while True:
            address, head, blob = self.stage.receive(deadline)
            if address != self.address:
                self.stage.others.append((address, head, blob))
                continue
            message = self.take(head, blob)
            if message is not None and message[0] in kinds:
                return message
            if message is not None:
                self.pending.append(message)

    def until_beat(self, seconds=DEADLINE):
        """Takes what comes up to the next heartbeat."""
        deadline = time.monotonic() + seconds * SCALE
        beats = self.beats
        while self.beats == beats:
            address, head, blob = self.stage.receive(deadline)
            if address != self.address:
                self.stage.others.append((address, head, blob))
                continue
            message = self.take(head, blob)
            if message is not None:
                self.pending.append(message)

    def take(self, head, blob):
        kind, epoch, seq, _ack, *fields = head
        assert seq == self.received + 1, f"seq {seq} after {self.received}"
        assert epoch == (0 if kind in (HELLO, ATTACH) else EPOCH), head
        self.received = seq
        if self.settle:
            self.settled = seq
        if kind == HEARTBEAT:
            self.beats += 1
            self.send(HEARTBEAT, None, None)
            self.last_beat = fields
            if blob:
                self.details = msgpack.unpackb(blob)
            return None
        if kind == CHUNK:
            transfer, offset, total = fields[:3]
            value = self.transfers.setdefault(transfer, bytearray())
            assert offset == len(value) and len(value) + len(blob) <= total
            value += blob
            return None
        if kind in (REPORT, LOG) and self.settle:
            self.send(ACK, [])
        return None if kind == ACK else (kind, fields, blob)

    def value(self, form, blob):
        if form is None:
            return None
        if len(form) > 3:
            return msgpack.unpackb(bytes(self.transfers.pop(form[3])))
        return msgpack.unpackb(blob[form[0]:form[0] + form[1]])

    @staticmethod
    def tail(form, blob):
        """[(stream, offset, bytes)] of the tail of a result."""
        pieces, at = [], form[0][0] if form else 0
        for stream, offset, length in form[1] if form else []:
            pieces.append((stream, offset, blob[at:at + length]))
            at += length
        return pieces

    def log(self, seconds=DEADLINE):
        """The next LOG."""
        _, fields, blob = self.receive(LOG, seconds=seconds)
        return Log(*fields[1:7], blob)

    def report(self, seconds=DEADLINE):
        """The next REPORT."""
        _, fields, blob = self.receive(REPORT, seconds=seconds)
        fields += [[]] * (4 - len(fields))
        started, results, returned, progress = (part or [] for part in fields[:4])
        results = [Result(r[1], r[2], r[3], r[4], self.value(r[5], blob), r[6],
                          r[7], r[8] if len(r) > 8 else None,
                          self.tail(r[9], blob) if len(r) > 9 else None) for r in results]
        return Report(self.received, started, results, returned, progress)

    def result(self, seconds=DEADLINE):
        """The next result, whatever else is reported before it."""
        while True:
            report = self.report(seconds)
            if report.results:
                return report.results[0]

    def started(self, seconds=DEADLINE):
        """The next STARTED, its id."""
        while True:
            report = self.report(seconds)
            if report.started:
                return report.started[0][1]


class Stage:
    """The endpoint, and the connections that come."""

    def __init__(self, folder):
        self.context = zmq.Context()
        self.endpoint = f"ipc://{folder}/stage"
        self.others = []
        self.open()

    def open(self):
        self.socket = self.context.socket(zmq.ROUTER)
        self.socket.linger = 0
        self.socket.bind(self.endpoint)

    def close(self):
        """Gone, as a broker that was killed."""
        self.socket.close(0)
        self.others = []

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()
        self.context.term()

    def receive(self, deadline):
        left = deadline - time.monotonic()
        if left <= 0 or not self.socket.poll(left * 1000):
            raise AssertionError("the worker says nothing")
        address, head, blob = self.socket.recv_multipart()
        return address, msgpack.unpackb(head), blob

    def greet(self, seconds=DEADLINE):
        """The next connection with its HELLO and ATTACH, not yet welcomed."""
        deadline = time.monotonic() + seconds * SCALE
        while True:
            address, head, _ = self.others.pop(0) if self.others else self.receive(deadline)
            if head[0] != HELLO:
                continue  # the rest of a connection that the test has given up
            hello = head[4:]
            peer = Peer(self, address, hello, [])
            peer.received = peer.settled = 1
            while len(peer.attached) < hello[11][7]:
                _, fields, _ = peer.receive(ATTACH, seconds=seconds)
                peer.attached += fields[0]
            return peer

    def accept(self, seconds=DEADLINE, **welcome):
        """The next connection, welcomed, its first heartbeat answered."""
        peer = self.greet(seconds).welcome(**welcome)
        peer.until_beat(seconds)
        return peer

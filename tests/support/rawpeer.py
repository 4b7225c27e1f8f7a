"""A peer of the broker that says exactly what a test wants, right or wrong.

    with RawPeer(broker.ready["endpoint"]) as peer:
        peer.hello()
        peer.request(SUBMIT, [...])

Sequence numbers and the epoch are kept; nothing else is checked or hidden.
"""

import os
import time

import msgpack
import zmq

from fleet import DEADLINE, SCALE

HELLO, WELCOME, GOODBYE, ERROR, CREDIT, CHUNK, ACK, HEARTBEAT, ATTACH, MOVED = range(1, 11)
SUBMIT, CANCEL, KV = 16, 20, 22
WATCH, QUERY, DOCUMENT, REPLY, RESULTS = 32, 34, 35, 36, 37
LEASE, REPORT = 64, 65
CLIENT, WORKER = 1, 2
VERSION, WRONG_ENDPOINT, BUSY, UNSUPPORTED, MALFORMED, PROTOCOL = 13, 14, 6, 11, 23, 28
TOO_BIG, LIMIT = 12, 29


class RawPeer:
    """One DEALER socket."""

    def __init__(self, endpoint, keys=None):
        """keys: public key of the broker, own public and own secret key, 32 bytes each."""
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        if keys is not None:
            self.socket.setsockopt(zmq.CURVE_SERVERKEY, keys[0])
            self.socket.setsockopt(zmq.CURVE_PUBLICKEY, keys[1])
            self.socket.setsockopt(zmq.CURVE_SECRETKEY, keys[2])
        self.socket.connect(endpoint)
        self.epoch = 0
        self.sent = 0
        self.received = 0
        self.requests = 0
        self.session = os.urandom(16)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def deliver(self):
        """Closing waits until what was sent is on its way; otherwise it is dropped."""
        self.socket.setsockopt(zmq.LINGER, DEADLINE * SCALE * 1000)

    def close(self):
        self.socket.close()
        self.context.term()

    # ---- out ----

    def frames(self, *frames):
        self.socket.send_multipart(list(frames))

    def send(self, kind, *fields, blob=b""):
        self.sent += 1
        head = [kind, self.epoch, self.sent, self.received, *fields]
        self.frames(msgpack.packb(head), blob)
        return self.sent

    def say_hello(self, role=CLIENT, versions=(1, 1), items=1000, window=4 << 20, worker=None,
                  name="raw"):
        self.send(HELLO, *versions, role, self.session, False, name, "raw 1", [], 0, items,
                  window, worker)

    def hello(self, **options):
        """HELLO, and the WELCOME that answers it."""
        self.say_hello(**options)
        head, _ = self.receive()
        assert head[0] == WELCOME, head
        self.epoch = head[1]
        return head

    def request(self, kind, *fields, blob=b""):
        self.requests += 1
        self.send(kind, self.requests, 1, 0, *fields, blob=blob)
        return self.requests

    def submit(self, task_type, ids, payload=b"\x07", flags=0, queue=None):
        """One SUBMIT of tasks that share a payload; its request number."""
        spec = [task_type, queue, 0, 0, 0, 0, 0, 1000, 60000, 3, 0, -1, flags]
        entries = [[task, [0, len(payload)]] for task in ids]
        return self.request(SUBMIT, [[spec, entries]], blob=payload)

    # ---- in ----

    def receive(self, seconds=DEADLINE):
        """The next message as (head, blob)."""
        if not self.socket.poll(int(seconds * SCALE * 1000)):
            raise AssertionError("the broker says nothing")
        head, blob = self.socket.recv_multipart()
        head = msgpack.unpackb(head)
        self.received = max(self.received, head[2])
        return head, blob

    def until_any(self, *kinds):
        """The head of the next message of one of these kinds."""
        while True:
            head, _ = self.receive()
            if head[0] in kinds:
                return head

    def until(self, kind, seconds=DEADLINE):
        """The next message of that kind; others are dropped."""
        deadline = time.monotonic() + seconds * SCALE
        while time.monotonic() < deadline:
            head, blob = self.receive(seconds)
            if head[0] == kind:
                return head, blob
        raise AssertionError(f"no message of kind {kind}")

"""The drover protocol on one connection, written from common/PROTOCOL.md alone.

    connection = Connection(context, endpoint, credit_bytes=1 << 20)
    connection.send(HELLO, ...)
    for message in connection.receive():
        ...
        connection.settle(message.seq)
    connection.turn()            # what waits for the window, and a due acknowledgement

A Connection keeps sections 2 and 3 of the document: numbers, acknowledgements, byte window,
chunks. Sessions, requests and leases are the business of drover_client.py and drover_worker.py.
Nothing here is fast; it is meant to be read beside the document.
"""

import collections
import os
import time

import msgpack
import zmq

HELLO, WELCOME, GOODBYE, ERROR, CREDIT, CHUNK, ACK, HEARTBEAT, ATTACH, MOVED = range(1, 11)
SUBMIT, ARRAY_OPEN, ARRAY_ITEMS, ARRAY_SEAL, CANCEL = range(16, 21)
RETRY, KV, QUEUE, WORKER, FORGET, GRAPH = range(21, 27)
WATCH, UNWATCH, QUERY, DOCUMENT, REPLY, RESULTS = range(32, 38)
SUBSCRIBE, LOGS, EVENTS, TAKEN, FETCH = range(38, 43)
LEASE, REPORT, RECALL, ABORT, GO, LOG, AWAIT, SHARED, DRAIN, FOLLOW = range(64, 74)

CLIENT_ROLE, WORKER_ROLE = 1, 2

CODES = {
    0: "ok", 1: "nomem", 2: "invalid", 3: "timeout", 4: "unavailable", 5: "closed", 6: "busy",
    7: "conflict", 8: "unknown", 9: "stale", 10: "denied", 11: "unsupported", 12: "too_big",
    13: "version", 14: "wrong_endpoint", 15: "session_expired", 16: "outcome_unknown",
    17: "refused", 18: "failed", 19: "cancelled", 20: "expired", 21: "lost", 22: "io",
    23: "malformed", 24: "not_ready", 25: "draining", 26: "internal", 27: "epoch",
    28: "protocol", 29: "limit", 30: "moved", 31: "dependency", 32: "attached",
}
ERROR_KINDS = {1: "handler", 2: "crash", 3: "timeout", 4: "limit", 5: "lost", 6: "dependency",
               7: "refused", 8: "cancelled", 9: "expired"}
STATES = {1: "waiting", 2: "delayed", 3: "queued", 4: "running", 5: "succeeded", 6: "failed",
          7: "cancelled", 8: "expired", 9: "lost_at_restart"}

GOES_ON = {6, 11, 25}  # an ERROR with one of these codes is about one message alone
CHARGED = {LEASE, REPORT, SUBMIT, GRAPH, ARRAY_ITEMS, RESULTS, LOG, CHUNK}
AT_ONCE = {ACK, HEARTBEAT}  # never wait behind what waits for the window

Limits = collections.namedtuple(
    "Limits", "head_max blob_max batch_max inline_max payload_max requests_max array_max meta_max")
LIMITS = Limits(131072, 262144, 1024, 65536, 67108864, 1024, 10000000, 1024)

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's, without I, L, O, U


class WireError(Exception):
    """The other side broke the protocol: the connection is of no use any more."""


def new_id():
    """A ULID: 48 bits of milliseconds and 80 random bits."""
    return int(time.time() * 1000).to_bytes(6, "big") + os.urandom(10)


def id_text(task):
    number = int.from_bytes(task, "big")
    return "".join(ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))


def id_bytes(text):
    number = 0
    for letter in text.upper():
        number = number << 5 | ALPHABET.index(letter)
    return number.to_bytes(16, "big")


def pack(value):
    return msgpack.packb(value, use_bin_type=True)


def unpack(data):
    return msgpack.unpackb(data, raw=False, strict_map_key=False)


class Value:
    """Opaque bytes with an optional content type; None in its place is no value."""

    def __init__(self, data, content_type=None):
        self.data = data
        self.content_type = content_type

    @classmethod
    def of(cls, value):
        """A Python object by the convention: msgpack without a content type."""
        return value if isinstance(value, cls) else cls(pack(value))

    def python(self):
        """The object that was packed; bytes when the content type says something else."""
        return unpack(self.data) if self.content_type is None else self.data


def python_of(value):
    return None if value is None else value.python()


class Message:
    """A received message. Fields beyond the end have the default that field() is given."""

    def __init__(self, head, blob, transfers):
        self.kind, self.epoch, self.seq, self.ack = head[:4]
        self.fields = head[4:]
        self.blob = blob
        self._transfers = transfers

    def field(self, position, default=None):
        """A field by its position in the document (the first of a kind is 4)."""
        return at(self.fields, position - 4, default)

    def value(self, form):
        """The Value that a val of this message stands for."""
        if form is None:
            return None
        offset, length, content_type = form[0], form[1], at(form, 2)
        transfer = at(form, 3, 0)
        if transfer:
            data = self._transfers.pop(transfer, None)
            if data is None or len(data) != length:
                raise WireError(f"transfer {transfer} is not complete")
            return Value(data, content_type)
        if offset + length > len(self.blob):
            raise WireError("slice outside the blob")
        return Value(self.blob[offset:offset + length], content_type)


def at(fields, position, default=None):
    return fields[position] if position < len(fields) else default


class Builder:
    """Collects the blob of a message to be sent, and the values that leave as chunks."""

    def __init__(self, connection):
        self._connection = connection
        self._limits = connection.limits
        self.blob = bytearray()
        self.chunks = []

    def val(self, value):
        if value is None:
            return None
        if len(value.data) > self._limits.inline_max:
            transfer = self._connection.next_transfer()
            self.chunks.append((transfer, value.data))
            return [0, len(value.data), value.content_type, transfer]
        offset = len(self.blob)
        self.blob += value.data
        if value.content_type is None:
            return [offset, len(value.data)]
        return [offset, len(value.data), value.content_type]


class Connection:
    """One DEALER socket."""

    def __init__(self, context, endpoint, credit_bytes, ack_ms=1):
        self.socket = context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.RECONNECT_IVL, -1)  # we make a new socket instead
        self._monitor = self.socket.get_monitor_socket(zmq.EVENT_DISCONNECTED | zmq.EVENT_CLOSED)
        self.socket.connect(endpoint)
        self.limits = LIMITS
        self.epoch = 0
        self.heard_at = time.monotonic()
        self._credit_bytes = credit_bytes
        self._ack_s = ack_ms / 1000
        # sending
        self._sent = 0
        self._queue = collections.deque()   # (kind, fields, blob, on_settled)
        self._flight = collections.deque()  # (seq, charge, on_settled)
        self._stuck = collections.deque()   # frames that the socket did not take
        self._flight_bytes = 0
        self._window = 0                    # of the other side; 0 until it is known
        self._transfer = 0
        # receiving
        self._received = 0
        self._open = set()                  # received and not settled
        self._acked = 0
        self._ack_due = None
        self._incoming = {}                 # transfer: [total, bytearray]
        self._complete = {}                 # transfer: bytes

    def close(self, linger_ms=0):
        """linger_ms: how long what was sent may still take to leave."""
        self.socket.disable_monitor()
        self._monitor.close(0)
        self.socket.close(linger_ms)

    def watch(self, poller):
        """Lets the poller wake when something arrives or the connection ends."""
        poller.register(self.socket, zmq.POLLIN | (zmq.POLLOUT if self._stuck else 0))
        poller.register(self._monitor, zmq.POLLIN)

    def welcome(self, message):
        """What WELCOME says about the connection."""
        self._window = message.field(10, 0)
        self.limits = Limits(*message.field(11)[:len(Limits._fields)])
        self._ack_s = at(message.field(12), 3, 1) / 1000

    # ---- sending ----

    def next_transfer(self):
        self._transfer += 1
        return self._transfer

    def send(self, kind, *fields, builder=None, blob=b"", on_settled=None):
        """Queues a message; on_settled is called when the other side has settled it."""
        if builder is not None:
            blob = bytes(builder.blob)
            for transfer, data in builder.chunks:
                self._queue_chunks(transfer, data)
        if kind in AT_ONCE:
            self._emit(kind, fields, blob, on_settled)
        else:
            self._queue.append((kind, fields, blob, on_settled))
            self._flush()

    def has_room(self):
        """Whether less than half of the window is unsettled, and nothing waits for it."""
        return not self._queue and self._flight_bytes < self._window / 2

    def _queue_chunks(self, transfer, data):
        size = min(self.limits.blob_max, max(self._window // 4, 4096))
        for offset in range(0, len(data), size):
            self._queue.append(
                (CHUNK, (transfer, offset, len(data)), data[offset:offset + size], None))

    def _flush(self):
        while self._queue:
            kind, fields, blob, on_settled = self._queue[0]
            charge = len(blob) if kind in CHARGED else 0
            if charge and self._flight_bytes and self._flight_bytes + charge > self._window:
                return
            self._queue.popleft()
            self._emit(kind, fields, blob, on_settled)

    def _emit(self, kind, fields, blob, on_settled):
        charge = len(blob) if kind in CHARGED else 0
        self._sent += 1
        self._acked = self._settled()
        self._ack_due = None
        self._stuck.append([pack([kind, self.epoch, self._sent, self._acked, *fields]), blob])
        self._unstick()
        if kind != ACK:  # which nobody acknowledges
            self._flight.append((self._sent, charge, on_settled))
            self._flight_bytes += charge

    def _unstick(self):
        """Hands frames to the socket until it is full, or its connection has ended."""
        while self._stuck:
            try:
                self.socket.send_multipart(self._stuck[0], zmq.NOBLOCK)
            except zmq.Again:
                return
            self._stuck.popleft()

    def is_idle(self):
        """Nothing waits, and everything that was sent is settled."""
        return not self._queue and not self._flight

    # ---- receiving ----

    def receive(self):
        """All messages that have arrived, in order, for the caller to settle."""
        messages = []
        while self.socket.getsockopt(zmq.EVENTS) & zmq.POLLIN:
            frames = self.socket.recv_multipart(zmq.NOBLOCK)
            self.heard_at = time.monotonic()
            message = self._take(frames)
            if message is not None:
                messages.append(message)
        if not messages and self._monitor.poll(0):
            raise WireError("the connection has ended, or was never made")
        return messages

    def _take(self, frames):
        if len(frames) != 2:
            raise WireError(f"{len(frames)} frames")
        head = unpack(frames[0])
        if not isinstance(head, list) or len(head) < 4:
            raise WireError("not a head")
        message = Message(head, frames[1], self._complete)
        if message.epoch != self.epoch and message.kind not in (WELCOME, ERROR) and not (
                self.epoch == 0 and message.kind in AT_ONCE):
            return None  # of another epoch: dropped
        if message.kind == ERROR and message.seq != self._received + 1 and \
                message.field(4) not in GOES_ON:
            return message  # the last word of a side that has lost count
        if message.seq <= self._received:
            return None  # repeated
        if message.seq != self._received + 1:
            raise WireError(f"message {message.seq} after {self._received}")
        self._received = message.seq
        if message.kind == WELCOME:
            self.epoch = message.epoch  # what arrives behind it has this epoch already
        self._settled_by_peer(message.ack)
        if message.kind == CHUNK:
            self._take_chunk(message)
            self._want_ack()
            return None
        if message.kind == ACK:
            return message if message.field(4) else None
        self._open.add(message.seq)
        return message

    def _settled_by_peer(self, ack):
        if ack > self._sent:
            raise WireError("acknowledges what was never sent")
        while self._flight and self._flight[0][0] <= ack:
            _, charge, on_settled = self._flight.popleft()
            self._flight_bytes -= charge
            if on_settled is not None:
                on_settled()

    def _take_chunk(self, message):
        transfer, offset, total = message.fields[:3]
        if offset == 0:
            self._incoming[transfer] = [total, bytearray()]
        announced, data = self._incoming[transfer]
        if announced != total or offset != len(data):
            raise WireError("chunk does not continue its transfer")
        data += message.blob
        if len(data) == total:
            del self._incoming[transfer]
            self._complete[transfer] = bytes(data)

    # ---- acknowledging ----

    def settle(self, seq):
        """The message with this number has been dealt with."""
        self._open.discard(seq)
        self._want_ack()

    def _settled(self):
        """Everything up to here has been dealt with."""
        return min(self._open) - 1 if self._open else self._received

    def _want_ack(self):
        if self._ack_due is None and self._settled() > self._acked:
            self._ack_due = time.monotonic() + self._ack_s

    def turn(self):
        """Sends what the window lets through, and an ACK that is due."""
        self._unstick()
        self._flush()
        if self._ack_due is not None and time.monotonic() >= self._ack_due:
            self.send(ACK, [])

    def deadline(self):
        """When turn() has something to do; None: nothing."""
        return self._ack_due


class Backoff:
    """50 ms doubling to 2 s, with jitter."""

    def __init__(self, random):
        self._random = random
        self._tries = 0

    def reset(self):
        self._tries = 0

    def next_s(self):
        full = min(0.05 * 2 ** self._tries, 2.0)
        self._tries += 1
        return full * (0.5 + self._random.random() / 2)

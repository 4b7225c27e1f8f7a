"""Subscriptions of drover_client.py, written from common/PROTOCOL.md alone.

    for entry in client.events(mask=...): ...
    for piece in client.logs(task): ...
"""

import collections

from drover_wire import LOGS, at, unpack

END, EVENTS_STREAM, LOGS_STREAM, SHARED_DATA_STREAM = range(4)
FOLLOW_FLAG, PREFIX_FLAG, PRESENT_FLAG = 1, 1, 2

Piece = collections.namedtuple("Piece", "index attempt stream offset text")


class Subscription:
    """What a subscription brings. The client feeds it; `entries` holds what was not taken."""

    def __init__(self, number, stream, items=0, bytes_=0, flags=0, mask=0, task=None, index=-1,
                 queue=None, task_type=None, worker=None, text=None, tag=None):
        self.number = number
        self.stream = stream
        self.received = 0       # number of the last entry that came
        self.missed = 0         # entries that the broker dropped
        self.begun_anew = 0     # how often a broker had forgotten it
        self.state = 0          # of the task, once its output is over
        self.entries = collections.deque()
        self.taken = 0
        self._told = 0
        self._part = (items or 4096) // 4
        self._was_asked = False
        self._fields = [flags, mask, task, index, queue, task_type, worker, text, tag]
        self._window = [items, bytes_]

    def question(self, _builder):
        """The fields of SUBSCRIBE behind req, for the connection at hand."""
        return [self.number, self.stream, *self._window, self.received, *self._fields]

    def on_reply(self, reply):
        if reply.code == 0 and reply.number == 0:
            self.begun_anew += self._was_asked
            self.received = self.taken = self._told = 0
        self._was_asked = self._was_asked or reply.code == 0

    def on_message(self, message):
        first, list_ = message.field(5), message.field(6) or []
        self.missed += max(first - self.received - 1, 0)
        offset = 0
        for position, entry in enumerate(list_):
            length = entry[4] if message.kind == LOGS else entry[1]
            data = message.blob[offset:offset + length]
            offset += length
            if first + position > self.received:
                self.entries.append(Piece(*entry[:4], data) if message.kind == LOGS
                                    else unpack(data))
        last = first + len(list_) - 1
        if message.kind == LOGS and at(message.fields, 3, 0):
            self.state = at(message.fields, 3)
            last += 1
        self.received = max(self.received, last)

    def take(self):
        """All that came; afterwards it may be worth telling the broker."""
        taken = list(self.entries)
        self.entries.clear()
        self.taken = self.received
        return taken

    def tell_taken(self):
        """[subscription, number] for TAKEN, or None."""
        if self.taken - self._told < (1 if self.state else self._part):
            return None
        self._told = self.taken
        return [self.number, self.taken]

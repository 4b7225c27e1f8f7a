"""A drover client, written from common/PROTOCOL.md alone.

    with Client(endpoint) as client:
        task = client.submit("square", 7)
        print(client.result(task))
        print(client.map("square", range(1000)))

One thread: the client works while one of its calls waits. Lost connections are made again and
unanswered requests sent again within the session; when the broker has forgotten the session, they
fail with OutcomeUnknown, and tasks that are still waited for are watched anew.
"""

import os
import random
import threading
import time

import zmq

from drover_stream import END, Subscription
from drover_wire import (
    ACK, ARRAY_ITEMS, ARRAY_OPEN, ARRAY_SEAL, CANCEL, CLIENT_ROLE, CODES, DOCUMENT, ERROR,
    ERROR_KINDS, EVENTS, FETCH, FORGET, GOODBYE, GRAPH, HEARTBEAT, HELLO, KV, LOGS, QUERY, QUEUE,
    REPLY, RESULTS, RETRY, STATES, SUBMIT, SUBSCRIBE, TAKEN, WATCH, WELCOME, WORKER, Backoff, Builder, Connection, Value, WireError, at,
    id_text, new_id, pack, python_of, unpack)

WATCH_FLAG, RELEASE_FLAG, STRICT_FLAG = 1, 2, 4
STATUS, TASK, WHY, TASKS, QUEUES, WORKERS, SHARED_DATA, ONE_WORKER = range(1, 9)
KEY, GROUPS = 10, 11
GET, SET, DELETE, INCREMENT, COMPARE_AND_SET = range(1, 6)


class RequestError(Exception):
    """A request was answered with a code other than ok."""

    def __init__(self, code, text="", reply=None):
        self.code = CODES.get(code, code)
        self.reply = reply
        super().__init__(f"{self.code}: {text}" if text else str(self.code))


class OutcomeUnknown(RequestError):
    """The session of an unanswered request is gone."""

    def __init__(self):
        super().__init__(16)


class TaskError(Exception):
    """A task did not succeed."""

    def __init__(self, outcome):
        error = outcome.error or []
        self.state = outcome.state
        self.kind = ERROR_KINDS.get(at(error, 0))
        self.code = at(error, 1, "")
        self.text = at(error, 2, "")
        self.signal = at(error, 4, 0)
        super().__init__(f"{self.state}: {self.kind} {self.code} {self.text}")


class Outcome:
    """One entry of RESULTS."""

    def __init__(self, message, entry):
        self.id = entry[0]
        self.index = at(entry, 1, -1)
        self.state = STATES[at(entry, 2)]
        self.attempt = at(entry, 3, 0)
        self.value = message.value(at(entry, 4))
        self.error = at(entry, 5)
        self.level = at(entry, 6, 0)


class Reply:
    """One entry of a REPLY, or a DOCUMENT."""

    def __init__(self, code, number=0, text=None, notes=(), value=None, document=None,
                 cursor=None, error=None):
        self.code = code
        self.number = number
        self.text = text
        self.notes = {at(note, 0, 0): CODES[at(note, 1, 0)] for note in notes or ()}
        self.attached = {at(note, 0, 0): at(note, 4, None) for note in notes or ()
                         if CODES[at(note, 1, 0)] == "attached"}
        self.value = value
        self.document = document
        self.cursor = cursor
        self.error = error


class Request:
    """A request that is sent until it is answered. `make(builder)` gives the fields from position
    7 (5 for a question), anew for every connection."""

    def __init__(self, number, kind, make, budget_ms):
        self.number = number
        self.kind = kind
        self.make = make
        self.budget_ms = budget_ms
        self.on_reply = None
        self.reply = None
        self.error = None

    @property
    def is_done(self):
        return self.reply is not None or self.error is not None


class Client:
    """A session of a client."""

    def __init__(self, endpoint, name="python", timeout=20, credit_bytes=1 << 20,
                 credit_items=1024):
        self.endpoint = endpoint
        self.name = name
        self.timeout = timeout
        self.credit_bytes = credit_bytes
        self.credit_items = credit_items
        self.session = os.urandom(16)
        self.connections = 0     # how many were welcomed
        self.sessions = 0        # how many of these began a session
        self.heartbeats = 0      # answers of the broker
        self.broker = None
        self.capabilities = []
        self.outcomes = {}       # (id, index): Outcome
        self._watched = {}       # id: (epoch, level) under which it was acknowledged
        self._subscriptions = {} # number: Subscription
        self._last_subscription = 0
        self._context = zmq.Context()
        self._random = random.Random()
        self._backoff = Backoff(self._random)
        self._connection = None
        self._is_welcome = False
        self._is_known = False   # the broker has welcomed this session before
        self._retry_at = 0
        self._heartbeat_at = 0
        self._heartbeat_s = 1.0
        self._lease_s = 10.0
        self._last_request = 0
        self._requests = {}      # number: Request, unanswered
        self._refused = None     # an ERROR that trying again cannot mend
        self._wait(lambda: self._is_welcome, self.timeout)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Ends the session."""
        if self._is_welcome:
            self._connection.send(GOODBYE, 0, "")
            self._connection.close(linger_ms=1000)
            self._connection = None
        self.abandon()

    def abandon(self):
        """Goes without a word: the session outlives it."""
        self.drop_connection()
        self._context.term()

    def drop_connection(self):
        """What a network failure does to a connection; the session goes on."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None
        self._is_welcome = False

    def until_session(self, count):
        """Waits until so many sessions were begun: what follows belongs to the last."""
        self._wait(lambda: self.sessions >= count and self._is_welcome, self.timeout)

    # ---- tasks ----

    def submit(self, task_type, value=None, **options):
        """Submits one task; its id."""
        return self.submit_many(task_type, [value], **options)[0]

    def submit_many(self, task_type, values, **options):
        """Submits tasks that differ in nothing but their value, in as few messages as the limits
        allow."""
        values = [None if value is None else Value.of(value) for value in values]
        ids = [new_id() for _ in values]
        requests = []
        for first, last in batches(values, self._connection_limits()):
            entries = list(zip(ids[first:last], values[first:last]))
            requests.append((ids[first:last], self._request(
                SUBMIT, lambda builder, entries=entries: [[[
                    spec(task_type, **options),
                    [[task, builder.val(value)] for task, value in entries]]]])))
        for part, request in requests:
            reply = self._answer(request)
            if set(reply.notes.values()) - {"attached"}:
                raise RequestError(18, f"refused: {reply.notes}", reply)
            self._note_watched(part, reply.number)
            for position, first in reply.attached.items():
                ids[ids.index(part[position])] = first  # the task that has the key
                self._watched.pop(part[position], None)
                self.watch([first])
        return ids

    def submit_graph(self, nodes):
        """Submits tasks that wait for each other, all or none: (name, type, value, parents), each
        behind its parents, which are names of others, or (name or id, when); their ids by name."""
        ids = {name: new_id() for name, *_ in nodes}

        def group(builder, name, task_type, value, parents):
            pairs = [(parent, 1) if isinstance(parent, str) else parent for parent in parents]
            after = [(ids.get(parent, parent), -1, when) for parent, when in pairs]
            value = None if value is None else Value.of(value)
            return [spec(task_type, after=after), [[ids[name], builder.val(value)]]]

        reply = self._answer(self._request(
            GRAPH, lambda builder: [[group(builder, *node) for node in nodes]]))
        if reply.notes:
            raise RequestError(18, f"refused: {reply.notes}", reply)
        self._note_watched(ids.values(), reply.number)
        return ids

    def fetch(self, task, index=-1):
        """(state, value, error) of a task that has ended, whoever it belongs to."""
        reply = self._answer(self._question(FETCH, lambda builder: [task, index]))
        value = None if reply.value is None else python_of(reply.value)
        return STATES[reply.number], value, reply.error

    def result(self, task, index=-1, timeout=None):
        """The value of a task that succeeded; TaskError when it did not."""
        return value_of(self.outcome(task, index, timeout))

    def outcome(self, task, index=-1, timeout=None):
        """How a task ended, as soon as it has."""
        self._wait(lambda: (task, index) in self.outcomes, timeout or self.timeout)
        return self.outcomes[task, index]

    def call(self, task_type, value=None, timeout=None, **options):
        return self.result(self.submit(task_type, value, **options), timeout=timeout)

    def open_array(self, task_type, items, shared=None, **options):
        """Submits an array; its id."""
        array = new_id()
        items = [None if item is None else Value.of(item) for item in items]
        shared = None if shared is None else Value.of(shared)
        requests = [self._request(ARRAY_OPEN, lambda builder: [
            array, spec(task_type, **options), builder.val(shared)])]
        for first, last in batches(items, self._connection_limits()):
            requests.append(self._request(
                ARRAY_ITEMS, lambda builder, first=first, last=last: [
                    array, first, [builder.val(item) for item in items[first:last]]]))
        requests.append(self._request(ARRAY_SEAL, lambda builder: [array, len(items)]))
        replies = [self._answer(request) for request in requests]
        self._note_watched([array], replies[0].number)
        return array

    def map(self, task_type, items, shared=None, timeout=None, **options):
        """The results of a function over many items, in their order."""
        items = list(items)
        array = self.open_array(task_type, items, shared, **options)
        return [self.result(array, index, timeout) for index in range(len(items))]

    def watch(self, targets, flags=0):
        """Asks for the results of tasks by their ids; the ids that nobody knows."""
        targets = list(targets)
        request = self._question(WATCH, lambda builder: [
            flags, [[task, -1, *self._watched.get(task, (0, 0))] for task in targets]])
        reply = self._answer(request)
        for task in targets:
            self._watched.setdefault(task, (0, 0))
        return [targets[position] for position in reply.notes]

    def cancel(self, *targets, reason=""):
        """Cancels tasks; the Reply says which had ended or are unknown."""
        return self._answer(self._request(
            CANCEL, lambda builder: [[target_of(target) for target in targets], reason]))

    def cancel_group(self, group, reason=""):
        """Cancels all of a group; how many tasks and elements that were."""
        return self._answer(self._request(
            CANCEL, lambda builder: [[], reason, 0, group])).number

    def retry(self, task, index=-1):
        """Runs a task that has failed once more, as a new one."""
        again = new_id()
        reply = self._answer(self._request(RETRY, lambda builder: [[[task, index, again]]]))
        if reply.notes:
            raise RequestError(18, f"refused: {reply.notes}", reply)
        return again

    def forget(self, *targets):
        return self._answer(self._request(
            FORGET, lambda builder: [[target_of(target) for target in targets]]))

    # ---- shared data, queues, workers, questions ----

    def kv(self, operation, key, value=None, number=0, ttl_ms=0, fence=None):
        """One operation on shared data; its Reply."""
        value = None if value is None else Value.of(value)
        return self._answer(self._request(KV, lambda builder: [
            operation, key, builder.val(value), number, ttl_ms, fence]))

    def get(self, key):
        return python_of(self.kv(GET, key).value)

    def set(self, key, value, ttl_ms=0):
        """The new version."""
        return self.kv(SET, key, value, ttl_ms=ttl_ms).number

    def queue(self, operation, name, settings=None):
        return self._answer(self._request(
            QUEUE, lambda builder: [operation, name, settings]))

    def drain_worker(self, worker, resume=False):
        return self._answer(self._request(
            WORKER, lambda builder: [2 if resume else 1, worker]))

    def query(self, topic, task=None, index=-1, name=None, text=None, states=0, cursor=None,
              limit=0, group=None, tag=None):
        """The document that answers a question; tag: a pair."""
        return self._answer(self._question(QUERY, lambda builder: [
            topic, task, index, name, text, states, cursor, limit, group,
            None if tag is None else list(tag)])).document

    # ---- streams ----

    def subscribe(self, stream, **filters):
        """A Subscription that is in force; RequestError when it was refused."""
        self._last_subscription += 1
        subscription = Subscription(self._last_subscription, stream, **filters)
        self._subscriptions[subscription.number] = subscription
        request = self._subscribe(subscription)
        try:
            self._answer(request)
        except RequestError:
            del self._subscriptions[subscription.number]
            raise
        return subscription

    def _subscribe(self, subscription):
        request = self._question(SUBSCRIBE, subscription.question)
        request.on_reply = subscription.on_reply
        return request

    def unsubscribe(self, subscription):
        del self._subscriptions[subscription.number]
        self._answer(self._question(SUBSCRIBE, lambda builder: [subscription.number, END]))

    def take(self, subscription, condition=None, timeout=None):
        """What came of it, as soon as there is something (or the condition holds)."""
        self._wait(condition or (lambda: subscription.entries or subscription.state),
                   timeout or self.timeout)
        taken = subscription.take()
        told = subscription.tell_taken()
        if told is not None and self._is_welcome:
            self._connection.send(TAKEN, [told])
        return taken

    def _on_stream(self, message):
        subscription = self._subscriptions.get(message.field(4))
        if subscription is not None:
            subscription.on_message(message)

    # ---- requests ----

    def _connection_limits(self):
        self._wait(lambda: self._is_welcome, self.timeout)
        return self._connection.limits

    def _request(self, kind, make, budget_ms=0):
        self._last_request += 1
        request = Request(self._last_request, kind, make, budget_ms)
        self._requests[request.number] = request
        if self._is_welcome:
            self._send_request(request)
        return request

    def _question(self, kind, make):
        return self._request(kind, make, budget_ms=None)

    def _floor(self):
        return min(self._requests, default=self._last_request + 1)

    def _send_request(self, request):
        builder = Builder(self._connection)
        fields = request.make(builder)
        prefix = [request.number]
        if request.budget_ms is not None:
            prefix += [self._floor(), request.budget_ms]
        self._connection.send(request.kind, *prefix, *fields, builder=builder)

    def _answer(self, request):
        self._wait(lambda: request.is_done, self.timeout)
        if request.error is not None:
            raise request.error
        if request.reply.code != 0:
            raise RequestError(request.reply.code, request.reply.text, request.reply)
        return request.reply

    def _note_watched(self, tasks, level):
        for task in tasks:
            self._watched[task] = (self._connection.epoch if self._connection else 0, level)

    # ---- the loop ----

    def _wait(self, condition, timeout):
        deadline = time.monotonic() + timeout
        while not condition():
            if self._refused is not None:
                raise self._refused
            if time.monotonic() > deadline:
                raise TimeoutError("the broker does not answer in time")
            self.turn(deadline)

    def turn(self, deadline):
        """Waits for a message until the deadline at most, and does what is due."""
        now = time.monotonic()
        if self._connection is None:
            if now < self._retry_at:
                threading.Event().wait(max(min(self._retry_at, deadline) - now, 0))
                return
            self._connect()
        connection = self._connection
        until = min(deadline, self._heartbeat_at, connection.deadline() or deadline)
        poller = zmq.Poller()
        connection.watch(poller)
        poller.poll(max(int((until - now) * 1000) + 1, 0))
        try:
            for message in connection.receive():
                self._on_message(connection, message)
                if connection is not self._connection:
                    return
            connection.turn()
        except WireError:
            self._lose()
            return
        self._keep_alive()

    def _connect(self):
        self._connection = Connection(self._context, self.endpoint, self.credit_bytes)
        self._connection.send(HELLO, 1, 1, CLIENT_ROLE, self.session, self._is_known, self.name,
                              "drover-python/1", [], 0, self.credit_items, self.credit_bytes)
        self._heartbeat_at = time.monotonic() + self._heartbeat_s

    def _lose(self):
        self.drop_connection()
        self._retry_at = time.monotonic() + self._backoff.next_s()

    def _keep_alive(self):
        now = time.monotonic()
        if now - self._connection.heard_at > self._lease_s:
            self._lose()
        elif now >= self._heartbeat_at:
            self._heartbeat_at = now + self._heartbeat_s
            if self._is_welcome:
                self._connection.send(HEARTBEAT)

    def _on_message(self, connection, message):
        handler = {WELCOME: self._on_welcome, ERROR: self._on_error, REPLY: self._on_reply,
                   DOCUMENT: self._on_document, RESULTS: self._on_results,
                   EVENTS: self._on_stream, LOGS: self._on_stream,
                   HEARTBEAT: self._on_heartbeat, GOODBYE: self._on_goodbye,
                   ACK: lambda message: None}.get(message.kind)
        if handler is None:
            connection.send(ERROR, 11, "", 0, message.kind, message.seq, None)
        else:
            handler(message)
        connection.settle(message.seq)

    def _on_welcome(self, message):
        self._connection.welcome(message)
        self.broker = message.field(5)
        self.capabilities = message.field(8, [])
        self._heartbeat_s = at(message.field(12), 0, 1000) / 1000
        self._lease_s = at(message.field(12), 1, 10000) / 1000
        is_new = not self._is_known
        self._is_welcome = self._is_known = True
        self._backoff.reset()
        self.connections += 1
        self.sessions += is_new
        for number in sorted(self._requests):
            self._send_request(self._requests[number])
        if is_new:
            self._watch_again()
        if self.connections > 1:
            for subscription in self._subscriptions.values():
                self._subscribe(subscription)

    def _watch_again(self):
        """Watches belong to the session: a new one must ask again."""
        tasks = [task for task in self._watched if (task, -1) not in self.outcomes]
        for first in range(0, len(tasks), 500):
            part = tasks[first:first + 500]
            self._question(WATCH, lambda builder, part=part: [
                0, [[task, -1, *self._watched[task]] for task in part]])

    def _on_error(self, message):
        code, text = message.field(4, 0), message.field(5, "")
        if CODES.get(code) == "session_expired":
            self._start_over()
        elif not self._is_welcome and CODES.get(code) in (
                "version", "wrong_endpoint", "denied", "malformed", "unsupported"):
            self._refused = RequestError(code, text)
            self._lose()
        elif CODES.get(code) in ("unsupported", "busy", "draining") and self._is_welcome:
            pass  # about one message; the connection goes on
        else:
            self._lose()

    def _start_over(self):
        for request in self._requests.values():
            request.error = OutcomeUnknown()
        self._requests.clear()
        self.session = os.urandom(16)
        self._is_known = False
        self._last_request = 0
        self.drop_connection()
        self._retry_at = 0

    def _on_reply(self, message):
        for entry in message.field(4, []):
            value = message.value(at(entry, 6))
            self._finish(entry[0], Reply(at(entry, 1, 0), at(entry, 2, 0), at(entry, 3),
                                         at(entry, 5), value, error=at(entry, 7)))

    def _on_document(self, message):
        document = unpack(message.blob) if message.blob else None
        self._finish(message.field(4), Reply(message.field(5, 0), text=message.field(6, ""),
                                             document=document, cursor=message.field(7)))

    def _finish(self, number, reply):
        request = self._requests.pop(number, None)
        if request is not None:
            request.reply = reply
            if request.on_reply is not None:
                request.on_reply(reply)

    def _on_results(self, message):
        for entry in message.field(4, []):
            outcome = Outcome(message, entry)
            self.outcomes.setdefault((outcome.id, outcome.index), outcome)

    def _on_heartbeat(self, message):
        self.heartbeats += 1

    def _on_goodbye(self, message):
        self._lose()


def value_of(outcome):
    """The Python value of an outcome; TaskError when there is none."""
    if outcome.state != "succeeded":
        raise TaskError(outcome)
    return python_of(outcome.value)


def target_of(target):
    """[id, index] of an id, or of a pair."""
    return list(target) if isinstance(target, tuple) else [target, -1]


def spec(task_type, queue=None, priority=0, delay_ms=0, expire_ms=0, timeout_ms=0, retries=0,
         backoff_ms=1000, backoff_max_ms=60000, loss_budget=3, durability=0, keep_ms=-1,
         flags=WATCH_FLAG, meta=None, after=(), key=None, key_window_ms=0, group=None, tags=None):
    """A spec in the order of the document; what is not there is left to its default.
    after: (id, index, when) of each parent; tags: a dict."""
    fields = [task_type, queue, priority, delay_ms, expire_ms, timeout_ms, retries, backoff_ms,
              backoff_max_ms, loss_budget, durability, keep_ms, flags]
    late = {13: key, 14: key_window_ms, 15: [list(parent) for parent in after] or None,
            16: group, 17: [list(tag) for tag in (tags or {}).items()] or None, 22: meta}
    last = max((position for position, value in late.items() if value), default=0)
    return fields + [late.get(position) for position in range(13, last + 1)]


def batches(values, limits):
    """(first, last) of runs of values that fit into one message each."""
    first = 0
    while first < len(values):
        last, blob, transfers, room = first, 0, 0, 0
        while last < len(values) and last - first < limits.batch_max:
            size = 0 if values[last] is None else len(values[last].data)
            room += 64
            if size > limits.inline_max:
                transfers += 1
            else:
                blob += size
            full = blob > limits.blob_max or transfers > 2 or room > limits.head_max - 4096
            if full and last > first:
                break
            last += 1
        yield first, last
        first = last


__all__ = ["Client", "OutcomeUnknown", "RequestError", "TaskError", "Value", "id_text", "pack",
           "value_of"]

#!/usr/bin/python3
"""What the monitoring view costs, and what it does while strangers and storms go on.

    ./dev bench view [--quick] [--scale F]

Each row starts a broker of its own on loopback. Processor time is that of the broker alone, all its
threads; delays are seen by a client of its own, which asks over ZeroMQ while the page is open.
Nothing here passes or fails: it prints numbers for people to judge. Below a minute each.
"""

import argparse
import os
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "interop")]

from crowd import BIN, Broker, Crowd, cpu_percent  # noqa: E402
from drover_client import Client, spec             # noqa: E402
from drover_wire import Value, new_id              # noqa: E402

HEARTBEAT, SUBMIT = 8, 16
PAGES = 10


started = []  # whatever a row leaves behind when it could not be finished


class Peers(Crowd):
    """A crowd that is ended in any case."""

    def __init__(self, *arguments):
        started.append(self)
        super().__init__(*arguments)


class WatchedBroker(Broker):
    """One with the page."""

    def __init__(self, data, *arguments, endpoint="tcp://127.0.0.1:*",
                 worker_endpoint="tcp://127.0.0.1:*"):
        self.process = subprocess.Popen(
            [os.path.join(BIN, "drover-broker"), "--data", data, "--bind", endpoint,
             "--bind-workers", worker_endpoint, "--log-level", "error", "--http", "127.0.0.1:0",
             *arguments], stdout=subprocess.PIPE, text=True)
        started.append(self)
        ready = dict(word.split("=", 1) for word in self.process.stdout.readline().split()[1:])
        self.endpoint, self.worker_endpoint = ready["endpoint"], ready["worker_endpoint"]
        host, port = ready["http"].rsplit(":", 1)
        self.http = (host, int(port))


class Pages:
    """Open pages: each reads the stream, and asks for the history every five seconds."""

    def __init__(self, address, count):
        self.address = address
        self.end_now = threading.Event()
        self.bytes = 0
        started.append(self)
        self.threads = [threading.Thread(target=self._read, args=(n / count,), daemon=True)
                        for n in range(count)]
        for thread in self.threads:
            thread.start()

    def _ask(self, path):
        peer = socket.create_connection(self.address, timeout=20)
        peer.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        return peer

    def _read(self, shift):
        asked, stream = time.monotonic() - 5 * shift, self._ask("/api/v1/events")
        with stream:
            while not self.end_now.is_set():
                if select.select([stream], [], [], 0.2)[0]:
                    more = stream.recv(1 << 16)
                    if not more:
                        return
                    self.bytes += len(more)
                if time.monotonic() - asked >= 5:
                    asked = time.monotonic()
                    with self._ask("/api/v1/history?span=hour") as peer:
                        while peer.recv(1 << 16):
                            pass

    def close(self):
        self.end_now.set()
        for thread in self.threads:
            thread.join()


class Pulse:
    """A client that sends heartbeats, one after the other, and notes how long each answer takes."""

    def __init__(self, endpoint):
        self.client = Client(endpoint, name="pulse")
        self.client.timeout = 60
        self.times = []

    def beat(self):
        heard, begun = self.client.heartbeats, time.monotonic()
        self.client._connection.send(HEARTBEAT)
        while self.client.heartbeats == heard and time.monotonic() - begun < 30:
            self.client.turn(time.monotonic() + 0.1)
        self.times.append(time.monotonic() - begun)

    def beat_for(self, seconds, until=lambda: False):
        begun = time.monotonic()
        while time.monotonic() - begun < seconds and not until():
            self.beat()
            select.select([], [], [], 0.002)

    def told(self):
        times = sorted(self.times)
        return (f"p50 {1000 * times[len(times) // 2]:.1f} ms, p99 "
                f"{1000 * times[int(len(times) * 0.99)]:.1f} ms, longest {1000 * times[-1]:.1f} ms")

    def loop_ms(self):
        return self.client.query(1)["broker"]["loop_ms"]


def pages(data, seconds):
    broker = WatchedBroker(data)
    crowd = Peers(broker.worker_endpoint, 10)
    alone = cpu_percent(broker, seconds)
    open_pages = Pages(broker.http, PAGES)
    select.select([], [], [], 1)
    watched = cpu_percent(broker, seconds)
    open_pages.close()
    print(f"{PAGES} open pages cost the broker {watched - alone:.1f} % of a core (wanted: 2; without "
          f"them {alone:.1f} with 10 workers), {open_pages.bytes / seconds / 1024:.0f} KiB/s",
          flush=True)
    crowd.end()
    broker.end()


def heartbeats(data, workers, seconds):
    broker = WatchedBroker(data)
    crowd = Peers(broker.worker_endpoint, workers)
    select.select([], [], [], 1.2 * seconds)  # until each has found its moment
    alone = cpu_percent(broker, seconds)
    one = Pages(broker.http, 1)
    watched = cpu_percent(broker, seconds)
    one.close()
    print(f"{workers} workers' heartbeats cost {alone:.1f} % of a core (wanted: 1), {watched:.1f} with "
          f"a page open", flush=True)
    crowd.end()
    broker.end()


def strangers(data, count, seconds):
    """Connections that say nothing, heads and bodies that drip."""
    broker = WatchedBroker(data)
    pulse = Pulse(broker.endpoint)
    peers, heads = [], (
        b"GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", b"",
        b"POST /api/v1/queue/q/pause HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000\r\n\r\n")
    begun, longest_turn, made = time.monotonic(), 0, 0
    while time.monotonic() - begun < seconds:
        while len(peers) < count and made < 20 * count:
            peer = socket.socket()
            peer.setblocking(False)
            peer.connect_ex(broker.http)
            peers.append((peer, heads[made % 3]))
            made += 1
        left = []
        for peer, head in peers:
            try:
                peer.send(head if head else b"")
                left.append((peer, b"x"))
            except BlockingIOError:
                left.append((peer, head))
            except OSError:
                peer.close()
        peers = left
        pulse.beat_for(0.2)
        longest_turn = max(longest_turn, pulse.loop_ms())
    print(f"{made} connections of strangers, {count} at a time, that drip: a heartbeat is answered in "
          f"{pulse.told()}; longest turn of the loop {longest_turn:.1f} ms; {broker.rss_mib():.0f} MiB",
          flush=True)
    for peer, _ in peers:
        peer.close()
    pulse.client.close()
    broker.end()


def back(data, workers):
    """F24: everybody reconnects at once, with a page open from the first moment."""
    broker = WatchedBroker(data)
    crowd = Peers(broker.worker_endpoint, workers)
    broker.process.kill()
    broker.process.wait()
    crowd.next("away")
    begun = time.monotonic()
    broker = WatchedBroker(data, endpoint=broker.endpoint, worker_endpoint=broker.worker_endpoint)
    one = Pages(broker.http, 1)
    pulse = Pulse(broker.endpoint)
    done = []
    waiter = threading.Thread(target=lambda: done.append(crowd.next("all")))
    waiter.start()
    pulse.beat_for(60, until=lambda: bool(done))
    waiter.join()
    print(f"{workers} workers were back after {time.monotonic() - begun:.1f} s (wanted: 30); meanwhile "
          f"a heartbeat is answered in {pulse.told()}; {broker.rss_mib():.0f} MiB", flush=True)
    pulse.client.close()
    one.close()
    crowd.end()
    broker.end()


def due(data, tasks, lead_s):
    """F25: all of them come due at one instant, while a page is open."""
    broker = WatchedBroker(data)
    client = Client(broker.endpoint, name="storm")
    client.timeout = 60
    at = time.monotonic() + lead_s
    sent, batch = 0, 1000
    value = Value.of(1)
    while sent < tasks and time.monotonic() < at - 0.5:
        count = min(batch, tasks - sent)
        delay = int(1000 * (at - time.monotonic()))
        ids = [new_id() for _ in range(count)]

        def make(builder, ids=ids, delay=delay):
            val = builder.val(value)
            return [[[spec("nobody", delay_ms=delay, durability=1, flags=0), [[task, val] for task in ids]]]]
        client._answer(client._request(SUBMIT, make))
        sent += count
    one = Pages(broker.http, 1)
    pulse = Pulse(broker.endpoint)
    while time.monotonic() < at - 0.2:
        pulse.beat_for(0.05)
    pulse.times.clear()
    begun = time.monotonic()
    queued = lambda: pulse.client.query(1)["tasks"]["queued"]
    pulse.beat_for(30, until=lambda: len(pulse.times) % 5 == 4 and queued() >= sent)
    took = time.monotonic() - begun
    one.close()
    print(f"{sent} tasks due in one second took {took:.1f} s; meanwhile a heartbeat is answered in "
          f"{pulse.told()} (wanted: p99 1000 ms); {broker.rss_mib():.0f} MiB", flush=True)
    pulse.client.close()
    client.abandon()
    broker.end()


def memory(data, limit_mib):
    """F29: near its bound submits are refused, and the view goes on."""
    broker = WatchedBroker(data, "--max-memory", f"{limit_mib}M")
    one = Pages(broker.http, 2)
    pulse = Pulse(broker.endpoint)
    client = Client(broker.endpoint, name="filler")
    payload = Value.of(b"x" * 60000)
    refused = sent = 0
    begun = time.monotonic()
    while refused < 50 and time.monotonic() - begun < 30:
        def make(builder):
            val = builder.val(payload)
            return [[[spec("nobody", durability=1, flags=0, keep_ms=1), [[new_id(), val]]]]]
        request = client._request(SUBMIT, make)
        client._wait(lambda request=request: request.is_done, 20)
        reply = request.reply
        refused += 1 if reply.code or reply.notes else 0
        sent += 1
        if sent % 200 == 0 or refused:
            pulse.beat()
    full = broker.rss_mib()
    client.queue(3, "default")  # purge; nothing is kept for longer than a millisecond
    pulse.beat_for(4)
    left = pulse.client.query(1)["broker"]["memory_bytes"] / 1048576
    print(f"{limit_mib} MiB allowed: {sent - refused} tasks of 60 KB taken, then busy; {full:.0f} MiB "
          f"resident, {broker.rss_mib():.0f} after the purge ({left:.0f} accounted); a heartbeat is "
          f"answered in {pulse.told()}", flush=True)
    one.close()
    pulse.client.close()
    client.abandon()
    broker.end()


def end(process):
    if process.poll() is None:
        process.kill()
        process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of everything")
    parser.add_argument("--scale", type=float, help="how much of it (1)")
    options, _ = parser.parse_known_args()
    scale = options.scale if options.scale is not None else 0.1 if options.quick else 1.0
    seconds = max(1.0, 10 * scale)
    for row, arguments in ((pages, (seconds,)), (heartbeats, (max(10, int(1000 * scale)), seconds)),
                           (strangers, (max(50, int(2000 * scale)), seconds)),
                           (back, (max(10, int(5000 * scale)),)),
                           (due, (max(1000, int(1_000_000 * scale)), max(3, 40 * scale))),
                           (memory, (max(32, int(128 * scale)),))):
        with tempfile.TemporaryDirectory() as data:
            try:
                row(data, *arguments)
            except (Exception, SystemExit) as error:  # pylint: disable=broad-exception-caught
                print(f"{row.__name__}: could not be measured here: {error!r}", flush=True)
            for item in started:
                if isinstance(item, Pages):
                    item.end_now.set()
                else:
                    end(item.process)
            started.clear()


if __name__ == "__main__":
    main()

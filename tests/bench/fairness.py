#!/usr/bin/python3
"""Whether what is small waits behind what is much.

    ./dev bench fairness [--quick] [--seconds N]

First as many tasks as go, from `drover bench`, while a client of its own asks for the status, sends
heartbeats and cancels tasks. Then tasks of 10 ms among tasks of 5 s on a worker with four slots, of
which two are always free of the long ones. At last tasks of 10 ms among tasks of 60 s of the same
type, which come one after the other until of the eight slots of two workers only one is free; they
are cancelled at the end. Nothing here passes or fails: it prints numbers.
"""

import argparse
import os
import select
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "interop")]

from crowd import BIN, Broker        # noqa: E402
from drover_client import Client     # noqa: E402
from view import Pulse               # noqa: E402

STATUS, TASK = 1, 2
MODULE = os.path.join(os.environ["DROVER_MODULE_DIR"], "demo.so")


def start_worker(broker, slots):
    process = subprocess.Popen(
        [os.path.join(BIN, "drover-worker"), "--broker", broker.worker_endpoint, "--load", MODULE,
         "--slots", str(slots), "--log-level", "error"], stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    return process


def end(process):
    process.terminate()
    process.wait()
    process.stdout.close()


def percentile(times, share):
    times = sorted(times)
    return 1000 * times[min(len(times) - 1, int(len(times) * share))]


def timed(times, call, *arguments, **options):
    begun = time.monotonic()
    answer = call(*arguments, **options)
    times.append(time.monotonic() - begun)
    return answer


def flood(data, seconds):
    broker = Broker(data)
    worker = start_worker(broker, 2)
    load = subprocess.Popen(
        [os.path.join(BIN, "drover"), "--broker", broker.endpoint, "--json", "bench", "--window",
         "16384", "--tasks", str(int(1_500_000 * seconds)), "--durability", "memory"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    pulse = Pulse(broker.endpoint)
    client = pulse.client
    asked, cancelled = [], []
    begun = time.monotonic()
    first = client.query(STATUS)["tasks"]["succeeded"]
    while load.poll() is None and time.monotonic() - begun < seconds:
        timed(asked, client.query, STATUS)
        pulse.beat()
        task = client.submit("nobody", 1, durability=1)
        timed(cancelled, client.cancel, task)
        select.select([], [], [], 0.002)
    took = time.monotonic() - begun
    rate = (client.query(STATUS)["tasks"]["succeeded"] - first) / took
    load.terminate()
    load.wait()
    load.stdout.close()
    for name, times, wanted in (("a status", asked, 5), ("a heartbeat", pulse.times, 10),
                                ("a cancel", cancelled, 10)):
        print(f"at {rate / 1000:.0f} k tasks/s {name} is answered in p50 {percentile(times, .5):.1f} ms, "
              f"p99 {percentile(times, .99):.1f} ms (wanted: {wanted}), longest "
              f"{percentile(times, 1):.1f} ms", flush=True)
    client.abandon()
    end(worker)
    broker.end()


def mixed(data, seconds):
    broker = Broker(data)
    worker = start_worker(broker, 4)
    client = Client(broker.endpoint, name="mixed")
    options = {"durability": 1, "keep_ms": 120000, "flags": 0}
    begun, longs_at, shorts, longs = time.monotonic(), 0.0, [], 0
    while time.monotonic() - begun < seconds:
        if time.monotonic() >= longs_at:  # two of them at any time
            client.submit_many("sleep", [5000, 5000], **options)
            longs_at, longs = time.monotonic() + 5.05, longs + 2
        shorts.append(client.submit("sleep", 10, **options))
        select.select([], [], [], 0.015)  # half of the two slots that are left
    tell_waits(client, shorts, f"{longs} of 5 s on four slots")
    client.abandon()
    end(worker)
    broker.end()


def tell_waits(client, shorts, beside):
    """How long they waited for their start; those that do not end soon are counted."""
    waits, unended, deadline = [], list(shorts), time.monotonic() + 10
    while unended and time.monotonic() < deadline:
        told = client.query(TASK, task=unended[-1])
        if told["state"] == "succeeded":
            waited = told["timeline"]["queued_us"] + told["timeline"]["transfer_us"]
            waits.append(waited / 1e6)
            unended.pop()
        else:
            select.select([], [], [], 0.01)
    print(f"{len(waits)} tasks of 10 ms beside {beside}: they wait p50 "
          f"{percentile(waits, .5):.1f} ms, p99 {percentile(waits, .99):.1f} ms (wanted: 50), longest "
          f"{percentile(waits, 1):.1f} ms; {len(unended)} not run", flush=True)


def crowded(data, seconds):
    """One slot of eight is left by tasks that run for longer than this does."""
    slots, workers = 4, 2
    broker = Broker(data)
    fleet = [start_worker(broker, slots) for _ in range(workers)]
    client = Client(broker.endpoint, name="crowded")
    options = {"durability": 1, "keep_ms": 120000, "flags": 0}
    begun, shorts, longs = time.monotonic(), [], []
    while time.monotonic() - begun < seconds:
        due = (time.monotonic() - begun) * 2 / seconds * (slots * workers - 1)
        if len(longs) < min(due, slots * workers - 1):  # all of them within half of the time
            longs.append(client.submit("sleep", 60000, **options))
        shorts.append(client.submit("sleep", 10, **options))
        select.select([], [], [], 0.03)  # a third of the slot that is left
    running = sum(client.query(TASK, task=task)["state"] == "running" for task in longs)
    tell_waits(client, shorts, f"{running} of 60 s that run on {slots * workers} slots of {workers} workers")
    for task in longs:
        client.cancel(task)
    client.abandon()
    for worker in fleet:
        end(worker)
    broker.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="for two seconds each")
    parser.add_argument("--seconds", type=float, help="of each (15)")
    options, _ = parser.parse_known_args()
    seconds = options.seconds if options.seconds is not None else 2 if options.quick else 15
    for row in (flood, mixed, crowded):
        with tempfile.TemporaryDirectory() as data:
            row(data, seconds)


if __name__ == "__main__":
    main()

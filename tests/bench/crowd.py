#!/usr/bin/python3
"""What a broker has to bear from very many peers.

    ./dev bench [--runs N] [--quick]

One broker on loopback TCP, and crowd.c, which is a thousand workers a process: they connect,
heartbeat with statistics, and come back when the broker was killed. Processor time is that of the
broker alone. Nothing here passes or fails: it prints numbers for people to judge.
"""

import argparse
import json
import os
import re
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import time

BIN = os.environ["DROVER_BIN_DIR"]
CROWD = os.path.join(os.path.dirname(BIN), "tests", "bench", "crowd")
DEADLINE_S = 120


class Broker:
    def __init__(self, data, endpoint="tcp://127.0.0.1:*", worker_endpoint="tcp://127.0.0.1:*"):
        self.process = subprocess.Popen(
            [os.path.join(BIN, "drover-broker"), "--data", data, "--bind", endpoint,
             "--bind-workers", worker_endpoint, "--log-level", "error"],
            stdout=subprocess.PIPE, text=True)
        ready = dict(word.split("=", 1) for word in self.process.stdout.readline().split()[1:])
        self.endpoint, self.worker_endpoint = ready["endpoint"], ready["worker_endpoint"]

    def cpu_s(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_mib(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return int(re.search(r"VmRSS:\s+(\d+)", file.read())[1]) / 1024

    def end(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.process.wait()
        self.process.stdout.close()


class Crowd:
    def __init__(self, endpoint, count, role="worker", kind="crowd"):
        self.process = subprocess.Popen(
            [CROWD, "--endpoint", endpoint, "--count", str(count), "--role", role, "--type", kind],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.told = self.next("all")

    def next(self, event):
        """The next such line."""
        deadline = time.monotonic() + DEADLINE_S
        while True:
            if not select.select([self.process.stdout], [], [], deadline - time.monotonic())[0]:
                sys.exit(f"the crowd did not say '{event}' within {DEADLINE_S} s")
            told = json.loads(self.process.stdout.readline())
            if told["event"] == event:
                return told

    def end(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def cpu_percent(broker, seconds):
    """Of one processor, while nothing happens but what happens always."""
    began, used = time.monotonic(), broker.cpu_s()
    select.select([], [], [], seconds)
    return 100 * (broker.cpu_s() - used) / (time.monotonic() - began)


def idle(data, workers, clients, seconds):
    broker = Broker(data)
    empty_mib, empty = broker.rss_mib(), cpu_percent(broker, min(seconds, 3))
    crowd = Crowd(broker.worker_endpoint, workers)
    print(f"{workers} workers connected in {crowd.told['ms']} ms; heartbeats cost the broker "
          f"{cpu_percent(broker, seconds):.1f} % of a core (wanted: 1; without workers {empty:.1f}), "
          f"{broker.rss_mib():.0f} MiB", flush=True)
    crowd.end()
    broker.end()
    broker = Broker(data)
    crowd = Crowd(broker.endpoint, clients, "client")
    print(f"{clients} clients connected in {crowd.told['ms']} ms; "
          f"{broker.rss_mib():.0f} MiB (wanted: 200; alone {empty_mib:.0f})", flush=True)
    crowd.end()
    broker.end()


def back(data, workers):
    """The broker is killed and started again where it was."""
    broker = Broker(data)
    crowd = Crowd(broker.worker_endpoint, workers)
    broker.end(signal.SIGKILL)
    crowd.next("away")
    began = time.monotonic()
    broker = Broker(data, broker.endpoint, broker.worker_endpoint)
    crowd.next("all")
    print(f"{workers} workers came back {time.monotonic() - began:.1f} s after a start of the "
          f"broker (wanted: 30), {broker.rss_mib():.0f} MiB", flush=True)
    crowd.end()
    broker.end()


def round_trip_us(broker, tasks):
    told = json.loads(subprocess.run(
        [os.path.join(BIN, "drover"), "--broker", broker.endpoint, "--json", "bench", "--window",
         "1", "--tasks", str(tasks), "--durability", "memory"],
        capture_output=True, text=True, check=True, timeout=DEADLINE_S).stdout)
    return told["p50_us"]


def idle_workers(data, workers, runs, tasks):
    """A task finds its worker, however many others would do."""
    times = {1: [], workers: []}
    for _ in range(runs):
        for count, found in times.items():
            broker = Broker(data)
            crowd = Crowd(broker.worker_endpoint, count, kind="echo")
            found.append(round_trip_us(broker, tasks))
            crowd.end()
            broker.end()
    few, many = statistics.median(times[1]), statistics.median(times[workers])
    print(f"round trip p50 {few:.0f} us with one idle worker, {many:.0f} us with {workers} of the "
          f"same type: {many / few:.2f} (wanted: within noise)", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--runs", type=int, default=3, help="alternating runs (3)")
    parser.add_argument("--quick", action="store_true", help="a small crowd, for a short while")
    parser.add_argument("--scale", type=float, help="how many of the peers (1)")
    options, _ = parser.parse_known_args()
    scale = options.scale if options.scale is not None else 0.1 if options.quick else 1.0
    count = lambda full: max(int(full * scale), 10)
    with tempfile.TemporaryDirectory() as data:
        idle(data, count(1000), count(5000), 1 if options.quick else 10)
        back(data, count(5000))
        idle_workers(data, count(1000), 1 if options.quick else options.runs, count(3000))


if __name__ == "__main__":
    main()

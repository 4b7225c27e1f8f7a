#!/usr/bin/python3
"""What keys cost: the same work with CURVE and without, in turns.

    ./dev bench keys [--runs N] [--quick] [--scale F]

Two fleets of a broker (memory store) and a worker (2 slots) over loopback TCP live side by side,
one of them with keys, and idle while the other works. Rows are medians over alternating runs of
`drover bench`: tasks a second, round trip, processor time of broker, worker's agent and client a
task. Nothing here passes or fails: it prints numbers for people to judge.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import tempfile

BIN = os.environ["DROVER_BIN_DIR"]
MODULE = os.path.join(os.environ["DROVER_MODULE_DIR"], "demo.so")
DEADLINE_S = 600
WAYS = ("plain", "keys")
ROWS = (  # tasks, payload, in flight
    (100_000, 32, 1000),
    (4_000, 60_000, 100),
    (200, 1_048_576, 8),
    (5_000, 32, 1),
)


def run(*words, env=None):
    return subprocess.run(words, check=True, capture_output=True, text=True, timeout=DEADLINE_S,
                          env=env).stdout


class Program:
    def __init__(self, name, *arguments):
        self.process = subprocess.Popen([os.path.join(BIN, name), *arguments, "--log-level", "error"],
                                        stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line.startswith("ready "):
            raise SystemExit(f"{name} is not ready: {line}")
        self.ready = dict(word.split("=", 1) for word in line.split()[1:])

    def cpu_s(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def end(self):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()


class Fleet:
    """A broker and a worker, with keys or without."""

    def __init__(self, folder, way):
        guard, own, self.client_words = [], [], []
        if way == "keys":
            table = "".join(run(os.path.join(BIN, "drover"), "keygen", name, "--role", role, "--out",
                                folder) for name, role in (("fleet", "work"), ("load", "submit,observe")))
            run(os.path.join(BIN, "drover"), "keygen", "broker", "--role", "broker", "--out", folder)
            with open(os.path.join(folder, "accounts"), "w", encoding="ascii") as file:
                file.write(table)
            os.chmod(os.path.join(folder, "accounts"), 0o644)
            key = ["--broker-key", os.path.join(folder, "broker.pub")]
            guard = ["--identity", os.path.join(folder, "broker.key"), "--accounts",
                     os.path.join(folder, "accounts")]
            own = ["--identity", os.path.join(folder, "fleet.key"), *key]
            self.client_words = ["--identity", os.path.join(folder, "load.key"), *key]
        self.broker = Program("drover-broker", "--memory", "--no-http", "--bind", "tcp://127.0.0.1:*",
                              "--bind-workers", "tcp://127.0.0.1:*", *guard)
        self.worker = Program("drover-worker", "--broker", self.broker.ready["worker_endpoint"],
                              "--load", MODULE, "--slots", "2", *own)

    def bench(self, tasks, payload, window):
        """Tasks a second, round trip in us, processor time a task in us of broker, agent, client."""
        before = self.cpu_s()
        told = json.loads(run(
            os.path.join(BIN, "drover"), "--broker", self.broker.ready["endpoint"], "--json",
            *self.client_words, "bench", "--tasks", str(tasks), "--payload", str(payload),
            "--window", str(window)))
        used = [1e6 * (after - was) / tasks for after, was in zip(self.cpu_s(), before)]
        return [told["tasks_per_s"], told["p50_us"], *used]

    def cpu_s(self):
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return [self.broker.cpu_s(), self.worker.cpu_s(), children.ru_utime + children.ru_stime]

    def end(self):
        self.worker.end()
        self.broker.end()


def ratio(found, at):
    plain = found["plain"][at]
    return f"{found['keys'][at] / plain:.2f}" if plain > 0 else "-"


def row(fleets, runs, tasks, payload, window):
    taken = {way: [] for way in WAYS}
    for number in range(runs):
        for way in WAYS if number % 2 == 0 else WAYS[::-1]:
            taken[way].append(fleets[way].bench(tasks, payload, window))
    found = {way: [statistics.median(column) for column in zip(*taken[way])] for way in WAYS}
    print(f"{tasks} tasks of {payload} bytes, {window} in flight (plain, keys, ratio):")
    for at, (name, form) in enumerate((("tasks a second", ".0f"), ("round trip p50, us", ".0f"),
                                       ("broker, us a task", ".1f"), ("agent, us a task", ".1f"),
                                       ("client, us a task", ".1f"))):
        plain, keys = (format(found[way][at], form) for way in WAYS)
        print(f"    {name:20} {plain:>9} {keys:>9}   {ratio(found, at)}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--runs", type=int, default=5, help="alternating runs (5)")
    parser.add_argument("--quick", action="store_true", help="a tenth of the tasks, once")
    parser.add_argument("--scale", type=float, help="how many of the tasks (1)")
    options, _ = parser.parse_known_args()
    scale = options.scale if options.scale is not None else 0.1 if options.quick else 1.0
    with tempfile.TemporaryDirectory() as folder:
        fleets = {way: Fleet(folder, way) for way in WAYS}
        for tasks, payload, window in ROWS:
            row(fleets, 1 if options.quick else options.runs, max(int(tasks * scale), 2 * window),
                payload, window)
        for fleet in fleets.values():
            fleet.end()


if __name__ == "__main__":
    main()

#!/usr/bin/python3
"""What keeping everything costs, on the disk at hand.

    ./dev bench [--quick] [--dir DIR]

Acknowledged submits per second with 1, 16 and 256 clients, each with one task under way, and the
bytes written per task, at each level of durability; then a million queued tasks: bytes on disk,
and how long a broker that was killed takes to serve again. DIR (the build directory) must be on
the disk in question; its device and file system are printed. Nothing here passes or fails.
"""

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile

BIN = os.environ["DROVER_BIN_DIR"]
CLIENTS = os.path.join(os.path.dirname(BIN), "tests", "bench_durable")
LEVELS = ("synced", "written", "memory")
STARTS = 3  # recoveries that are measured
DEADLINE_S = 600


class Broker:
    """A broker on a data directory of its own."""

    def __init__(self, folder):
        self.folder = folder
        self.endpoint = f"ipc://{folder}/clients"
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [os.path.join(BIN, "drover-broker"), "--data", os.path.join(self.folder, "data"),
             "--bind", self.endpoint, "--bind-workers", f"ipc://{self.folder}/workers",
             "--log-level", "error", "--max-queue-size", "16G"], stdout=subprocess.PIPE,
            text=True)
        line = self.process.stdout.readline()
        if not line.startswith("ready "):
            sys.exit(f"the broker is not ready: {line}")
        self.ready = dict(word.split("=", 1) for word in line.split()[1:])

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()

    def written(self):
        """Bytes that it has had written to the disk."""
        with open(f"/proc/{self.process.pid}/io", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("write_bytes"))

    def resident(self):
        with open(f"/proc/{self.process.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")

    def drover(self, *arguments):
        subprocess.run([os.path.join(BIN, "drover"), "--broker", self.endpoint, *arguments],
                       check=True, stdout=subprocess.DEVNULL, timeout=DEADLINE_S)

    def clients(self, mode, *arguments):
        done = subprocess.run([CLIENTS, mode, self.endpoint, *map(str, arguments)], check=True,
                              capture_output=True, text=True, timeout=DEADLINE_S)
        rate, count = done.stdout.split()
        return float(rate), int(count)


def place_of(folder):
    """The file system that a folder is on, in words."""
    done = subprocess.run(["findmnt", "-n", "-o", "SOURCE,FSTYPE,OPTIONS", "-T", folder],
                          capture_output=True, text=True, check=False)
    return " ".join(done.stdout.split()) or "unknown"


def submits(folder, seconds):
    for level in LEVELS:
        for count in (1, 16, 256):
            place = tempfile.mkdtemp(prefix="durable-", dir=folder)
            broker = Broker(place)
            try:
                broker.drover("queue", "set", "default", "--durability", level)
                before = broker.written()
                rate, tasks = broker.clients("submit", count, seconds)
                bytes_each = (broker.written() - before) / max(tasks, 1)
            finally:
                broker.kill()
                shutil.rmtree(place)
            yield {"what": "submit", "level": level, "clients": count, "per_s": round(rate),
                   "bytes_written_per_task": round(bytes_each)}


def recovery(folder, tasks):
    place = tempfile.mkdtemp(prefix="durable-", dir=folder)
    broker = Broker(place)
    try:
        before = broker.written()
        rate, _ = broker.clients("fill", tasks)
        written = broker.written() - before
        times = []
        for _ in range(STARTS):
            broker.kill()
            broker.start()
            times.append(int(broker.ready["recovery_ms"]))
        yield {"what": "recovery", "tasks": tasks, "records": int(broker.ready["records"]),
               "submit_per_s": round(rate), "bytes_written_per_task": round(written / tasks),
               "recovery_ms": statistics.median(times), "recovery_ms_min": min(times),
               "recovery_ms_max": max(times), "rss_bytes_per_task": round(broker.resident() / tasks)}
    finally:
        broker.kill()
        shutil.rmtree(place)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dir", default=os.path.dirname(BIN), help="on the disk in question")
    parser.add_argument("--quick", action="store_true", help="a look, with rough figures")
    parser.add_argument("--only", choices=("submit", "recovery"), help="one part")
    arguments, _ = parser.parse_known_args()  # `./dev bench` gives all benchmarks the same
    print(f"# {arguments.dir}: {place_of(arguments.dir)}; {os.cpu_count()} processors",
          flush=True)
    parts = []
    if arguments.only != "recovery":
        parts.append(submits(arguments.dir, 1 if arguments.quick else 5))
    if arguments.only != "submit":
        parts.append(recovery(arguments.dir, 20000 if arguments.quick else 1000000))
    for part in parts:
        for row in part:
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()

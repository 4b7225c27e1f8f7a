#!/usr/bin/python3
"""What drover reaches against plain ZeroMQ, on the machine at hand.

    ./dev bench [--runs N] [--quick]

Every row is measured in runs that alternate between the two (relay, drover, relay, drover...), so
that whatever else the machine does meets both. Rows show minimum, median and maximum; a ratio is
that of the medians. Nothing here passes or fails: it prints numbers for people to judge.

`relay` (relay.c) is the straightforward program with libzmq: no ids, leases, acknowledgements or
limits. drover runs with all of its bookkeeping, one worker with two prefork executors, over
loopback TCP like the relay.
"""

import argparse
import concurrent.futures
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

BIN = os.environ["DROVER_BIN_DIR"]
RELAY = os.path.join(os.path.dirname(BIN), "tests", "bench", "relay")
MAP = os.path.join(os.path.dirname(BIN), "tests", "bench_map")
DEADLINE_S = 600

# What is asked of the ratio to the relay, by (window, payload).
THROUGHPUT = [(1000, 32, 1.3), (4096, 32, 1.8), (16384, 32, 2.2), (1000, 1024, 2.0)]


def run(command):
    environment = {name: value for name, value in os.environ.items() if name != "DROVER_BROKER"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment,
                          timeout=DEADLINE_S)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr}")
    return json.loads(done.stdout)


def relay(window, payload, tasks):
    return run([RELAY, "--window", str(window), "--payload", str(payload), "--tasks", str(tasks)])


def drover(window, payload, tasks, *more):
    return run([os.path.join(BIN, "drover"), "--json", "bench", "--window", str(window),
                "--payload", str(payload), "--tasks", str(tasks), *more])


def spread(values, scale=1.0, digits=0):
    ordered = sorted(value * scale for value in values)
    return "/".join(f"{value:.{digits}f}" for value in
                    (ordered[0], statistics.median(ordered), ordered[-1]))


def alternate(runs, first, second):
    """Both, one after the other, as often as asked; one round before that is thrown away."""
    first()
    second()
    pairs = [(first(), second()) for _ in range(runs)]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def median(rows, key):
    return statistics.median(row[key] for row in rows)


def throughput(runs, scale):
    print("\nthroughput, thousands of tasks per second (min/median/max)")
    print(f"{'window':>8} {'payload':>8} {'relay':>17} {'drover':>17} {'ratio':>6} {'wanted':>7}"
          f"  {'cpu us per task: relay':>23} {'drover: broker':>15} {'worker':>7} {'client':>7}")
    for window, payload, wanted in THROUGHPUT:
        tasks = int(400000 * scale)
        plain, ours = alternate(runs, lambda: relay(window, payload, tasks),
                                lambda: drover(window, payload, tasks))
        ratio = median(ours, "tasks_per_s") / median(plain, "tasks_per_s")
        print(f"{window:>8} {payload:>8} {spread([r['tasks_per_s'] for r in plain], 1e-3):>17} "
              f"{spread([r['tasks_per_s'] for r in ours], 1e-3):>17} {ratio:>6.2f} {wanted:>7.1f}"
              f"  {median(plain, 'broker_cpu_us_per_task'):>23.2f}"
              f" {median(ours, 'broker_cpu_us_per_task'):>15.2f}"
              f" {median(ours, 'worker_cpu_us_per_task'):>7.2f}"
              f" {median(ours, 'client_cpu_us_per_task'):>7.2f}", flush=True)


def round_trip(runs, scale):
    print("\nround trip, one task in flight, microseconds (min/median/max)")
    print(f"{'':>8} {'relay':>17} {'prefork':>17} {'ratio':>6} {'wanted':>7}")
    tasks = int(10000 * scale)
    plain, ours = alternate(runs, lambda: relay(1, 32, tasks), lambda: drover(1, 32, tasks))
    for key, wanted in (("p50_us", 1.2), ("p99_us", 1.5)):
        print(f"{key[:-3]:>8} {spread([r[key] for r in plain]):>17} "
              f"{spread([r[key] for r in ours]):>17} "
              f"{median(ours, key) / median(plain, key):>6.2f} {wanted:>7.1f}", flush=True)


def flush_us(folder, count=200):
    """What the disk takes to make an append durable: median of so many."""
    times = []
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        for _ in range(count):
            os.write(file.fileno(), bytes(512))
            before = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - before) * 1e6)
    return statistics.median(times)


def durable(runs, scale, folder):
    """Acknowledged, and results delivered, when they are on the disk."""
    print("\nsynced against memory, thousands of tasks per second (min/median/max)")
    print(f"{'window':>8} {'memory':>17} {'synced':>17} {'ratio':>6} {'wanted':>14}"
          f" {'broker cpu us':>14}")
    tasks = int(400000 * scale)
    synced = ("--durability", "synced", "--data", folder)
    for window, wanted in ((1024, "300 k"), (16384, "700 k, 0.50")):
        plain, ours = alternate(runs, lambda: drover(window, 32, tasks),
                                lambda: drover(window, 32, tasks, *synced))
        ratio = median(ours, "tasks_per_s") / median(plain, "tasks_per_s")
        print(f"{window:>8} {spread([r['tasks_per_s'] for r in plain], 1e-3):>17} "
              f"{spread([r['tasks_per_s'] for r in ours], 1e-3):>17} {ratio:>6.2f} {wanted:>14}"
              f" {median(ours, 'broker_cpu_us_per_task'):>14.2f}", flush=True)
    count = int(2000 * scale)
    plain, ours = alternate(runs, lambda: drover(1, 32, count),
                            lambda: drover(1, 32, count, *synced))
    flush = flush_us(folder)
    more = median(ours, "p50_us") - median(plain, "p50_us")
    print(f"one in flight: p50 {median(plain, 'p50_us'):.0f} us in memory, "
          f"{median(ours, 'p50_us'):.0f} us synced: {more / flush:.1f} flushes of {flush:.0f} us more"
          f" (wanted: at most 3); journal on {ours[0]['disk']}", flush=True)


def processes(runs, scale):
    """A process for every task, against nothing but starting processes."""
    print("\na process a task, tasks per second (min/median/max)")
    count = max(int(3000 * scale), 50)

    def spawn():
        before = time.perf_counter()
        for _ in range(count):
            os.waitpid(os.posix_spawn("/bin/true", ["true"], os.environ), 0)
        return {"tasks_per_s": count / (time.perf_counter() - before)}

    plain, ours = alternate(runs, spawn, lambda: drover(64, 32, count, "--model", "fork"))
    ratio = median(plain, "tasks_per_s") / median(ours, "tasks_per_s")
    print(f"posix_spawn alone {spread([r['tasks_per_s'] for r in plain])}  model fork "
          f"{spread([r['tasks_per_s'] for r in ours])}  spawn/fork {ratio:.2f} (wanted: at most 1.3)",
          flush=True)


def depth(scale):
    print("\ndepth: submit to a paused queue, then drain (flat is wanted; at most 128 bytes a task)")
    print(f"{'tasks':>10} {'submit/s':>10} {'drain/s':>10} {'bytes/task':>11} {'MiB before':>11} "
          f"{'full':>7} {'after':>7}")
    for tasks in (int(10000 * scale), int(100000 * scale), int(1000000 * scale)):
        told = run([os.path.join(BIN, "drover"), "--json", "bench", "--depth", str(tasks)])
        mib = [told[f"broker_rss_{when}_bytes"] / (1 << 20) for when in ("before", "full", "after")]
        print(f"{tasks:>10} {told['submit_per_s']:>10.0f} {told['drain_per_s']:>10.0f} "
              f"{told['broker_bytes_per_task']:>11.0f} {mib[0]:>11.1f} {mib[1]:>7.1f} "
              f"{mib[2]:>7.1f}", flush=True)


def pool_map(count):
    """The same map with the pool of Python's library, a thousand elements a piece."""
    with concurrent.futures.ProcessPoolExecutor(2) as pool:
        list(pool.map(abs, range(1000), chunksize=100))  # its processes are there
        before = time.perf_counter()
        for _ in pool.map(square, range(count), chunksize=1000):
            pass
        return {"elements_per_s": count / (time.perf_counter() - before)}


def square(number):
    return number * number


def elements(runs, scale):
    print("\nmap of small elements, thousands per second (min/median/max; wanted: 5000)")
    count = max(int(1000000 * scale), 1000)
    endpoint = f"local://2?load={os.environ['DROVER_MODULE_DIR']}/demo.so"
    pool, ours = alternate(runs, lambda: pool_map(count),
                           lambda: run([MAP, endpoint, "square", str(count)]))
    print(f"ProcessPoolExecutor(2), 1000 a piece {spread([r['elements_per_s'] for r in pool], 1e-3)}"
          f"  drover, local://2 {spread([r['elements_per_s'] for r in ours], 1e-3)}  ratio "
          f"{median(ours, 'elements_per_s') / median(pool, 'elements_per_s'):.2f}", flush=True)


def large(runs, scale):
    print("\nlarge payloads, MiB per second one way (min/median/max)")
    print(f"{'payload':>8} {'relay':>17} {'drover':>17} {'ratio':>6} {'wanted':>7}")
    for size, tasks in ((1 << 20, 300), (16 << 20, 24)):
        count = max(int(tasks * scale), 4)
        plain, ours = alternate(runs, lambda: relay(4, size, count),
                                lambda: drover(4, size, count))
        mib = size / (1 << 20)
        ratio = median(ours, "tasks_per_s") / median(plain, "tasks_per_s")
        print(f"{mib:>7.0f}M {spread([r['tasks_per_s'] for r in plain], mib):>17} "
              f"{spread([r['tasks_per_s'] for r in ours], mib):>17} {ratio:>6.2f} {0.75:>7.2f}",
              flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--runs", type=int, default=5, help="alternating runs of each row (5)")
    parser.add_argument("--quick", action="store_true", help="a tenth of the tasks, one run")
    parser.add_argument("--scale", type=float, help="how much of the tasks of each row (1)")
    parser.add_argument("--data", default=os.getcwd(),
                        help="directory on the disk to measure (the working directory)")
    options = parser.parse_args()
    runs, scale = (1, 0.1) if options.quick else (options.runs, 1.0)
    scale = options.scale if options.scale is not None else scale
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} processors, load {load:.1f} before the first run"
          + ("  (busy: only ratios mean something, and little)" if load > 0.5 else ""))
    throughput(runs, scale)
    round_trip(runs, scale)
    durable(runs, scale, options.data)
    processes(runs, scale)
    depth(scale)
    elements(runs, scale)
    large(runs, scale)


if __name__ == "__main__":
    main()

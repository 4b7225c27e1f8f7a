#!/usr/bin/python3
"""Whether a task still costs the broker what it cost: instructions, counted by callgrind.

    instructions.py BENCH_CORE FIGURES.json BUILD [--record]

Instructions of the same program repeat on any machine, however busy it is; so this may fail where
a measurement of time may not. Counted is what happens in `broker_turn` of bench_core (codec, links,
core), for a task and for an element of an array; what starting takes is left out by counting twice.
FIGURES.json holds what is known for BUILD (preset and compiler): more than 10 % above that fails,
more than 10 % below asks for new figures, and an unknown build is skipped (77). --record writes
what was counted.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

TOLERANCE = 0.10
FEW, MANY = 3000, 9000
ROWS = {
    "task": [],
    "element": ["--array", "--batch", "512", "--window", "4096", "--payload", "9"],
}
SKIPPED = 77


def count(program, tasks, options):
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            ["valgrind", "--tool=callgrind", "--toggle-collect=broker_turn*",
             f"--callgrind-out-file={folder}/out", program, "--tasks", str(tasks), *options],
            capture_output=True, text=True, check=False, timeout=300)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode != 0 or found is None:
        sys.exit(f"valgrind: exit {done.returncode}\n{done.stderr[-2000:]}")
    return int(found[1])


def main():
    arguments = [word for word in sys.argv[1:] if word != "--record"]
    program, path, build = arguments
    if shutil.which("valgrind") is None:
        print("skipped: there is no valgrind")
        sys.exit(SKIPPED)
    with open(path, encoding="utf-8") as file:
        known = json.load(file)
    counted = {name: round((count(program, MANY, options) - count(program, FEW, options))
                           / (MANY - FEW)) for name, options in ROWS.items()}
    if "--record" in sys.argv:
        known[build] = counted
        with open(path + ".new", "w", encoding="utf-8") as file:
            json.dump(known, file, indent=4, sort_keys=True)
            file.write("\n")
        os.replace(path + ".new", path)
    if build not in known:
        print(f"skipped: no figures for {build}; counted {counted}")
        sys.exit(SKIPPED)
    failed = False
    for name, figure in known[build].items():
        change = counted[name] / figure - 1
        print(f"{name}: {counted[name]} instructions, {change:+.1%} against {figure}")
        if abs(change) > TOLERANCE:
            word = "too many" if change > 0 else "fewer than known: record them"
            print(f"  {word} (instructions.py ... --record)")
            failed = True
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

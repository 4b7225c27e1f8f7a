"""The worker's own key is hidden from all that it runs: functions in every model, commands, programs that stay;
in files and in memory."""

import contextlib
import json
import os
import re
import unittest

from fleet import test_module, until
from test_keys import Keys

STAYS = r"""
import struct, sys, msgpack
while head := sys.stdin.buffer.read(4):
    request = msgpack.unpackb(sys.stdin.buffer.read(struct.unpack(">I", head)[0]))
    try:
        answer = open(request["payload"]).read()
    except OSError as problem:
        answer = problem.strerror
    body = msgpack.packb({"result": answer})
    sys.stdout.buffer.write(struct.pack(">I", len(body)) + body)
    sys.stdout.buffer.flush()
"""
CONFIG = """
[worker]
allow-exec = cat
[type.free]
model = {model}
[handler.sh]
command = /bin/sh -c {{}}
stdin = none
stdout = text
[handler.stays]
command = /usr/bin/python3 {stays}
persist = yes
"""


def children(pid):
    """All processes below one."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            below = [int(word) for word in file.read().split()]
    except (ProcessLookupError, FileNotFoundError):
        return []
    return below + [pid for child in below for pid in children(child)]


def memory_has(pid, marks):
    """Whether one of these stands in what a process can write to."""
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps, open(f"/proc/{pid}/mem", "rb") as memory:
        for line in maps:
            first, last, rights = re.match(r"(\w+)-(\w+) (\S+)", line).groups()
            begin, size = int(first, 16), int(last, 16) - int(first, 16)
            if rights[:2] != "rw" or "[v" in line or size > 1 << 28:  # what sanitizers reserve
                continue
            memory.seek(begin)
            try:
                content = memory.read(size)
            except OSError:
                continue
            if any(mark in content for mark in marks):
                return True
    return False


class WorkerKey(unittest.TestCase):
    def worker(self, keys, *arguments, model="prefork", identity=None, inside=()):
        """A worker with functions, commands, a program that stays; skips where the kernel is too old."""
        path = keys.fleet.write("w.ini", CONFIG.format(
            model=model, stays=keys.fleet.write("stays.py", STAYS)))
        worker = keys.fleet.start(
            "drover-worker", "--load", test_module("trespass"), "--config", path, "--name", "w",
            "--stats-interval", "100ms", "--identity", identity or keys.path("fleet.key"),
            *arguments, inside=inside).wait_ready()
        if "handlers can read the key" in worker.stderr() and "hide-key" not in worker.stderr():
            self.skipTest("this kernel cannot keep handlers from a key")
        return worker

    def call(self, keys, *words):
        done = keys.drover("alice", "submit", *words, "--wait", "--retries", "0", check=False)
        return done.stdout + done.stderr

    def opens(self, keys, path):
        """What a function of a module gets when it opens a file."""
        return json.loads(self.call(keys, "free", f'"open:{path}"'))

    def told(self, keys):
        return until(lambda: json.loads(keys.drover("root", "--json", "worker", "show", "w").stdout)
                     .get("details", {}).get("sandbox"), "the worker has told its sandbox")

    def test_functions_cannot_read_the_key_in_any_model(self):
        for model in ("prefork", "thread", "fork"):
            with self.subTest(model), Keys() as keys:
                worker = self.worker(keys, model=model)
                self.assertEqual(self.opens(keys, keys.path("accounts")), "ok")
                for path in (keys.path("fleet.key"), keys.path("other.key"),
                             f"/proc/self/root{keys.path('fleet.key')}",
                             f"/proc/{worker.pid}/mem", f"/proc/{children(worker.pid)[0]}/mem"):
                    self.assertEqual(self.opens(keys, path), "EACCES", path)

    def test_program_that_stays_cannot_read_the_key(self):
        with Keys() as keys:
            self.worker(keys)
            plain = keys.fleet.write("plain", "can be read")
            for path, answer in ((plain, "can be read"), (keys.path("fleet.key"), "Permission denied")):
                self.assertEqual(json.loads(self.call(keys, "stays", f'"{path}"')), answer)
            self.assertEqual(self.told(keys)["key"], "landlock")
            self.assertIn("hidden from handlers (landlock)",
                          keys.drover("root", "worker", "show", "w").stdout)

    def test_file_that_comes_beside_the_key_can_be_read_soon(self):
        """By functions and by programs that stay, which ran before it came: they are started anew."""
        with Keys() as keys:
            self.worker(keys)
            self.call(keys, "free", f'"open:{keys.path("accounts")}"')
            self.call(keys, "stays", f'"{keys.path("accounts")}"')
            late = keys.fleet.write("late", "came late")
            self.assertEqual(json.loads(self.call(keys, "stays", f'"{late}"')), "came late")
            until(lambda: self.opens(keys, late) == "ok", "a new executor reads it")
            self.assertEqual(self.opens(keys, keys.path("fleet.key")), "EACCES")

    def test_another_name_does_not_uncover_the_key(self):
        """One command renames it, the next one reads; so with a link."""
        with Keys() as keys:
            self.worker(keys)
            key, other = keys.path("fleet.key"), keys.path("renamed")
            self.call(keys, "sh", json.dumps(f"ln {key} {other}.2; mv {key} {other}"))
            self.assertTrue(os.path.exists(other))
            for path in (other, f"{other}.2"):
                self.assertNotIn("secret", self.call(keys, "sh", json.dumps(f"cat {path}")))

    def test_key_is_not_in_the_memory_of_what_runs_handlers(self):
        """Zygote and executors have never had it; the agent has (else the search would prove nothing)."""
        with Keys() as keys:
            worker = self.worker(keys)
            self.call(keys, "free", '"pair"')
            secret = keys.key_file("fleet.key")["secret"]
            marks = (secret, secret.hex().encode())

            def scan():
                found = []
                for pid in children(worker.pid):
                    with contextlib.suppress(ProcessLookupError, FileNotFoundError):  # was replaced
                        found.append(memory_has(pid, marks))
                self.assertNotIn(True, found)
                return len(found) >= 2
            until(scan, "zygote and executors were looked through")
            if os.getuid() == 0:
                self.assertTrue(memory_has(worker.pid, marks))

    def test_hiding_can_be_left_or_insisted_on(self):
        with Keys() as keys:
            self.worker(keys, "--hide-key", "off")
            self.assertEqual(self.opens(keys, keys.path("fleet.key")), "ok")
            box = self.told(keys)
            self.assertEqual((box["key"], box["key_why"]), ("readable", "--hide-key off"))
            self.assertIn("handlers can read it (--hide-key off)",
                          keys.drover("root", "worker", "show", "w").stdout)
            self.assertRegex(keys.drover("root", "doctor", check=False).stdout,
                             r"warn +worker keys +handlers of 1 of 1 workers can read")
        with Keys() as keys:
            self.worker(keys, "--hide-key", "require")
            self.assertEqual(self.opens(keys, keys.path("fleet.key")), "EACCES")

    def test_key_by_descriptor_is_neither_read_nor_overwritten(self):
        """As a service manager passes it: the file is root's, the worker is somebody else."""
        if os.getuid() != 0:
            self.skipTest("not root: there is no other user")
        with Keys() as keys:
            key = keys.path("fleet.key")
            os.chmod(keys.fleet.folder, 0o755)
            with open(key, "rb") as file:
                content = file.read()
            inside = ("sh", "-c", f'exec "$@" <{key}', "sh", "setpriv", "--reuid=65534",
                      "--regid=65534", "--clear-groups")
            worker = self.worker(keys, "--hide-key", "require", identity="fd:0", inside=inside)
            self.assertEqual(self.told(keys)["key"], "permissions")
            self.assertEqual(self.opens(keys, key), "EACCES")
            for script in (f"cat {key}", "cat /proc/self/fd/0", f"cat /proc/{worker.pid}/fd/0"):
                self.assertNotIn("secret", self.call(keys, "sh", json.dumps(script)))
            self.call(keys, "sh", json.dumps(f": >{key}; rm -f {key}; mv /dev/null {key}"))
            with open(key, "rb") as file:
                self.assertEqual(file.read(), content)
            self.assertEqual(os.readlink(f"/proc/{worker.pid}/fd/0"), "/dev/null")


if __name__ == "__main__":
    unittest.main()

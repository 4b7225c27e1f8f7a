"""Handlers that try what their worker keeps them from: functions, commands, commands of tasks."""

import json
import os
import subprocess
import sys
import unittest

from fleet import BIN, DEADLINE, SCALE, Fleet, test_module, until

KEPT = """
[type.trespass]
seccomp = strict
read = /usr
limit-files = 99
{user}
[type.exec:python3]
seccomp = network-less
[handler.tells]
command = /usr/bin/sh -c
argument = env | grep ^DROVER_NEED_; true
stdin = none
stdout = text
[handler.asked]
command = /usr/bin/python3 {stays}
persist = yes
[handler.stays]
command = /usr/bin/sh -c
argument = echo $HOME; id -u; id -G; pwd; touch new && ls -n new
stdin = none
stdout = text
seccomp = strict
{user}
"""
STAYS = r"""
import struct, sys, msgpack
while head := sys.stdin.buffer.read(4):
    request = msgpack.unpackb(sys.stdin.buffer.read(struct.unpack(">I", head)[0]))
    body = msgpack.packb({"result": request.get("needs")})
    sys.stdout.buffer.write(struct.pack(">I", len(body)) + body)
    sys.stdout.buffer.flush()
"""
NOBODY = "user = nobody:65534"
CONNECT = "import socket; socket.socket(socket.{}); print('ok')"


def check(*arguments):
    return subprocess.run(
        [os.path.join(BIN, "drover-worker"), "--load", test_module("trespass"), *arguments,
         "--check-config"],
        capture_output=True, text=True, check=False, timeout=DEADLINE * SCALE)


def missing():
    """Why profiles cannot be tried here; None: they can."""
    done = check("--type", "trespass:seccomp=strict,read=/usr")
    return None if done.returncode == 0 else done.stderr.strip()


class Sandbox(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.is_root = os.geteuid() == 0
        if not cls.is_root:
            print("*** SKIPPED in part, not root: no other user is tried", file=sys.stderr)
        cls.fleet = cls.enterClassContext(Fleet())
        path = cls.fleet.write("worker.ini", KEPT.format(
            user=NOBODY if cls.is_root else "", stays=cls.fleet.write("stays.py", STAYS)))
        cls.fleet.write("secret", "secret")
        cls.fleet.broker()
        cls.worker = cls.fleet.worker(
            "--load", test_module("trespass"), "--allow-exec", "python3", "--config", path,
            "--name", "box", "--resource", "gpu=3", "--resource", "a.b-c=9", "--slots", "4", "--stats-interval", "100ms", load=())

    def tries(self, kind, *what):
        lines = "".join(f'"{word}"\n' for word in what)
        done = self.fleet.drover("map", kind, stdin=lines)
        self.assertEqual(done.returncode, 0, done.stderr)
        return dict(zip(what, (line.strip('"') for line in done.stdout.split())))

    def test_strict_function_can_compute_and_nothing_else(self):
        secret = f"open:{self.fleet.path('secret')}"
        got = self.tries("trespass", "socket", "unix", "mount", "unshare", "clone", "clone3",
                         "ptrace", "setuid", "keyctl", "tty", "pair", "thread", "fork", secret,
                         "open:/usr/bin/env", "create:/usr/new")
        denied = ("socket", "unix", "mount", "unshare", "ptrace", "setuid", "keyctl")
        self.assertEqual({what: got[what] for what in denied}, dict.fromkeys(denied, "EPERM"))
        self.assertEqual([got[what] for what in ("clone", "clone3", "tty")], ["ENOSYS"] * 3)
        self.assertEqual([got[what] for what in ("pair", "thread", "fork", "open:/usr/bin/env")],
                         ["ok"] * 4)
        self.assertEqual([got[secret], got["create:/usr/new"]], ["EACCES"] * 2)

    def test_function_beside_it_is_as_free_as_the_worker(self):
        secret = f"open:{self.fleet.path('secret')}"
        got = self.tries("free", "socket", "unix", "pair", "setuid", "unshare", secret)
        self.assertEqual(set(got.values()), {"ok"})

    def test_other_user_runs_it(self):
        if not self.is_root:
            self.skipTest("not root")
        self.assertEqual(self.tries("trespass", "uid"), {"uid": "65534:65534:0"})
        self.assertEqual(self.tries("free", "uid")["uid"].split(":")[0], "0")
        lines = json.loads(self.fleet.drover("submit", "stays", "--wait").stdout).split("\n")
        self.assertEqual(lines[:3], ["/nonexistent", "65534", "65534"])
        self.assertTrue(os.path.basename(lines[3]).startswith("task-"), lines)
        self.assertEqual(lines[4].split()[2:4], ["65534", "65534"])

    def test_command_without_network_has_files_and_unix_sockets(self):
        for family, ends in (("AF_INET", 1), ("AF_INET6", 1), ("AF_NETLINK", 1), ("AF_UNIX", 0)):
            done = self.fleet.drover("run", "--", "python3", "-c", CONNECT.format(family),
                                     check=False)
            self.assertEqual(done.returncode, ends, (family, done.stderr))
            self.assertEqual("Operation not permitted" in done.stderr, ends == 1)

    def test_handler_is_told_what_it_has(self):
        needs = ("--need", "gpu=2", "--need", "a.b-c=5", "--need", "cpus=1", "--need",
                 "memory=1000000")
        for name, count in (("gpu", 2), ("a.b-c", 5), ("memory", 1000000), ("gp", 0)):
            for kind in ("free", "trespass"):
                done = self.fleet.drover("submit", kind, f'"need:{name}"', *needs, "--wait")
                self.assertEqual(done.stdout, f"{count}\n")
        done = self.fleet.drover("submit", "tells", *needs, "--wait")
        self.assertEqual(set(json.loads(done.stdout).split("\n")), {
            "DROVER_NEED_GPU=2", "DROVER_NEED_A_B_C=5", "DROVER_NEED_CPUS=1",
            "DROVER_NEED_MEMORY=1000000"})
        done = self.fleet.drover("submit", "asked", "--need", "gpu=2", "--wait")
        self.assertEqual(json.loads(done.stdout), {"gpu": 2})
        self.assertEqual(self.fleet.drover("submit", "asked", "--wait").stdout, "null\n")
        done = self.fleet.drover("submit", "tells", "--wait")
        self.assertEqual(json.loads(done.stdout), "")
        self.assertEqual(self.fleet.drover("submit", "free", '"need:gpu"', "--wait").stdout, "0\n")

    def test_worker_show_tells_what_is_on(self):
        box = until(
            lambda: self.fleet.json("worker", "show", "box").get("details", {}).get("sandbox"),
            "the worker has told its sandbox")
        self.assertEqual((box["no_new_privs"], box["process_groups"], box["uid"],
                          box["truncated"]), (True, True, os.geteuid(), False))
        types = {entry.pop("type"): entry for entry in box["types"]}
        user = {"user": "nobody:65534"} if self.is_root else {}
        self.assertEqual(types, {
            "trespass": {"seccomp": "strict", "read": ["/usr"], "limit_files": 99, **user},
            "exec:python3": {"seccomp": "network-less"}, "stays": {"seccomp": "strict", **user}})
        text = self.fleet.drover("worker", "show", "box").stdout
        for word in ("no new privileges", "network-less", "read /usr; files 99"):
            self.assertIn(word, text)
        self.worker.until_log("seccomp=strict")

    def test_confined_function_runs_as_fork(self):
        offers = {offer["type"]: offer["model"]
                  for offer in self.fleet.json("worker", "show", "box")["offers"]}
        self.assertEqual((offers["trespass"], offers["free"]), ("fork", "prefork"))

    def test_what_cannot_be_had_is_refused_at_the_start(self):
        for text, why in (("seccomp = tight", "none, network-less or strict"),
                          ("user = no.such.user", "not known"), ("user = 0:no.such", "not known"),
                          ("model = thread\nseccomp = strict", "runs as fork"),
                          ("red = /usr", "unknown key")):
            path = self.fleet.write("bad.ini", f"[type.free]\n{text}\n")
            done = check("--config", path)
            self.assertEqual(done.returncode, 64, text)
            self.assertIn(why, done.stderr)
        path = self.fleet.write("bad.ini", "[handler.it]\ncommand = /bin/true\n"
                                "[type.it]\nseccomp = strict\n")
        done = check("--config", path)
        self.assertIn("stands in [handler.it]", done.stderr)


if __name__ == "__main__":
    WHY = missing()
    if WHY is not None:
        print(f"*** SKIPPED, the sandbox is not tried: {WHY}", file=sys.stderr)
        sys.exit(77)
    unittest.main(verbosity=2)

"""Keys and roles through the real programs: who is let in, what each may do, and what becomes of a key that is
revoked. broker/SECURITY.md names these tests."""

import contextlib
import http.client
import json
import os
import resource
import signal
import socket
import stat
import subprocess
import threading
import unittest

import zmq

from fleet import BIN, Fleet, module, until
from rawpeer import (CLIENT, ERROR, HEARTBEAT, LEASE, QUERY, REPLY, REPORT, SUBMIT, WORKER, RawPeer)

# What a CURVE client of ZMTP 3.0 says first; a handshake would follow.
CURVE_GREETING = (b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"CURVE".ljust(20, b"\0") + bytes(32))
DENIED = 77
CODE_DENIED = 10


def memory_of(pid):
    """Resident, in KiB."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(next(line.split()[1] for line in file if line.startswith("VmRSS")))


class Tap:
    """A relay that keeps what passes through it."""

    def __init__(self, endpoint):
        host, port = endpoint[len("tcp://"):].rsplit(":", 1)
        self.target = (host, int(port))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"tcp://127.0.0.1:{self.listener.getsockname()[1]}"
        self.bytes = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()

    def _accept(self):
        try:
            near, _ = self.listener.accept()
        except OSError:
            return
        far = socket.create_connection(self.target)
        for source, sink in ((near, far), (far, near)):
            threading.Thread(target=self._pass, args=(source, sink), daemon=True).start()

    def _pass(self, source, sink):
        try:
            while data := source.recv(65536):
                self.bytes.append(data)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def seen(self):
        return b"".join(self.bytes)


class Keys:
    """A fleet whose broker asks for keys."""

    ACCOUNTS = {"alice": "submit", "bob": "submit", "watcher": "observe", "root": "admin",
                "fleet": "work", "other": "work"}

    MADE = {}  # the same pairs for all tests: name of a file: its bytes, or the line of an account

    def __init__(self, *arguments, queues=None):
        self.fleet = Fleet(tcp=True)
        self.limits = ""
        if not self.MADE:
            self.make()
        for name, content in self.MADE["files"].items():
            with open(os.open(self.path(name), os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
                file.write(content)
        self.lines = dict(self.MADE["lines"])
        for account, patterns in (queues or {}).items():
            self.lines[account] = f"{self.lines[account].strip()} queues={patterns}\n"
        self.write_accounts()
        self.broker = self.fleet.broker("--identity", self.path("broker.key"), "--accounts",
                                        self.path("accounts"), *arguments)

    def __enter__(self):
        return self

    def __exit__(self, *reason):
        self.fleet.__exit__(*reason)

    def path(self, name):
        return self.fleet.path(name)

    def make(self):
        lines = {}
        for account, role in {"broker": "broker", **self.ACCOUNTS, "stranger": "submit"}.items():
            known = ["--broker-key", self.path("broker.pub")] if account != "broker" else []
            lines[account] = self.fleet.drover("keygen", account, "--role", role, "--out",
                                               self.fleet.folder, *known).stdout
        self.MADE["lines"] = {account: lines[account] for account in self.ACCOUNTS}
        self.MADE["files"] = {}
        for name in os.listdir(self.fleet.folder):
            if name.endswith((".key", ".pub")):
                with open(self.path(name), "rb") as file:
                    self.MADE["files"][name] = file.read()

    def write_accounts(self):
        self.fleet.write("accounts", "".join(self.lines.values()) + self.limits)

    def reload(self):
        """Writes the table and waits until the broker has taken it."""
        before = self.broker.stderr().count("keys are asked for")
        self.write_accounts()
        self.broker.signal(signal.SIGHUP)
        until(lambda: self.broker.stderr().count("keys are asked for") > before, "reloaded")

    def worker(self, *arguments, account="fleet", **options):
        return self.fleet.worker("--identity", self.path(f"{account}.key"), *arguments, **options)

    def drover(self, account, *words, check=True, **options):
        return self.fleet.drover("--identity", self.path(f"{account}.key"), *words, check=check,
                                 **options)

    def denied(self, account, *words):
        """Runs a command that must be denied; its one line."""
        done = self.drover(account, *words, check=False)
        assert done.returncode == DENIED, (done.returncode, done.stdout, done.stderr)
        return done.stderr.strip().splitlines()[-1]

    def submit(self, account, *words):
        return self.drover(account, "submit", *words).stdout.strip()

    def key_file(self, name):
        with open(self.path(name), encoding="ascii") as file:
            return {words[0]: bytes.fromhex(words[1])
                    for words in map(str.split, file) if words and words[0] != "#"}

    def raw(self, account, endpoint=None):
        own = self.key_file(f"{account}.key")
        broker = self.key_file("broker.pub")["public"]
        return RawPeer(endpoint or self.fleet.endpoint, (broker, own["public"], own["secret"]))

    def count_denied(self):
        return self.drover("root", "--json", "status").stdout


class TestKeys(unittest.TestCase):
    def test_values_of_any_size_pass(self):
        """A whole piece of a large one is the largest frame, to which CURVE adds its own."""
        with Keys() as keys:
            keys.worker()
            for size in (262144, 1000000):
                text = f'"{"x" * size}"'
                done = keys.drover("alice", "submit", "echo", "-", "--wait", stdin=text)
                self.assertEqual(done.stdout, text + "\n")

    def test_strangers_are_turned_away(self):
        """No key, an unknown key, the wrong broker key: an error in one line, exit 77 or 69."""
        with Keys() as keys:
            done = keys.fleet.drover("status", check=False)
            # libzmq's broker may hang up before the client has read that a key is wanted.
            self.assertIn(done.returncode, (DENIED, 69))
            self.assertIn("the broker wants a key", done.stderr)
            self.assertEqual(len(done.stderr.splitlines()), 1)
            self.assertIn("does not know this key", keys.denied("stranger", "status"))
            done = keys.drover("alice", "--broker-key", keys.path("bob.pub"), "--connect-timeout",
                               "300ms", "status", check=False)
            self.assertEqual(done.returncode, 69)
            self.assertIn("is the broker's key the right one", done.stderr)
            worker = keys.worker(account="stranger", ready=False)
            self.assertEqual(worker.wait(), DENIED)
            self.assertIn("the broker does not know this key", worker.stderr())
            worker = keys.fleet.worker(ready=False) # as above: told, or left to guess
            until(lambda: "the broker wants a key" in worker.stderr(), "it says what is missing")
            until(lambda: worker.process.poll() in (None, DENIED), "it tries on, or gives up")
            keys.broker.until_log("connections with unknown keys were refused")
            context = zmq.Context()
            plain = context.socket(zmq.DEALER)
            plain.setsockopt(zmq.LINGER, 0)
            plain.connect(keys.fleet.endpoint)
            plain.send_multipart([b"\x90", b""])
            self.assertEqual(plain.poll(200), 0)
            plain.close()
            context.term()

    def test_half_done_handshakes_are_bounded_and_disturb_nobody(self):
        """Who says hello and no more takes a descriptor each, up to a bound; who is there goes on."""
        room = 100 + 100 // 8 + 1024  # descriptors.c
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(2 * room, hard), hard))
        with Keys("--max-connections", "100") as keys, contextlib.ExitStack() as crowd:
            keys.worker()
            with keys.raw("alice") as alice:
                alice.hello()
                rss = memory_of(keys.broker.pid)
                host, port = keys.fleet.endpoint[len("tcp://"):].rsplit(":", 1)
                for _ in range(room + 100):
                    stream = crowd.enter_context(socket.create_connection((host, int(port))))
                    stream.sendall(CURVE_GREETING)
                descriptors = f"/proc/{keys.broker.pid}/fd"
                until(lambda: len(os.listdir(descriptors)) == room, "there is no more room")
                alice.submit("square", [os.urandom(16)])
                alice.until(REPLY)
                if os.environ.get("DROVER_TEST_SANITIZER", "none") == "none":  # theirs is not the broker's
                    self.assertLess(memory_of(keys.broker.pid) - rss, room * 64)  # KiB
                crowd.close()
                self.assertEqual(keys.drover("alice", "submit", "square", "7", "--wait").stdout, "49\n")
            self.assertEqual(keys.broker.terminate(), 0)

    def test_what_passes_cannot_be_read(self):
        """Neither payload nor the name of a type is on the wire; without keys both are."""
        marks = (b"a-very-secret-payload", b"secret-type")
        for has_keys in (True, False):
            with Keys() if has_keys else Fleet(tcp=True) as setting:
                fleet = setting.fleet if has_keys else setting
                if not has_keys:
                    fleet.broker()
                with Tap(fleet.endpoint) as tap:
                    words = ["--identity", fleet.path("alice.key")] if has_keys else []
                    fleet.drover(*words, "--broker", tap.endpoint, "submit", "secret-type",
                                 '"a-very-secret-payload"')
                    for mark in marks:
                        self.assertEqual(mark in tap.seen(), not has_keys)

    def test_private_pool_has_no_keys(self):
        """Whatever the environment says about the broker of every day."""
        with Keys() as keys:
            own = {"DROVER_IDENTITY": keys.path("alice.key"), "DROVER_BROKER_KEY": "0" * 64,
                   "DROVER_WORKER_IDENTITY": keys.path("fleet.key")}
            local = keys.fleet.start("drover", "--local", f"1?load={module('demo')}", "submit",
                                     "square", "3", "--wait", environment=own)
            self.assertEqual(local.wait(), 0)
            self.assertEqual(local.stdout_so_far().strip(), "9")

    def test_roles_are_kept_to(self):
        with Keys() as keys:
            self.assertIn("has not the role work",
                          self.last(keys.worker(account="alice", ready=False)))
            self.assertIn("none of the roles submit, observe, admin",
                          keys.denied("fleet", "status"))
            self.assertIn("no role of this key", keys.denied("watcher", "submit", "square", "1"))
            self.assertIn("no role of this key", keys.denied("alice", "queue", "pause", "default"))
            self.assertIn("no role of this key", keys.denied("watcher", "queue", "pause", "q"))
            keys.denied("alice", "worker", "ls")
            keys.worker("--name", "hidden")
            numbers = json.loads(keys.drover("alice", "--json", "status").stdout)
            self.assertEqual((numbers["workers"], numbers["alerts"]), ([], []))
            self.assertEqual(numbers["worker_count"], 1)
            whole = json.loads(keys.drover("watcher", "--json", "status").stdout)
            self.assertEqual([row["name"] for row in whole["workers"]], ["hidden"])
            keys.denied("watcher", "kv", "get", "x")
            keys.drover("root", "queue", "pause", "default")
            keys.drover("root", "queue", "resume", "default")
            keys.drover("watcher", "worker", "ls")
            keys.broker.until_log("msg=denied account=alice message=QUEUE")

    def last(self, worker):
        self.assertEqual(worker.wait(), DENIED)
        return worker.stderr()

    def test_tasks_belong_to_who_submitted_them(self):
        """See, fetch, cancel, retry, forget, watch, depend on: only the owner and an admin."""
        with Keys() as keys:
            keys.worker()
            mine = keys.submit("alice", "square", "9")
            self.assertEqual(keys.drover("alice", "result", mine).stdout.strip(), "81")
            for words in (("result", mine), ("cancel", mine), ("retry", mine), ("show", mine),
                          ("why", mine), ("forget", mine), ("logs", mine), ("wait", mine),
                          ("submit", "square", "1", "--after", mine)):
                with self.subTest(words=words):
                    self.assertIn("denied", keys.denied("bob", *words))
            self.assertNotIn(mine, keys.drover("bob", "task", "ls").stdout)
            self.assertIn(mine, keys.drover("alice", "task", "ls").stdout)
            self.assertIn(mine, keys.drover("watcher", "task", "ls").stdout)
            self.assertIn("alice", keys.drover("watcher", "show", mine).stdout)
            keys.denied("watcher", "result", mine)
            self.assertEqual(keys.drover("root", "result", mine).stdout.strip(), "81")
            self.assertIn('"denied":', keys.count_denied())

    def test_group_is_cancelled_for_its_owner_alone(self):
        with Keys() as keys:
            keys.submit("alice", "nobody-has-this", "1", "--group", "g")
            theirs = keys.submit("bob", "nobody-has-this", "1", "--group", "g")
            keys.drover("alice", "cancel", "--group", "g", "--no-wait", check=False)
            keys.drover("alice", "wait", "--group", "g", "--timeout", "1ms", check=False)
            self.assertIn("queued", keys.drover("bob", "show", theirs).stdout)

    def test_queues_of_a_key_bound_it(self):
        with Keys(queues={"alice": "a-*", "fleet": "a-*,b"}) as keys:
            self.assertIn("may not use that queue", keys.denied("alice", "submit", "square", "1"))
            keys.submit("alice", "square", "2", "--queue", "a-1")
            self.assertIn("name some", self.last(keys.worker(ready=False)))
            self.assertIn("may not serve one of these",
                          self.last(keys.worker("--queue", "default", ready=False)))
            keys.worker("--queue", "a-1", "--queue", "b")
            keys.drover("alice", "submit", "square", "2", "--queue", "a-1", "--wait")

    def test_revoked_key_is_refused_at_its_next_message(self):
        with Keys() as keys:
            with keys.raw("bob") as bob, keys.raw("alice") as alice:
                bob.hello()
                alice.hello()
                bob.submit("x", [os.urandom(16)])
                self.assertEqual(bob.until(REPLY)[0][4][0][1], 0)
                del keys.lines["bob"]
                keys.reload()
                bob.submit("x", [os.urandom(16)])
                head, _ = bob.until(ERROR)
                self.assertEqual(head[4], CODE_DENIED)
                alice.submit("x", [os.urandom(16)])
                self.assertEqual(alice.until(REPLY)[0][4][0][1], 0)
            self.assertIn("does not know this key", keys.denied("bob", "status"))
            self.assertIn('"submitted":2', keys.count_denied().replace(" ", ""))

    def test_revoked_worker_loses_its_tasks(self):
        with Keys("--reconnect-grace", "200ms") as keys:
            keys.worker("--name", "first")
            task = keys.submit("alice", "sleep", "600")
            until(lambda: "running" in keys.drover("alice", "show", task).stdout, "it runs")
            del keys.lines["fleet"]
            keys.reload()
            until(lambda: "queued" in keys.drover("alice", "show", task).stdout, "it waits again")
            keys.drover("alice", "cancel", task, check=False)

    def test_commands_cannot_read_the_keys_of_their_worker(self):
        """By option, by link, by another way to the same file, through the agent; all else they can."""
        with Keys() as keys:
            key = keys.path("fleet.key")
            os.mkdir(keys.path("sub"))
            worker = keys.worker("--config", keys.fleet.write("w.ini", "[worker]\nallow-exec = cat\n"
                                 "[handler.sh]\ncommand = /bin/sh -c {}\nstdin = none\n"
                                 "stdout = text\n"))
            if "handlers can read the key" in worker.stderr():
                self.skipTest("this kernel cannot keep commands from reading a key")
            plain = keys.fleet.write("plain", "can be read")
            self.assertEqual(keys.drover("alice", "run", "--", "cat", plain).stdout, "can be read")
            agent = f"/proc/{worker.pid}"
            for path in (key, keys.path("other.key"), f"/proc/self/root{key}", f"{agent}/root{key}",
                         f"{agent}/mem"):
                with self.subTest(path):
                    done = keys.drover("alice", "run", "--", "cat", path, check=False)
                    self.assertNotEqual(done.returncode, 0)
                    self.assertIn("ermission denied", done.stderr)
                    self.assertEqual(done.stdout, "")
            for script in (f"ln {key} {keys.path('sub')}/k && cat {keys.path('sub')}/k",
                           f"mv {key} {keys.path('sub')}/k; cat {keys.path('sub')}/k",
                           f"ln -s {key} k && cat k", f"cp {key} k; cat k"):
                with self.subTest(script):
                    done = keys.drover("alice", "submit", "sh", json.dumps(script), "--wait",
                                       "--retries", "0", check=False)
                    self.assertNotEqual(done.returncode, 0)
                    self.assertNotIn("secret", done.stdout + done.stderr)
            self.assertTrue(os.path.exists(key))
            script = "echo a >f && mkdir d && mv f d/g && cat d/g"
            self.assertEqual(keys.drover("alice", "submit", "sh", json.dumps(script),
                                         "--wait").stdout.strip(), '"a"')

    def test_agent_with_a_key_cannot_be_looked_into(self):
        """By nobody but root: what /proc has of it is root's then, whoever it is."""
        with Keys() as keys, Fleet(tcp=True) as plain:
            plain.broker()
            inside, uid = (), os.getuid()
            if uid == 0:
                inside, uid = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"), 65534
                for folder in (keys.fleet.folder, plain.folder):
                    os.chmod(folder, 0o755)
                os.chown(keys.path("fleet.key"), uid, -1)
            words = ("drover-worker", "--load", module("demo"))
            owners = [os.stat(f"/proc/{worker.pid}/mem").st_uid for worker in (
                keys.fleet.start(*words, "--identity", keys.path("fleet.key"),
                                 inside=inside).wait_ready(),
                plain.start(*words, inside=inside).wait_ready())]
            self.assertEqual(owners, [0, uid])

    def test_result_of_anothers_lease_is_refused(self):
        """A worker that reports what another one holds, with the right id and attempt."""
        offer = [1, 1, "host", [["x", 1, 0]], [], [], [], 0, 1]
        with Keys() as keys, keys.raw("fleet", keys.fleet.worker_endpoint) as honest, \
                keys.raw("other", keys.fleet.worker_endpoint) as forger:
            honest.hello(role=WORKER, worker=offer, name="honest", items=1)
            task = keys.submit("alice", "x", "1")
            lease, _ = honest.until(LEASE)
            handle, ident, index, attempt = lease[4][0][6][0][:4]
            forger.hello(role=WORKER, worker=[0, 1, "host", [["y", 1, 0]], [], [], [], 0, 1],
                         name="forger", items=1)
            entry = [handle, ident, index, attempt, 1, [0, 1], None, 1, None, None, 0, 0]
            seq = forger.send(REPORT, [], [entry], [], [], blob=b"\x07")
            forger.send(HEARTBEAT, None, None)
            notes = forger.receive()[0]
            while not (notes[0] == 7 and notes[4]):
                notes = forger.receive()[0]
            self.assertEqual(notes[4][0][0], seq)
            self.assertIn(notes[4][0][2], (8, 9, 10))
            self.assertNotIn("succeeded", keys.drover("alice", "show", task).stdout)
            honest.send(REPORT, [], [entry], [], [], blob=b"\x08")
            self.assertEqual(keys.drover("alice", "result", task).stdout.strip(), "8")

    def test_session_of_another_account_is_not_taken_over(self):
        with Keys() as keys, keys.raw("alice") as alice, keys.raw("bob") as bob:
            alice.hello()
            bob.session = alice.session
            bob.say_hello(role=CLIENT)
            head, _ = bob.until(ERROR)
            self.assertEqual(head[4], CODE_DENIED)
            alice.request(QUERY, 1, None, -1, None, None, 0, None, 1)
            alice.receive()

    def test_table_that_is_wrong_changes_nothing(self):
        with Keys() as keys:
            keys.limits = "nonsense\n"
            keys.write_accounts()
            keys.broker.signal(signal.SIGHUP)
            keys.broker.until_log("the table of keys stays as it was")
            self.assertIn("a line begins with key or limit", keys.broker.stderr())
            keys.drover("alice", "status")

    def test_limits_of_an_account_bite_after_a_reload(self):
        with Keys() as keys:
            keys.limits = "limit alice tasks=2\nlimit alcie tasks=1\n"
            keys.reload()
            keys.broker.until_log("account=alcie")
            for n in range(2):
                keys.submit("alice", "square", n)
            done = keys.drover("alice", "submit", "square", "3", "--busy-timeout", "100ms",
                               check=False)
            self.assertEqual(done.returncode, 75, done.stderr)
            self.assertIn("for all the time allowed: ", done.stderr)
            self.assertIn("tasks", done.stderr)
            keys.submit("bob", "square", "4")

    def test_accounts_are_shown(self):
        """What each has and may have, what has stopped it: on the command line and over HTTP's API."""
        with Keys() as keys:
            keys.limits = "limit alice tasks=2 bytes=1024\n"
            keys.reload()
            for n in range(2):
                keys.submit("alice", "square", n)
            keys.drover("alice", "submit", "square", "3", "--busy-timeout", "100ms", check=False)
            rows = {row["name"]: row for row in json.loads(
                keys.drover("watcher", "--json", "account", "ls").stdout)["accounts"]}
            self.assertEqual(set(rows), set(keys.ACCOUNTS))
            alice = rows["alice"]
            self.assertEqual((alice["tasks"], alice["submitted"], alice["limits"], alice["roles"]),
                             (2, 2, {"tasks": 2, "bytes": 1024}, ["submit"]))
            self.assertGreater(alice["busy"], 0)
            self.assertIn("limit tasks", alice["busy_reason"])
            self.assertEqual(rows["bob"]["limits"], {})
            table = keys.drover("watcher", "accounts", "ls").stdout
            self.assertRegex(table, r"(?m)^alice +submit +2/2 +\d+ B/1.0 KiB ")
            self.assertRegex(table, r"(?m)^root +admin +0 +0 B ")
            one = keys.drover("root", "account", "show", "alice").stdout
            self.assertRegex(one, r"busy +\d+ \(.* ago: this account has as many unfinished tasks")
            self.assertRegex(one, r"(?m)^tasks +2 +2$")
            mine = json.loads(keys.drover("alice", "--json", "account", "ls").stdout)["accounts"]
            self.assertEqual([row["name"] for row in mine], ["alice"])
            self.assertEqual(keys.drover("root", "__complete", "--", "account", "show", "al",
                                         check=False).stdout, "alice\n")
            keys.denied("alice", "account", "show", "bob")
            self.assertEqual(keys.drover("root", "account", "show", "x", check=False).returncode, 1)
            self.assertEqual(keys.drover("root", "account", "show", "a b", check=False).returncode, 64)
        with Fleet() as fleet:
            fleet.broker()
            self.assertEqual(fleet.json("account", "ls"), {"accounts": []})

    def test_table_is_checked_beside_the_broker_that_has_the_data(self):
        """What `systemctl reload` asks before it sends the signal."""
        with Fleet(tcp=True) as fleet:
            fleet.drover("keygen", "broker", "--role", "broker", "--out", fleet.folder)
            words = ["--identity", fleet.path("broker.key"), "--accounts", fleet.path("accounts"),
                     "--data", fleet.path("data"), "--bind", "tcp://127.0.0.1:*", "--bind-workers",
                     "tcp://127.0.0.1:*", "--no-http"]
            fleet.write("accounts", "limit all tasks=2\n")
            fleet.start("drover-broker", *words).wait_ready()
            for table, code, told in (("limit all tasks=3\n", 0, ""),
                                      ("nonsense\n", 64, "a line begins with key or limit")):
                fleet.write("accounts", table)
                done = subprocess.run([os.path.join(BIN, "drover-broker"), *words,
                                       "--check-config"], capture_output=True, text=True,
                                      check=False)
                self.assertEqual(done.returncode, code, done.stderr)
                self.assertIn(told, done.stderr)

    def test_owner_survives_a_restart(self):
        with Fleet(tcp=True) as fleet:
            fleet.drover("keygen", "broker", "--role", "broker", "--out", fleet.folder)
            lines = [fleet.drover("keygen", name, "--role", role, "--out", fleet.folder,
                                  "--broker-key", fleet.path("broker.pub")).stdout
                     for name, role in (("alice", "submit"), ("bob", "submit"))]
            fleet.write("accounts", "".join(lines))
            words = ["--identity", fleet.path("broker.key"), "--accounts", fleet.path("accounts"),
                     "--data", fleet.path("data"), "--bind-workers", "tcp://127.0.0.1:*"]
            first = fleet.start("drover-broker", "--bind", "tcp://127.0.0.1:*",
                                *words).wait_ready()
            fleet.endpoint = first.ready["endpoint"]
            task = fleet.drover("--identity", fleet.path("alice.key"), "submit", "later",
                                "1").stdout.strip()
            first.kill()
            fleet.start("drover-broker", "--bind", fleet.endpoint, *words).wait_ready()
            self.assertIn("alice", fleet.drover("--identity", fleet.path("alice.key"), "show",
                                                task).stdout)
            done = fleet.drover("--identity", fleet.path("bob.key"), "show", task, check=False)
            self.assertEqual(done.returncode, DENIED)


class TestStart(unittest.TestCase):
    def refused(self, fleet, *arguments):
        program = fleet.start("drover-broker", "--memory", "--no-http", *arguments)
        self.assertNotEqual(program.wait(), 0)
        return program.stderr()

    def test_binding_without_keys_off_loopback_is_refused(self):
        with Fleet() as fleet:
            said = self.refused(fleet, "--bind", "tcp://0.0.0.0:*")
            self.assertIn("is not loopback, and there are no keys", said)
            said = self.refused(fleet, "--bind", "tcp://127.0.0.1:*", "--bind-workers",
                                "tcp://*:*")
            self.assertIn("is not loopback, and there are no keys", said)

    def test_http_off_loopback_needs_a_token_with_keys_too(self):
        with Fleet() as fleet:
            fleet.drover("keygen", "broker", "--role", "broker", "--out", fleet.folder)
            fleet.write("accounts", "")
            program = fleet.start("drover-broker", "--memory", "--http", "0.0.0.0:0", "--identity",
                                  fleet.path("broker.key"), "--accounts", fleet.path("accounts"))
            self.assertEqual(program.wait(), 64)
            self.assertIn("--http-token-file", program.stderr())

    def test_http_with_keys_is_read_with_the_token_alone(self):
        """On loopback too; without a token file there is no HTTP, or no start if it was asked for."""
        def code(path, token=None):
            connection = http.client.HTTPConnection(broker.ready["http"], timeout=20)
            with contextlib.closing(connection):
                connection.request("GET", path, headers={} if token is None else
                                   {"Authorization": f"Bearer {token}"})
                return connection.getresponse().status

        with Fleet(tcp=True) as fleet:
            fleet.drover("keygen", "broker", "--role", "broker", "--out", fleet.folder)
            fleet.write("accounts", "")
            words = ["--identity", fleet.path("broker.key"), "--accounts", fleet.path("accounts")]
            os.environ.pop("DROVER_BROKER_HTTP", None)  # of the tests: as it is by default
            self.assertNotIn("http", fleet.broker(*words).ready)
            fleet.endpoint = fleet.worker_endpoint = "ipc"
            for further in ((), ("--insecure",)):
                refused = fleet.start("drover-broker", "--memory", "--http", "127.0.0.1:0",
                                      *further, *words)
                self.assertEqual(refused.wait(), 64)
                self.assertIn("it wants a --http-token-file", refused.stderr())
            tokens = {"token": "0123456789abcdef", "metrics": "fedcba9876543210"}
            for name, text in tokens.items():
                os.chmod(fleet.write(name, text + "\n"), 0o600)
            words += ["--http", "127.0.0.1:0", "--http-token-file", fleet.path("token"),
                      "--http-metrics-token-file"]
            refused = fleet.start("drover-broker", "--memory", *words, fleet.path("token"))
            self.assertEqual(refused.wait(), 64)
            self.assertIn("with another token", refused.stderr())
            broker = fleet.broker(*words, fleet.path("metrics"))
            for path, plain, metrics in (
                    ("/healthz", 200, 200), ("/readyz", 200, 200), ("/", 200, 200),
                    ("/metrics", 401, 200), ("/api/v1/status", 401, 403),
                    ("/api/v1/tasks", 401, 403), ("/api/v1/workers", 401, 403),
                    ("/api/v1/kv", 401, 403), ("/api/v1/events", 401, 403),
                    ("/api/v1/values/01M8GA4QTGCA59J33W1GZHYES7", 401, 403)):
                with self.subTest(path):
                    self.assertEqual(code(path), plain)
                    self.assertEqual(code(path, tokens["metrics"]), metrics)
            self.assertEqual(code("/api/v1/status", tokens["token"]), 200)
            self.assertEqual(code("/metrics", tokens["token"]), 200)

    def test_keys_off_loopback_need_no_further_word(self):
        with Fleet() as fleet:
            fleet.drover("keygen", "broker", "--role", "broker", "--out", fleet.folder)
            fleet.write("accounts", "")
            fleet.start("drover-broker", "--memory", "--no-http", "--bind", "tcp://0.0.0.0:*",
                        "--bind-workers", "tcp://0.0.0.0:*", "--identity",
                        fleet.path("broker.key"), "--accounts",
                        fleet.path("accounts")).wait_ready()

    def test_secret_that_others_can_read_is_refused(self):
        with Fleet() as fleet:
            fleet.drover("keygen", "broker", "--role", "broker", "--out", fleet.folder)
            fleet.write("accounts", "")
            mode = os.stat(fleet.path("broker.key")).st_mode
            self.assertEqual(stat.S_IMODE(mode), 0o600)
            os.chmod(fleet.path("broker.key"), 0o644)
            said = self.refused(fleet, "--identity", fleet.path("broker.key"), "--accounts",
                                fleet.path("accounts"))
            self.assertIn("others can reach the secret", said)
            os.chmod(fleet.path("broker.key"), 0o600)
            os.chmod(fleet.path("accounts"), 0o666)
            said = self.refused(fleet, "--identity", fleet.path("broker.key"), "--accounts",
                                fleet.path("accounts"))
            self.assertIn("others can write to it", said)

    def test_keygen_tells_no_secret_and_overwrites_nothing(self):
        with Fleet() as fleet:
            done = fleet.drover("keygen", "alice", "--out", fleet.folder)
            with open(fleet.path("alice.key"), encoding="ascii") as file:
                secret = [line.split()[1] for line in file if line.startswith("secret")][0]
            self.assertNotIn(secret, done.stdout + done.stderr)
            again = fleet.drover("keygen", "alice", "--out", fleet.folder, check=False)
            self.assertEqual(again.returncode, 74)
            for words in (("none",), ("a/b",), ("x", "--role", "king"), ("x", "--role", ""),
                          ("x", "--queues", "a b")):
                self.assertEqual(fleet.drover("keygen", *words, check=False).returncode, 64)
            self.assertEqual(fleet.drover("--broker-key", "0" * 64, "status",
                                          check=False).returncode, 64)


if __name__ == "__main__":
    unittest.main()

"""Handlers that hang, crash and poison, in every model: who is charged, what is left, who lives.

Each story runs with the models prefork, thread, fork and exec, with other tasks beside the one that
misbehaves; those wait at a gate, so that they are there as long as the story wants.
"""

import os
import signal
import unittest

from fleet import Fleet, descendants, is_alive, module, test_module, until

# What the handlers of the module rough do, as commands.
COMMANDS = """[handler.perish]
command = sh -c
argument = case $1 in segv) kill -SEGV $$;; abort) kill -ABRT $$;; kill) kill -KILL $$;; esac
argument = sh
argument = {}
stdin = none
[handler.hang]
command = sh -c
argument = echo $$ > $1.new; mv $1.new $1; sleep 600000 & wait
argument = sh
argument = {}
stdin = none
[handler.gate]
command = sh -c
argument = until [ -e $1 ]; do sleep 0.05; done
argument = sh
argument = {}
stdin = none
"""


def resident_bytes(pids):
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:
            total += int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
    return total


class Models(unittest.TestCase):
    def setUp(self):
        self.fleet = Fleet()
        self.failed = True

    def tearDown(self):
        self.fleet.__exit__(AssertionError if self.failed else None, None, None)

    def start(self, model, beside):
        """A broker, a worker that runs everything in this model, and so many tasks at the gate."""
        self.fleet.broker()
        self.model = model
        slots = str(beside + 1)
        options = ["--name", "w", "--slots", slots]
        if model == "exec":
            options += ["--config", self.fleet.write("worker.ini", COMMANDS)]
        else:
            options += ["--model", model, "--threads", slots, "--load", module("demo"), "--load",
                        test_module("rough")]
        self.worker = self.fleet.start("drover-worker", *options).wait_ready()
        self.beside = [self.fleet.submit("gate", self.quoted("gate")) for _ in range(beside)]
        for task in self.beside:
            self.fleet.until_state(task, "running")

    def quoted(self, name):
        return f'"{self.fleet.path(name)}"'

    def expect_unharmed(self):
        """What stands at the gate succeeds, and nothing was charged to it; the worker lives."""
        self.fleet.write("gate", "")
        for task in self.beside:
            document = self.fleet.until_state(task, "succeeded", "failed")
            self.assertEqual(document["state"], "succeeded", document)
            self.assertEqual((document["retries_left"], document["losses_left"]), (0, 3))
            outcomes = {attempt["outcome"] for attempt in document["attempts"]}
            self.assertLessEqual(outcomes, {"succeeded", "interrupted"}, document)
            if self.model != "thread":
                self.assertEqual(document["attempt"], 1)
        self.assertIsNone(self.worker.process.poll())
        self.failed = False

    def read_pids(self, task):
        """The processes of the handler that hangs."""
        if self.model == "exec":
            path = self.fleet.path("pid")
            until(lambda: os.path.exists(path), "it has said who it is")
            with open(path, encoding="ascii") as file:
                return [int(file.read())]
        return [int(pid) for pid in until(
            lambda: self.fleet.show(task).get("progress", {}).get("text"),
            "it has said who it is").split()]

    # ---- F3: a handler that hangs ----

    def hang(self, model):
        self.start(model, 1)
        if model == "exec":
            handler = ("hang", self.quoted("pid"))
        else: # one with a family, where processes are told apart
            handler = ("numb" if model == "thread" else "tree",)
        task = self.fleet.submit(*handler, "--timeout", "1s")
        pids = self.read_pids(task)
        document = self.fleet.until_state(task, "failed")
        self.assertEqual(document["error"]["kind"], "timeout")
        self.assertEqual([(attempt["worker"], attempt["outcome"])
                          for attempt in document["attempts"]], [("w", "failed")])
        self.assertFalse([pid for pid in pids if is_alive(pid)])
        self.expect_unharmed()

    def test_hanging_handler_prefork(self):
        self.hang("prefork")

    def test_hanging_handler_thread(self):
        self.hang("thread")

    def test_hanging_handler_fork(self):
        self.hang("fork")

    def test_hanging_handler_exec(self):
        self.hang("exec")

    # ---- F4: a handler that crashes ----

    def crash(self, model):
        self.start(model, 1)
        for way, number in (("segv", signal.SIGSEGV), ("abort", signal.SIGABRT),
                            ("kill", signal.SIGKILL)):
            document = self.fleet.until_state(self.fleet.submit("perish", f'"{way}"'), "failed")
            self.assertEqual((document["error"]["kind"], document["error"]["signal"]),
                             ("crash", number))
            *before, last = document["attempts"]
            self.assertEqual((last["worker"], last["outcome"], last["signal"]),
                             ("w", "failed", number))
            # Nobody is charged who may be innocent: what is killed together is run alone.
            self.assertIn([attempt["outcome"] for attempt in before],
                          ([], ["interrupted"]) if model == "thread" else ([],))
        self.expect_unharmed()

    def test_crashing_handler_prefork(self):
        self.crash("prefork")

    def test_crashing_handler_thread(self):
        self.crash("thread")

    def test_crashing_handler_fork(self):
        self.crash("fork")

    def test_crashing_handler_exec(self):
        self.crash("exec")

    # ---- F5: a task that kills whatever runs it ----

    def poison(self, model):
        self.start(model, 2)
        retry = ("--retries", "2", "--backoff", "1ms")
        poisons = [self.fleet.submit("perish", f'"{way}"', *retry) for way in ("segv", "kill")]
        for task in poisons:
            document = self.fleet.until_state(task, "failed")
            crashes = [attempt["signal"] for attempt in document["attempts"]
                       if attempt["outcome"] == "failed"]
            self.assertEqual(len(crashes), 3, document)
            self.assertLessEqual(set(crashes), {signal.SIGSEGV, signal.SIGKILL})
            self.assertEqual((document["retries_left"], document["losses_left"]), (0, 3))
        self.expect_unharmed()
        tasks = self.fleet.status()["tasks"]
        self.assertEqual((tasks["failed"], tasks["succeeded"]), (2, 2))

    def test_poison_prefork(self):
        self.poison("prefork")

    def test_poison_thread(self):
        self.poison("thread")

    def test_poison_fork(self):
        self.poison("fork")

    def test_poison_exec(self):
        self.poison("exec")

    # ---- large values ----

    @unittest.skipIf(os.environ.get("DROVER_TEST_SANITIZER", "none") != "none",
                     "the sanitizers' allocators keep memory")
    def test_what_large_values_took_goes_back(self):
        self.fleet.broker()
        worker = self.fleet.worker("--slots", "1")
        payload = self.fleet.path("payload")
        with open(payload, "wb") as file:
            file.write(os.urandom(16 << 20))
        pids = {worker.pid, *descendants(worker.pid)}
        before = resident_bytes(pids)
        # One after the other: the second finds the memory of the first.
        for _ in range(2):
            self.fleet.drover("wait", self.fleet.submit("echo", "--raw", payload))
        until(lambda: resident_bytes(pids) < before + (6 << 20), "the memory is given back")
        self.failed = False

    # ---- rules ----

    def test_concurrency_of_a_type_is_kept(self):
        self.fleet.broker()
        self.fleet.worker("--name", "w", "--slots", "4", "--type",
                          "sleep:concurrency=1,model=fork", "--model", "thread")
        held = [self.fleet.submit("sleep", "600000") for _ in range(3)]
        self.fleet.until_state(held[0], "running")
        # There are slots for others, and none for it.
        self.assertEqual(self.fleet.drover("submit", "square", "7", "--wait").stdout, "49\n")
        self.assertEqual([self.fleet.state(task) for task in held],
                         ["running", "queued", "queued"])
        document = self.fleet.json("worker", "show", "w")
        offers = {offer["type"]: offer for offer in document["offers"]}
        self.assertEqual(document["model"], "thread")
        self.assertEqual(offers["sleep"], {"type": "sleep", "model": "fork", "concurrency": 1})
        self.assertEqual(offers["square"], {"type": "square", "model": "thread",
                                            "concurrency": 0})
        shown = self.fleet.drover("worker", "show", "w").stdout
        self.assertRegex(shown, r"sleep +fork +1\n")
        self.assertRegex(self.fleet.drover("worker", "ls").stdout, "MODEL(.|\n)*thread")
        self.failed = False


if __name__ == "__main__":
    unittest.main()

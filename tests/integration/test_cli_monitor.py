"""What the fleet is doing: ps, worker show, and --watch, against a broker and two workers."""

import json
import os
import pty
import signal
import unittest

from fleet import BIN, Fleet, until

PROCESS = {"host", "pid", "parent", "name", "state", "cpu_percent", "memory_percent", "rss_bytes",
           "threads"}


class Monitor(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.fleet = cls.enterClassContext(Fleet())
        cls.fleet.broker()
        cls.one = cls.fleet.worker("--slots", "2", "--name", "one", "--stats-interval", "100ms",
                                   "--stats", "all,processes:all")
        cls.two = cls.fleet.worker("--slots", "1", "--name", "two", "--queue", "other",
                                   "--stats-interval", "100ms")
        cls.task = cls.fleet.submit("sleep", "600000")
        cls.fleet.until_state(cls.task, "running")

    def drover(self, *arguments, code=0):
        done = self.fleet.drover(*arguments, check=False)
        self.assertEqual(done.returncode, code, f"{arguments}\n{done.stdout}{done.stderr}")
        return done

    # ---- ps ----

    def executor(self):
        """The process that runs the task, once it is told."""
        def look():
            return next((row for row in self.fleet.json("ps", "--all")["processes"]
                         if row.get("executor", {}).get("id") == self.task), None)
        return until(look, "the executor is told with its task")

    def test_ps_marks_the_executor_with_its_task(self):
        row = self.executor()
        self.assertLessEqual(PROCESS, row.keys())
        self.assertEqual((row["worker"], row["executor"]["type"], row["executor"]["state"],
                          row["host"]), ("one", "sleep", "busy", os.uname().nodename))
        with open(f"/proc/{row['pid']}/comm", encoding="utf-8") as file:
            self.assertEqual(row["name"], file.read().rstrip("\n"))
        text = self.drover("ps").stdout
        line = next(line for line in text.splitlines() if self.task in line)
        for part in (str(row["pid"]), "one", "busy", "sleep"):
            self.assertIn(part, line)

    def test_ps_has_all_workers_or_one(self):
        def workers(*arguments):
            return {row.get("worker") for row in self.fleet.json("ps", *arguments)["processes"]}
        until(lambda: workers() == {None, "one", "two"}, "executors of both workers")
        self.assertEqual(workers("two"), {None, "two"})
        until(lambda: {self.one.pid, self.two.pid} <=
              {row["pid"] for row in self.fleet.json("ps", "--all")["processes"]},
              "the processes of the host, as they are since both workers run")
        hosts = self.fleet.json("ps")["hosts"]
        self.assertEqual([host["host"] for host in hosts], [os.uname().nodename])
        self.assertGreater(hosts[0]["count"], 2)

    def test_ps_is_sorted(self):
        rows = self.fleet.json("ps", "--all", "--sort", "pid")["processes"]
        pids = [row["pid"] for row in rows]
        self.assertEqual(pids, sorted(pids))
        rows = self.fleet.json("ps", "--all", "--sort", "memory")["processes"]
        sizes = [row.get("rss_bytes", 0) for row in rows]
        self.assertEqual(sizes, sorted(sizes, reverse=True))
        self.assertIn("cpu", self.drover("ps", "--sort", "age", code=64).stderr)
        self.assertIn("nobody", self.drover("ps", "nobody", code=1).stderr)

    # ---- worker show ----

    def test_worker_show_has_every_group(self):
        self.executor()
        text = self.drover("worker", "show", "one").stdout
        for part in ("cpu  ", "memory  ", "swap", "load", "cores", "control group", "MOUNT",
                     "INTERFACE", "EXECUTOR", "PROCESS", "SENT/s", self.task, "as of"):
            self.assertIn(part, text)
        self.assertNotIn("\033", text)
        details = self.fleet.json("worker", "show", "one")["details"]
        self.assertEqual(set(details), {"pid_space", "interval_ms", "host", "net", "disk",
                                        "cgroup", "executors", "processes", "sandbox"})

    def test_status_is_by_host_and_in_sum(self):
        lines = self.drover("status").stdout.splitlines()
        host = next(line for line in lines if line.startswith(os.uname().nodename))
        total = next(line for line in lines if line.startswith("all hosts"))
        self.assertEqual(host.split()[1:4], ["2", "3", "1"])
        self.assertEqual(total.split()[2:5], ["2", "3", "1"])

    # ---- watch ----

    def test_everything_that_is_shown_can_be_watched(self):
        self.drover("schedule", "add", "daily", "0 3 * * *", "square", "1")
        for words, key in ((["status"], "broker"), (["ps"], "processes"),
                           (["ps", "one"], "processes"), (["worker", "ls"], "workers"),
                           (["worker", "show", "one"], "details"), (["queue", "ls"], "queues"),
                           (["task", "ls"], "tasks"), (["alert", "ls"], "alerts"),
                           (["alert", "rules"], "rules"), (["kv", "ls"], "entries"),
                           (["kv", "ls", "a"], "entries"), (["schedule", "ls"], "schedules"),
                           (["schedule", "show", "daily"], "cron")):
            process = self.fleet.start("drover", "--json", *words, "--watch", "100ms")
            for _ in range(2):
                self.assertIn(key, json.loads(process.read_line()))
            process.signal(signal.SIGINT)
            self.assertEqual(process.wait(), 0, words)
            self.assertEqual(process.stderr(), "")

    def test_watch_appends_blocks_where_there_is_no_terminal(self):
        process = self.fleet.start("drover", "queue", "ls", "--watch", "100ms")
        block = [process.read_line() for _ in range(3)]
        self.assertTrue(block[0].startswith("QUEUE"))
        self.assertEqual(block[2], "")
        self.assertEqual(process.read_line(), block[0])
        self.assertEqual(process.terminate(), 0)

    def test_watch_ends_when_nobody_reads(self):
        process = self.fleet.start("drover", "status", "--watch", "1h")
        process.read_line()
        process.process.stdout.close()
        self.assertIn(process.wait(), (0, 74))
        self.assertEqual(process.stderr(), "")

    def test_watch_draws_in_place_on_a_terminal(self):
        pid, terminal = pty.fork()
        if pid == 0:
            os.environ.update(self.fleet.environment())
            os.execv(os.path.join(BIN, "drover"), ["drover", "status", "--watch", "100ms"])
        seen = b""

        def drawn():
            nonlocal seen
            seen += os.read(terminal, 65536)
            return seen.count(b"\033[H") >= 3
        until(drawn, "three pictures")
        self.assertEqual(seen.count(b"\033[2J"), 1)
        os.write(terminal, b"\x03")
        while True:  # until the end of the terminal
            try:
                if not os.read(terminal, 65536):
                    break
            except OSError:
                break
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0)
        os.close(terminal)

    def test_watch_intervals_are_checked(self):
        self.assertIn("--watch", self.drover("status", "5s", code=64).stderr)
        self.assertIn("interval", self.drover("queue", "ls", "--watch", "soon", code=64).stderr)
        self.assertIn("interval", self.drover("status", "--watch", "1ms", code=64).stderr)
        self.assertIn("too much", self.drover("status", "--watch", "1s", "2s", code=64).stderr)
        self.assertIn("something is missing",
                      self.drover("worker", "show", "--watch", code=64).stderr)

    def test_watch_takes_its_interval_joined_to_it(self):
        for words, key in ((["status"], "broker"), (["ps", "one"], "processes"),
                           (["worker", "show", "one"], "details")):
            process = self.fleet.start("drover", "--json", *words, "--watch=100ms")
            for _ in range(2):
                self.assertIn(key, json.loads(process.read_line()))
            process.signal(signal.SIGINT)
            self.assertEqual(process.wait(), 0, words)
        self.assertIn("--watch: 'soon' is not a duration such as",
                      self.drover("status", "--watch=soon", code=64).stderr)
        self.assertIn("--watch: must be from 100ms to 1d",
                      self.drover("status", "--watch=1ms", code=64).stderr)
        self.assertIn("'2s'", self.drover("status", "--watch=1s", "2s", code=64).stderr)


class Outage(unittest.TestCase):
    def test_watch_says_so_and_goes_on_when_the_broker_is_back(self):
        with Fleet() as fleet:
            broker = fleet.broker()
            watch = fleet.start("drover", "--json", "status", "--watch", "100ms")
            first = json.loads(watch.read_line())["broker"]["id"]
            broker.kill()
            watch.until_log("the broker does not answer")
            fleet.broker()
            watch.until_log("the broker answers again")

            def other():
                return json.loads(watch.read_line())["broker"]["id"] != first
            until(other, "a document of the new broker")
            self.assertEqual(len(watch.stderr().splitlines()), 2)
            self.assertEqual(watch.terminate(), 0)

    def test_watch_can_be_ended_while_there_is_no_broker(self):
        with Fleet() as fleet:
            broker = fleet.broker()
            watch = fleet.start("drover", "status", "--watch", "100ms")
            watch.read_line()
            broker.kill()
            watch.until_log("the broker does not answer")
            watch.signal(signal.SIGINT)
            self.assertEqual(watch.wait(), 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)

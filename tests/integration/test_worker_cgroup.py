"""Limits of tasks by control groups (v2): a worker alone in a group that it may divide.

This needs a hierarchy of version 2 that has the controllers memory and pids, and root. Where
that is not so the worker says what is missing, which is looked at in any case; the rest is
skipped, loudly.
"""

import os
import sys
import unittest

from fleet import Fleet, module, test_module, until

MOUNTS = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
HOG = "b = []\nfor i in range(300): b.append(b'x' * 1000000)\nprint(len(b))"
FLEE = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(1000)
"""


def words(path):
    with open(path, encoding="ascii") as file:
        return file.read().split()


def find_parent():
    """The folder in which a group can be made, or why not."""
    why = "there is no hierarchy of version 2"
    for mount in MOUNTS:
        if not os.path.exists(f"{mount}/cgroup.controllers"):
            continue
        missing = {"memory", "pids"} - set(words(f"{mount}/cgroup.controllers"))
        if missing:
            why = f"{mount} has no controller {', '.join(sorted(missing))}"
        elif not os.access(f"{mount}/cgroup.subtree_control", os.W_OK):
            why = f"{mount} is not writable"
        elif not {"memory", "pids"} <= set(words(f"{mount}/cgroup.subtree_control")):
            why = f"{mount}/cgroup.subtree_control does not hand down memory and pids"
        else:
            return mount, ""
    return None, why


class Refusal(unittest.TestCase):

    def test_a_worker_that_must_have_groups_says_what_is_missing(self):
        """Beside others in its group no worker can divide it."""
        with Fleet() as fleet:
            fleet.broker()
            worker = fleet.worker("--cgroup", "require", ready=False)
            self.assertEqual(worker.wait(), 64)
            self.assertRegex(worker.stderr(), "--cgroup require: .*(group|root)")

    def test_a_worker_without_groups_says_so(self):
        with Fleet() as fleet:
            fleet.broker()
            worker = fleet.worker("--cgroup", "off", "--name", "plain")
            self.assertIn('msg="limits by rlimit and sampling" why="--cgroup off"',
                          worker.stderr())
            shown = fleet.json("worker", "show", "plain")["details"]["sandbox"]
            self.assertEqual((shown["limits"], shown["limits_why"]), ("rlimit", "--cgroup off"))
            self.assertRegex(fleet.drover("worker", "show", "plain").stdout,
                             r"limits +rlimit \(--cgroup off\)")
            task = fleet.submit("spin", "60000", "--limit", "cpu=50ms")
            attempt = fleet.until_state(task, "failed")["attempts"][0]
            self.assertEqual(attempt["limits_kept_by"], "rlimit")


class Groups(unittest.TestCase):

    def setUp(self):
        parent, why = find_parent()
        if parent is None:
            message = f"SKIPPED: control groups are not tried out here: {why}"
            print(message, file=sys.stderr)
            self.skipTest(message)
        self.group = f"{parent}/drover-test-{os.getpid()}"
        os.mkdir(self.group)
        self.addCleanup(self.clean)
        self.fleet = self.enterContext(Fleet())
        self.fleet.broker()
        self.worker = self.fleet.start(
            "drover-worker", "--cgroup", "require", "--name", "grouped", "--slots", "2", "--load",
            test_module("rough"), "--load", module("demo"),
            "--allow-exec", "python3",
            inside=("sh", "-c", f'echo $$ > {self.group}/cgroup.procs; exec "$0" "$@"'))
        self.worker.wait_ready()

    def clean(self):
        until(lambda: not words(f"{self.group}/cgroup.procs"), "the worker's group is empty")
        os.rmdir(self.group)

    def groups(self):
        return sorted(name for name in os.listdir(self.group) if name.startswith("drover-"))

    def expect_limit(self, task, code, text):
        shown = self.fleet.until_state(task, "failed")
        self.assertEqual((shown["error"]["kind"], shown["error"]["code"]), ("limit", code))
        self.assertIn(text, shown["error"]["text"])
        self.assertEqual(shown["attempts"][0]["limits_kept_by"], "cgroup")

    def test_limits_are_kept_by_groups(self):
        fleet = self.fleet
        sandbox = fleet.json("worker", "show", "grouped")["details"]["sandbox"]
        self.assertEqual(sandbox["limits"], "cgroup")
        self.assertIn("drover-agent", self.groups())
        # The kernel ends what grows beyond its memory, and nothing else.
        beside = fleet.submit("sleep", "600000")
        fleet.until_state(beside, "running")
        self.expect_limit(fleet.submit("hoard", "60000000", "--limit", "memory=40M"), "memory",
                          "the kernel ended it (cgroup)")
        command = '{"argv": ["python3", "-c", %s]}'
        quoted = '"' + HOG.replace("\n", "\\n") + '"'
        self.expect_limit(fleet.submit("exec:python3", command % quoted, "--limit",
                                       "memory=60M"), "memory", "the kernel ended it (cgroup)")
        self.expect_limit(fleet.submit("spin", "60000", "--limit", "cpu=100ms"), "cpu",
                          "(cgroup)")
        self.assertEqual(fleet.state(beside), "running")
        # Within its limits a command runs as ever; what it leaves behind is ended.
        quoted = '"' + FLEE.replace("\n", "\\n") + '"'
        done = fleet.submit("exec:python3", command % quoted, "--limit", "memory=60M")
        self.assertEqual(fleet.until_state(done, "succeeded")["attempts"][0]["limits_kept_by"],
                         "cgroup")
        fleet.drover("cancel", beside)
        # At the end all is as it was.
        self.assertEqual(self.worker.terminate(), 0)
        self.assertEqual(self.groups(), [])
        self.assertEqual(words(f"{self.group}/cgroup.subtree_control"), [])

    def test_what_an_earlier_life_left_is_cleared(self):
        self.worker.kill()
        until(lambda: not any(words(f"{self.group}/{name}/cgroup.procs")
                              for name in self.groups()), "all that it ran has ended")
        self.assertTrue(self.groups())
        with open(f"{self.group}/cgroup.subtree_control", "w", encoding="ascii") as control:
            control.write("-memory -pids")  # as who starts it anew has to
        again = self.fleet.start(
            "drover-worker", "--cgroup", "require", "--name", "again", "--slots", "1", "--load",
            test_module("rough"),
            inside=("sh", "-c", f'echo $$ > {self.group}/cgroup.procs; exec "$0" "$@"'))
        again.wait_ready()
        self.assertNotIn("drover-1", self.groups())
        self.assertEqual(again.terminate(), 0)
        self.assertEqual(self.groups(), [])


if __name__ == "__main__":
    unittest.main()

"""Which host gets a task, by the placement of its queue: workers on two hosts, which are one machine under two
names. Skipped (77), with the reason, where a name cannot be taken."""

import collections
import subprocess
import sys
import unittest

from fleet import Fleet, module, until

SKIPPED = 77
LONG_MS = 600000  # what is placed stays until it is cancelled
HOSTS = {"one": "ab", "two": "c"}  # workers by host; of two slots each


def named(host):
    """Words that run a command on a host of that name."""
    return ("unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', host)


class Placement(unittest.TestCase):
    def setUp(self):
        self.fleet = self.enterContext(Fleet())
        self.fleet.broker()
        for host, workers in HOSTS.items():
            for name in workers:
                self.fleet.start("drover-worker", "--load", module("demo"), "--name", name,
                                 "--slots", "2", inside=named(host)).wait_ready()

    def place(self, placement, count):
        """How many tasks each host has, when so many were placed one after the other."""
        self.fleet.drover("queue", "set", "front", "--placement", placement)
        tasks = []
        for _ in range(count):
            tasks.append(self.fleet.submit("sleep", str(LONG_MS), "--queue", "front"))
            until(lambda: self.fleet.json("show", tasks[-1])["state"] == "running", "it runs")
        hosts = collections.Counter(self.fleet.json("show", task)["host"]
                                    for task in tasks)
        self.fleet.drover("cancel", *tasks)
        until(lambda: self.fleet.status()["tasks"]["running"] == 0, "they have ended")
        return dict(hosts)

    def test_spread_takes_the_emptiest_host(self):
        self.assertEqual(self.place("spread", 2), {"one": 1, "two": 1})

    def test_pack_fills_a_host_before_it_takes_another(self):
        placed = self.place("pack", 2)
        self.assertEqual(list(placed.values()), [2])
        # As many as the larger host has slots: the first choice may be the smaller one, which is filled then.
        self.assertIn(self.place("pack", 4), ({"one": 4}, {"two": 2, "one": 2}))


if __name__ == "__main__":
    WHY = subprocess.run([*named("one"), "true"], capture_output=True, text=True, check=False)
    if WHY.returncode != 0:
        print(f"SKIPPED, no host of another name: {WHY.stderr.strip()}")
        sys.exit(SKIPPED)
    unittest.main(verbosity=2)

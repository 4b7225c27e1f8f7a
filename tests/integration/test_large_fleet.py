"""A fleet so large that heartbeats are spread and gathered: nobody is lost, nothing waits for that."""

import json
import os
import subprocess
import time
import unittest

from fleet import BIN, SCALE, Fleet, until

CROWD = os.path.join(os.path.dirname(BIN), "tests", "bench", "crowd")
WORKERS = 300  # each beats every three seconds while it holds nothing


class LargeFleet(unittest.TestCase):
    def test_idle_fleet_stays_and_takes_tasks_at_once(self):
        with Fleet(tcp=True) as fleet:
            fleet.broker()
            crowd = subprocess.Popen(
                [CROWD, "--endpoint", fleet.worker_endpoint, "--count", str(WORKERS)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            try:
                self.assertEqual(json.loads(crowd.stdout.readline())["event"], "all")
                before = {row["id"] for row in self.workers(fleet)}
                self.assertEqual(len(before), WORKERS)
                took = []

                def has_beaten():
                    begin = time.monotonic()
                    self.assertEqual(fleet.drover("submit", "crowd", "7", "--wait").stdout, "7\n")
                    took.append(time.monotonic() - begin)
                    return fleet.status()["broker"]["uptime_ms"] > 12000
                until(has_beaten, "all have beaten three times", 60)
                after = self.workers(fleet)
                self.assertEqual({row["id"] for row in after}, before)
                self.assertLess(max(row["heartbeat_age_ms"] for row in after), 9000 * SCALE)
                self.assertLess(sorted(took)[len(took) // 2], SCALE)
            finally:
                crowd.stdin.close()
                crowd.wait()
                crowd.stdout.close()

    def workers(self, fleet):
        return [row for row in fleet.json("worker", "ls")["workers"] if row["state"] == "connected"]


if __name__ == "__main__":
    unittest.main()

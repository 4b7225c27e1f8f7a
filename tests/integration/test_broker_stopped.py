"""A broker that stands still for a while, as on a machine that is suspended, and goes on."""

import signal
import time
import unittest

from fleet import Fleet, SCALE, until

LEASE = 0.6  # seconds


class Stopped(unittest.TestCase):
    def stand_still(self, broker, seconds):
        broker.signal(signal.SIGSTOP)
        broker.until_stopped()
        begin = time.monotonic()
        until(lambda: time.monotonic() - begin > seconds, "time passes")
        broker.signal(signal.SIGCONT)

    def test_stopped_broker_takes_no_work_away(self):
        with Fleet() as fleet:
            broker = fleet.broker("--heartbeat", f"{100 * SCALE}ms", "--lease",
                                  f"{int(1000 * LEASE) * SCALE}ms", "--reconnect-grace",
                                  f"{300 * SCALE}ms")
            for name in "abc":
                fleet.worker("--name", name, "--slots", "1")
            tasks = [fleet.submit("sleep", str(int(6000 * LEASE) * SCALE)) for _ in range(3)]
            for task in tasks:
                fleet.until_state(task, "running")
            self.stand_still(broker, 3 * LEASE * SCALE)
            for task in tasks:
                self.assertEqual(fleet.until_state(task, "succeeded")["attempt"], 1)
            self.assertIn("stood still", broker.stderr())
            self.assertEqual(fleet.status()["tasks"]["charged"], 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)

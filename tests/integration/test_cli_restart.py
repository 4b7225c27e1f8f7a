"""A command that waits while the broker is killed and started again, with the store in memory."""

import os
import subprocess
import unittest

from fleet import BIN, DEADLINE, SCALE, Fleet, until


class Restart(unittest.TestCase):
    def waiting(self, fleet, *arguments):
        return subprocess.Popen([os.path.join(BIN, "drover"), *arguments], text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                env=fleet.environment())

    def test_whoever_waits_is_told_that_the_task_is_lost(self):
        with Fleet() as fleet:
            broker = fleet.broker()
            submit = self.waiting(fleet, "submit", "nobody.offers.this", "1", "--wait")
            until(lambda: fleet.status()["tasks"]["queued"] == 1, "it is queued")
            broker.kill()
            fleet.broker()
            out, err = submit.communicate(timeout=DEADLINE * SCALE)
            self.assertEqual(submit.returncode, 1, err)
            self.assertIn("lost", out + err)


if __name__ == "__main__":
    unittest.main(verbosity=2)

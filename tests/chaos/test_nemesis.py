"""What the nemesis stands on: a process that is told dead can be waited for, and started again."""

import subprocess
import sys
import unittest

from fleet import is_alive

MANY = """
import threading
end = threading.Event()  # never comes
ballast = bytearray(1 << 26)
for _ in range(100):
    threading.Thread(target=end.wait).start()
print("up", flush=True)
end.wait()
"""


class Nemesis(unittest.TestCase):
    def test_who_is_no_longer_alive_can_be_waited_for(self):
        for _ in range(5):
            victim = subprocess.Popen([sys.executable, "-c", MANY], stdout=subprocess.PIPE)
            self.addCleanup(victim.wait)
            self.addCleanup(victim.stdout.close)
            self.assertEqual(victim.stdout.readline(), b"up\n")
            victim.kill()
            while is_alive(victim.pid):
                pass
            self.assertIsNotNone(victim.poll())


if __name__ == "__main__":
    unittest.main(verbosity=2)

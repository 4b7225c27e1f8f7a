"""A real broker on a disk that is full, read-only, fails or is slow.

Full and read-only disks are file systems of their own, in a mount namespace, which only root can
make; where that is not possible these tests are left out and say so. A disk that fails or is slow
is tests/shim/failing_disk.c.
"""

import errno
import os
import subprocess
import time
import unittest

from fleet import BIN, DEADLINE, SCALE, TEST_MODULES, Fleet

SHIM = os.path.join(TEST_MODULES, "failing_disk.so")
MIB = 1 << 20
ROOM = 330 * MIB   # a segment being written, the next one, the reserve, and some more
PIECE = 4 * MIB    # of payload
MOST = 60          # pieces: more than fit into two segments
SLOW = 2           # seconds of a sync


class Mount:
    """A small file system that nobody else sees."""

    def __init__(self, folder, size):
        self.folder = folder
        os.mkdir(folder)
        self.holder = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c",
             f'mount -t tmpfs -o size={size} none "$0" && echo mounted && read _', folder],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if self.holder.stdout.readline() != b"mounted\n":
            why = self.holder.stderr.read().decode().strip()
            self.close()
            raise unittest.SkipTest(f"no file system of our own can be made here: {why}")
        self.inside = ["nsenter", "--target", str(self.holder.pid), "--mount"]

    def close(self):
        self.holder.stdin.close()
        self.holder.wait()
        self.holder.stdout.close()
        self.holder.stderr.close()

    def path(self, name=""):
        """As seen from outside."""
        return f"/proc/{self.holder.pid}/root{self.folder}/{name}"

    def remount(self, option):
        subprocess.run([*self.inside, "mount", "-o", f"remount,{option}", self.folder],
                       check=True)

    def fill(self):
        """Takes all that is free; as a file to be removed."""
        stat = os.statvfs(self.path())
        with open(self.path("filler"), "wb") as file:
            os.posix_fallocate(file.fileno(), 0, stat.f_bavail * stat.f_frsize)

    def files(self):
        return {name: os.path.getsize(self.path(f"data/{name}"))
                for name in os.listdir(self.path("data"))}


class Disk(unittest.TestCase):
    def setUp(self):
        self.fleet = Fleet()
        self.addCleanup(self.fleet.__exit__, None, None, None)

    def broker(self, data, inside=(), **environment):
        return self.fleet.start(
            "drover-broker", "--data", data, "--bind", self.fleet.endpoint, "--bind-workers",
            self.fleet.worker_endpoint, "--lease", f"{SCALE}s", "--heartbeat",
            f"{100 * SCALE}ms", environment=environment, inside=inside)

    def mount(self, size):
        mount = Mount(self.fleet.path("disk"), size)
        self.addCleanup(mount.close)
        return mount, os.path.join(mount.folder, "data")

    def large(self):
        """The file of a payload."""
        path = self.fleet.path("payload")
        if not os.path.exists(path):
            with open(path, "wb") as file:
                file.write(os.urandom(PIECE))
        return path

    # ---- full and read-only ----

    def until_full(self):
        """Submits until that is refused; the acknowledged ids."""
        taken = []
        while len(taken) < MOST:
            done = self.fleet.drover("submit", "nobody.offers.this", "--raw", self.large(),
                                     "--busy-timeout", "0", check=False)
            if done.returncode == 75:
                self.assertIn("disk", done.stderr)
                return taken
            self.assertEqual(done.returncode, 0, done.stderr)
            taken.append(done.stdout.strip())
        self.fail("the disk never was full")

    def test_full_disk_refuses_submits_only_and_recovers_with_space(self):
        mount, data = self.mount(ROOM)
        broker = self.broker(data, mount.inside).wait_ready()
        first = self.fleet.submit("nobody.offers.this", "1")
        mount.fill()
        taken = self.until_full()
        broker.until_log("the disk is full")
        self.fleet.drover("cancel", first)
        self.assertEqual(self.fleet.state(first), "cancelled")
        os.remove(mount.path("filler"))
        broker.until_log("space on the disk again")
        last = self.fleet.submit("nobody.offers.this", "2")
        broker.kill()
        broker = self.broker(data, mount.inside).wait_ready()
        self.assertEqual(self.fleet.state(first), "cancelled")
        for task in [*taken, last]:
            self.assertEqual(self.fleet.state(task), "queued")

    def test_disk_without_room_for_a_new_store_is_said(self):
        mount, data = self.mount(20 * MIB)
        broker = self.broker(data, mount.inside)
        self.assertEqual(broker.wait(), 74)
        self.assertIn(os.strerror(errno.ENOSPC), broker.stderr())

    def test_full_disk_at_the_start_truncates_nothing(self):
        mount, data = self.mount(ROOM)
        broker = self.broker(data, mount.inside).wait_ready()
        task = self.fleet.submit("nobody.offers.this", "1")
        broker.kill()
        mount.fill()
        before = mount.files()
        broker = self.broker(data, mount.inside)
        line = broker.read_line()
        if line is None:
            self.assertEqual(broker.wait(), 74)
            self.assertIn(os.strerror(errno.ENOSPC), broker.stderr())
        else:
            # All that a start needs was there: it serves what it has.
            self.assertEqual(self.fleet.state(task), "queued")
            broker.kill()
        after = mount.files()
        self.assertEqual({name: after.get(name) for name in before}, before)
        os.remove(mount.path("filler"))
        self.broker(data, mount.inside).wait_ready()
        self.assertEqual(self.fleet.state(task), "queued")

    def test_read_only_disk_at_the_start_is_said(self):
        mount, data = self.mount(ROOM)
        broker = self.broker(data, mount.inside).wait_ready()
        task = self.fleet.submit("nobody.offers.this", "1")
        broker.kill()
        before = mount.files()
        mount.remount("ro")
        broker = self.broker(data, mount.inside)
        self.assertEqual(broker.wait(), 74)
        self.assertIn(os.strerror(errno.EROFS), broker.stderr())
        self.assertEqual(mount.files(), before)
        mount.remount("rw")
        self.broker(data, mount.inside).wait_ready()
        self.assertEqual(self.fleet.state(task), "queued")

    # ---- failing and slow ----

    def failing(self, *words):
        """From now on that is what the disk does; as a whole, since it is read all the time."""
        path = self.fleet.write("disk.new", " ".join(str(word) for word in words))
        os.rename(path, self.fleet.path("disk.does"))

    def preloaded(self):
        options = os.environ.get("ASAN_OPTIONS", "")
        return self.broker(self.fleet.path("data"), LD_PRELOAD=SHIM,
                           FAILING_DISK=self.fleet.path("disk.does"),
                           ASAN_OPTIONS=f"{options}:verify_asan_link_order=0")

    def until_failed(self, call):
        """A call of the disk fails under a submit: it is not acknowledged, and the broker ends."""
        broker = self.preloaded().wait_ready()
        kept = self.fleet.submit("square", "12")
        self.failing(call, errno.EIO)
        client = subprocess.Popen(
            [os.path.join(BIN, "drover"),
             "submit", "square", "13"], env=self.fleet.environment(), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual(broker.wait(), 74)
        self.assertIn("the data cannot be kept", broker.stderr())
        self.assertIn(os.strerror(errno.EIO), broker.stderr())
        self.assertIsNone(client.poll())
        broker = self.preloaded()
        self.assertEqual(broker.wait(), 74)  # it does not start on such a disk either
        self.failing(call, 0)
        self.preloaded().wait_ready()
        self.assertEqual(self.fleet.state(kept), "queued")
        out, err = client.communicate(timeout=DEADLINE * SCALE)
        self.assertEqual(client.returncode, 0, err)
        self.assertEqual(self.fleet.state(out.strip()), "queued")
        self.assertEqual(self.fleet.status()["tasks"]["submitted"], 2)

    def test_failed_sync_acknowledges_nothing_and_ends_the_broker(self):
        self.until_failed("sync")

    def test_failed_write_acknowledges_nothing_and_ends_the_broker(self):
        self.until_failed("write")

    def test_slow_sync_delays_answers_and_nothing_else(self):
        broker = self.preloaded().wait_ready()
        worker = self.fleet.worker("--slots", "1")
        running = self.fleet.submit("sleep", str(2 * SLOW * SCALE * 1000))
        self.fleet.until_state(running, "running")
        self.failing("sync", 0, SLOW * SCALE * 1000)
        begin = time.monotonic()
        task = self.fleet.submit("square", "12", "--durability", "synced")
        self.assertGreater(time.monotonic() - begin, SLOW * SCALE / 2)
        self.assertEqual(self.fleet.until_state(running, "succeeded")["attempt"], 1)
        self.failing("sync", 0)
        self.fleet.until_state(task, "succeeded")
        self.assertNotIn("worker lost", broker.stderr())
        self.assertNotIn("broker lost", worker.stderr())


if __name__ == "__main__":
    unittest.main(verbosity=2)

"""Commands that are kept to paths and limits by the worker's configuration file."""

import os
import subprocess
import unittest

from fleet import BIN, DEADLINE, SCALE, Fleet

PERSISTENT = r"""
import struct, sys, msgpack
while head := sys.stdin.buffer.read(4):
    request = msgpack.unpackb(sys.stdin.buffer.read(struct.unpack(">I", head)[0]))
    try:
        answer = open(request["payload"]).read()
    except OSError as problem:
        answer = problem.strerror
    body = msgpack.packb({"result": answer})
    sys.stdout.buffer.write(struct.pack(">I", len(body)) + body)
    sys.stdout.buffer.flush()
"""


class Confine(unittest.TestCase):
    def setUp(self):
        self.fleet = Fleet()
        self.addCleanup(self.fleet.__exit__, None, None, None)
        for name in ("in", "out", "secret"):
            os.mkdir(self.fleet.path(name))
        self.fleet.write("in/a", "inside")
        self.fleet.write("secret/a", "secret")

    def worker(self, handler, *arguments):
        path = self.fleet.write("worker.ini", "[handler.it]\n" + handler)
        return subprocess.run([os.path.join(BIN, "drover-worker"), "--config", path, *arguments],
                              capture_output=True, text=True, check=False,
                              timeout=DEADLINE * SCALE)

    def call(self, handler, payload="null"):
        return self.worker(handler, "--call", "it", payload)

    def paths(self, handler):
        """With what a program needs, and two folders; skips where the kernel has no Landlock."""
        text = f"{handler}\nstdin = none\nread = /usr {self.fleet.path('in')}\n" \
               f"write = {self.fleet.path('out')}\n"
        done = self.worker(text, "--check-config")
        if "no Landlock" in done.stderr:
            self.skipTest(done.stderr)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return text

    def quoted(self, name):
        return f'"{self.fleet.path(name)}"'

    def succeeds(self, done, result):
        self.assertEqual((done.returncode, done.stdout.strip()), (0, result), done.stderr)

    # ---- paths ----

    def test_only_named_paths_can_be_read(self):
        handler = self.paths("command = /usr/bin/cat -- {}")
        self.succeeds(self.call(handler, self.quoted("in/a")), '"inside"')
        for name in ("secret/a", "in/../secret/a"):
            done = self.call(handler, self.quoted(name))
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertIn("Permission denied", done.stderr)

    def test_only_named_paths_can_be_changed(self):
        handler = self.paths("command = /usr/bin/truncate -s 3 -- {}")
        self.succeeds(self.call(handler, self.quoted("out/new")), '""')
        self.assertEqual(os.path.getsize(self.fleet.path("out/new")), 3)
        for name in ("in/a", "in/new", "secret/a"):
            self.assertEqual(self.call(handler, self.quoted(name)).returncode, 1, name)
        self.assertEqual(os.path.getsize(self.fleet.path("in/a")), len("inside"))
        self.assertEqual(os.listdir(self.fleet.path("in")), ["a"])

    def test_fresh_directory_and_devices_can_be_used(self):
        handler = self.paths("command = /usr/bin/sh -c\n"
                             "argument = printf one >file && cat file >/dev/null && cat file")
        self.succeeds(self.call(handler), '"one"')

    def test_links_and_descendants_lead_nowhere(self):
        secret = self.fleet.path("secret/a")
        for script in (f"ln -s {secret} link && cat link", f"sh -c 'cat {secret}'",
                       f"setsid cat {secret}", f"mv {self.fleet.path('in')}/a ."):
            handler = self.paths("command = /usr/bin/sh -c\nargument = " + script)
            self.assertEqual(self.call(handler).returncode, 1, script)
        self.assertEqual(os.listdir(self.fleet.path("in")), ["a"])

    def test_program_that_is_not_named_does_not_start(self):
        program = self.fleet.write("secret/program", "#!/usr/bin/sh\necho ran\n")
        os.chmod(program, 0o755)
        done = self.call(self.paths(f"command = {program}"))
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("Permission denied", done.stderr)

    def test_command_that_stays_is_kept_to_them_too(self):
        program = self.fleet.write("in/stay.py", PERSISTENT)
        handler = self.paths(f"command = /usr/bin/python3 {program}\npersist = yes")
        self.succeeds(self.call(handler, self.quoted("in/a")), '"inside"')
        self.succeeds(self.call(handler, self.quoted("secret/a")), '"Permission denied"')

    # ---- limits ----

    def test_limits_hold_for_the_command(self):
        for key, value, flag, shown in (("limit-files", "20", "n", "20"),
                                        ("limit-memory", "64M", "v", "65536"),
                                        ("limit-cpu", "1500ms", "t", "2"),
                                        ("limit-file-size", "1M", "f", "2048")):
            done = self.call(f"command = /bin/sh -c 'ulimit -{flag}'\nstdout = text\n"
                             f"{key} = {value}\n")
            self.succeeds(done, f'"{shown}"')

    def test_file_beyond_its_size_ends_the_command(self):
        done = self.call("command = /usr/bin/dd if=/dev/zero of=file bs=1M count=2 status=none\n"
                         "limit-file-size = 1M\n")
        self.assertEqual(done.returncode, 1)
        self.assertIn("SIGXFSZ", done.stderr)

    def test_worker_s_log_says_what_is_on(self):
        self.fleet.broker()
        path = self.fleet.write("worker.ini", "[handler.it]\ncommand = /bin/true\n"
                                "limit-files = 20\n[handler.free]\ncommand = /bin/true\n")
        worker = self.fleet.worker("--config", path)
        worker.until_log('msg="handler confined" type=it')
        self.assertIn("limit_files=20", worker.stderr())
        self.assertNotIn("type=free", worker.stderr())

    # ---- what makes no sense ----

    def test_what_cannot_be_kept_is_refused_at_the_start(self):
        for line, why in (("read = usr", "no absolute path"), ("write = /not/there", "is there"),
                          ("limit-files = 2", "from 8"), ("limit-memory = much", "is a size"),
                          ("limit-cpu = 0s", "is a time"), ("limit-file-size = 0", "is a size")):
            done = self.worker(f"command = /bin/true\n{line}\n", "--check-config")
            self.assertEqual(done.returncode, 64, line)
            self.assertTrue(why in done.stderr or "no Landlock" in done.stderr, done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)

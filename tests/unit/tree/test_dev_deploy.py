"""./dev deploy where nothing can be installed: it goes on to the tests, which say what they skip.

A copy of ./dev runs as a user without rights, with commands in place of the real ones that write
down that they were called; all packages are there but those that only these tests want."""

import os
import shutil
import subprocess
import tempfile
import unittest

SOURCE = os.environ.get("DROVER_SOURCE_DIR", ".")
NOBODY = 65534


class DevDeploy(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="drover-dev-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        shutil.copy(os.path.join(SOURCE, "dev"), self.folder)
        os.mkdir(os.path.join(self.folder, "bin"))
        for name in ("bash", "dirname", "readlink"):
            os.symlink(shutil.which(name), os.path.join(self.folder, "bin", name))
        for name in ("cmake", "ctest", "apt-get"):
            self.fake(name)
        self.fake("dpkg-query", 'case "$4" in docker.io | debootstrap) ;; *) echo installed ;; esac')

    def fake(self, name, does='echo "${0##*/} $*"'):
        path = os.path.join(self.folder, "bin", name)
        with open(path, "w", encoding="ascii") as file:
            file.write(f"#!/bin/bash\n{does}\n")
        os.chmod(path, 0o755)

    def dev(self, *words):
        """The commands that it called, as somebody who is not root."""
        mine = os.geteuid() != 0
        os.chmod(self.folder, 0o755)
        done = subprocess.run(
            [os.path.join(self.folder, "bin/bash"), os.path.join(self.folder, "dev"), *words],
            capture_output=True, text=True, check=False, cwd="/",
            env={"PATH": os.path.join(self.folder, "bin")},
            **({} if mine else {"user": NOBODY, "group": NOBODY, "extra_groups": []}))
        self.assertEqual(done.returncode, 0, done.stderr)
        return [line.split()[0] for line in done.stdout.splitlines()]

    def test_without_rights_the_tests_are_asked_all_the_same(self):
        self.assertEqual(self.dev("deploy"), ["cmake", "ctest"])

    def test_with_sudo_what_is_missing_is_installed(self):
        self.fake("sudo", 'echo "sudo $*"')
        self.assertEqual(self.dev("packages"), ["sudo", "sudo", "cmake", "ctest"])


if __name__ == "__main__":
    unittest.main(verbosity=2)

"""systemd itself, as the first process of name spaces of its own, in a tree of debian.py.

    why = booted.why_not()               # why there can be none here, in words; None: there can
    with booted.System(tree) as system:  # systemd must be installed in the tree
        system.run("systemctl", "start", "drover-broker")

It has the network of this machine, processes, mounts and control groups of its own, and devices
that hurt nobody. /proc/sys is read-only there, so that nothing is set for this machine.
"""

import os
import subprocess
import sys
import tempfile
import time

from fleet import SCALE, until

START_S = 60
CGROUP2 = ("/sys/fs/cgroup/unified", "/sys/fs/cgroup")
UNSHARE = ("unshare", "--cgroup", "--pid", "--fork", "--kill-child", "--mount", "--uts", "--ipc",
           "--propagation", "private")
# In the new name spaces, with the tree's root; the last word is process 1.
BOOT = r"""
set -e
root=$1
mount -t proc proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
for place in run tmp dev; do mount -t tmpfs -o mode=755 tmpfs "$root/$place"; done
chmod 1777 "$root/tmp"
for name in null zero full random urandom tty; do
    touch "$root/dev/$name"
    mount --bind "/dev/$name" "$root/dev/$name"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
cd "$root" # not chroot: who is in one may make no name space of users
pivot_root . .
umount -l .
exec /usr/bin/env -i container=drover-test PATH=/usr/sbin:/usr/bin \
    /lib/systemd/systemd --log-target=journal --show-status=false </dev/null
"""


def groups():
    """The mount point of the second version of control groups; None: there is none."""
    for path in CGROUP2:
        told = subprocess.run(["stat", "-f", "-c", "%T", path], capture_output=True, text=True,
                              check=False)
        if told.stdout.strip() == "cgroup2fs":
            return path
    return None


def why_not():
    if os.geteuid() != 0:
        return "systemd needs root"
    if groups() is None:
        return "there are no control groups of the second version for systemd"
    done = subprocess.run([*UNSHARE, "true"], capture_output=True, text=True, check=False)
    return f"systemd needs name spaces: {done.stderr.strip()}" if done.returncode != 0 else None


class System:
    """It runs from here on, and is ended with all that it started."""

    def __init__(self, tree):
        self.tree = tree
        self.group = tempfile.mkdtemp(prefix="drover-test-", dir=groups())
        self.log = open(os.path.join(tree.folder, "systemd.log"), "w+b")
        self.process = self.first = None
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    def start(self):
        # It enters its group before it has a name space of groups, of which that is the root.
        enter = 'echo $$ >"$0/cgroup.procs"; exec "$@"'
        self.process = subprocess.Popen(
            ["sh", "-c", enter, self.group, *UNSHARE, "sh", "-c", BOOT, "sh", self.tree.root],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        until(self.is_up, "systemd is up", START_S)

    def is_up(self):
        if self.process.poll() is not None:
            raise OSError(f"systemd ended with {self.process.returncode}: {self.said()}")
        path = f"/proc/{self.process.pid}/task/{self.process.pid}/children"
        with open(path, encoding="ascii") as file:
            children = file.read().split()
        if not children:
            return False
        self.first = children[0]
        return self.run("systemctl", "is-system-running", check=False).stdout.strip() in (
            "running", "degraded")

    def said(self):
        self.log.seek(0)
        return self.log.read().decode("utf-8", "replace")[-3000:]

    def run(self, *words, check=True):
        """Runs a command in there; AssertionError with what it said when it fails."""
        done = subprocess.run(
            ["nsenter", "--target", self.first, "--mount", "--pid", "--cgroup", "--uts", "--ipc",
             "--root", "--wd", "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C",
             "DEBIAN_FRONTEND=noninteractive", *words],
            capture_output=True, text=True, check=False, timeout=300 * SCALE)
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(words)}: exit {done.returncode}\n"
                                 f"{done.stdout[-3000:]}{done.stderr[-3000:]}")
        return done

    def show(self, unit, key):
        """A property of a unit."""
        return self.run("systemctl", "show", "--value", "--property", key, unit).stdout.strip()

    def journal(self, unit):
        return self.run("journalctl", "--unit", unit, "--output", "cat", "--no-pager").stdout

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None:
            told = self.run("journalctl", "--no-pager", "--lines", "60", "--unit", "drover-*",
                            check=False)
            sys.stderr.write(self.said() + told.stdout + told.stderr)
        self.close()

    def close(self):
        if self.process is not None:
            self.process.kill()  # unshare, and with it the first process, and with that all others
            self.process.wait()
        self.log.close()
        deadline = time.monotonic() + 10 * SCALE
        for folder, _, _ in os.walk(self.group, topdown=False):
            until(lambda folder=folder: removed(folder), f"{folder} is empty",
                  max(1, deadline - time.monotonic()))


def removed(folder):
    try:
        os.rmdir(folder)
    except OSError:
        return False
    return True

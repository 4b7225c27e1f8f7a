"""A small Debian 12, made once by debootstrap and kept outside of the tree.

    why = debian.why_not()               # why there can be none here, in words; None: there can
    folder = debian.base()               # its root directory, to be read only
    debian.own_mounts()                  # first of all, where there will be a tree
    with debian.Tree() as tree:          # a copy-on-write tree over it, which may be changed
        tree.run("apt-get", "install", ...)

It is kept in $DROVER_TEST_CACHE, else in drover-tests below $XDG_CACHE_HOME or ~/.cache; remove
that folder to have it made anew. Making it takes a minute or two and a mirror of Debian.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile

SUITE = "bookworm"


def cache(*names):
    """A path in the folder of what is kept from run to run; the folder is made if missing."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    folder = os.environ.get("DROVER_TEST_CACHE") or os.path.join(home, "drover-tests")
    os.makedirs(folder, exist_ok=True)
    return os.path.join(folder, *names)


class Lock:
    """One process at a time works on something in the cache."""

    def __init__(self, name):
        self.file = open(cache(name + ".lock"), "w", encoding="ascii")

    def __enter__(self):
        fcntl.flock(self.file, fcntl.LOCK_EX)

    def __exit__(self, *exception):
        self.file.close()


def why_not():
    if os.geteuid() != 0:
        return "debootstrap needs root"
    if not os.path.isdir(cache("base")) and shutil.which("debootstrap") is None:
        return "debootstrap is not installed (./dev deps deploy)"
    return None


def base():
    """The root directory; OSError with what debootstrap said when there can be none."""
    with Lock("base"):
        folder = cache("base")
        if os.path.isdir(folder):
            return folder
        part = tempfile.mkdtemp(prefix="base-", dir=cache())
        try:
            # As in the images of Debian: what is not to outlive a crash need not wait for disks.
            settings = os.path.join(part, "etc", "dpkg", "dpkg.cfg.d")
            os.makedirs(settings)
            with open(os.path.join(settings, "unsafe-io"), "w", encoding="ascii") as file:
                file.write("force-unsafe-io\n")
            done = subprocess.run(["debootstrap", "--variant=minbase", SUITE, part], text=True,
                                  capture_output=True, check=False)
            if done.returncode != 0:
                raise OSError("debootstrap: " + (done.stdout + done.stderr)[-2000:])
            for waste in ("var/cache/apt/archives", "var/lib/apt/lists"):
                shutil.rmtree(os.path.join(part, waste))
                os.makedirs(os.path.join(part, waste, "partial"))
            os.chmod(part, 0o755)
            os.rename(part, folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
        return folder


def own_mounts():
    """Goes on in a mount name space of its own, so that mounts end with this process. OSError
    when there can be none."""
    words = ["unshare", "--mount", "--propagation", "private"]
    if os.environ.get("DROVER_TEST_OWN_MOUNTS") is None:
        done = subprocess.run([*words, "true"], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise OSError(done.stderr)
        os.environ["DROVER_TEST_OWN_MOUNTS"] = "yes"
        os.execvp(words[0], [*words, sys.executable, *sys.argv])


class Tree:
    """A tree over base() with /proc, /dev and the network of this machine."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="drover-tree-")
        self.root = os.path.join(self.folder, "root")
        self.mounts = []
        try:
            self.build()
        except BaseException:
            self.close()
            raise

    def build(self):
        below = base()
        # The cache's file system, since one that is an overlay itself cannot hold the changes.
        self.changes = tempfile.mkdtemp(prefix="changes-", dir=cache())
        for name in ("upper", "work"):
            os.mkdir(os.path.join(self.changes, name))
        os.mkdir(self.root)
        self.mount("-t", "overlay", "overlay", "-o",
                   f"lowerdir={below},upperdir={self.changes}/upper,workdir={self.changes}/work",
                   self.root)
        self.mount("-t", "proc", "proc", self.path("/proc"))
        self.mount("--bind", "/dev", self.path("/dev"))
        for name in ("/etc/resolv.conf", "/etc/hosts"):
            shutil.copy(name, self.path(name))
        self.write("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755)

    def mount(self, *words):
        subprocess.run(["mount", *words], check=True)
        self.mounts.append(words[-1])

    def path(self, name):
        return self.root + name

    def write(self, name, text, mode=0o644):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(self.path(name), mode)

    def read(self, name):
        with open(self.path(name), encoding="utf-8") as file:
            return file.read()

    def inside(self, *words, user=None):
        """Words that run a command in the tree."""
        as_user = ["--userspec", user] if user else []
        return ["chroot", *as_user, self.root, *words]

    def run(self, *words, user=None, check=True, **options):
        """Runs a command in the tree; AssertionError with what it said when it fails."""
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive",
                       "LC_ALL": "C", **options.pop("environment", {})}
        done = subprocess.run(self.inside(*words, user=user), capture_output=True, text=True,
                              check=False, env=environment, **options)
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(words)}: exit {done.returncode}\n"
                                 f"{done.stdout[-3000:]}{done.stderr[-3000:]}")
        return done

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def close(self):
        for place in reversed(self.mounts):
            # Whoever still holds something there (an executor whose worker was killed) is leaving.
            subprocess.run(["umount", "--lazy", place], check=False)
        self.mounts = []
        if not os.path.ismount(self.root):
            shutil.rmtree(self.folder, ignore_errors=True)
            shutil.rmtree(getattr(self, "changes", ""), ignore_errors=True)

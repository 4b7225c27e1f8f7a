"""The Debian packages: built, installed into a Debian that has nothing else, used, taken away.

The Debian is one of debootstrap's making (debian.py), with a copy-on-write tree over it in which
this test changes what it likes; its mounts end with this process. The network is this machine's.
The Debian is made while the compiler works. Where there can be none the packages are built and
looked at all the same, and the rest is said to be skipped.
"""

import concurrent.futures
import contextlib
import glob
import os
import re
import shutil
import subprocess
import sys
import time
import unittest

import debian
from fleet import Program

SOURCE = os.environ.get("DROVER_SOURCE_DIR", os.getcwd())
BUILD = os.path.join(SOURCE, "build", "package")
PACKAGES = ("drover-broker", "drover-client", "drover-worker", "libdrover-dev", "libdrover0")
PAPERS = {"drover-broker": ["SECURITY.md"], "drover-worker": ["README.md"]}
SERVICES = ("broker", "worker")
SERVICE_CONFIG = {  # what an operator writes; free ports, so that nothing is disturbed
    "broker": "[broker]\nbind = tcp://127.0.0.1:*\nbind-workers = tcp://127.0.0.1:*\nhttp = off\n",
    "worker": "[worker]\nbroker = ENDPOINT\nname = one\n"
              "load = MODULES/demo.so\n[handler.wordcount]\ncommand = wc -w\nstdin = text\n"
              "stdout = json\n"}


def say(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def run(*words, **options):
    done = subprocess.run(words, capture_output=True, text=True, check=False, **options)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(words)}: exit {done.returncode}\n"
                             f"{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return done.stdout


def build():
    """Paths of the packages, made anew; their programs are in BUILD/bin."""
    begin = time.monotonic()
    for path in glob.glob(os.path.join(BUILD, "*.deb")):
        os.unlink(path)
    run("cmake", "--preset", "package", cwd=SOURCE)
    run("cmake", "--build", "--preset", "package", cwd=SOURCE)
    say(f"compiled after {time.monotonic() - begin:.0f} s")
    run("cpack", cwd=BUILD)
    packages = sorted(glob.glob(os.path.join(BUILD, "*.deb")))
    say(f"packed after {time.monotonic() - begin:.0f} s: " + ", ".join(
        f"{os.path.basename(path)} {os.path.getsize(path) >> 10} KiB" for path in packages))
    return packages


class Story(unittest.TestCase):
    packages = []  # paths
    why_not = None  # they cannot be installed here, in words

    def test_packages_install_serve_and_leave_nothing(self):
        self.are_well_made()
        if self.why_not is not None:
            return
        with debian.Tree() as self.tree, contextlib.ExitStack() as self.programs:
            self.install()
            self.serve()
            self.keep_configuration()
            self.build_against()
            self.remove()

    # ---- the chapters ----

    def are_well_made(self):
        for path in self.packages:
            fields = dict(line.split(": ", 1) for line in
                          run("dpkg-deb", "-f", path).split("\n") if re.match(r"[\w-]+: ", line))
            name = fields["Package"]
            self.assertIn(name, PACKAGES)
            self.assertLess(len(fields["Description"]), 60)
            self.assertNotIn("drover", fields["Description"])
            if name != "libdrover-dev":
                self.assertRegex(fields["Depends"], r"libc6 \(>= ")
                self.assertRegex(fields["Depends"], r"libzmq5 \(>= ")
            if name == "libdrover0":
                self.assertRegex(run("dpkg-deb", "-I", path, "shlibs"),
                                 r"\Alibdrover 0 libdrover0 \(>= \S+\)\n\Z")
            listing = run("dpkg-deb", "-c", path)
            for paper in ("copyright", "changelog", *PAPERS.get(name, [])):
                self.assertIn(f"./usr/share/doc/{name}/{paper}\n", listing)
            self.assertNotIn("/usr/local", listing)
            for line in listing.splitlines():
                self.assertEqual(line.split()[1], "root/root", line)
        self.assertEqual(len(self.packages), len(PACKAGES))

    def install(self):
        begin = time.monotonic()
        self.tree.run("apt-get", "update", "-q")
        for path in self.packages:
            shutil.copy(path, self.tree.path("/tmp"))
        # Some, then all: nobody needs the development files to run a broker.
        files = {name: f"/tmp/{os.path.basename(path)}" for path in self.packages
                 for name in PACKAGES if os.path.basename(path).startswith(name + "_")}
        self.files = files
        for names in (("drover-broker", "drover-client"), PACKAGES):
            self.tree.run("apt-get", "install", "-q", "-y", "--no-install-recommends",
                          *(files[name] for name in names))
        self.assertEqual(self.tree.run("dpkg", "--audit").stdout, "")
        for user, home in (("drover", "/var/lib/drover"),
                           ("drover-worker", "/var/lib/drover-worker")):
            self.assertIn(f":{home}:", self.tree.run("getent", "passwd", user).stdout)
        say(f"installed after {time.monotonic() - begin:.0f} s")

    def start(self, service):
        """The service as its unit starts it: user, directories, command."""
        unit = self.tree.read(f"/usr/lib/systemd/system/drover-{service}.service")
        keys = dict(re.findall(r"(?m)^(\w+)=(.*)$", unit))
        data = f"/var/lib/{keys['StateDirectory']}"
        folders = [data, *(f"/run/{name}" for name in keys.get("RuntimeDirectory", "").split())]
        for folder in folders:
            os.makedirs(self.tree.path(folder), exist_ok=True)
            self.tree.run("chown", f"{keys['User']}:{keys['Group']}", folder)
        self.tree.run("chmod", keys.get("StateDirectoryMode", "0755"), data)
        # Program puts a folder before the name of the program, which env can take.
        words = self.tree.inside("/usr/bin/env", "-i", "PATH=/usr/bin:/bin", f"STATE_DIRECTORY={data}",
                                 *keys["ExecStart"].split(), user=f"{keys['User']}:{keys['Group']}")
        program = Program(shutil.which("env"), words, self.tree.folder)
        self.programs.callback(program.close)
        return program.wait_ready()

    def configure(self, service, endpoint=""):
        module = self.tree.run("sh", "-c", "ls /usr/lib/*/drover/modules/demo.so").stdout.strip()
        text = SERVICE_CONFIG[service].replace("MODULES/demo.so", module)
        self.tree.write(f"/etc/drover/{service}.ini", text.replace("ENDPOINT", endpoint))

    def drover(self, *words):
        return self.tree.run("drover", "--broker", self.endpoint, *words,
                             user="nobody:nogroup").stdout.strip()

    def serve(self):
        self.configure("broker")
        broker = self.start("broker")
        self.endpoint = broker.ready["endpoint"]
        self.configure("worker", broker.ready["worker_endpoint"])
        worker = self.start("worker")
        self.assertEqual(self.drover("submit", "square", "5", "--wait"), "25")
        self.assertEqual(self.drover("submit", "wordcount", '"how many words"', "--wait"), "3")
        owner = os.stat(self.tree.path("/var/lib/drover"))
        user = self.tree.run("id", "-u", "drover").stdout.strip()
        self.assertEqual((owner.st_mode & 0o777, str(owner.st_uid)), (0o700, user))
        self.assertNotEqual(os.listdir(self.tree.path("/var/lib/drover")), [])
        self.assertEqual([program.terminate(60) for program in (worker, broker)], [0, 0])
        say("a broker, a worker and a client of the packages worked together")

    def keep_configuration(self):
        """Installing again keeps what the operator wrote, and the data."""
        before = sorted(os.listdir(self.tree.path("/var/lib/drover")))
        self.tree.run("dpkg", "-i", *(self.files[name] for name in PACKAGES))
        for service in SERVICES:
            self.assertIn("127.0.0.1:", self.tree.read(f"/etc/drover/{service}.ini"))
            self.assertNotIn("--check-config", self.tree.read(f"/etc/drover/{service}.ini"))
        self.assertEqual(sorted(os.listdir(self.tree.path("/var/lib/drover"))), before)

    def build_against(self):
        """tests/consumer, by the compiler of this machine, against the tree's headers and library."""
        work = os.path.join(self.tree.folder, "consumer")
        usr = self.tree.path("/usr")
        pc = glob.glob(usr + "/lib/*/pkgconfig/drover.pc")
        self.assertEqual(len(pc), 1)
        source = os.path.join(SOURCE, "tests", "consumer")
        run("cmake", "-G", "Ninja", "-S", source, "-B", work, f"-Ddrover_ROOT={usr}",
            f"-DINCLUDE_DIR={usr}/include", f"-DEXAMPLES={SOURCE}/client/examples",
            env={**os.environ, "PKG_CONFIG_PATH": os.path.dirname(pc[0])})
        run("cmake", "--build", work)
        for name in ("consumer_c", "consumer_cxx", "consumer_pc"):
            self.assertIn(usr, run("ldd", os.path.join(work, name)))
            run(os.path.join(work, name))
        say("programs in C and C++ were built against the packages")

    def remove(self):
        self.tree.run("apt-get", "remove", "-q", "-y", *PACKAGES)
        self.assertTrue(os.path.exists(self.tree.path("/var/lib/drover")))
        self.assertTrue(os.path.exists(self.tree.path("/etc/drover/broker.ini")))
        self.tree.run("apt-get", "purge", "-q", "-y", *PACKAGES)
        left = self.tree.run("find", "/etc", "/usr", "/var", "-iname", "*drover*")
        self.assertEqual(left.stdout, "")
        say("purged: nothing is left but the users")


def make_base():
    """Why there can be no Debian to install into, in words; None: it is there."""
    try:
        begin = time.monotonic()
        debian.base()
        say(f"a Debian was there after {time.monotonic() - begin:.0f} s")
        with debian.Tree() as tree:
            tree.run("true")
    except (OSError, subprocess.SubprocessError, AssertionError) as problem:
        return f"a Debian to install into cannot be made here: {problem}"
    return None


def main():
    why = debian.why_not()
    if why is None:
        try:
            debian.own_mounts()
        except OSError as problem:
            why = f"mounts cannot be made here: {problem}"
    with concurrent.futures.ThreadPoolExecutor() as pool:
        base = pool.submit(make_base) if why is None else None
        Story.packages = build()
        Story.why_not = why if base is None else base.result()
    done = unittest.main(verbosity=2, exit=False)
    if not done.result.wasSuccessful():
        sys.exit(1)
    if Story.why_not is not None:
        print(f"SKIPPED, the packages were built and not installed: {Story.why_not}", flush=True)
        sys.exit(77)


if __name__ == "__main__":
    main()

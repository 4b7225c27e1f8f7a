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

import booted
import debian
from fleet import Program, until

SOURCE = os.environ.get("DROVER_SOURCE_DIR", os.getcwd())
BUILD = os.path.join(SOURCE, "build", "package")
PACKAGES = ("drover-broker", "drover-client", "drover-worker", "libdrover-dev", "libdrover0")
PAPERS = {"drover-broker": ["SECURITY.md"], "drover-worker": ["README.md"]}
SERVICES = ("broker", "worker")
UNITS = ("drover-broker", "drover-worker")
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
    why_not_booted = None  # there can be no systemd here, in words

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

    def test_services_live_under_systemd(self):
        if self.why_not or self.why_not_booted:
            return
        with debian.Tree() as self.tree:
            begin = time.monotonic()
            self.tree.run("apt-get", "update", "-q")
            self.tree.run("apt-get", "install", "-q", "-y", "--no-install-recommends", "systemd")
            with booted.System(self.tree) as self.system:
                say(f"systemd was up after {time.monotonic() - begin:.0f} s")
                self.install_booted()
                self.serve_booted()
                self.reload_booted()
                self.upgrade_booted()
                self.remove_booted()

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


    # ---- the chapters under systemd ----

    def install_booted(self):
        os.makedirs(self.tree.path("/root/packages"))
        for path in self.packages:
            shutil.copy(path, self.tree.path("/root/packages"))
        names = ("drover-broker", "drover-client", "drover-worker")
        self.files = [f"/root/packages/{os.path.basename(path)}" for path in self.packages
                      if os.path.basename(path).startswith(names)]
        self.system.run("apt-get", "install", "-q", "-y", "--no-install-recommends", *self.files)
        for unit in (*UNITS, "drover-worker@two"):  # nothing starts before it is told what to do
            self.assertEqual(self.system.show(unit, "ActiveState"), "inactive")

    def keys(self, *accounts):
        """The table of accounts; each has the key pair /etc/drover/NAME.key."""
        table = []
        for name, role in accounts:
            if not os.path.exists(self.tree.path(f"/etc/drover/{name}.key")):
                line = self.system.run("drover", "keygen", name, "--role", role, "--out",
                                       "/etc/drover").stdout
                self.tree.write(f"/etc/drover/{name}.line", line)
            table.append(self.tree.read(f"/etc/drover/{name}.line"))
        self.tree.write("/etc/drover/accounts", "".join(table))

    def ask(self, name, *words, check=True):
        return self.system.run(
            "drover", "--broker", self.endpoint, "--identity", f"/etc/drover/{name}.key",
            "--broker-key", "/etc/drover/broker.pub", *words, check=check)

    def serve_booted(self):
        """The broker is up when it serves; workers are, and say in their status whom they serve."""
        self.system.run("drover", "keygen", "broker", "--role", "broker", "--out", "/etc/drover")
        self.keys(("boss", "admin"), ("alice", "submit"), ("fleet", "work"))
        self.system.run("chown", "drover:", "/etc/drover/broker.key")
        self.system.run("chown", "drover-worker:", "/etc/drover/fleet.key")
        self.tree.write("/etc/drover/broker.ini", SERVICE_CONFIG["broker"] +
                        "identity = /etc/drover/broker.key\naccounts = /etc/drover/accounts\n")
        self.system.run("systemctl", "enable", "--now", "drover-broker")
        status = self.system.show("drover-broker", "StatusText")
        found = re.fullmatch(r"serving: clients at (\S+), workers at (\S+), page off", status)
        self.assertIsNotNone(found, status)
        self.endpoint = found[1]
        for unit, file, name in (("drover-worker", "worker", "one"),
                                 ("drover-worker@two", "worker-two", "two")):
            self.configure("worker", found[2])
            text = self.tree.read("/etc/drover/worker.ini").replace("name = one", f"name = {name}\n"
                "allow-exec = sh\nidentity = /etc/drover/fleet.key\nbroker-key = /etc/drover/broker.pub")
            self.tree.write(f"/etc/drover/{file}.ini", text)
            self.system.run("systemctl", "enable", "--now", unit)
            until(lambda unit=unit, name=name:
                  self.system.show(unit, "StatusText") == f"serving as {name}",
                  f"{unit} says whom it serves", 30)
        self.assertEqual(self.ask("alice", "submit", "square", "5", "--wait").stdout, "25\n")
        told = self.ask("boss", "worker", "ls").stdout
        self.assertIn("one", told)
        self.assertIn("two", told)
        key = self.tree.read("/etc/drover/fleet.key")
        for words in (": >/etc/drover/fleet.key", "rm -f /etc/drover/fleet.key"):
            done = self.ask("alice", "run", "--", "sh", "-c", words, check=False)
            self.assertNotEqual(done.returncode, 0, words)
            self.assertIn("Read-only file system", done.stderr)
        self.assertEqual(self.tree.read("/etc/drover/fleet.key"), key)
        say("broker and workers are served by systemd")

    def main_pid(self, unit):
        return self.system.show(unit, "MainPID")

    def reload_booted(self):
        """ExecReload: a mistake in the table fails the reload and changes nothing; a table without
        a key cuts it off; neither is a restart."""
        before = self.main_pid("drover-broker")
        self.tree.write("/etc/drover/accounts", self.tree.read("/etc/drover/accounts") + "key ?\n")
        done = self.system.run("systemctl", "reload", "drover-broker", check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertRegex(self.system.journal("drover-broker"), r"/etc/drover/accounts:\d+: ")
        self.assertEqual(self.system.show("drover-broker", "ActiveState"), "active")
        self.assertEqual(self.ask("alice", "submit", "square", "6", "--wait").stdout, "36\n")
        self.keys(("boss", "admin"), ("fleet", "work"))
        self.system.run("systemctl", "reload", "drover-broker")
        until(lambda: self.ask("alice", "submit", "square", "7", check=False).returncode == 77,
              "a key that is gone from the table is turned away", 30)
        self.assertEqual(self.ask("boss", "submit", "square", "7", "--wait").stdout, "49\n")
        self.assertEqual(self.main_pid("drover-broker"), before)
        say("the broker was reloaded, and refused to be with a mistake in its table")

    def upgrade_booted(self):
        """What runs goes on as the new version; what was submitted is still there."""
        units = (*UNITS, "drover-worker@two")
        before = [self.main_pid(unit) for unit in units]
        task = self.ask("boss", "submit", "nobody.has.it", "1").stdout.strip()
        self.system.run("dpkg", "-i", *self.files)
        for unit, pid in zip(units, before):
            self.assertEqual(self.system.show(unit, "ActiveState"), "active")
            self.assertNotEqual(self.main_pid(unit), pid)
        status = self.system.show("drover-broker", "StatusText")
        self.endpoint = re.search(r"clients at (\S+),", status)[1]
        self.assertIn('"queued"', self.ask("boss", "--json", "show", task).stdout)
        say("an upgrade restarted them")

    def remove_booted(self):
        """Removal stops and disables all of them, instances too."""
        self.system.run("apt-get", "remove", "-q", "-y", "drover-worker", "drover-broker")
        for unit in (*UNITS, "drover-worker@two"):
            self.assertEqual(self.system.show(unit, "ActiveState"), "inactive", unit)
        alive = self.system.run("sh", "-c", "grep -l drover /proc/[0-9]*/comm", check=False)
        self.assertEqual(alive.stdout, "")
        left = self.tree.run("find", "/etc/systemd", "-iname", "*drover*").stdout
        self.assertEqual(left, "")
        say("removal stopped and disabled them")


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
        Story.why_not_booted = booted.why_not() if Story.why_not is None else None
    done = unittest.main(verbosity=2, exit=False)
    if not done.result.wasSuccessful():
        sys.exit(1)
    if Story.why_not is not None:
        print(f"SKIPPED, the packages were built and not installed: {Story.why_not}", flush=True)
        sys.exit(77)
    if Story.why_not_booted is not None:
        print(f"SKIPPED, the services were not started by systemd: {Story.why_not_booted}",
              flush=True)
        sys.exit(77)


if __name__ == "__main__":
    main()

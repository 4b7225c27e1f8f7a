"""What `cmake --install` puts beside the programs: manual pages, completions, service units,
users, configuration.

Each is looked at by the program that will read it: groff, systemd-analyze, systemd-sysusers,
systemd-tmpfiles, the shells, drover itself. A tool that is missing skips its test.
"""

import glob
import os
import re
import shutil
import subprocess
import tempfile
import unittest

from fleet import BIN

BUILD = os.path.dirname(BIN)
SOURCE = os.path.abspath(os.environ.get("DROVER_SOURCE_DIR", "."))
PROGRAMS = ("drover-broker", "drover-worker", "drover")


def run(*words, **options):
    return subprocess.run(words, capture_output=True, text=True, check=False, **options)


def needs(tool):
    return unittest.skipUnless(shutil.which(tool), f"there is no {tool}")


def options_of(help_text):
    """Long and short options that stand at the begin of a line of the help."""
    found = re.findall(r"^ {2,6}(?:(-\w), )?(--[a-z0-9-]+)", help_text, re.MULTILINE)
    return {word for pair in found for word in pair if word}


class Installed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="drover-installed-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        for component in ("broker", "worker", "client"):
            done = run("cmake", "--install", BUILD, "--prefix", cls.folder, "--component",
                       component)
            assert done.returncode == 0, done.stderr

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def installed(self, pattern, least):
        found = sorted(glob.glob(self.path(pattern)))
        self.assertGreaterEqual(len(found), least, f"{pattern}: {found}")
        return found

    # ---- manual pages ----

    def page(self, name):
        """A page as man would show it, without hyphenation, on endless lines."""
        done = run("groff", "-kt", "-man", "-Tutf8", "-ww", "-rHY=0", "-rLL=999n", "-P-cbou",
                   self.path("share/man/man1", name + ".1"))
        self.assertEqual((done.returncode, done.stderr), (0, ""), name)
        return done.stdout

    def commands(self):
        text = run(os.path.join(BIN, "drover"), "--help").stdout
        return [tuple(words.split()) for words in
                re.findall(r"^  ([a-z][a-z-]*(?: [a-z-]+)?)  +\S", text, re.MULTILINE)]

    @needs("groff")
    def test_every_option_of_every_program_and_command_is_in_its_page(self):
        calls = [(name,) for name in PROGRAMS[:2]] + [("drover-broker", "journal")]
        calls += [("drover", *words) for words in self.commands()]
        self.assertGreater(len(calls), 30)
        for words in calls:
            name = "-".join(words)
            help_text = run(os.path.join(BIN, words[0]), *words[1:], "--help").stdout
            told = set(re.findall(r"(?<![\w-])--?[a-z0-9A-Z][a-z0-9-]*", self.page(name)))
            self.assertGreater(len(options_of(help_text)), 2, name)
            self.assertEqual(options_of(help_text) - told, set(), name)

    @needs("groff")
    def test_page_of_the_command_names_the_page_of_each_command(self):
        page = self.page("drover")
        for words in self.commands():
            self.assertIn(f"drover-{'-'.join(words)}(1)", page)

    def test_every_program_has_a_page(self):
        for path in self.installed("bin/*", 4):
            self.installed(f"share/man/man1/{os.path.basename(path)}.1", 1)

    def test_every_page_can_be_found_by_whatis(self):
        for path in self.installed("share/man/man1/*.1", 30):
            name = os.path.basename(path)[:-2]
            with open(path, encoding="utf-8") as file:
                text = file.read().replace("\\", "")
            self.assertRegex(text, rf"(?m)^\.SH NAME\n(\.P\n)?{name} - \S")

    # ---- completions ----

    def test_completions_are_what_the_command_prints(self):
        for shell, place in (("bash", "bash-completion/completions/drover"),
                             ("zsh", "zsh/vendor-completions/_drover"),
                             ("fish", "fish/vendor_completions.d/drover.fish")):
            with open(self.path("share", place), encoding="utf-8") as file:
                self.assertEqual(file.read(),
                                 run(os.path.join(BIN, "drover"), "completion", shell).stdout)

    # ---- papers ----

    def paper(self, *names):
        with open(self.path("share/doc", *names), encoding="utf-8") as file:
            return file.read()

    def test_papers_are_there(self):
        """License, changelog, and all that units and configuration send their readers to."""
        for package in ("drover-broker", "drover-worker", "drover-client"):
            self.assertIn("Apache License", self.paper(package, "copyright"))
            self.assertIn("# Changelog", self.paper(package, "changelog"))
        files = self.installed("lib/systemd/system/*.service", 3)
        files += self.installed("etc/drover/*.ini", 2)
        named = set()
        for path in files:
            with open(path, encoding="utf-8") as file:
                text = file.read()
            self.assertNotRegex(text, r"(?<![\w/-])(broker|worker)/[A-Z]+\.md", path)
            named |= set(re.findall(r"/share/doc/([\w./-]*[\w])", text))
        self.assertLess({"drover-broker", "drover-worker/README.md"}, named)
        for name in named:
            self.assertTrue(os.path.exists(self.path("share/doc", name)), name)
        self.assertIn("a table with a mistake", self.paper("drover-broker/SECURITY.md"))

    def test_license_of_what_the_page_contains_is_told(self):
        text = self.paper("drover-broker/copyright")
        self.assertIn("Chart.js Contributors", text)
        self.assertIn("Permission is hereby granted, free of charge", text)
        self.assertNotIn("Chart.js", self.paper("drover-worker/copyright"))

    # ---- services ----

    def unit(self, path):
        """The unit as it would be here: its programs and configuration at this prefix."""
        with open(path, encoding="utf-8") as file:
            text = file.read()
        program = re.search(r"^ExecStart=(\S*)/bin/(drover-\w+)", text, re.MULTILINE)
        self.assertTrue(os.path.exists(self.path("bin", program[2])))
        text = text.replace(f"{program[1]}/bin/", self.path("bin/"))
        copy = self.path(os.path.basename(path))
        with open(copy, "w", encoding="utf-8") as file:
            # Who looks for pages does so in the system's manual, not in this one.
            file.write(re.sub(r"(?m)^Documentation=.*\n", "", text))
        return copy

    @needs("systemd-analyze")
    def test_units_are_right_and_shut_in(self):
        for path in self.installed("lib/systemd/system/*.service", 3):
            copy = self.unit(path)
            done = run("systemd-analyze", "verify", "--man=no", copy)
            self.assertEqual((done.returncode, done.stderr), (0, ""), path)
            exposure = "20" if "broker" in path else "25"
            done = run("systemd-analyze", "security", "--offline=true",
                       f"--threshold={exposure}", copy)
            self.assertEqual(done.returncode, 0, done.stdout)

    def test_reload_of_the_broker_checks_and_then_sends_the_signal(self):
        """In this order: systemd goes no further than the first command that fails, and says so."""
        with open(self.path("lib/systemd/system/drover-broker.service"), encoding="utf-8") as file:
            keys = re.findall(r"(?m)^(Exec\w+)=(.*)$", file.read())
        start = dict(keys)["ExecStart"]
        self.assertEqual(keys, [("ExecStart", start), ("ExecReload", start + " --check-config"),
                                ("ExecReload", "/bin/sh -c 'kill -HUP \"$$MAINPID\"'")])

    @needs("systemd-sysusers")
    def test_users_and_directories_are_made(self):
        users = self.installed("lib/sysusers.d/*.conf", 2)
        root = self.path("root")
        os.makedirs(os.path.join(root, "etc"))
        done = run("systemd-sysusers", f"--root={root}", *users)
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(os.path.join(root, "etc/passwd"), encoding="ascii") as file:
            names = {line.split(":")[0] for line in file}
        self.assertEqual(names, {"drover", "drover-worker"})
        for path in self.installed("lib/tmpfiles.d/*.conf", 2):
            os.makedirs(os.path.join(root, "usr/lib/tmpfiles.d"), exist_ok=True)
            shutil.copy(path, os.path.join(root, "usr/lib/tmpfiles.d"))
        done = run("systemd-tmpfiles", f"--root={root}", "--create")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(os.stat(os.path.join(root, "var/lib/drover")).st_mode & 0o777, 0o700)

    # ---- configuration ----

    def install_configuration(self, build, kept, *words, **environment):
        """Twice; between the two an operator writes into it."""
        for text in (None, "; mine\n"):
            done = run("cmake", "--install", build, "--component", "broker", *words,
                       env={**os.environ, **environment})
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            with open(kept, "r+", encoding="utf-8") as file:
                if text is not None:
                    self.assertEqual(file.read(), text)
                    self.assertIn(f"Kept: {kept}\n", done.stdout)
                    return
                self.assertIn("[broker]", file.read())
                file.truncate(0)
                file.seek(0)
                file.write("; mine\n")
            os.utime(kept, (1, 1))

    def test_installing_again_keeps_the_configuration(self):
        prefix = self.path("again")
        self.install_configuration(BUILD, os.path.join(prefix, "etc/drover/broker.ini"),
                                   "--prefix", prefix)
        self.install_configuration(BUILD, self.path("staged/opt/x/etc/drover/broker.ini"),
                                   "--prefix", "/opt/x", DESTDIR=self.path("staged"))

    def test_installing_again_keeps_the_configuration_in_etc(self):
        """As with the prefix /usr, where the place is absolute."""
        source = self.path("absolute")
        os.mkdir(source)
        with open(os.path.join(source, "CMakeLists.txt"), "w", encoding="ascii") as file:
            file.write("cmake_minimum_required(VERSION 3.25)\nproject(etc LANGUAGES NONE)\n"
                       "set(CMAKE_INSTALL_FULL_SYSCONFDIR /etc)\n"
                       f"include({SOURCE}/common/install/install.cmake)\n"
                       "drover_install_configuration(broker broker.ini)\n")
        shutil.copy(os.path.join(SOURCE, "broker/install/broker.ini"), source)
        build = os.path.join(source, "build")
        done = run("cmake", "-S", source, "-B", build, "-DCMAKE_INSTALL_PREFIX=/usr")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.install_configuration(build, self.path("machine/etc/drover/broker.ini"),
                                   DESTDIR=self.path("machine"))

    def test_configuration_is_accepted(self):
        for program in ("broker", "worker"):
            path = self.path("etc/drover", program + ".ini")
            done = run(os.path.join(BIN, "drover-" + program), "--config", path, "--check-config")
            self.assertEqual((done.returncode, done.stderr), (0, ""), path)

    def make_keys(self):
        """What the files name, in a folder."""
        folder = self.path("keys")
        os.mkdir(folder)
        for name, role in (("broker", "broker"), ("worker", "work")):
            known = ["--broker-key", os.path.join(folder, "broker.pub")] if name == "worker" else []
            done = run(os.path.join(BIN, "drover"), "keygen", name, "--role", role, "--out",
                       folder, *known)
            self.assertEqual(done.returncode, 0, done.stderr)
        for name, text in (("accounts", done.stdout), ("http-token", "0123456789abcdef"),
                           ("metrics-token", "fedcba9876543210")):
            path = os.path.join(folder, name)
            with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w",
                      encoding="ascii") as file:
                file.write(text)
        return folder

    def test_configuration_names_options_with_their_defaults(self):
        """What is commented out is accepted, too, and all at once, keys and tokens included."""
        keys = self.make_keys()
        for program in ("broker", "worker"):
            with open(self.path("etc/drover", program + ".ini"), encoding="utf-8") as file:
                lines = [re.sub(r"^; ([a-z-]+ = .*|\[.*\])$", r"\1", line) for line in file]
            lines = [line for line in lines if not line.startswith(("load =", "data =", "read ="))]
            lines = [line.replace("= /etc/drover", f"= {keys}") for line in lines]
            self.assertTrue([line for line in lines if line.startswith(f"identity = {keys}")])
            path = self.path(program + "-all.ini")
            with open(path, "w", encoding="utf-8") as file:
                file.writelines(lines)
            done = run(os.path.join(BIN, "drover-" + program), "--config", path, "--check-config")
            self.assertEqual((done.returncode, done.stderr), (0, ""), path)


if __name__ == "__main__":
    if not os.path.isdir(os.path.join(BUILD, "pages")):
        print("SKIPPED: this build makes no pages (instrumented, or without scdoc)")
        raise SystemExit(77)
    unittest.main(verbosity=2)

"""What `drover` says without a broker: mistakes, help, completion."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import unittest

from fleet import BIN, SCALE
from hangup import HangsUp

NOWHERE = {**os.environ, "DROVER_BROKER": "ipc:///nonexistent/drover-nobody"}


def drover(*arguments, stdin="", environment=None):
    return subprocess.run([os.path.join(BIN, "drover"), *arguments], input=stdin, text=True,
                          capture_output=True, check=False, timeout=20 * SCALE,
                          env=environment or NOWHERE)


class Usage(unittest.TestCase):
    def assert_mistake(self, *arguments, stdin="", code=64, about=""):
        """One line on stderr, nothing on stdout, this exit code."""
        done = drover(*arguments, stdin=stdin)
        with self.subTest(arguments=arguments):
            self.assertEqual(done.returncode, code, done.stderr)
            self.assertEqual(done.stdout, "")
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
            self.assertTrue(done.stderr.startswith("drover: "), done.stderr)
            self.assertIn(about, done.stderr)

    def test_command_unknown_is_refused(self):
        self.assert_mistake(about="no command")
        self.assert_mistake("frobnicate", about="'frobnicate'")
        self.assert_mistake("queue", "frobnicate", about="'queue frobnicate'")
        self.assert_mistake("queue", about="queue")
        self.assert_mistake("\033[31m", about="\\x1b")

    def test_keygen_without_a_name_is_refused(self):
        self.assert_mistake("keygen", about="something is missing")

    def test_json_malformed_is_refused(self):
        self.assert_mistake("submit", "square", "{", about="payload")
        self.assert_mistake("submit", "square", "1 2", about="payload")
        self.assert_mistake("submit", "square", "-", stdin="[1,", about="stdin")
        self.assert_mistake("map", "square", "--with", "nope", about="--with")
        self.assert_mistake("kv", "set", "k", "'x'", about="payload")

    def test_options_malformed_are_refused(self):
        for option in (["--delay", "5"], ["--delay", "5 s"], ["--expire", "-1s"],
                       ["--timeout", "1.5s"], ["--priority", "128"], ["--retries", "many"],
                       ["--durability", "forever"], ["--tag", "x"], ["--need", "gpu=some"],
                       ["--queue", "a b"], ["--nonsense"], ["--delay"],
                       ["--not-before", "tomorrow"], ["--group", "a b"], ["--key", ""],
                       ["--key-window", "1s"]):
            self.assert_mistake("submit", "square", "1", *option, about=option[0])
        self.assert_mistake("submit", "square", "1", "--after", "nobody", about="nobody")
        self.assert_mistake("--broker", about="--broker")
        self.assert_mistake("--nonsense", "submit", about="--nonsense")
        self.assert_mistake("map", "square", "--batch", "0", about="--batch")
        self.assert_mistake("task", "ls", "--state", "odd", about="--state")
        self.assert_mistake("queue", "set", "q", "--rate", "5", about="--rate")
        self.assert_mistake("queue", "set", "q", about="nothing to set")
        self.assert_mistake("xargs", "-n", "2", "cp", "x{}", about="{}")
        self.assert_mistake("status", "--watch", "soon", about="'soon'")

    def test_operands_missing_or_too_many_are_refused(self):
        for words in (["submit"], ["result"], ["show"], ["kv", "get"], ["kv", "cas", "k"],
                      ["run"], ["xargs"], ["wait"], ["retry"], ["completion"]):
            self.assert_mistake(*words)
        self.assert_mistake("submit", "a", "1", "2", about="'2'")
        self.assert_mistake("kv", "ls", "a", "b", about="'b'")
        self.assert_mistake("submit", "square", "1", "--file", "x", about="once")
        self.assert_mistake("wait", "--all", "01ARZ3NDEKTSV4RRFFQ69G5FAV", about="either")

    def test_tasks_malformed_are_refused(self):
        for task in ("x", "01ARZ3NDEKTSV4RRFFQ69G5FAV.", "01ARZ3NDEKTSV4RRFFQ69G5FAV.x"):
            self.assert_mistake("result", task, about=task)
        self.assert_mistake("submit", "square", "--after", "key:", code=69, about="no broker")
        self.assert_mistake("submit", "no such type", about="no type")
        self.assert_mistake("run", "a b", about="'a b'")

    def test_errors_are_json_where_the_output_is(self):
        """One shape for all of them, on stderr, with a code that does not change."""
        missing = ["--file", "/nonexistent"]
        for code, exit_code, words in (
                ("invalid", 64, ["frobnicate"]), ("invalid", 64, ["submit"]),
                ("invalid", 64, ["submit", "square", "1", "--delay", "5"]),
                ("invalid", 64, ["result", "x"]), ("io", 74, ["submit", "square", *missing]),
                ("unavailable", 69, ["status", "--connect-timeout", "100ms"]),
                ("invalid", 64, ["schedule", "add", "n", "61 * * * *", "square"]),
                ("conflict", 64, ["graph", "submit", "-"])):
            nodes = {"nodes": [{"name": "a", "type": "t"}, {"name": "a", "type": "t"}]}
            done = drover("--json", *words, stdin=json.dumps(nodes))
            with self.subTest(words=words):
                self.assertEqual(done.returncode, exit_code)
                self.assertEqual(done.stdout, "")
                (line,) = done.stderr.splitlines()
                error = json.loads(line)["error"]
                self.assertEqual((error["code"], error["exit"]), (code, exit_code))
                self.assertTrue(error["text"])
        error = json.loads(drover("schedule", "add", "n", "61 * * * *", "square",
                                  "--json").stderr)["error"]
        self.assertIn("minute, position 1", error["text"])
        self.assert_mistake("xargs", "-n", "2", "cp", "x{}", "--json", about="{}")

    def test_endpoint_malformed_is_refused(self):
        self.assert_mistake("--broker", "nonsense", "status")

    def test_file_missing_is_an_io_error(self):
        self.assert_mistake("submit", "square", "--file", "/nonexistent", code=74,
                            about="/nonexistent")
        self.assert_mistake("map", "square", "/nonexistent", code=74, about="/nonexistent")

    def test_no_broker_is_told_after_the_connect_timeout(self):
        begin = time.monotonic()
        self.assert_mistake("status", "--connect-timeout", "300ms", code=69, about="no broker")
        took = time.monotonic() - begin
        self.assertGreaterEqual(took, 0.3)
        self.assertLess(took, 5 * SCALE)

    def test_broker_that_hangs_up_in_the_greeting_may_want_a_key(self):
        """So does libzmq's with keys, when its half of the greeting has not left in time."""
        with HangsUp() as endpoint:
            self.assert_mistake("--broker", endpoint, "status", "--connect-timeout", "300ms",
                                code=69, about="if the broker wants a key")

    def test_output_that_cannot_be_written_is_an_io_error(self):
        with open("/dev/full", "w", encoding="ascii") as full:
            done = subprocess.run([os.path.join(BIN, "drover"), "help"], stdout=full,
                                  stderr=subprocess.PIPE, text=True, check=False)
        self.assertEqual(done.returncode, 74, done.stderr)
        self.assertIn("stdout", done.stderr)


class Help(unittest.TestCase):
    def assert_help(self, *arguments):
        done = drover(*arguments)
        self.assertEqual((done.returncode, done.stderr), (0, ""), arguments)
        self.assertTrue(done.stdout.startswith("Usage: drover"), done.stdout)
        return done.stdout

    def test_help_is_asked_for_in_many_ways(self):
        text = self.assert_help("--help")
        self.assertIn("  submit ", text)
        self.assertIn("keygen", text)
        self.assert_help("help")
        self.assertIn("--wait", self.assert_help("help", "submit"))
        self.assertEqual(self.assert_help("submit", "--help"), self.assert_help("help", "submit"))
        self.assertIn("queue purge", self.assert_help("queue", "--help"))
        self.assertIn("--weight", self.assert_help("queue", "set", "-h"))

    def test_every_command_listed_has_help(self):
        listed = self.assert_help("--help").split("Commands:\n")[1].split("\n\n")[0]
        for line in listed.splitlines():
            name = line[2:18].split()
            self.assertIn("drover " + " ".join(name), self.assert_help(*name, "--help"))

    def test_help_names_every_choice_once_and_fits_a_terminal(self):
        helps = [self.assert_help(*line[2:18].split(), "--help") for line in
                 self.assert_help("--help").split("Commands:\n")[1].split("\n\n")[0].splitlines()]
        for program in ("drover-broker", "drover-worker"):
            helps.append(subprocess.run([os.path.join(BIN, program), "--help"], text=True,
                                        capture_output=True, check=True).stdout)
        options = set()
        for text in helps:
            for line in text.splitlines()[1:]:
                self.assertLessEqual(len(line), 96, line)
            for option in re.findall(r"^  .{4}--.*(?:\n {30}.*)*", text, re.MULTILINE):
                options.add(re.sub(r"\s+", " ", option.strip()))
        with_choices = [found for found in (re.fullmatch(
            r"(.*): (\w+(?:, \w+)+)(?: \(default: .*\))?", option) for option in options) if found]
        self.assertGreaterEqual(len(with_choices), 5)
        for found in with_choices:
            for choice in found[2].split(", "):
                self.assertNotIn(choice, re.findall(r"\w+", re.sub(r"--\S+|\(.*?\)", "", found[1])),
                                 found[0])

    def test_version_is_told(self):
        self.assertRegex(drover("--version").stdout, r"^drover \d+\.\d+\.\d+\n$")
        self.assertEqual(drover("submit", "--version").stdout, drover("--version").stdout)

    def test_command_that_xargs_sends_keeps_its_options(self):
        done = drover("xargs", "--connect-timeout", "50ms", "sha256sum", "--help")
        self.assertEqual((done.returncode, done.stdout), (69, ""))


class Completion(unittest.TestCase):
    """The scripts, sourced in the real shells."""

    def run_shell(self, command, script):
        with tempfile.TemporaryDirectory() as home:
            environment = {**NOWHERE, "PATH": BIN + ":" + os.environ["PATH"], "HOME": home}
            done = subprocess.run(command + [script], capture_output=True, text=True, check=False,
                                  timeout=60 * SCALE, env=environment, cwd=home)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        return done.stdout.splitlines()

    def shell(self, name):
        path = shutil.which(name)
        self.assertIsNotNone(path, f"{name} is not installed")
        return path

    def bash(self, *words, before=""):
        line = " ".join(words).replace(" = ", "=")
        quoted = " ".join(f"'{word}'" for word in words)
        return self.run_shell([self.shell("bash"), "--norc", "-c"], f"""
            source <(drover completion bash)
            {before}
            COMP_WORDS=({quoted}) COMP_CWORD={len(words) - 1}
            COMP_LINE='{line}' COMP_POINT={len(line)}
            _drover
            printf '%s\\n' "${{COMPREPLY[@]}}"
        """)

    def test_bash_completes_commands_options_and_choices(self):
        self.assertEqual(self.bash("drover", "sub"), ["submit"])
        self.assertEqual(self.bash("drover", "queue", "p"), ["pause", "purge"])
        self.assertEqual(self.bash("drover", "map", "t", "--bat"), ["--batch"])
        self.assertEqual(self.bash("drover", "submit", "t", "--durability", "w"), ["written"])
        self.assertIn("/etc/passwd", self.bash("drover", "submit", "t", "--file", "/etc/passw"))

    def test_bash_completes_with_the_helpers_of_bash_completion(self):
        helpers = "source /usr/share/bash-completion/bash_completion"
        self.assertEqual(self.bash("drover", "sub", before=helpers), ["submit"])
        self.assertEqual(self.bash("drover", "submit", "t", "--durability", "=", "s",
                                   before=helpers), ["synced"])

    def test_zsh_completes_commands_options_and_choices(self):
        def zsh(*words):
            quoted = " ".join(f"'{word}'" for word in words)
            return self.run_shell([self.shell("zsh"), "-f", "-c"], f"""
                autoload -U compinit; compinit -D -u
                source <(drover completion zsh)
                [[ $_comps[drover] == _drover ]] || exit 1
                _describe() {{ print -l -- ${{(P)@[-1]}} }}
                _files() {{ print files }}
                compset() {{ }}
                words=({quoted}) CURRENT={len(words)}
                _drover
            """)
        self.assertEqual(zsh("drover", "sub"), ["submit:send a task, print its id"])
        self.assertEqual([line.split(":")[0] for line in zsh("drover", "queue", "p")],
                         ["pause", "purge"])
        self.assertEqual(zsh("drover", "submit", "t", "--durability", "w"), ["written:"])
        self.assertEqual(zsh("drover", "map", "t", ""), ["files"])

    def test_fish_completes_commands_options_and_choices(self):
        def fish(line):
            return self.run_shell([self.shell("fish"), "--no-config", "-c"],
                                  f"drover completion fish | source; complete -C '{line}'")
        self.assertEqual(fish("drover sub"), ["submit\tsend a task, print its id"])
        self.assertEqual([line.split("\t")[0] for line in fish("drover queue p")],
                         ["pause", "purge"])
        self.assertEqual(fish("drover submit t --durability w"), ["written"])
        self.assertEqual(fish("drover submit t --durability=w"), ["--durability=written"])
        self.assertIn("/etc/passwd", fish("drover submit t --file /etc/passw"))

    def test_without_a_broker_names_are_missing_and_nothing_is_said(self):
        done = drover("__complete", "--", "queue", "pause", "")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))


if __name__ == "__main__":
    unittest.main()

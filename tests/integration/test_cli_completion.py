"""Completion against all that `drover` has: every command, every option, the names of a live fleet,
in each of the real shells."""

import os
import re
import shutil
import subprocess
import unittest

from fleet import BIN, SCALE, Fleet, until

HELP = "help"  # a word, though no command


class Completion(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.fleet = Fleet()
        cls.addClassCleanup(cls.fleet.__exit__, None, None, None)
        cls.fleet.broker()
        cls.fleet.worker("--name", "one")
        cls.fleet.drover("submit", "nobody", "--queue", "fast")  # it waits there
        # The words of each command, and what each takes, as the help has them.
        listed = cls.fleet.drover("--help").stdout.split("Commands:\n")[1].split("\n\n")[0]
        cls.commands = [tuple(line[2:].split("  ")[0].split()) for line in listed.splitlines()]
        cls.help = {words: cls.fleet.drover(*words, "--help").stdout for words in cls.commands}
        cls.first = {words[0] for words in cls.commands} | {HELP}

    def offered(self, *words):
        lines = self.fleet.drover("__complete", "--", *words).stdout.splitlines()
        return [line.split("\t")[0] for line in lines]

    def test_every_command_is_offered_and_no_other(self):
        self.assertGreater(len(self.commands), 25)
        self.assertEqual(set(self.offered("")), self.first)
        self.assertEqual(len(self.offered("")), len(self.first))
        self.assertEqual(set(self.offered("help", "")), self.first - {HELP})
        for group in {words[0] for words in self.commands if len(words) == 2}:
            second = [words[1] for words in self.commands if words[0] == group]
            for before in ([group], [group + "s"], ["--json", group], ["help", group]):
                with self.subTest(before=before):
                    self.assertEqual(sorted(self.offered(*before, "")), sorted(second))

    def test_every_option_is_offered_and_no_other(self):
        for words in self.commands:
            known = set(re.findall(r"^ +(?:-\w, )?(--[a-z][a-z0-9-]*)", self.help[words],
                                   re.MULTILINE))
            with self.subTest(command=words):
                self.assertGreaterEqual(known, {"--help", "--broker", "--json"})
                offered = self.offered(*words, "--")
                self.assertEqual(set(offered) | {"--version"}, known | {"--version"})
                self.assertEqual(len(offered), len(set(offered)))

    def until_offered(self, name, *words):
        """Names come if the broker answers at once, which it may not where much else runs."""
        until(lambda: name in self.offered(*words), f"{name} is offered after {words}")

    def test_operands_are_completed_where_they_can_be(self):
        """Whatever the help calls TYPE, QUEUE or WORKER is asked of the broker, FILE of the disk."""
        names = {"TYPE": "square", "QUEUE": "fast", "WORKER": "one"}
        for words in self.commands:
            usage = self.help[words].splitlines()[0]
            operand = (usage.split(" ".join(["drover", *words]))[1].split() or [""])[0].rstrip(".")
            with self.subTest(command=words, usage=usage):
                if operand in names:
                    self.until_offered(names[operand], *words, "")

    def test_arguments_of_options_are_completed_where_they_can_be(self):
        names = {"TYPE": "square", "QUEUE": "fast", "WORKER": "one"}
        seen = set()
        for words in self.commands:
            for option, argument in re.findall(r"^ +(?:-\w, )?(--[a-z-]+) ([A-Z]+)",
                                               self.help[words], re.MULTILINE):
                with self.subTest(command=words, option=option):
                    if argument in names:
                        self.until_offered(names[argument], *words, option, "")
                    elif argument in ("FILE", "DIR"):
                        self.assertEqual(self.offered(*words, option, ""), [":files"])
                    seen.add(argument)
        self.assertLessEqual({"TYPE", "QUEUE", "FILE", "DIR"}, seen)

    def test_no_pool_is_made_for_a_tab(self):
        self.assertEqual(self.offered("--local", "2", "submit", ""), [])
        self.assertEqual(self.offered("--broker", "local://2", "submit", ""), [])

    # ---- in the shells: the first words, and a name from the broker ----

    def run_shell(self, name, *arguments):
        path = shutil.which(name)
        self.assertIsNotNone(path, f"{name} is not installed")
        done = subprocess.run([path, *arguments], capture_output=True, text=True, check=False,
                              timeout=60 * SCALE, cwd=self.fleet.folder,
                              env={**self.fleet.environment(), "HOME": self.fleet.folder,
                                   "PATH": BIN + ":" + os.environ["PATH"]})
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        return done.stdout.splitlines()

    def check(self, name, *arguments):
        """The shell prints what may be the first word, a line, and what completes three names."""
        def right():
            lines = [re.split(r"[\t:]", line)[0] for line in self.run_shell(name, *arguments)]
            at = lines.index("====")
            self.assertEqual(set(lines[:at]), self.first)
            return lines[at + 1:] == ["one", "fast", "square"]
        until(right, f"{name} completes names from the broker")

    def test_bash_offers_all_of_it(self):
        self.check("bash", "--norc", "-c", """
            ask() {
                COMP_WORDS=(drover "$@") COMP_CWORD=$#
                COMP_LINE="drover $*" COMP_POINT=${#COMP_LINE}
                _drover; printf '%s\\n' "${COMPREPLY[@]}"
            }
            source <(drover completion bash)
            ask ''; echo ====; ask worker drain ''; ask queue pause f; ask submit squ
        """)

    def test_zsh_offers_all_of_it(self):
        self.check("zsh", "-f", "-c", """
            autoload -U compinit; compinit -D -u
            source <(drover completion zsh)
            _describe() { print -l -- ${(P)@[-1]} }
            ask() { words=(drover "$@") CURRENT=$(( $# + 1 )); _drover }
            ask ''; print -- '===='; ask worker drain ''; ask queue pause f; ask submit squ
        """)

    def test_fish_offers_all_of_it(self):
        self.check("fish", "--no-config", "-c", """
            drover completion fish | source
            complete -C 'drover '; echo ====
            complete -C 'drover worker drain '
            complete -C 'drover queue pause f'
            complete -C 'drover submit squ'
        """)


if __name__ == "__main__":
    unittest.main()

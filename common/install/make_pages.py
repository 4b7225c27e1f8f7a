"""Manual pages and completions of drover's programs, made from what the programs say themselves.

    make_pages.py --bin BIN --out DIR [--gzip] SOURCES...

SOURCES are folders with NAME.scd files (scdoc, see scdoc(5)):

* drover-broker.scd, drover-broker-journal.scd, drover-worker.scd, drover.scd are whole pages, in which a line @SYNOPSIS@,
  @ABOUT@, @OPTIONS@ or @EPILOG@ stands for that part of `PROGRAM --help`, and @COMMANDS@ for the
  list of `drover --help`, with pages; drover-local.scd is one of a program without help;
* drover-COMMAND.scd is what the page of a command says beyond its --help; every command of
  `drover --help` gets a page, with or without one. drover-all.scd ends each of them.

Writes DIR/man/<program>/*.1 and DIR/completions/{bash,zsh,fish}/. A source that belongs to no
page, and help that is not understood, are errors.
"""

import argparse
import gzip
import os
import re
import subprocess
import sys

OPTION = re.compile(r"^ {2,6}(?=-)(?P<names>(?:-\w, )?--[a-z0-9-]+)(?: (?P<argument>\S.*?))?"
                    r"(?:\s{2,}(?P<help>\S.*))?$")
ENTRY = re.compile(r"^  (?P<name>[a-z][a-z-]*(?: [a-z-]+)?)  +(?P<summary>\S.*)$")
TEXT_COLUMN = " " * 20  # where help does not stand further left


class Help:
    """The parts of a --help: usage, about, sections [(title, [(names, argument, text)])], epilog."""

    def __init__(self, text):
        lines = text.rstrip("\n").split("\n")
        if not lines[0].startswith("Usage: "):
            raise ValueError(f"no usage: {lines[0]!r}")
        self.usage = lines.pop(0)[len("Usage: "):]
        while lines and lines[0].strip():  # a usage of several lines
            self.usage += "\n" + lines.pop(0).strip()
        self.sections = []
        about, epilog = [], []
        entry = None  # the option whose text goes on
        for line, following in zip(lines, [*lines[1:], ""]):
            option = OPTION.match(line)
            if re.match(r"\S.*:$", line) and OPTION.match(following):
                self.sections.append((line[:-1], []))
            elif option and self.sections:
                entry = [option["names"], option["argument"] or "", option["help"] or ""]
                self.sections[-1][1].append(entry)
            elif entry and line.startswith(TEXT_COLUMN):
                entry[2] = f"{entry[2]} {line.strip()}".strip()
            else:
                entry = None
                (epilog if self.sections else about).append(line)
        self.about = paragraphs(about)
        self.epilog = paragraphs(epilog)


def paragraphs(lines):
    """Groups of lines that are not empty."""
    groups = [[]]
    for line in lines:
        if line.strip():
            groups[-1].append(line)
        elif groups[-1]:
            groups.append([])
    return [group for group in groups if group]


# ---- scdoc ----------------------------------------------------------------------------------------

def escape(text):
    """Text without meaning to scdoc, wherever it stands."""
    text = re.sub(r"([\\*_`~<>#|+])", r"\\\1", text)
    return re.sub(r"^([^\w\\])", r"\\\1", text)


def prose(groups):
    """Paragraphs; those that are set out in columns stay as they are."""
    out = []
    for group in groups:
        if any(re.search(r"\S {2,}\S|^ ", line) for line in group):
            out += ["```", *group, "```", ""]
        else:
            out += [*(escape(line) for line in group), ""]
    return "\n".join(out)


def option_list(entries):
    out = []
    for names, argument, text in entries:
        words = ", ".join(f"*{name}*" for name in names.split(", "))
        out += [words + (f" {underline(argument)}" if argument else ""), f"\t{escape(text)}", ""]
    return "\n".join(out)


def underline(argument):
    return f"_{escape(argument)}_" if re.fullmatch(r"\w+", argument) else escape(argument)


def options(help_):
    return "\n".join(f"# {title.upper()}\n\n{option_list(entries)}"
                     for title, entries in help_.sections)


def synopsis(help_):
    return "++\n".join(escape(line) for line in help_.usage.split("\n"))


def command_list(commands):
    out = []
    for words, summary in commands:
        page = "drover-" + "-".join(words)
        out += [f"*{' '.join(words)}*", f"\t{escape(summary)}, see *{page}*(1)", ""]
    return "\n".join(out)


# ---- the pages ------------------------------------------------------------------------------------

class Maker:
    def __init__(self, arguments):
        self.bin = arguments.bin
        self.out = arguments.out
        self.gzip = arguments.gzip
        self.fragments = {}
        for folder in arguments.sources:
            for name in sorted(os.listdir(folder)):
                if name.endswith(".scd"):
                    with open(os.path.join(folder, name), encoding="utf-8") as file:
                        self.fragments[name[:-len(".scd")]] = file.read()

    def say(self, program, *words):
        done = subprocess.run([os.path.join(self.bin, program), *words], check=True, text=True,
                              stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        return done.stdout

    def write(self, *names, data):
        path = os.path.join(self.out, *names)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)

    def page(self, folder, name, text):
        done = subprocess.run(["scdoc"], input=f"{name}(1)\n\n{text}".encode(), check=False,
                              capture_output=True, env={**os.environ, "SOURCE_DATE_EPOCH": "0"})
        if done.returncode != 0:
            numbered = "\n".join(f"{n + 3}: {line}" for n, line in enumerate(text.split("\n")))
            raise ValueError(f"{name}: {done.stderr.decode()}\n{numbered}")
        data = done.stdout
        if self.gzip:
            self.write("man", folder, name + ".1.gz", data=gzip.compress(data, 9, mtime=0))
        else:
            self.write("man", folder, name + ".1", data=data)

    def program(self, folder, *words, commands=()):
        name = "-".join(words)
        help_ = Help(self.say(*words, "--help")) if not commands else None
        text = self.fragments.pop(name)
        parts = {"@COMMANDS@": lambda: command_list(commands),
                 "@SYNOPSIS@": lambda: synopsis(help_), "@ABOUT@": lambda: prose(help_.about),
                 "@OPTIONS@": lambda: options(help_), "@EPILOG@": lambda: prose(help_.epilog)}
        for mark, make in parts.items():
            if re.search(f"^{mark}$", text, re.MULTILINE):
                text = text.replace(mark, make())
        self.page(folder, name, text)

    def command(self, words, summary, ending):
        name = "drover-" + "-".join(words)
        help_ = Help(self.say("drover", *words, "--help"))
        self.page("client", name, "\n".join([
            "# NAME", "", f"{name} - {escape(summary)}", "", "# SYNOPSIS", "", synopsis(help_), "",
            "# DESCRIPTION", "", prose(help_.about) or escape(summary) + ".", "", options(help_),
            prose(help_.epilog), self.fragments.pop(name, ""), ending]))

    def commands(self):
        """[((words), summary)] of `drover --help`."""
        found = [ENTRY.match(line) for line in self.say("drover", "--help").split("\n")]
        return [(tuple(entry["name"].split()), entry["summary"]) for entry in found if entry]

    def completions(self):
        for shell, name in (("bash", "drover"), ("zsh", "_drover"), ("fish", "drover.fish")):
            self.write("completions", shell, name,
                       data=self.say("drover", "completion", shell).encode())

    def make(self):
        ending = self.fragments.pop("drover-all")
        commands = self.commands()
        if not commands:
            raise ValueError("drover --help lists no commands")
        self.program("broker", "drover-broker")
        self.program("broker", "drover-broker", "journal")
        self.program("worker", "drover-worker")
        self.program("client", "drover", commands=commands)
        self.page("client", "drover-local", self.fragments.pop("drover-local"))
        for words, summary in commands:
            self.command(words, summary, ending)
        if self.fragments:
            raise ValueError(f"pages of nothing: {', '.join(self.fragments)}")
        self.completions()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", required=True, help="where the programs are")
    parser.add_argument("--out", required=True, help="where pages and completions go")
    parser.add_argument("--gzip", action="store_true", help="compress the pages")
    parser.add_argument("sources", nargs="+", help="folders with .scd files")
    try:
        Maker(parser.parse_args()).make()
    except (ValueError, KeyError, subprocess.CalledProcessError) as problem:
        print(f"make_pages: {problem}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()

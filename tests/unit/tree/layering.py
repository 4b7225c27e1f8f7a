"""The rules of the tree that a compiler does not see.

    layering.py [ROOT]

Prints one line per violation and exits 1 if there is any. The rules:

* the pure files (broker/core, worker/session.c, client/src/session.c) include plain C headers and
  headers of ours only, which again include nothing else; nor do they call what reads the outside;
* common includes no header of another component; client, worker and broker none of each other
  (examples are users, for whom all public headers are);
* handler modules and examples include public headers only;
* tests include "test.h", never <cmocka.h>; tests never sleep;
* no file of ours has more than 700 lines.

Reads text, not an AST: a header reached through a macro would escape it.
"""

import functools
import io
import re
import sys
import tokenize
from pathlib import Path

COMPONENTS = ("common", "broker", "worker", "client")
FOLDERS = COMPONENTS + ("tests", "docker", ".ci")
LINES_MAX = 700

PURE_HEADERS = {
    "float.h", "inttypes.h", "limits.h", "math.h", "stdalign.h", "stdarg.h", "stdatomic.h",
    "stdbool.h", "stddef.h", "stdint.h", "stdio.h", "stdlib.h", "stdnoreturn.h", "string.h",
}
# What stdio.h and stdlib.h offer beyond formatting and memory. abort is for assertions.
IMPURE_CALL = re.compile(
    r"\b(v?f?printf|v?dprintf|perror|f?puts|f?putc|putchar|f?open|fd?open|fclose|fread|fwrite|fflush"
    r"|fgets|getline|getc|getchar|v?f?scanf|remove|rename|tmpfile|popen|system|exit|_Exit|atexit"
    r"|getenv|secure_getenv|setenv|putenv|rand|srand|random|srandom|drand48|arc4random|getloadavg"
    r"|realpath|mkstemp|mkdtemp)\s*\(")
SLEEP_CALL = re.compile(r"\b(sleep|usleep|nanosleep|clock_nanosleep|thrd_sleep|zclock_sleep)\s*\(")
SHELL_SLEEP = re.compile(r"(^|[;&|({]|\bdo|\bthen|\belse)\s*sleep\s")
INCLUDE = re.compile(r"^\s*#\s*include\s*([<\"])([^>\"]+)[>\"]", re.MULTILINE)
C_NOISE = re.compile(
    r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.DOTALL)


def c_code(text):
    """The text without comments and literals; line breaks stay."""
    return C_NOISE.sub(lambda m: "\n" * m.group().count("\n") or " ", text)


def c_comments_removed(text):
    """Like c_code, but literals stay, since includes are written as such."""
    return C_NOISE.sub(
        lambda m: m.group() if m.group()[0] in "\"'" else "\n" * m.group().count("\n"), text)


def python_code(text):
    """The tokens of a Python file without comments and literals."""
    noise = (tokenize.COMMENT, tokenize.STRING)
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return " ".join(token.string for token in tokens if token.type not in noise)


class Tree:
    def __init__(self, root):
        self.root = Path(root)
        self.problems = []
        self.files = [
            path for folder in FOLDERS for path in sorted((self.root / folder).rglob("*"))
            if path.is_file() and "corpus" not in path.parts and "__pycache__" not in path.parts]
        self.sources = [path for path in self.files if path.suffix in (".c", ".h")]
        self.headers = [path for path in self.sources if path.suffix == ".h"]
        self.text = {path: path.read_text(encoding="utf-8") for path in self.sources}
        self.includes = {
            path: INCLUDE.findall(c_comments_removed(text)) for path, text in self.text.items()}

    def name(self, path):
        return path.relative_to(self.root).as_posix()

    def complain(self, path, message):
        self.problems.append(f"{self.name(path)}: {message}")

    def component(self, path):
        return path.relative_to(self.root).parts[0]

    @functools.lru_cache(maxsize=None)  # the same few headers, again and again
    def owner_of(self, path, kind, header):
        """The header of ours that an #include means, or None for one of the system."""
        if kind == '"' and (path.parent / header).is_file():
            return (path.parent / header).resolve()
        found = [h for h in self.headers if h.as_posix().endswith("/" + header)]
        if kind == "<":
            found = [h for h in found if "include" in h.relative_to(self.root).parts]
        order = (self.component(path), "common")
        found.sort(key=lambda h: [self.component(h) != part for part in order])
        return found[0] if found else None

    # ---- the rules ----

    def check_components(self):
        for path in self.sources:
            component = self.component(path)
            if component not in COMPONENTS or self.name(path).startswith("client/examples/"):
                continue
            for kind, header in self.includes[path]:
                owner = self.owner_of(path, kind, header)
                if owner and self.component(owner) not in (component, "common"):
                    self.complain(path, f"includes {header} of {self.component(owner)}")

    def pure_files(self):
        for path in self.sources:
            name = self.name(path)
            if name.startswith("broker/core/") or name in (
                    "worker/session.c", "worker/session.h",
                    "client/src/session.c", "client/src/session.h"):
                yield path

    def check_purity(self):
        for pure in self.pure_files():
            seen, open_ = {pure}, [(pure, None)]
            while open_:
                path, through = open_.pop()
                for kind, header in self.includes[path]:
                    owner = self.owner_of(path, kind, header)
                    if owner is None and header not in PURE_HEADERS:
                        way = f" through {self.name(through)}" if through else ""
                        self.complain(pure, f"is pure, but includes <{header}>{way}")
                    elif owner is not None and owner not in seen:
                        seen.add(owner)
                        open_.append((owner, owner))
            calls = IMPURE_CALL.search(self.text[pure]) and IMPURE_CALL.findall(
                c_code(self.text[pure]))
            for call in sorted(set(calls or [])):
                self.complain(pure, f"is pure, but calls {call}")

    def check_public_only(self):
        for path in self.sources:
            if not self.name(path).startswith(("worker/modules/", "client/examples/")):
                continue
            for kind, header in self.includes[path]:
                if kind == '"':
                    self.complain(path, f'includes "{header}", not a public header')

    def check_tests(self):
        for path in self.files:
            name = self.name(path)
            if not name.startswith("tests/"):
                continue
            if path.suffix in (".c", ".h"):
                if name != "tests/support/test.h" and ("<", "cmocka.h") in self.includes[path]:
                    self.complain(path, 'includes <cmocka.h>, not "test.h"')
                sleeps = (SLEEP_CALL.search(self.text[path])  # most have none anywhere
                          and SLEEP_CALL.search(c_code(self.text[path])))
            elif path.suffix == ".py":
                text = path.read_text(encoding="utf-8")
                sleeps = "sleep" in text and SLEEP_CALL.search(python_code(text))
            elif path.suffix == ".sh":
                lines = path.read_text(encoding="utf-8").splitlines()
                sleeps = any(SHELL_SLEEP.search(line.split("#")[0]) for line in lines)
            else:
                sleeps = False
            if sleeps:
                self.complain(path, "sleeps; wait for an event with a deadline")

    def check_length(self):
        suffixes = (".c", ".h", ".py", ".sh", ".cmake", ".js", ".css", ".html")
        for path in self.files:
            if path.suffix in suffixes or path.name == "CMakeLists.txt":
                count = len(path.read_text(encoding="utf-8").splitlines())
                if count > LINES_MAX:
                    self.complain(path, f"has {count} lines, more than {LINES_MAX}")

    def check(self):
        self.check_components()
        self.check_purity()
        self.check_public_only()
        self.check_tests()
        self.check_length()
        return self.problems


def main():
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[3]
    tree = Tree(root.resolve())
    if not tree.sources:
        print(f"{root}: no sources of drover here", file=sys.stderr)
        return 1
    problems = tree.check()
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{len(tree.files)} files, {len(problems)} violations")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

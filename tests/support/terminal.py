"""A program in a pseudo-terminal, and what stands on its screen.

    with Terminal([drover, "top"], environment, rows=24, columns=80) as terminal:
        terminal.until(lambda: "w1" in terminal.text(), "the worker is shown")
        terminal.press("d")
        terminal.resize(12, 40)

The screen understands what ncurses sends to the terminals of ncurses-base (xterm, vt100, linux):
moves, erasing, scrolling, repeating; attributes are counted and not kept.
"""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
import unicodedata

from fleet import DEADLINE, SCALE

SEQUENCE = re.compile(
    r"\x1b\[(?P<private>[?>!]?)(?P<numbers>[\d;]*)[ ]?(?P<final>[@-~])|\x1b[()*+](?P<set>.)"
    r"|\x1b\](?:[^\x07\x1b]*)(?:\x07|\x1b\\)|\x1b(?P<short>[78=>DEHMc])", re.DOTALL)
CUT = re.compile(r"\x1b(?:\[[?>!]?[\d;]*[ ]?|[()*+]|\][^\x07]*)?$", re.DOTALL)


class Screen:
    """Rows of characters, written to by a terminal's bytes."""

    def __init__(self, rows, columns):
        self.colours = 0  # sequences that ask for one
        self.resize(rows, columns)

    def resize(self, rows, columns):
        self.rows, self.columns = rows, columns
        self.cells = [[" "] * columns for _ in range(rows)]
        self.row = self.column = 0
        self.top, self.bottom = 0, rows - 1
        self.rest = ""
        self.last = " "

    def lines(self):
        return ["".join(row).rstrip() for row in self.cells]

    def write(self, text):
        text, at = self.rest + text, 0
        self.rest = ""
        while at < len(text):
            match = SEQUENCE.match(text, at)
            if match:
                self._sequence(match)
                at = match.end()
            elif CUT.match(text, at):
                self.rest = text[at:]
                return
            else:
                self._character(text[at])
                at += 1

    def _character(self, character):
        if character == "\r":
            self.column = 0
        elif character == "\n":
            self._index()
        elif character == "\b":
            self.column = max(0, self.column - 1)
        elif character == "\t":
            self.column = min(self.columns - 1, self.column // 8 * 8 + 8)
        elif character >= " ":
            self._put(character)

    def _put(self, character):
        if unicodedata.combining(character):
            self.cells[self.row][max(0, self.column - 1)] += character
            return
        if self.column >= self.columns:
            self.column = 0
            self._index()
        width = 2 if unicodedata.east_asian_width(character) in "WF" else 1
        self.cells[self.row][self.column] = character
        if width == 2 and self.column + 1 < self.columns:
            self.cells[self.row][self.column + 1] = ""
        self.column += width
        self.last = character

    def _scroll(self, first, last, count):
        """Moves the lines from first to last up by count, down when it is negative."""
        for _ in range(min(abs(count), self.rows)):
            if count > 0:
                del self.cells[first]
                self.cells.insert(last, [" "] * self.columns)
            else:
                del self.cells[last]
                self.cells.insert(first, [" "] * self.columns)

    def _index(self):
        if self.row == self.bottom:
            self._scroll(self.top, self.bottom, 1)
        else:
            self.row = min(self.rows - 1, self.row + 1)

    def _erase(self, row, first, last):
        self.cells[row][first:last] = [" "] * (min(last, self.columns) - first)

    def _sequence(self, match):
        if match["short"] == "M":
            if self.row == self.top:
                self._scroll(self.top, self.bottom, -1)
            else:
                self.row = max(0, self.row - 1)
        elif match["short"] == "D":
            self._index()
        if match["final"] is None or match["private"]:
            return
        numbers = [int(number or 0) for number in match["numbers"].split(";")]
        count = numbers[0] or 1
        final = match["final"]
        line = self.cells[self.row]
        column = min(self.column, self.columns - 1)
        if final in "Hf":
            self.row = min(self.rows, count) - 1
            self.column = min(self.columns, (numbers[1:] or [1])[0] or 1) - 1
        elif final == "d":
            self.row = min(self.rows, count) - 1
        elif final in "G`":
            self.column = min(self.columns, count) - 1
        elif final == "A":
            self.row = max(0, self.row - count)
        elif final == "B":
            self.row = min(self.rows - 1, self.row + count)
        elif final == "C":
            self.column = min(self.columns - 1, column + count)
        elif final == "D":
            self.column = max(0, column - count)
        elif final == "J":
            for row in range(self.rows):
                if numbers[0] == 2 or (numbers[0] == 0 and row > self.row) or \
                        (numbers[0] == 1 and row < self.row):
                    self._erase(row, 0, self.columns)
            if numbers[0] < 2:
                self._erase(self.row, *((column, self.columns) if numbers[0] == 0
                                        else (0, column + 1)))
        elif final == "K":
            first, last = [(column, self.columns), (0, column + 1), (0, self.columns)][numbers[0]]
            self._erase(self.row, first, last)
        elif final == "X":
            self._erase(self.row, column, column + count)
        elif final == "P":
            del line[column:column + count]
            line.extend([" "] * (self.columns - len(line)))
        elif final == "@":
            line[column:column] = [" "] * count
            del line[self.columns:]
        elif final == "L":
            self._scroll(self.row, self.bottom, -count)
        elif final == "M":
            self._scroll(self.row, self.bottom, count)
        elif final == "S":
            self._scroll(self.top, self.bottom, count)
        elif final == "T":
            self._scroll(self.top, self.bottom, -count)
        elif final == "r":
            self.top = count - 1
            self.bottom = min(self.rows, (numbers[1:] or [self.rows])[0] or self.rows) - 1
            self.row = self.column = 0
        elif final == "b":
            for _ in range(count):
                self._put(self.last)
        elif final == "m":
            self.colours += any(30 <= number <= 37 or number in (38, 48) for number in numbers)


class Terminal:
    """One program on a screen of its own."""

    def __init__(self, words, environment, rows=24, columns=80):
        self.screen = Screen(rows, columns)
        self.end, child = pty.openpty()
        self._set_size(rows, columns)
        self.process = subprocess.Popen(
            words, stdin=child, stdout=child, stderr=child, env=environment,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(child, termios.TIOCSCTTY, 0))
        os.close(child)
        self.bytes = b""
        self.is_over = False

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None:
            print("\n".join(self.screen.lines()))
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.hang_up()

    def _set_size(self, rows, columns):
        fcntl.ioctl(self.end, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def resize(self, rows, columns):
        """The kernel sends SIGWINCH; what was on the screen is gone."""
        self.read(0)
        self.screen.resize(rows, columns)
        self._set_size(rows, columns)

    def hang_up(self):
        """The terminal goes away."""
        if self.end is not None:
            os.close(self.end)
        self.end, self.is_over = None, True

    def press(self, *keys):
        """Types a text, or bytes as they are."""
        for key in keys:
            os.write(self.end, key if isinstance(key, bytes) else key.encode())

    def read(self, seconds):
        """Takes what the program writes within so long, up to its first pause."""
        while not self.is_over and select.select([self.end], [], [], seconds)[0]:
            try:
                more = os.read(self.end, 65536)
            except OSError:  # the other side is closed
                more = b""
            self.is_over = not more
            self.bytes += more
            text, self.bytes = _whole(self.bytes)
            self.screen.write(text)
            seconds = 0

    def lines(self):
        return self.screen.lines()

    def text(self):
        return "\n".join(self.screen.lines())

    def until(self, condition, what, seconds=DEADLINE):
        """Reads until condition() is true; AssertionError at the deadline."""
        deadline = time.monotonic() + seconds * SCALE
        while not condition():
            left = deadline - time.monotonic()
            if left <= 0 or self.is_over:
                raise AssertionError(f"not within {seconds * SCALE} s: {what}\n{self.text()}")
            self.read(min(left, 1))

    def until_text(self, *texts, seconds=DEADLINE):
        self.until(lambda: all(text in self.text() for text in texts), f"{texts} is shown", seconds)

    def wait(self, seconds=DEADLINE):
        """Its exit code."""
        deadline = time.monotonic() + seconds * SCALE
        while self.process.poll() is None and time.monotonic() < deadline:
            self.read(0.05)
        status = self.process.wait(1)
        self.read(0)  # its last words may have come since
        return status

    def signal(self, number=signal.SIGTERM):
        self.process.send_signal(number)


def _whole(data):
    """The text of whole characters, and the bytes of one that is cut."""
    for cut in range(min(4, len(data) + 1)):
        try:
            return data[:len(data) - cut].decode(), data[len(data) - cut:]
        except UnicodeDecodeError:
            continue
    return data.decode(errors="replace"), b""

"""The table of tests/README.md that says which tests show that a fault is survived names tests that
exist."""

import os
import re
import unittest

TESTS = os.path.join(os.environ.get("DROVER_SOURCE_DIR", "."), "tests")


def source_of(name):
    """The file behind the name of a test, without its extension."""
    kind, *middle, last = name.split(".")
    if kind == "bench":
        return os.path.join(TESTS, kind, last)
    if kind == "fuzz":
        return os.path.join(TESTS, kind, f"fuzz_{last}")
    return os.path.join(TESTS, kind, *middle, f"test_{last}")


def text_of(name):
    """The source of a test; None when there is none."""
    for extension in (".c", ".py"):
        path = source_of(name) + extension
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                return file.read()
    return None


def rows():
    """(fault, what the row names) of the table."""
    with open(os.path.join(TESTS, "README.md"), encoding="utf-8") as file:
        part = file.read().partition("## Faults")[2]
    for line in part.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and len(cells) == 2 and cells[0] != "fault":
            yield cells


class FaultTable(unittest.TestCase):
    def test_every_row_names_tests_that_exist(self):
        found = list(rows())
        self.assertGreater(len(found), 20)
        for fault, tests in found:
            with self.subTest(fault):
                names = re.findall(r"`([a-z]+(?:\.[a-z_]+)+)`((?:,? test_\w+)*)", tests)
                self.assertTrue(names)
                for name, functions in names:
                    text = text_of(name)
                    self.assertIsNotNone(text, f"there is no {name}")
                    for function in re.findall(r"test_\w+", functions):
                        self.assertIn(f"{function}(", text, f"not in {name}")

    def test_a_name_that_does_not_exist_is_found(self):
        self.assertIsNone(text_of("unit.broker.nothing"))
        self.assertIsNotNone(text_of("unit.broker.worker"))


if __name__ == "__main__":
    unittest.main()

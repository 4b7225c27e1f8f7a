"""The table of broker/SECURITY.md that says who may try what names tests that exist."""

import os
import re
import unittest

from test_fault_table import text_of

SOURCE = os.environ.get("DROVER_SOURCE_DIR", ".")


def rows():
    """(who and what, the cell that names tests) of the table."""
    with open(os.path.join(SOURCE, "broker", "SECURITY.md"), encoding="utf-8") as file:
        part = file.read().partition("## Who may try what")[2].partition("\n## ")[0]
    for line in part.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and len(cells) == 4 and cells[0] != "who tries":
            yield f"{cells[0]}: {cells[1]}", cells[3]


class SecurityTable(unittest.TestCase):
    def test_every_row_names_tests_that_exist(self):
        found = list(rows())
        self.assertGreater(len(found), 20)
        for what, tests in found:
            with self.subTest(what):
                names = re.findall(r"`([a-z]+(?:\.[a-z_]+)+)`((?: test_\w+)+)", tests)
                self.assertTrue(names)
                self.assertEqual(len(names), tests.count("`") // 2)
                for name, functions in names:
                    text = text_of(name)
                    self.assertIsNotNone(text, f"there is no {name}")
                    for function in functions.split():
                        self.assertIn(f"{function}(", text, f"not in {name}")


if __name__ == "__main__":
    unittest.main()

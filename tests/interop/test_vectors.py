"""The vectors of common/PROTOCOL.md through another msgpack implementation."""

import os
import re
import unittest

from drover_wire import pack, unpack

SOURCE = os.environ.get("DROVER_SOURCE_DIR", os.path.join(os.path.dirname(__file__), "../.."))


def document():
    """The specification: what comes before the vectors, and the vectors."""
    with open(os.path.join(SOURCE, "common/PROTOCOL.md"), encoding="utf-8") as file:
        return file.read().split("## 9. Test vectors")


def vectors():
    """(sort, name, argument, head) of each vector."""
    section = document()[1]
    pattern = re.compile(
        r"^(vector|also|refuse) ([a-z0-9-]+)(?: =)?(?: ([a-z0-9_-]+))?\n"
        r"  head ([0-9a-f\n -]+?)\n  blob", re.MULTILINE)
    return [(sort, name, argument, bytes.fromhex(re.sub(r"[^0-9a-f]", "", head)))
            for sort, name, argument, head in pattern.findall(section)]


class Vectors(unittest.TestCase):

    def test_document_has_vectors(self):
        sorts = [sort for sort, *_ in vectors()]
        self.assertGreater(sorts.count("vector"), 50)
        self.assertGreater(sorts.count("also"), 15)
        self.assertGreater(sorts.count("refuse"), 30)

    def test_heads_are_what_another_packer_writes(self):
        """The heads of vectors are in the shortest form: reading and writing gives them again."""
        for sort, name, _, head in vectors():
            if sort == "vector":
                with self.subTest(name):
                    self.assertEqual(pack(unpack(head)), head)

    def test_other_forms_begin_like_the_vector_they_equal(self):
        """Kind, epoch, seq and ack are the same; a short form has fewer fields, a newer more."""
        heads = {name: unpack(head) for sort, name, _, head in vectors() if sort == "vector"}
        for sort, name, argument, head in vectors():
            if sort == "also":
                with self.subTest(name):
                    self.assertEqual(unpack(head)[:4], heads[argument][:4])

    def test_every_kind_has_one_row_and_a_vector(self):
        """The tables of section 6 name each kind once, and a vector shows what it looks like."""
        section = document()[0].split("## 6. Messages")[1].split("## 7. Codes")[0]
        rows = re.findall(r"^\| (\d+(?:, \d+)*) \| [A-Z]", section, re.MULTILINE)
        kinds = [int(number) for row in rows for number in row.split(", ")]
        shown = {unpack(head)[0] for sort, name, _, head in vectors()
                 if sort == "vector" or name.endswith("-reserved")}
        self.assertEqual(sorted(kinds), sorted(shown))


if __name__ == "__main__":
    unittest.main()

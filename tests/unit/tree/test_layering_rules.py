"""Each rule of layering.py finds its violation, and leaves its neighbour alone."""

import tempfile
import unittest
from pathlib import Path

from layering import Tree


class LayeringRules(unittest.TestCase):
    def check(self, files):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in files.items():
                path = Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            return Tree(Path(folder).resolve()).check()

    def assert_found(self, files, *parts):
        problems = self.check(files)
        self.assertEqual(len(problems), 1, problems)
        for part in parts:
            self.assertIn(part, problems[0])

    def assert_clean(self, files):
        self.assertEqual(self.check(files), [])

    def test_core_with_plain_headers_is_clean(self):
        self.assert_clean({
            "common/src/list.h": "#include <stddef.h>\n",
            "broker/core/task.h": "",
            "broker/core/task.c":
                '#include "task.h"\n#include "list.h"\n#include <stdint.h>\n'
                'void f(char *b) { snprintf(b, 9, "printf(x)"); } /* printf(x) */\n',
        })

    def test_core_that_includes_a_system_header_is_found(self):
        for header in ("zmq.h", "czmq.h", "msgpack.h", "time.h", "pthread.h", "unistd.h",
                       "sys/socket.h", "errno.h", "assert.h"):
            for name in ("broker/core/sched.c", "worker/session.c", "client/src/session.c"):
                self.assert_found({name: f"# include  <{header}>\n"}, name, header)

    def test_core_that_reaches_a_system_header_through_common_is_found(self):
        self.assert_found(
            {"common/src/log.h": "#include <time.h>\n", "broker/core/a.c": '#include "log.h"\n'},
            "broker/core/a.c", "<time.h>", "common/src/log.h")

    def test_core_that_calls_the_outside_is_found(self):
        for call in ("printf", "fprintf", "getenv", "rand", "fopen", "exit"):
            self.assert_found({"broker/core/a.c": f"void f(void) {{ {call}(x); }}\n"}, call)

    def test_shell_may_include_anything(self):
        self.assert_clean({"broker/server.c": "#include <zmq.h>\n#include <time.h>\n"})

    def test_component_that_includes_another_is_found(self):
        headers = {f"{c}/{c}_part.h": "" for c in ("broker", "worker", "client")}
        for one in ("common", "broker", "worker", "client"):
            for other in ("broker", "worker", "client"):
                files = dict(headers)
                files[f"{one}/x.c"] = f'#include "{other}_part.h"\n'
                if one == other:
                    self.assert_clean(files)
                else:
                    self.assert_found(files, f"{one}/x.c", f"of {other}")

    def test_public_header_of_another_component_is_found(self):
        self.assert_found(
            {"client/include/drover/client.h": "",
             "worker/x.c": "#include <drover/client.h>\n"}, "worker/x.c", "of client")

    def test_public_header_of_another_component_is_for_examples(self):
        self.assert_clean(
            {"worker/include/drover/worker.h": "",
             "client/examples/x.c": "#include <drover/worker.h>\n"})

    def test_own_header_wins_over_one_of_the_same_name_elsewhere(self):
        self.assert_clean({
            "client/src/session.h": "", "worker/session.h": "",
            "worker/agent.c": '#include "session.h"\n',
            "client/src/client.c": '#include "session.h"\n',
        })

    def test_path_into_another_component_is_found(self):
        self.assert_found(
            {"worker/session.h": "", "broker/x.c": '#include "../worker/session.h"\n'},
            "broker/x.c", "of worker")

    def test_module_with_a_private_header_is_found(self):
        self.assert_found(
            {"common/src/list.h": "", "worker/modules/demo.c": '#include "list.h"\n'},
            "worker/modules/demo.c", "list.h")

    def test_test_that_includes_cmocka_is_found(self):
        self.assert_found({"tests/unit/a/test_b.c": "#include <cmocka.h>\n"}, "cmocka.h")
        self.assert_clean({"tests/support/test.h": "#include <cmocka.h>\n"})

    def test_test_that_sleeps_is_found(self):
        for name, text in (
                ("tests/unit/a/test_b.c", "void f(void) { usleep (5); }\n"),
                ("tests/support/run.py", "import time\ntime.sleep(1)\n"),
                ("tests/web/run.sh", "for i in 1 2; do sleep 1; done\n")):
            self.assert_found({name: text}, name, "sleeps")

    def test_the_word_sleep_is_no_sleep(self):
        self.assert_clean({
            "tests/unit/a/test_b.c": 'void f(void) { submit("sleep(5)"); } // sleep(5)\n',
            "tests/support/run.py": 'submit("sleep(1)")  # sleep(1)\n',
            "tests/web/run.sh": "drover submit sleep 5 # sleep 5\n",
        })

    def test_long_file_is_found(self):
        self.assert_found({"worker/a.c": "\n" * 701}, "701")
        self.assert_clean({"worker/a.c": "\n" * 700})


if __name__ == "__main__":
    unittest.main()

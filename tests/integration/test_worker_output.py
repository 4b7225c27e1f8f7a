"""What tasks print, log and emit, seen by a broker that the test plays."""

import os
import unittest

import msgpack
from fleet import Fleet, SCALE, module, test_module, until
from stage import TAIL_END, Stage

STDOUT, STDERR, LOG, DATA = 1, 2, 3, 4
SUCCEEDED, FAILED = 1, 2
FLOOD = (1 << 28) // SCALE


def resident_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))


class Output(unittest.TestCase):
    def setUp(self):
        self.fleet = Fleet()
        self.addCleanup(self.fleet.__exit__, None, None, None)
        self.stage = Stage(self.fleet.folder)
        self.addCleanup(self.stage.__exit__)

    def start(self, *arguments, **welcome):
        self.worker = self.fleet.worker("--broker", self.stage.endpoint, "--load",
                                        test_module("rough"), *arguments, ready=False)
        return self.stage.accept(**welcome)

    def until_result(self, peer):
        """All that is logged until a result comes, and that."""
        logs, result = [], None
        while result is None:
            kind, fields, blob = peer.receive(65, 69)
            peer.pending.insert(0, (kind, fields, blob))
            if kind == 69:
                logs.append(peer.log())
            else:
                result = next(iter(peer.report().results), None)
        return logs, result

    def test_the_worker_says_that_it_streams_logs(self):
        peer = self.start()
        self.assertIn("logs", peer.hello[7])

    def test_every_result_brings_the_last_of_its_output(self):
        peer = self.start("--slots", "2")
        for number in range(50):
            peer.lease("speak", str(number), index=number, task=bytes(15) + b"\1")
        results = []
        while len(results) < 50:
            results += peer.report().results
        for result in results:
            self.assertEqual(sorted(result.tail), [
                (STDOUT, 0, b"out %d\n" % result.index), (STDERR, 0, b"err %d\n" % result.index)])

    def test_a_crash_brings_its_last_words(self):
        peer = self.start()
        peer.lease("crash")
        result = peer.result()
        self.assertEqual(result.outcome, FAILED)
        self.assertEqual(result.tail, [(STDERR, 0, b"demo: about to crash, attempt 1\n")])

    def test_who_follows_sees_partial_data_before_the_result(self):
        peer = self.start()
        ref = peer.lease("count", 20)
        peer.follow(ref, STDOUT, STDERR, LOG, DATA)
        logs, result = self.until_result(peer)
        self.assertEqual((result.outcome, result.value), (SUCCEEDED, 20))
        self.assertTrue(any(log.flags & TAIL_END for log in logs), logs)
        values = [msgpack.unpackb(log.text) for log in logs if log.stream == DATA]
        self.assertEqual(values, list(range(1, 21)))
        self.assertEqual([log.offset for log in logs if log.stream == DATA], list(range(20)))
        self.assertEqual({log.id for log in logs}, {ref[1]})
        self.assertEqual(b"".join(text for _, _, text in result.tail), bytes(range(1, 21)))

    def test_a_command_is_followed_while_it_runs(self):
        config = self.fleet.write("worker.ini", "[handler.talk]\ncommand = sh -c\n"
                                  "argument = echo one; read x < \"$1\"; echo two\n"
                                  "argument = sh\nargument = {}\n")
        peer = self.start("--config", config)
        fifo = self.fleet.path("fifo")
        os.mkfifo(fifo)
        ref = peer.lease("talk", fifo)
        peer.follow(ref, STDOUT)
        seen = b""
        while seen != b"one\n":
            seen += peer.log().text
        with open(fifo, "w", encoding="ascii") as file:
            file.write("\n")
        logs, result = self.until_result(peer)
        self.assertEqual(result.value, "one\ntwo\n")
        self.assertEqual(seen + b"".join(log.text for log in logs), b"one\ntwo\n")

    def test_a_flood_that_is_followed_keeps_out_of_the_way(self):
        """Much output at full speed: the worker's memory stays where it was, its heartbeats and
        other results come through, and what was dropped is counted."""
        peer = self.start("--slots", "2", "--task-output", "drop", heartbeat_ms=50)
        peer.lease("square", 2)
        self.assertEqual(peer.result().value, 4)
        before = resident_kib(self.worker.pid)
        flood = peer.lease("flood", FLOOD)
        peer.follow(flood, STDOUT)
        end, missed, quick, beats, result, highest = 0, 0, 0, peer.beats, None, 0
        peer.lease("square", 3)
        while result is None:
            kind, fields, blob = peer.receive(65, 69)
            peer.pending.insert(0, (kind, fields, blob))
            if kind == 69:
                log = peer.log()
                missed += log.offset - end
                end = log.offset + len(log.text)
                continue
            for done in peer.report().results:
                if done.id == flood[1]:
                    result = done
                else:
                    quick += 1
                    highest = max(highest, resident_kib(self.worker.pid))
                    peer.lease("square", 3)
        self.assertEqual((result.outcome, result.value), (SUCCEEDED, FLOOD))
        stream, offset, text = result.tail[-1]
        self.assertEqual((stream, offset + len(text)), (STDOUT, FLOOD))
        self.assertGreater(end, 0)
        self.assertLessEqual(end, FLOOD)
        self.assertGreater(quick, 10)
        self.assertGreater(peer.beats, beats)
        self.assertLess(highest - before, 16 * 1024 * SCALE)

    def test_the_log_has_each_line_with_its_task_unless_told_not_to(self):
        peer = self.start()
        peer.lease("speak", "said")
        peer.result()
        self.worker.until_log("msg=output id=")
        self.worker.until_log('stream=stdout text="out said"')
        self.assertEqual(self.worker.terminate(), 0)
        peer = self.start("--task-output", "drop")
        peer.lease("speak", "unsaid")
        peer.result()
        self.assertEqual(self.worker.terminate(), 0)
        self.assertNotIn("unsaid", self.worker.stderr())


if __name__ == "__main__":
    unittest.main()

"""A real worker against a broker that the test plays: leases, cancels, recalls, reconnects."""

import os
import signal
import unittest

import msgpack

from fleet import Fleet, descendants, is_alive, parent_of, until
from stage import (ACK, CHUNK, CONFIRM, CREDIT, DRAIN, GOODBYE, KV, LEASE, REPLY, REPORT, SHARED,
                   Stage)

SUCCEEDED, FAILED, CANCELLED = 1, 2, 3
KIND_HANDLER, KIND_CRASH, KIND_TIMEOUT = 1, 2, 3
RECALLED, DRAINING, ABORTED, NO_HANDLER, INTERRUPTED, LOST = 1, 2, 3, 5, 6, 7
CODE_STALE, CODE_CANCELLED = 9, 19


class Contract(unittest.TestCase):
    def setUp(self):
        self.fleet = Fleet()
        self.addCleanup(self.clean)
        self.stage = Stage(self.fleet.folder)
        self.addCleanup(self.stage.__exit__)

    def clean(self):
        self.fleet.__exit__(None, None, None)

    def start(self, *arguments, **welcome):
        self.worker = self.fleet.worker("--broker", self.stage.endpoint, "--slots", "2",
                                        *arguments, ready=False)
        self.peer = self.stage.accept(**welcome)
        self.worker.wait_ready()
        return self.peer

    # ---- leases ----

    def test_a_lease_becomes_a_result(self):
        peer = self.start()
        ref = peer.lease("square", 12)
        result = peer.result()
        self.assertEqual((result.id, result.index, result.attempt), tuple(ref[1:]))
        self.assertEqual((result.outcome, result.value), (SUCCEEDED, 144))
        self.assertIsNone(result.error)

    def test_elements_keep_index_and_share_a_value(self):
        peer = self.start()
        array = os.urandom(16)
        blob = msgpack.packb("shared")
        peer.send(SHARED, array, [0, len(blob)], blob=blob)
        blob = msgpack.packb(3)
        peer.send(LEASE, [["square", "default", 0, 0, 0, 2,
                           [[i, array, i, 1, [0, len(blob)], None] for i in range(5)]]],
                  blob=blob)
        seen = {}
        while len(seen) < 5:
            seen.update({result.index: result.value for result in peer.report().results})
        self.assertEqual(seen, {i: 9 for i in range(5)})

    def test_large_values_travel_in_chunks(self):
        peer = self.start()
        blob = msgpack.packb("x" * 300000)
        sent = 0
        while sent < len(blob):
            piece = blob[sent:sent + 200000]
            peer.send(CHUNK, 1, sent, len(blob), blob=piece)
            sent += len(piece)
        peer.send(LEASE, [["echo", "default", 0, 0, 0, 0,
                           [[1, os.urandom(16), -1, 1, [0, len(blob), None, 1], None]]]])
        self.assertEqual(peer.result().value, "x" * 300000)

    def test_many_leases_in_one_message(self):
        peer = self.start()
        blob = msgpack.packb(7)
        peer.send(LEASE, [["square", "default", 0, 0, 0, 0,
                           [[i, os.urandom(16), -1, 1, [0, len(blob)], None]
                            for i in range(1000)]]], blob=blob)
        results = []
        while len(results) < 1000:
            results += peer.report().results
        self.assertEqual({result.value for result in results}, {49})
        self.assertEqual(len({result.id for result in results}), 1000)

    def test_a_type_it_does_not_have_goes_back(self):
        peer = self.start()
        ref = peer.lease("cube", 3)
        report = peer.report()
        self.assertEqual(report.returned, [[*ref, NO_HANDLER]])

    def test_a_failure_keeps_its_words(self):
        peer = self.start()
        peer.lease("fail", "for a reason")
        result = peer.result()
        self.assertEqual(result.outcome, FAILED)
        self.assertEqual(result.error[0], KIND_HANDLER)
        self.assertIn("for a reason", result.error[2])

    def test_a_crash_costs_only_its_own_task(self):
        peer = self.start()
        peer.lease("crash")
        result = peer.result()
        self.assertEqual((result.outcome, result.error[0]), (FAILED, KIND_CRASH))
        self.assertEqual(result.error[4], signal.SIGSEGV)
        peer.lease("square", 2)
        self.assertEqual(peer.result().value, 4)
        self.assertIsNone(self.worker.process.poll())

    def test_a_timeout_ends_the_attempt(self):
        peer = self.start()
        peer.lease("sleep", 600000, timeout_ms=50, term_ms=50, kill_ms=50)
        result = peer.result()
        self.assertEqual((result.outcome, result.error[0]), (FAILED, KIND_TIMEOUT))

    # ---- STARTED, RECALL, ABORT, GO ----

    def test_started_is_said_before_a_long_task_ends(self):
        peer = self.start()
        ref = peer.lease("sleep", 600000)
        self.assertEqual(peer.started(), ref[1])

    def test_recall_is_answered_by_what_is_true(self):
        peer = self.start()
        running = [peer.lease("sleep", 600000) for _ in range(2)]
        self.assertEqual(self.started_ids(peer, 2), {ref[1] for ref in running})
        waiting = peer.lease("sleep", 600000)
        peer.recall(waiting, running[0])
        started, returned = set(), []
        while not started or not returned:
            report = peer.report()
            started |= {ref[1] for ref in report.started}
            returned += report.returned
        self.assertEqual(returned, [[*waiting, RECALLED]])
        self.assertEqual(started, {running[0][1]})

    def started_ids(self, peer, count):
        ids = set()
        while len(ids) < count:
            ids |= {ref[1] for ref in peer.report().started}
        return ids

    def test_cancel_reaches_a_running_handler(self):
        peer = self.start()
        ref = peer.lease("sleep", 600000)
        peer.started()
        peer.abort(ref, code=CODE_CANCELLED)
        result = peer.result()
        self.assertEqual((result.id, result.outcome), (ref[1], CANCELLED))

    def test_cancel_of_a_waiting_lease_returns_it(self):
        peer = self.start()
        for _ in range(2):
            peer.lease("sleep", 600000)
        self.started_ids(peer, 2)
        ref = peer.lease("sleep", 600000)
        peer.abort(ref, code=CODE_CANCELLED)
        self.assertEqual(peer.report().returned, [[*ref, ABORTED]])

    def test_stale_abort_ends_it_without_a_word(self):
        peer = self.start()
        ref = peer.lease("sleep", 600000)
        peer.started()
        peer.abort(ref, code=CODE_STALE)
        other = peer.lease("sleep", 600000, task=ref[1], attempt=2)
        self.assertEqual(peer.started(), other[1])
        peer.abort(other, code=CODE_CANCELLED)
        self.assertEqual(peer.result().attempt, 2)
        self.assertEqual([kind for kind, _, _ in peer.pending if kind == REPORT], [])

    def test_a_suspect_waits_for_go(self):
        peer = self.start()
        ref = peer.lease("square", 5, flags=CONFIRM)
        report = peer.report()
        self.assertEqual((report.started, report.results), ([ref], []))
        peer.lease("square", 6)
        self.assertEqual(peer.result().value, 36)
        peer.go(ref)
        self.assertEqual(peer.result().value, 25)

    def test_drain_of_the_broker_returns_what_waits(self):
        peer = self.start()
        for _ in range(2):
            peer.lease("sleep", 600000)
        self.started_ids(peer, 2)
        waiting = peer.lease("sleep", 600000)
        peer.send(DRAIN, True, "for a while")
        self.assertEqual(peer.report().returned, [[*waiting, DRAINING]])
        late = peer.lease("square", 2)
        self.assertEqual(peer.report().returned, [[*late, DRAINING]])
        peer.send(DRAIN, False, "")
        peer.recall(waiting)
        self.assertEqual(peer.report().returned, [[*waiting, RECALLED]])

    # ---- shared data ----

    def test_handlers_reach_shared_data(self):
        peer = self.start()
        ref = peer.lease("kv_put", {"key": "k", "value": 5})
        _, fields, blob = peer.receive(KV)
        req, floor, _budget, op, key, val, _number, _ttl, fence = (fields + [None] * 9)[:9]
        self.assertEqual((req, floor, op, key), (1, 1, 2, "k"))
        self.assertEqual(peer.value(val, blob), 5)
        self.assertEqual(fence, ref[1:])
        peer.send(REPLY, [[req, 0, 1, None, 0, None, None]])
        self.assertEqual(peer.result().value, 1)

    def test_questions_are_asked_again_after_a_reconnect(self):
        peer = self.start()
        peer.lease("kv_add", {"key": "n", "by": 2})
        peer.receive(KV)
        self.stage.close()
        self.stage.open()
        peer = self.stage.accept(resumed=True)
        _, fields, _ = peer.receive(KV)
        self.assertEqual((fields[0], fields[3]), (1, 4))
        peer.send(REPLY, [[1, 0, 42, None, 0, None, None]])
        self.assertEqual(peer.result().value, 42)

    # ---- connections ----

    def test_a_reconnect_presents_what_it_holds(self):
        peer = self.start()
        running = peer.lease("sleep", 600000)
        peer.started()
        peer.settle = False
        done = peer.lease("square", 3)
        self.assertEqual(peer.result().value, 9)
        session = peer.hello[3]
        self.stage.close()
        self.worker.until_log("broker lost")
        self.stage.open()
        peer = self.stage.greet()
        self.assertEqual((peer.hello[3], peer.hello[4]), (session, True))
        self.assertEqual(sorted(peer.attached),
                         sorted([[*running[1:], 2], [*done[1:], 3]]))
        peer.welcome(resumed=True)
        again = peer.result()
        self.assertEqual((again.id, again.value), (done[1], 9))
        peer.abort([0, *running[1:]], code=CODE_CANCELLED)
        self.assertEqual(peer.result().outcome, CANCELLED)

    def test_a_refused_result_is_dropped(self):
        peer = self.start()
        peer.settle = False
        peer.lease("square", 3)
        peer.result()
        peer.settled = peer.received
        peer.send(ACK, [[peer.received, 0, CODE_STALE]])
        peer.send(GOODBYE, 0, "")
        self.assertEqual(self.stage.greet().attached, [])

    def test_silence_makes_it_reconnect_and_start_nothing(self):
        peer = self.start(heartbeat_ms=20, lease_ms=200)
        for _ in range(2):
            peer.lease("sleep", 600000)
        peer.lease("sleep", 1)
        again = self.stage.greet() # nothing was answered for 200 ms
        self.assertEqual([state for *_, state in again.attached], [2, 2])

    def test_a_broken_sequence_makes_it_reconnect(self):
        peer = self.start()
        peer.sent += 5
        peer.lease("square", 3)
        self.worker.until_log("broker lost")
        self.assertEqual(self.stage.greet().attached, [])

    def test_bytes_that_are_no_message_make_it_reconnect(self):
        peer = self.start()
        for frames in ([b"\xc1garbage", b""], [b"one frame"], [b"a", b"b", b"c"]):
            self.stage.socket.send_multipart([peer.address, *frames])
            peer = self.stage.accept(resumed=True)
        peer.lease("square", 3)
        self.assertEqual(peer.result().value, 9)

    # ---- the end ----

    def test_sigterm_returns_finishes_and_says_goodbye(self):
        peer = self.start()
        running = peer.lease("sleep", 300)
        other = peer.lease("sleep", 600000)
        self.started_ids(peer, 2)
        waiting = peer.lease("sleep", 600000)
        self.worker.signal(signal.SIGTERM)
        _, fields, _ = peer.receive(CREDIT)
        self.assertEqual(fields[0], 0)
        self.assertEqual(peer.report().returned, [[*waiting, DRAINING]])
        result = peer.result()
        self.assertEqual((result.id, result.outcome), (running[1], SUCCEEDED))
        self.worker.signal(signal.SIGTERM)
        self.assertEqual(peer.report().returned, [[*other, INTERRUPTED]])
        peer.receive(GOODBYE)
        self.assertEqual(self.worker.wait(), 0)

    def test_ctrl_c_in_a_terminal_lets_running_work_finish(self):
        peer = self.start()
        ref = peer.lease("sleep", 300)
        peer.started()
        self.worker.interrupt()
        peer.receive(CREDIT)
        result = peer.result()
        self.assertEqual((result.id, result.outcome), (ref[1], SUCCEEDED))
        peer.receive(GOODBYE)
        self.assertEqual(self.worker.wait(), 0)

    def test_grace_bounds_a_drain(self):
        peer = self.start("--grace", "50ms")
        ref = peer.lease("sleep", 600000, term_ms=50, kill_ms=50)
        peer.started()
        self.worker.signal(signal.SIGTERM)
        self.assertEqual(peer.report().returned, [[*ref, INTERRUPTED]])
        self.assertEqual(self.worker.wait(), 0)

    def test_results_are_settled_before_the_end(self):
        peer = self.start()
        peer.settle = False
        peer.lease("square", 3)
        peer.result()
        self.worker.signal(signal.SIGTERM)
        peer.receive(CREDIT)
        self.assertIsNone(self.worker.process.poll())
        peer.settled = peer.received
        peer.send(ACK, [])
        peer.receive(GOODBYE)
        self.assertEqual(self.worker.wait(), 0)

    def test_an_idle_worker_ends_at_once(self):
        self.start()
        self.assertEqual(self.worker.terminate(), 0)

    def test_a_killed_agent_leaves_no_process(self):
        peer = self.start("--allow-exec", "sleep")
        for kind in ("sleep", "spin"):
            peer.lease(kind, 600000)
        self.started_ids(peer, 2)
        family = descendants(self.worker.pid)
        self.assertGreaterEqual(len(family), 3) # the zygote and two executors
        self.worker.kill()
        until(lambda: not any(is_alive(pid) for pid in family), "all children have ended")

    def test_a_dead_zygote_ends_the_worker_after_it_has_told(self):
        peer = self.start()
        ref = peer.lease("sleep", 600000)
        peer.started()
        zygote = [pid for pid in descendants(self.worker.pid)
                  if parent_of(pid) == self.worker.pid]
        for pid in zygote:
            os.kill(pid, signal.SIGKILL)
        self.assertEqual(peer.report().returned, [[*ref, LOST]])
        self.assertEqual(self.worker.wait(), 74)


if __name__ == "__main__":
    unittest.main()

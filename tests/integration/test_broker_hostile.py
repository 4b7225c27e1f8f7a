"""Peers that break the rules, or do not read, against a real broker: they get an error or silence and a counter,
and nobody else notices."""

import os
import random
import re
import signal
import socket
import unittest

import msgpack

from fleet import Fleet, until
from rawpeer import (BUSY, CLIENT, ERROR, GOODBYE, HEARTBEAT, KV, LEASE, LIMIT, MALFORMED,
                     PROTOCOL, QUERY, REPLY, RESULTS, SUBMIT, TOO_BIG, UNSUPPORTED, VERSION,
                     WELCOME, WORKER, WRONG_ENDPOINT, RawPeer)

SANITIZER = os.environ.get("DROVER_TEST_SANITIZER", "none")
SEED = int(os.environ.get("DROVER_TEST_SEED", random.SystemRandom().randrange(1 << 32)))


def address(endpoint):
    host, port = endpoint[len("tcp://"):].rsplit(":", 1)
    return host, int(port)


class Hostile(unittest.TestCase):
    def setUp(self):
        print(f"DROVER_TEST_SEED={SEED}")
        self.random = random.Random(SEED)

    def still_serves(self, fleet):
        """An honest task goes through."""
        done = fleet.drover("submit", "square", "7", "--wait")
        self.assertEqual(done.stdout.strip(), "49")

    def malformed(self, fleet):
        return fleet.status()["tasks"]["malformed"]

    def test_random_bytes_on_every_port_hurt_nobody(self):
        with Fleet(tcp=True) as fleet:
            broker = fleet.broker()
            fleet.worker()
            for endpoint in (fleet.endpoint, fleet.worker_endpoint):
                for _ in range(20):
                    with socket.create_connection(address(endpoint)) as stream:
                        try:
                            stream.sendall(self.random.randbytes(self.random.randrange(1, 20000)))
                        except (BrokenPipeError, ConnectionResetError):
                            pass
            self.still_serves(fleet)
            self.assertIsNone(broker.process.poll())

    def test_frames_that_are_no_message_are_counted(self):
        with Fleet() as fleet:
            fleet.broker()
            fleet.worker()
            samples = [
                [b""], [b"", b"", b""], [b"x"] * 12, [b"\xc1", b""], [b"\x90", b""],
                [msgpack.packb("hello"), b""], [msgpack.packb([1] * 10), b""],
                [b"\xdd\xff\xff\xff\xff", b""], [b"\xdf\xff\xff\xff\xff" * 30, b""],
                [b"\x91" * 5000 + b"\xc0", b""], [msgpack.packb({"a": 1}), b"blob"],
            ]
            samples += [[self.random.randbytes(self.random.randrange(0, 300)), b""]
                        for _ in range(200)]
            for endpoint in (fleet.endpoint, fleet.worker_endpoint):
                for frames in samples:
                    with RawPeer(endpoint) as peer:
                        peer.frames(*frames)
                        peer.deliver()
            until(lambda: self.malformed(fleet) >= len(samples), "the samples were counted")
            self.still_serves(fleet)

    def test_garbage_after_welcome_costs_the_connection_alone(self):
        with Fleet() as fleet:
            fleet.broker()
            fleet.worker()
            for garbage in ([SUBMIT, "epoch"], [SUBMIT, None, 2, 1, {}], [KV, None, 2, 1, 1, 1, 0, "op"],
                            b"\xc1", b"\xdd\xff\xff\xff\xff\x01"):
                with RawPeer(fleet.endpoint) as peer:
                    peer.hello()
                    if isinstance(garbage, list):
                        fields = [peer.epoch if field is None else field for field in garbage]
                        garbage = msgpack.packb(fields)
                    peer.frames(garbage, b"")
                    head, _ = peer.until(ERROR)
                    self.assertIn(head[4], (MALFORMED, PROTOCOL))
                    self.assertTrue(head[5])
            self.still_serves(fleet)

    def test_tags_and_labels_beyond_their_number_or_length_are_no_message(self):
        """Of a task and of a worker: 64 of them, 128 bytes each; what is within goes through."""
        def tagged(tags):
            with RawPeer(fleet.endpoint) as peer:
                peer.hello()
                spec = ["x", None, 0, 0, 0, 0, 0, 1000, 60000, 3, 0, -1, 0, None, 0, None, None, tags]
                peer.request(SUBMIT, [[spec, [[os.urandom(16), [0, 1]]]]], blob=b"\x07")
                return peer.until_any(REPLY, ERROR)

        def labelled(labels):
            offer = [1, 1, "host", [["x", 1, 0]], [], labels, [], 0, 1]
            with RawPeer(fleet.worker_endpoint) as peer:
                peer.say_hello(role=WORKER, worker=offer, name="labelled")
                return peer.until_any(WELCOME, ERROR)

        def pairs(count, length):
            return [[f"name-{n}", "v" * length] for n in range(count)]
        with Fleet() as fleet:
            fleet.broker()
            for say, answer in ((tagged, REPLY), (labelled, WELCOME)):
                self.assertEqual(say(pairs(64, 128))[0], answer)
                for wrong in (pairs(65, 1), pairs(1, 129), [["n" * 129, "v"]]):
                    head = say(wrong)
                    self.assertEqual(head[0], ERROR)
                    self.assertIn(head[4], (MALFORMED, LIMIT, TOO_BIG))

    def test_frame_beyond_the_limit_ends_the_connection(self):
        with Fleet() as fleet:
            broker = fleet.broker()
            fleet.worker()
            with RawPeer(fleet.endpoint) as peer:
                peer.hello()
                head = msgpack.packb([SUBMIT, peer.epoch, 2, 1])
                peer.frames(head, bytes(32 << 20))
                self.still_serves(fleet)
            self.assertLess(fleet.status()["broker"]["rss_bytes"], 400 << 20)
            self.assertIsNone(broker.process.poll())

    def test_unknown_version_is_told_which_is_served(self):
        with Fleet() as fleet:
            fleet.broker()
            with RawPeer(fleet.endpoint) as peer:
                peer.say_hello(versions=(2, 9))
                head, _ = peer.until(ERROR)
                self.assertEqual(head[4], VERSION)
                self.assertIn("1", head[5])

    def test_wrong_port_is_told_the_right_one(self):
        with Fleet() as fleet:
            fleet.broker()
            with RawPeer(fleet.worker_endpoint) as peer:
                peer.say_hello(role=CLIENT)
                head, _ = peer.until(ERROR)
                self.assertEqual(head[4], WRONG_ENDPOINT)
                self.assertEqual(head[9], fleet.endpoint)

    def test_message_before_hello_is_refused(self):
        with Fleet() as fleet:
            fleet.broker()
            with RawPeer(fleet.endpoint) as peer, RawPeer(fleet.endpoint) as other:
                other.hello()
                peer.epoch = other.epoch
                peer.send(HEARTBEAT)
                head, _ = peer.until(ERROR)
                self.assertEqual(head[4], PROTOCOL)

    def test_sequence_gap_breaks_the_connection(self):
        with Fleet() as fleet:
            fleet.broker()
            with RawPeer(fleet.endpoint) as peer:
                peer.hello()
                peer.sent += 5
                peer.send(HEARTBEAT)
                head, _ = peer.until(ERROR)
                self.assertEqual(head[4], PROTOCOL)

    def counts(self, fleet):
        tasks = fleet.status()["tasks"]
        return tasks["late"], tasks["malformed"]

    def test_what_comes_after_a_connection_was_given_up_is_late_not_malformed(self):
        """A link that held messages back while the broker gave its peer up delivers them."""
        with Fleet() as fleet:
            fleet.broker()
            with RawPeer(fleet.worker_endpoint) as peer, RawPeer(fleet.endpoint) as other:
                other.hello()
                peer.epoch, peer.sent = other.epoch, 6
                for number in range(1, 6):
                    peer.send(HEARTBEAT)
                    until(lambda: self.counts(fleet) == (number, 0), "one more was late")
                head, _ = peer.until(ERROR)
                self.assertEqual(head[4], PROTOCOL)
                other.epoch += 1
                other.send(HEARTBEAT)
                until(lambda: self.counts(fleet) == (6, 0), "another epoch's was late")
            with RawPeer(fleet.endpoint) as peer:
                peer.hello()
                peer.sent += 1
                peer.send(HEARTBEAT)
                until(lambda: self.counts(fleet) == (6, 1), "a gap was no message")

    def test_unknown_kind_is_unsupported_and_the_connection_lives(self):
        with Fleet() as fleet:
            fleet.broker()
            with RawPeer(fleet.endpoint) as peer:
                peer.hello()
                peer.send(99, "whatever")
                head, _ = peer.until(ERROR)
                self.assertEqual(head[4], UNSUPPORTED)
                peer.send(QUERY, 1, 1)
                head, _ = peer.receive()
                self.assertEqual(head[5], 0)

    def test_client_cannot_do_a_workers_work(self):
        with Fleet() as fleet:
            fleet.broker()
            with RawPeer(fleet.endpoint) as peer:
                peer.hello()
                peer.send(65, [], [[[0, os.urandom(16), -1, 1], 1]], [], [])
                head, _ = peer.until(ERROR)
                self.assertNotEqual(head[4], 0)

    def test_queue_at_its_limit_is_busy_from_there_on(self):
        with Fleet() as fleet:
            fleet.broker("--max-queue", "10")
            with RawPeer(fleet.endpoint) as peer:
                peer.hello()
                peer.submit("nobody.offers.this", [os.urandom(16) for _ in range(20)])
                head, _ = peer.until(REPLY)
                notes = head[4][0][5]
                self.assertEqual([note[0] for note in notes], list(range(10, 20)))
                self.assertEqual({note[1] for note in notes}, {BUSY})
                self.assertTrue(all(note[3] > 0 for note in notes), "says when to try again")
            self.assertEqual(fleet.status()["tasks"]["queued"], 10)

    def test_client_that_does_not_read_is_bounded_and_its_results_can_be_fetched(self):
        with Fleet() as fleet:
            fleet.broker("--max-client-results", "200")
            fleet.worker("--slots", "2")
            with RawPeer(fleet.endpoint) as peer:
                peer.hello(items=1 << 30, window=1 << 40)
                tasks = [os.urandom(16) for _ in range(400)]
                payload = msgpack.packb(b"x" * 30000)
                for at in range(0, len(tasks), 8):
                    peer.submit("echo", tasks[at:at + 8], payload, flags=1)
                until(lambda: fleet.status()["tasks"]["succeeded"] >= 200, "its tasks ran")
                self.still_serves(fleet)
                status = fleet.status()
                # What it did not read stays with the tasks; its submits beyond the limit were refused.
                self.assertLess(status["broker"]["rss_bytes"], 200 << 20)
                self.assertGreater(status["tasks"]["refused"] + status["tasks"]["submitted"], 200)
                first = fleet.json("tasks", "ls")["tasks"]
                self.assertTrue(first)
                one = next(task["id"] for task in first if task["state"] == "succeeded")
                done = fleet.json("result", one)
                self.assertEqual(done["state"], "succeeded")

    def test_client_that_says_goodbye_and_goes_has_said_it(self):
        """Though its GOODBYE stands behind more than a turn takes, and there are answers that nobody takes."""
        with Fleet() as fleet:
            broker = fleet.broker("--no-http")
            with RawPeer(fleet.endpoint) as peer:
                peer.hello()
                broker.process.send_signal(signal.SIGSTOP)
                broker.until_stopped()
                for request in range(1, 61):
                    peer.send(QUERY, request, 1)
                for _ in range(30):
                    peer.send(HEARTBEAT)
                peer.send(GOODBYE)
                peer.deliver()
            broker.process.send_signal(signal.SIGCONT)
            until(lambda: fleet.status()["broker"]["sessions"] == 1, "its session has ended")
            self.assertNotIn("connection dropped", broker.stderr())

    def test_what_many_connections_took_goes_back_to_the_system(self):
        def resident_mib():
            with open(f"/proc/{broker.pid}/status", encoding="ascii") as file:
                return int(re.search(r"VmRSS:\s+(\d+)", file.read())[1]) / 1024

        with Fleet() as fleet:
            broker = fleet.broker("--no-http")
            fleet.status()
            before = resident_mib()
            peers = [RawPeer(fleet.endpoint) for _ in range(300)]
            for peer in peers:
                peer.hello()
            for peer in peers:
                for request in range(1, 20):
                    peer.send(QUERY, request, 1)
                peer.send(GOODBYE)
                peer.deliver()
                peer.close()
            until(lambda: fleet.status()["broker"]["sessions"] == 1, "all have left")
            if SANITIZER == "none":  # they keep what was freed for a while
                until(lambda: resident_mib() < before + 6, "what they took was given back")

    def test_client_limits_are_told_by_name(self):
        """By the command line and by the file; each client has as much as any other."""
        for option, number in (("max-client-tasks", 3), ("max-client-rate", 3),
                               ("max-client-size", 3)):
            with self.subTest(option), Fleet() as fleet:
                fleet.write("broker.ini", f"[broker]\n{option} = {number}\n")
                fleet.broker("--config", fleet.path("broker.ini"))
                for _ in range(2):
                    with RawPeer(fleet.endpoint) as peer:
                        peer.hello()
                        peer.submit("nobody.offers.this", [os.urandom(16) for _ in range(5)])
                        notes = peer.until(REPLY)[0][4][0][5]
                        self.assertEqual([note[:2] for note in notes], [[3, BUSY], [4, BUSY]])
                        self.assertIn(f"(--{option})", notes[0][2])

    def test_worker_that_does_not_read_gets_its_credit_and_no_more(self):
        with Fleet() as fleet:
            fleet.broker("--heartbeat", "100ms", "--lease", "500ms", "--reconnect-grace", "200ms")
            with RawPeer(fleet.worker_endpoint) as idle, RawPeer(fleet.endpoint) as client:
                worker = [4, 1, "host", [["echo", 0, 0]], [], [], [], 0, 1]
                idle.hello(role=WORKER, items=4, worker=worker, name="idle")
                client.hello()
                client.submit("echo", [os.urandom(16) for _ in range(50)])
                client.until(REPLY)
                head, _ = idle.until(LEASE)
                leased = sum(len(group[6]) for group in head[4])
                self.assertEqual(leased, 4)
                # It says nothing more: its leases end, and an honest worker does everything.
                fleet.worker("--slots", "2")
                until(lambda: fleet.status()["tasks"]["succeeded"] == 50, "all were done elsewhere")
                self.assertEqual(fleet.status()["tasks"]["charged"], 0)

    def test_second_broker_at_one_endpoint_is_refused(self):
        for tcp in (False, True):
            with Fleet(tcp=tcp) as fleet:
                fleet.broker()
                fleet.worker()
                second = fleet.start("drover-broker", "--memory", "--bind", fleet.endpoint,
                                     "--bind-workers", fleet.worker_endpoint)
                self.assertEqual(second.wait(), 74)
                self.assertIn("cannot listen", second.stderr())
                self.still_serves(fleet)

    def test_forged_result_changes_nothing(self):
        with Fleet() as fleet:
            fleet.broker()
            with RawPeer(fleet.worker_endpoint) as holder, \
                    RawPeer(fleet.worker_endpoint) as forger, RawPeer(fleet.endpoint) as client:
                offer = [1, 1, "host", [["echo", 0, 0]], [], [], [], 0, 1]
                holder.hello(role=WORKER, items=1, worker=offer, name="holder")
                client.hello()
                client.submit("echo", [b"A" * 16], flags=1)
                client.until(REPLY)
                head, _ = holder.until(LEASE)
                handle, task, index, attempt = head[4][0][6][0][:4]
                none = [1, 1, "host", [["other", 0, 0]], [], [], [], 0, 1]
                forger.hello(role=WORKER, items=1, worker=none, name="forger")
                forger.send(65, [], [[handle, task, index, attempt, 1, [0, 1]]], [], [],
                            blob=b"\x01")
                until(lambda: fleet.status()["tasks"]["stale_results"] == 1, "it was refused")
                self.assertEqual(fleet.status()["tasks"]["succeeded"], 0)
                holder.send(65, [], [[handle, task, index, attempt, 1, [0, 1]]], [], [],
                            blob=b"\x02")
                head, blob = client.until(RESULTS)
                self.assertEqual(head[4][0][2], 5)
                self.assertEqual(blob, b"\x02")


if __name__ == "__main__":
    unittest.main(verbosity=2)

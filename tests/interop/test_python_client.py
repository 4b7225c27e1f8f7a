"""A client written from the document alone, with a broker and a worker of ours."""

import unittest

from drover_client import (
    COMPARE_AND_SET, DELETE, GROUPS, INCREMENT, KEY, ONE_WORKER, QUEUES, STATUS, TASK, TASKS, WHY, WORKERS,
    Client, OutcomeUnknown, RequestError, TaskError, Value)
from drover_wire import id_text, new_id
from fleet import SCALE, Fleet, until

TIMEOUT = 20 * SCALE


class WithBrokerAndWorker(unittest.TestCase):
    """A fresh fleet for every test."""

    def setUp(self):
        self.fleet = Fleet()
        self.fleet.__enter__()
        self.addCleanup(self.end)
        self.broker = self.fleet.broker()
        self.worker = self.fleet.worker("--slots", "2")
        self.client = self.connect()

    def end(self):
        """Shows what the programs said when the test has failed."""
        outcome = self._outcome
        failed = any(error for _, error in getattr(outcome, "errors", ()) if error)
        self.fleet.__exit__(AssertionError if failed else None, None, None)

    def connect(self, **options):
        client = Client(self.fleet.endpoint, timeout=TIMEOUT, **options)
        self.addCleanup(client.abandon)
        return client

    def until(self, condition, what):
        """Waits for a condition on what the broker says, while the client goes on working."""
        return until(lambda: condition(self.client.query(STATUS)), what)


class Tasks(WithBrokerAndWorker):

    def test_a_task_runs_and_its_value_comes_back(self):
        self.assertEqual(self.client.call("square", 7), 49)
        self.assertEqual(self.client.call("echo", {"a": [1, None, "ä", b"\x00"]}),
                         {"a": [1, None, "ä", b"\x00"]})
        self.assertIsNone(self.client.call("noop"))

    def test_a_batch_of_tasks_is_one_request(self):
        ids = self.client.submit_many("square", range(1500))
        self.assertEqual([self.client.result(task) for task in ids], [n * n for n in range(1500)])
        self.assertEqual(self.client.query(STATUS)["tasks"]["submitted"], 1500)

    def test_a_key_makes_two_submits_one_task(self):
        with self.connect() as other:
            first = self.client.submit("sleep", 200, key="k", key_window_ms=60000)
            self.assertEqual(other.submit("square", 3, key="k"), first)
            self.assertEqual(other.result(first), self.client.result(first))
        document = self.client.query(KEY, text="k")
        self.assertEqual((document["id"], document["state"]), (id_text(first), "succeeded"))
        self.assertEqual(self.client.query(STATUS)["tasks"]["submitted"], 1)

    def test_a_group_is_counted_listed_and_cancelled(self):
        self.client.submit_many("sleep", [60000] * 3, group="g", tags={"colour": "red"})
        self.client.submit("square", 3)
        rows = self.client.query(TASKS, group="g", tag=("colour", "red"))["tasks"]
        self.assertEqual(len(rows), 3)
        self.assertEqual(self.client.cancel_group("g"), 3)
        self.until(lambda status: status["tasks"]["cancelled"] == 3, "all are cancelled")
        group, = self.client.query(GROUPS, name="g")["groups"]
        self.assertEqual((group["active"], group["states"]["cancelled"]), (0, 3))

    def test_the_same_id_is_the_same_task(self):
        task = self.client.submit("square", 3)
        self.assertEqual(self.client.result(task), 9)
        document = self.client.query(TASK, task)
        self.assertEqual((document["id"], document["state"], document["type"]),
                         (id_text(task), "succeeded", "square"))

    def test_a_failure_comes_with_kind_and_text(self):
        with self.assertRaises(TaskError) as caught:
            self.client.call("fail", "on purpose")
        self.assertEqual((caught.exception.state, caught.exception.kind), ("failed", "handler"))
        self.assertIn("on purpose", caught.exception.text)

    def test_a_crash_comes_with_its_signal(self):
        with self.assertRaises(TaskError) as caught:
            self.client.call("crash")
        self.assertEqual((caught.exception.kind, caught.exception.signal), ("crash", 11))

    def test_a_timeout_ends_the_attempt(self):
        with self.assertRaises(TaskError) as caught:
            self.client.call("sleep", 600000, timeout_ms=50)
        self.assertEqual(caught.exception.kind, "timeout")

    def test_a_type_that_nobody_offers_waits_and_says_why(self):
        task = self.client.submit("nobody.does.this")
        self.assertEqual(self.client.query(WHY, task)["reason"], "no_type")
        self.client.cancel(task)
        self.assertEqual(self.client.outcome(task).state, "cancelled")

    def test_a_strict_submit_of_an_unknown_type_is_refused(self):
        with self.assertRaises(RequestError) as caught:
            self.client.submit("nobody.does.this", flags=5)
        self.assertIn("refused", str(caught.exception))

    def test_a_running_task_is_cancelled(self):
        task = self.client.submit("sleep", 600000)
        self.until(lambda status: status["tasks"]["running"] == 1, "the task runs")
        reply = self.client.cancel(task, reason="enough")
        self.assertEqual(reply.number, 0)
        outcome = self.client.outcome(task)
        self.assertEqual(outcome.state, "cancelled")

    def test_a_cancel_of_an_ended_and_of_an_unknown_task(self):
        task = self.client.submit("square", 2)
        self.assertEqual(self.client.result(task), 4)
        reply = self.client.cancel(task, bytes(15) + b"\x01")
        self.assertEqual(reply.number, 1)
        self.assertEqual(reply.notes, {1: "unknown"})

    def test_a_delayed_task_waits_for_its_time(self):
        task = self.client.submit("square", 2, delay_ms=600000)
        self.assertEqual(self.client.query(TASK, task)["state"], "delayed")
        self.client.cancel(task)
        self.assertEqual(self.client.outcome(task).state, "cancelled")

    def test_a_failed_task_runs_again_as_a_new_one(self):
        task = self.client.submit("fail", "once")
        self.assertEqual(self.client.outcome(task).state, "failed")
        again = self.client.retry(task)
        self.client.watch([again])
        self.assertEqual(self.client.outcome(again).state, "failed")
        self.assertEqual(self.client.query(TASK, again)["retry_of"], id_text(task))

    def test_a_watch_tells_what_ended_before(self):
        task = self.client.submit("square", 12, flags=0)
        unknown = bytes(15) + b"\x02"
        self.until(lambda status: status["tasks"]["succeeded"] == 1, "the task has ended")
        self.assertEqual(self.client.watch([task, unknown]), [unknown])
        self.assertEqual(self.client.result(task), 144)


class Values(WithBrokerAndWorker):

    def test_large_values_travel_as_chunks(self):
        value = bytes(range(256)) * 12000  # 3 MB through windows of 1 MiB
        self.assertEqual(self.client.call("echo", value), value)

    def test_a_value_at_the_edge_of_a_blob(self):
        for size in (65530, 65531, 65532, 65535, 65536, 65537, 65538):
            self.assertEqual(self.client.call("echo", bytes(size)), bytes(size))

    def test_many_large_values_in_one_go(self):
        values = [bytes([n]) * 100000 for n in range(40)]
        ids = self.client.submit_many("echo", values)
        self.assertEqual([self.client.result(task) for task in ids], values)

    def test_a_content_type_is_kept(self):
        task = self.client.submit("echo", Value(b"<a/>", "text/xml"))
        value = self.client.outcome(task).value
        self.assertEqual((value.data, value.content_type), (b"<a/>", "text/xml"))


class Arrays(WithBrokerAndWorker):

    def test_a_map_gives_its_results_in_order(self):
        self.assertEqual(self.client.map("square", range(3000)), [n * n for n in range(3000)])

    def test_an_array_ends_after_its_elements(self):
        array = self.client.open_array("square", range(10))
        self.assertEqual(self.client.outcome(array).state, "succeeded")
        self.assertEqual({index for task, index in self.client.outcomes if task == array},
                         set(range(-1, 10)))

    def test_an_array_with_a_failing_element(self):
        array = self.client.open_array("square", [1, "no number", 3])
        self.assertEqual(self.client.result(array, 0), 1)
        self.assertEqual(self.client.result(array, 2), 9)
        with self.assertRaises(TaskError):
            self.client.result(array, 1)
        self.assertEqual(self.client.outcome(array).state, "failed")

    def test_a_map_of_large_items(self):
        items = [bytes([n]) * 70000 for n in range(20)]
        self.assertEqual(self.client.map("echo", items), items)

    def test_an_array_is_cancelled_as_a_whole(self):
        array = self.client.open_array("sleep", [600000] * 50)
        self.until(lambda status: status["tasks"]["running"] == 2, "two elements run")
        self.client.cancel(array)
        self.assertEqual(self.client.outcome(array).state, "cancelled")
        for index in range(50):
            self.assertEqual(self.client.outcome(array, index).state, "cancelled")


class SharedData(WithBrokerAndWorker):

    def test_versions_count_up(self):
        first = self.client.set("a/key", {"n": 1})
        self.assertEqual(self.client.set("a/key", {"n": 2}), first + 1)
        self.assertEqual(self.client.get("a/key"), {"n": 2})

    def test_a_key_that_is_not_there(self):
        with self.assertRaises(RequestError) as caught:
            self.client.get("nothing")
        self.assertEqual(caught.exception.code, "unknown")

    def test_increment(self):
        self.assertEqual(self.client.kv(INCREMENT, "n", number=5).number, 5)
        self.assertEqual(self.client.kv(INCREMENT, "n", number=-7).number, -2)
        self.assertEqual(self.client.get("n"), -2)

    def test_compare_and_set(self):
        version = self.client.kv(COMPARE_AND_SET, "leader", "a", number=0).number
        with self.assertRaises(RequestError) as caught:
            self.client.kv(COMPARE_AND_SET, "leader", "b", number=0)
        self.assertEqual(caught.exception.code, "conflict")
        self.assertEqual(caught.exception.reply.number, version)
        self.client.kv(COMPARE_AND_SET, "leader", "b", number=version)
        self.assertEqual(self.client.get("leader"), "b")
        self.client.kv(DELETE, "leader")
        with self.assertRaises(RequestError):
            self.client.get("leader")

    def test_a_large_value(self):
        self.client.set("large", bytes(1000000))
        self.assertEqual(self.client.get("large"), bytes(1000000))

    def test_a_value_that_is_too_large_is_answered(self):
        with self.assertRaises(RequestError) as caught:
            self.client.set("large", bytes(1100000))
        self.assertEqual(caught.exception.code, "too_big")
        self.assertEqual(self.client.connections, 1)


class Operation(WithBrokerAndWorker):

    def test_status_counts(self):
        self.client.call("square", 2)
        status = self.client.query(STATUS)
        self.assertEqual(status["tasks"]["succeeded"], 1)
        self.assertEqual(len(status["workers"]), 1)
        self.assertEqual(status["broker"]["clients"], 1)

    def test_documents_of_queues_workers_and_tasks(self):
        self.client.call("square", 2, queue="bulk")
        self.assertIn("bulk", [queue["name"] for queue in self.client.query(QUEUES)["queues"]])
        worker = self.client.query(WORKERS)["workers"][0]
        self.assertEqual(worker["slots"], 2)
        self.assertEqual(self.client.query(ONE_WORKER, name=worker["name"])["name"],
                         worker["name"])
        tasks = self.client.query(TASKS, name="bulk", limit=10)["tasks"]
        self.assertEqual([task["state"] for task in tasks], ["succeeded"])

    def test_a_task_waits_for_others(self):
        self.client.queue(1, "slow")
        first = self.client.submit("square", 3, queue="slow")
        second = self.client.submit("square", 4, after=[(first, -1, 1)])
        why = self.client.query(WHY, second)
        self.assertEqual((why["state"], why["reason"]), ("waiting", "waiting"))
        self.assertIn(id_text(first), why["text"])
        self.assertEqual(self.client.query(TASK, second)["parents"][0]["id"], id_text(first))
        self.client.queue(2, "slow")
        self.assertEqual(self.client.result(second), 16)
        self.assertEqual(self.client.fetch(first), ("succeeded", 9, None))

    def test_a_parent_that_fails_fails_what_waits_for_it(self):
        ids = self.client.submit_graph([
            ("bad", "square", "no number", []), ("after", "square", 2, ["bad"]),
            ("always", "square", 3, [("bad", 2)]), ("last", "square", 4, ["after"])])
        self.assertEqual(self.client.result(ids["always"]), 9)
        with self.assertRaises(TaskError) as caught:
            self.client.result(ids["last"])
        self.assertEqual(caught.exception.kind, "dependency")
        self.assertIn(id_text(ids["after"]), caught.exception.text)
        state, value, error = self.client.fetch(ids["bad"])
        self.assertEqual((state, value, error[0]), ("failed", None, 1))

    def test_a_graph_is_taken_whole_or_not_at_all(self):
        before = self.client.query(STATUS)["tasks"]["submitted"]
        with self.assertRaises(RequestError):
            self.client.submit_graph([("good", "square", 1, []),
                                      ("bad", "square", 1, ["good", (new_id(), 2)])])
        self.assertEqual(self.client.query(STATUS)["tasks"]["submitted"], before)

    def test_a_queue_is_paused_and_resumed(self):
        self.client.queue(1, "slow")
        task = self.client.submit("square", 5, queue="slow")
        self.assertEqual(self.client.query(WHY, task)["reason"], "paused")
        self.client.queue(2, "slow")
        self.assertEqual(self.client.result(task), 25)

    def test_a_queue_is_purged(self):
        self.client.queue(1, "slow")
        ids = self.client.submit_many("square", range(5), queue="slow")
        self.assertEqual(self.client.queue(3, "slow").number, 5)
        self.assertEqual({self.client.outcome(task).state for task in ids}, {"cancelled"})

    def test_a_worker_is_drained_and_resumed(self):
        name = self.client.query(WORKERS)["workers"][0]["name"]
        self.client.drain_worker(name)
        self.until(lambda status: status["workers"][0]["state"] == "draining", "it drains")
        task = self.client.submit("square", 6)
        self.client.drain_worker(name, resume=True)
        self.assertEqual(self.client.result(task), 36)

    def test_what_is_not_served_is_answered(self):
        for kind in (28,):
            with self.assertRaises(RequestError) as caught:
                self.client._answer(self.client._request(kind, lambda builder: []))
            self.assertEqual(caught.exception.code, "unsupported")
        with self.assertRaises(RequestError) as caught:
            self.client.query(99)
        self.assertEqual(caught.exception.code, "unsupported")
        self.assertEqual(self.client.connections, 1)


class Connections(WithBrokerAndWorker):

    def test_heartbeats_are_answered(self):
        self.client._wait(lambda: self.client.heartbeats >= 1, TIMEOUT)
        self.assertEqual(self.client.connections, 1)

    def test_the_wrong_endpoint_is_refused(self):
        with self.assertRaises(RequestError) as caught:
            Client(self.fleet.worker_endpoint, timeout=TIMEOUT)
        self.assertEqual(caught.exception.code, "wrong_endpoint")

    def test_a_session_goes_on_after_its_connection(self):
        task = self.client.submit("sleep", 300)
        self.client.drop_connection()
        self.assertEqual(self.client.outcome(task).state, "succeeded")
        self.assertEqual((self.client.connections, self.client.sessions), (2, 1))

    def test_a_request_sent_twice_takes_effect_once(self):
        """The connection is lost before the answer came; the request is sent again."""
        for number in range(1, 11):
            request = self.client._request(22, lambda builder: [INCREMENT, "n", None, 1, 0, None])
            if number % 2:
                # Let it leave; the reply finds nobody.
                self.client._connection.turn()
            self.client.drop_connection()
            self.assertEqual(self.client._answer(request).number, number)
        self.assertEqual(self.client.get("n"), 10)

    def test_results_that_were_missed_come_again(self):
        ids = self.client.submit_many("square", range(200))
        self.client.drop_connection()
        self.assertEqual([self.client.result(task) for task in ids], [n * n for n in range(200)])

    def test_a_second_connection_takes_the_session_over(self):
        task = self.client.submit("sleep", 200)
        session = self.client.session

        class Resuming(Client):
            """A client that goes on with a session which another connection has."""

            def _connect(self):
                if self.connections == 0:
                    self.session, self._is_known, self.sessions = session, True, 1
                super()._connect()

        taken = Resuming(self.fleet.endpoint, timeout=TIMEOUT)
        self.addCleanup(taken.abandon)
        # The watch belongs to the session: its results come to whoever has it.
        self.assertEqual(taken.outcome(task).state, "succeeded")
        self.assertEqual(taken.sessions, 1)

    def test_a_broker_that_lost_its_memory_says_so(self):
        """The memory store loses everything: the session is gone, and its tasks are lost."""
        task = self.client.submit("sleep", 600000)
        self.until(lambda status: status["tasks"]["running"] == 1, "the task runs")
        self.broker.kill()
        self.fleet.broker()
        self.assertEqual(self.client.outcome(task).state, "lost_at_restart")
        self.assertEqual((self.client.connections, self.client.sessions), (2, 2))
        self.assertEqual(self.client.call("square", 3), 9)

    def test_an_unanswered_request_of_a_lost_session_is_unknown(self):
        self.broker.kill()
        request = self.client._request(22, lambda builder: [INCREMENT, "n", None, 1, 0, None])
        self.client.drop_connection()
        self.fleet.broker()
        with self.assertRaises(OutcomeUnknown):
            self.client._answer(request)


if __name__ == "__main__":
    unittest.main()

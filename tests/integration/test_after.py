"""Tasks that wait for others, through the real programs: parents, children, graphs."""

import json
import unittest

from fleet import Fleet, test_module, until


class WithFleet(unittest.TestCase):
    def setUp(self):
        self.fleet = Fleet()
        self.addCleanup(self.end)
        self.folder = self.fleet.path("data")
        self.broker = self.start_broker()

    def end(self):
        failed = any(error for _, error in getattr(self._outcome, "errors", ()) if error)
        self.fleet.__exit__(AssertionError if failed else None, None, None)

    def start_broker(self):
        """A durable one, at the same place every time."""
        program = self.fleet.start(
            "drover-broker", "--data", self.folder, "--bind", self.fleet.endpoint,
            "--bind-workers", self.fleet.worker_endpoint)
        return program.wait_ready()

    def worker(self, *arguments):
        return self.fleet.worker("--load", test_module("family"), *arguments)

    def value(self, task):
        return json.loads(self.fleet.drover("result", task).stdout)


class Parents(WithFleet):
    def test_results_of_parents_reach_the_child(self):
        self.worker("--slots", "1")
        parents = [self.fleet.submit("square", str(n)) for n in (2, 3)]
        child = self.fleet.submit("total", *[word for parent in parents
                                             for word in ("--after", parent)])
        self.assertEqual(self.value(child), 13)

    def test_a_child_sees_why_its_parent_failed(self):
        self.worker("--slots", "1")
        bad = self.fleet.submit("square", '"no number"')
        self.assertEqual(self.value(self.fleet.submit("look", "--after-any", bad))["kind"],
                         "handler")
        done = self.fleet.drover("submit", "noop", "--wait", "--after", bad, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(bad, done.stderr)

    def test_commands_learn_the_ids_of_their_parents(self):
        config = self.fleet.write("worker.ini", "[handler.parents]\ncommand = sh -c\n"
                                  "argument = echo $DROVER_PARENTS $DROVER_PARENT_STATES\n"
                                  "stdin = none\n")
        self.fleet.worker("--config", config)
        parent = self.fleet.submit("noop")
        child = self.fleet.submit("parents", "--after", parent)
        self.assertEqual(self.value(child).split(), [parent, "succeeded"])

    def test_why_names_what_it_waits_for(self):
        parent = self.fleet.submit("noop")
        child = self.fleet.submit("noop", "--after", parent)
        why = self.fleet.json("why", child)
        self.assertEqual(why["reason"], "waiting")
        self.assertIn(parent, why["text"])
        self.assertEqual(self.fleet.show(parent)["children"], 1)


class Children(WithFleet):
    def test_a_recursion_runs_on_one_slot(self):
        self.worker("--slots", "1")
        self.assertEqual(self.value(self.fleet.submit("fib", "8")), 21)

    def test_broker_and_worker_may_die_in_between(self):
        first = self.worker("--slots", "2")
        task = self.fleet.submit("fib", "9")
        until(lambda: self.fleet.status()["tasks"]["succeeded"] > 5, "some have ended")
        self.broker.kill()
        self.broker = self.start_broker()
        first.kill()
        self.worker("--slots", "2")
        self.assertEqual(self.value(task), 34)

    def test_a_child_that_is_not_there_fails_the_parent(self):
        self.worker("--slots", "1")
        done = self.fleet.drover("submit", "lonely", "--wait", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("dependency", done.stderr)

    def test_a_waiting_parent_holds_no_slot_and_learns_of_a_cancel(self):
        self.worker("--slots", "1")
        task = self.fleet.submit("nanny", "600000")
        document = self.fleet.until_state(task, "waiting")
        child = document["parents"][0]["id"]
        self.fleet.drover("cancel", child)
        self.assertEqual(self.value(task), "cancelled")


    def test_what_is_owned_is_cancelled_with_its_owner(self):
        self.worker("--slots", "2")
        task = self.fleet.submit("owner", "600000")
        child = self.fleet.until_state(task, "waiting")["parents"][0]["id"]
        self.fleet.until_state(child, "running")
        self.fleet.drover("cancel", task)
        self.fleet.until_state(child, "cancelled")


class Arrays(WithFleet):
    """Elements that wait for a task, and a task that waits for them."""

    def map(self, lines, *arguments):
        path = self.fleet.write("lines", "".join(f"{line}\n" for line in lines))
        return self.fleet.start("drover", "map", *arguments, path)

    def array(self):
        """The id of the array that is there."""
        return until(lambda: next((row["id"] for row in self.fleet.json("task", "ls")["tasks"]
                                   if "count" in row), None), "an array is listed")

    def test_results_of_a_parent_reach_every_element_and_theirs_a_child(self):
        parent = self.fleet.submit("square", "10")
        mapping = self.map(range(300), "add_parent", "--after", parent)
        array = self.array()
        until(lambda: self.fleet.show(array)["sealed"], "all elements are there")
        self.fleet.until_state(array, "waiting")
        self.assertIn(parent, self.fleet.json("why", array + ".7")["text"])
        child = self.fleet.submit("sum_array", "--after", array)
        self.broker.kill()
        self.broker = self.start_broker()
        self.worker("--slots", "2")
        self.assertEqual(self.value(child), sum(range(300)) + 300 * 100)
        self.assertEqual(mapping.wait(), 0)

    def test_what_failed_in_a_map_is_kept_and_retried(self):
        self.worker()
        mapping = self.map([1, '"x"', 3], "square")
        self.assertEqual(mapping.wait(), 1)
        array = self.array()
        self.assertIn(array, mapping.stderr())
        self.assertEqual(self.fleet.show(array)["state"], "failed")
        self.assertEqual(self.fleet.show(array + ".1")["error"]["kind"], "handler")
        again = self.fleet.json("retry", array)["retried_as"]
        self.assertEqual(self.fleet.until_state(again, "failed")["count"], 1)
        self.assertEqual(self.map([1, 3], "square").wait(), 0)
        self.assertEqual(len([row for row in self.fleet.json("task", "ls")["tasks"]
                              if "count" in row]), 2)

    def test_what_lacked_a_parent_is_retried_behind_it(self):
        self.worker()
        bad = self.fleet.submit("square", '"no number"', "--group", "g")
        child = self.fleet.submit("total", "--after", bad, "--group", "g")
        self.fleet.until_state(child, "failed")
        done = self.fleet.drover("retry", child, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"task {bad}, which it waits for, is failed", done.stderr)
        self.fleet.drover("queue", "pause", "default")  # nothing fails again meanwhile
        done = self.fleet.drover("retry", "--failed", "--group", "g")
        self.fleet.drover("queue", "resume", "default")
        again = dict(line.split() for line in done.stdout.splitlines())
        self.assertEqual(set(again), {bad, child})
        self.fleet.until_state(again[child], "failed")
        self.assertIn(again[bad], self.fleet.show(again[child])["error"]["text"])
        alone = self.fleet.json("retry", child, "--alone")["retried_as"]
        self.assertEqual(self.value(alone), 0)

    def test_a_retry_reads_what_the_first_would_have_read(self):
        flag = self.fleet.path("flag")
        config = self.fleet.write(
            "worker.ini", "[handler.flaky]\ncommand = sh -c\n"
            f"argument = test -e {flag} && echo $DROVER_PARENTS\nstdin = none\n")
        self.worker("--config", config)
        self.fleet.drover("submit", "square", "3", "--key", "side")
        parents = [self.fleet.submit("square", "2"),
                   self.fleet.json("show", "key:side")["id"]]
        child = self.fleet.submit("flaky", "--after", parents[0], "--after-any", "key:side")
        self.fleet.until_state(child, "failed")
        self.assertEqual([parent["id"] for parent in self.fleet.show(child)["parents"]], parents)
        self.fleet.write("flag", "")
        again = self.fleet.json("retry", child)["retried_as"]
        self.assertEqual(self.value(again).split(), parents)

    def test_elements_fail_with_the_parent(self):
        self.worker("--slots", "1")
        bad = self.fleet.submit("square", '"no number"')
        mapping = self.map(range(3), "add_parent", "--after", bad)
        self.assertEqual(mapping.wait(), 1)
        for _ in range(3):
            self.assertEqual(json.loads(mapping.read_line())["error"]["kind"], "dependency")


class Graphs(WithFleet):
    def graph(self, nodes, **more):
        return self.fleet.write("graph.json", json.dumps({"nodes": nodes, **more}))

    def test_a_graph_runs_in_order_and_is_shown(self):
        self.worker("--slots", "2")
        path = self.graph([
            {"name": "sum", "type": "total", "after": ["left", "right"]},
            {"name": "left", "type": "square", "payload": 3},
            {"name": "right", "type": "square", "payload": 4, "queue": "side"}], name="pyth")
        done = self.fleet.json("graph", "submit", path)
        self.fleet.drover("graph", "wait", "pyth")
        self.assertEqual(self.value(done["nodes"]["sum"]), 25)
        shown = self.fleet.json("graph", "show", done["id"])
        self.assertEqual({node["name"]: node["state"] for node in shown["nodes"]},
                         {"left": "succeeded", "right": "succeeded", "sum": "succeeded"})
        watch = self.fleet.start("drover", "--json", "graph", "show", "pyth", "--watch", "100ms")
        for _ in range(2):
            self.assertEqual(json.loads(watch.read_line())["name"], "pyth")
        watch.interrupt()
        self.assertEqual(watch.wait(), 0)
        text = self.fleet.drover("graph", "show", "pyth").stdout
        self.assertIn("graph pyth", text)
        self.assertIn("└─", text)
        again = self.fleet.drover("graph", "submit", path, check=False)
        self.assertIn("pyth already", again.stderr)

    def test_a_graph_has_arrays(self):
        self.worker("--slots", "2")
        path = self.graph([
            {"name": "seed", "type": "square", "payload": 10},
            {"name": "many", "type": "add_parent", "elements": [1, 2, 3], "after": ["seed"]},
            {"name": "sum", "type": "sum_array", "after": ["many"]}], name="fan")
        done = self.fleet.json("graph", "submit", path)
        self.fleet.drover("graph", "wait", "fan")
        self.assertEqual(self.value(done["nodes"]["sum"]), 306)
        shown = {node["name"]: node for node in
                 self.fleet.json("graph", "show", "fan")["nodes"]}
        self.assertEqual((shown["many"]["count"], shown["many"]["ended"]), (3, 3))
        self.assertIn("many  succeeded 3/3", self.fleet.drover("graph", "show", "fan").stdout)

    def test_an_array_is_retried_behind_what_it_waits_for(self):
        path = self.graph([
            {"name": "seed", "type": "square", "payload": "no number"},
            {"name": "many", "type": "add_parent", "elements": [1, 2], "after": ["seed"]}],
                          name="again")
        self.worker("--slots", "2")
        self.fleet.json("graph", "submit", path)
        self.fleet.drover("graph", "wait", "again", check=False)
        self.fleet.drover("graph", "retry", "again")
        self.fleet.drover("graph", "wait", "again", check=False)
        shown = {node["name"]: node for node in
                 self.fleet.json("graph", "show", "again")["nodes"]}
        self.assertEqual(shown["many"]["state"], "failed")
        self.assertEqual(shown["many"]["count"], 2)

    def test_a_retried_array_is_whole_for_what_reads_it(self):
        self.worker()
        self.fleet.drover("kv", "set", "a", "10")
        self.fleet.json("graph", "submit", self.graph([
            {"name": "map", "type": "kv_get", "elements": ["a", "b"]},
            {"name": "red", "type": "sum_array", "after": ["map"]}], name="whole"))
        self.fleet.drover("graph", "wait", "whole", check=False)
        self.fleet.drover("kv", "set", "b", "5")
        self.fleet.drover("graph", "retry", "whole")
        self.fleet.drover("graph", "wait", "whole")
        shown = {node["name"]: node for node in
                 self.fleet.json("graph", "show", "whole")["nodes"]}
        self.assertEqual((shown["map"]["count"], self.value(shown["red"]["id"])), (2, 15))

    def test_a_part_is_retried_while_the_rest_goes_on(self):
        self.worker()
        ids = self.fleet.json("graph", "submit", self.graph([
            {"name": "f", "type": "square", "payload": "no number"},
            {"name": "c", "type": "noop", "after": ["f"]},
            {"name": "other", "type": "noop", "queue": "nobody", "require": {"no": "worker"}}],
            name="part"))["nodes"]
        self.fleet.until_state(ids["c"], "failed")
        done = self.fleet.drover("graph", "retry", "part", check=False)
        self.assertIn("node other has not ended", done.stderr)
        self.assertEqual(self.fleet.json("graph", "retry", "part", "f"), {"retried": 2})
        done = self.fleet.drover("graph", "submit", "--replace", self.graph(
            [{"name": "a", "type": "noop"}], name="part"), check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("has not ended", done.stderr)

    def test_tasks_outside_are_named_by_key_and_waited_for_again(self):
        flag = self.fleet.path("flag")
        config = self.fleet.write(
            "worker.ini", "[handler.flaky]\ncommand = sh -c\n"
            f"argument = test -e {flag} && echo $DROVER_PARENTS\nstdin = none\n")
        self.worker("--config", config)
        outside = self.fleet.submit("noop", "--key", "a/b", "--queue", "side")
        nodes = [{"name": "first", "type": "flaky", "keep": "auto",
                  "after": [{"task": "key:side/a/b"}]},
                 {"name": "second", "type": "flaky", "queue": "side",
                  "after": ["first", {"task": "key:a/b", "always": True}]}]
        done = self.fleet.drover("graph", "submit", self.graph(nodes), check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("no task of queue 'a'", done.stderr)
        nodes[1]["after"][1]["task"] = "key:side/a/b"
        done = self.fleet.json("graph", "submit", self.graph(nodes, name="g"))
        self.fleet.until_state(done["nodes"]["second"], "failed")
        self.fleet.write("flag", "")
        self.fleet.drover("graph", "retry", "g")
        self.fleet.drover("graph", "wait", "g")
        ids = {node["name"]: node["id"] for node in self.fleet.json("graph", "show", "g")["nodes"]}
        self.assertEqual(self.value(ids["first"]), outside + "\n")
        self.assertEqual(set(self.value(ids["second"]).split()), {ids["first"], outside})

    def test_names_are_listed_and_taken_again(self):
        self.worker()
        path = self.graph([{"name": "a", "type": "noop", "keep": "1ms"},
                           {"name": "b", "type": "square", "payload": "no number",
                            "after": ["a"]}], name="build")
        first = self.fleet.json("graph", "submit", path)
        self.fleet.until_state(first["nodes"]["b"], "failed")
        until(lambda: self.fleet.drover("show", first["nodes"]["a"], check=False).returncode,
              "a is forgotten")
        for node, name in (((), "node a"), (("b",), "node b")):
            done = self.fleet.drover("graph", "retry", "build", *node, check=False)
            self.assertIn(name, done.stderr)
        self.assertEqual([(row["name"], row["count"]) for row in
                          self.fleet.json("graph", "ls")["graphs"]], [("build", 2)])
        self.assertIn("build", self.fleet.drover("graph", "ls").stdout)
        again = self.fleet.json("graph", "submit", "--replace", path)
        self.assertNotEqual(again["id"], first["id"])
        self.fleet.until_state(again["nodes"]["b"], "failed")
        self.fleet.drover("graph", "forget", "build")
        self.assertEqual(self.fleet.json("graph", "ls")["graphs"], [])
        self.assertEqual(self.fleet.drover("show", again["nodes"]["b"], check=False).returncode,
                         1)

    def test_nodes_have_the_options_of_tasks(self):
        ids = self.fleet.json("graph", "submit", self.graph([
            {"name": "a", "type": "noop", "group": "g", "needs": {"gpu": 1, "memory": "1T"},
             "limits": {"memory": "1G", "files": 100}, "fairness-key": "me", "losses": 7,
             "backoff": "1s", "backoff-max": "2s", "not-before": "2999-01-01T00:00:00Z"}],
            name="full"))["nodes"]
        shown = self.fleet.show(ids["a"])
        self.assertEqual((shown["group"], shown["state"]), ("g", "delayed"))
        self.assertEqual((shown["losses_left"], shown["needs"]),
                         (7, {"gpu": 1, "memory": 1 << 40}))
        for more, word in (({"needs": 1}, "needs"), ({"needs": {"gpu": "1K"}}, "needs"),
                           ({"limits": {"weight": 1}}, "weight=1"), ({"key": "k"}, "no key"),
                           ({"not-before": "soon"}, "instant")):
            done = self.fleet.drover("graph", "submit", self.graph(
                [{"name": "a", "type": "noop", **more}]), check=False)
            self.assertEqual(done.returncode, 64)
            self.assertIn(word, done.stderr)

    def test_mistakes_are_found_before_anything_is_sent(self):
        for nodes, word in (
                ([{"name": "a", "type": "noop", "after": ["b"]}], "node a"),
                ([{"name": "a", "type": "noop", "after": ["b"]},
                  {"name": "b", "type": "noop", "after": ["a"]}], "waits for itself"),
                ([{"name": "a", "type": "noop"}, {"name": "a", "type": "noop"}], "two"),
                ([{"name": "a", "type": "noop", "afer": []}], "afer"),
                ([{"name": "a", "type": "noop", "elements": 1}], "list"),
                ([{"name": "a", "type": "noop", "elements": [None] * 1024}], "more than"),
                ([{"name": "a"}], "type")):
            with self.subTest(word):
                done = self.fleet.drover("graph", "submit", self.graph(nodes), check=False)
                self.assertEqual(done.returncode, 64)
                self.assertIn(word, done.stderr)
        self.assertEqual(self.fleet.status()["tasks"]["submitted"], 0)

    def test_what_did_not_succeed_is_retried_and_the_rest_cancelled(self):
        gate = self.fleet.path("gate")
        config = self.fleet.write("worker.ini", "[handler.try]\ncommand = test -e\n"
                                  f"argument = {gate}\nstdin = none\n")
        self.fleet.worker("--config", config)
        ids = self.fleet.json("graph", "submit", self.graph([
            {"name": "first", "type": "noop"},
            {"name": "second", "type": "try", "after": ["first"]},
            {"name": "third", "type": "noop", "after": ["second"]}], name="steps"))["nodes"]
        done = self.fleet.drover("graph", "wait", "steps", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("2 of 3", done.stderr)
        self.fleet.write("gate", "")
        self.assertEqual(self.fleet.json("graph", "retry", "steps"), {"retried": 2})
        self.fleet.drover("graph", "wait", "steps")
        nodes = {node["name"]: node["id"]
                 for node in self.fleet.json("graph", "show", "steps")["nodes"]}
        self.assertEqual(nodes["first"], ids["first"])
        self.assertNotEqual(nodes["third"], ids["third"])

    def test_a_part_is_cancelled_with_what_waits_for_it(self):
        ids = self.fleet.json("graph", "submit", self.graph([
            {"name": "a", "type": "noop"}, {"name": "b", "type": "noop", "after": ["a"]},
            {"name": "c", "type": "noop", "after": ["b"]}], name="cut"))["nodes"]
        done = self.fleet.drover("graph", "cancel", "cut", "b")
        self.assertEqual(done.stdout, "b cancelled\nc cancelled\n")
        states = {name: self.fleet.state(task) for name, task in ids.items()}
        self.assertEqual(states, {"a": "queued", "b": "cancelled", "c": "cancelled"})
        self.worker("--slots", "1")
        self.fleet.until_state(ids["a"], "succeeded")
        run = self.fleet.json("graph", "submit", self.graph([
            {"name": "a", "type": "sleep", "payload": 60000}], name="run"))["nodes"]["a"]
        self.fleet.until_state(run, "running")
        self.assertIn(self.fleet.drover("graph", "cancel", "run").stdout,
                      ("a cancelling\n", "a cancelled\n"))
        done = self.fleet.drover("--json", "graph", "cancel", "cut")
        self.assertEqual([json.loads(line) for line in done.stdout.splitlines()],
                         [{"node": "a", "task": ids["a"], "state": "succeeded"},
                          {"node": "b", "task": ids["b"], "state": "cancelled"},
                          {"node": "c", "task": ids["c"], "state": "cancelled"}])


if __name__ == "__main__":
    unittest.main()

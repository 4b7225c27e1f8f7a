"""The monitoring view over HTTP: the same documents as the commands', metrics, health."""

import http.client
import json
import shutil
import signal
import subprocess
import unittest

from fleet import Fleet, until

TOKEN = "0123456789abcdef-token"


class HttpApi(unittest.TestCase):
    """One broker with a token file, one worker; each test asks."""

    @classmethod
    def setUpClass(cls):
        cls.fleet = Fleet()
        token = cls.fleet.write("token", TOKEN + "\n")
        subprocess.run(["chmod", "600", token], check=True)
        broker = cls.fleet.broker("--http", "127.0.0.1:0", "--http-token-file", token)
        cls.address = broker.ready["http"]
        cls.fleet.worker("--name", "w1", "--slots", "2")

    @classmethod
    def tearDownClass(cls):
        cls.fleet.__exit__(None, None, None)

    def ask(self, method, path, headers=None, body=None):
        """Status, headers and body of one answer."""
        connection = http.client.HTTPConnection(self.address, timeout=20)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode()
        finally:
            connection.close()

    def get(self, path):
        status, _, text = self.ask("GET", path)
        self.assertEqual(status, 200, text)
        return json.loads(text)

    def post(self, path, token=TOKEN, **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        status, _, text = self.ask("POST", path, headers)
        return status, json.loads(text)

    def test_graphs_are_told_as_the_command_tells_them(self):
        path = self.fleet.write("graph.json", json.dumps({"name": "pair", "nodes": [
            {"name": "b", "type": "square", "payload": 3, "after": ["a"]},
            {"name": "a", "type": "fail", "payload": "<b>no</b>"}]}))
        done = self.fleet.json("graph", "submit", path)
        self.fleet.drover("graph", "wait", "pair", check=False)
        told = self.get("/api/v1/graphs/pair")
        theirs = self.fleet.json("graph", "show", "pair")
        self.assertEqual([(node["name"], node["id"], node["state"]) for node in told["nodes"]],
                         [(node["name"], node["id"], node["state"]) for node in theirs["nodes"]])
        self.assertEqual([node["why"] for node in told["nodes"]],
                         [node["why"] for node in theirs["nodes"]])
        self.assertEqual((told["state"], told["states"]), ("failed", {"failed": 2}))
        self.assertEqual(told["nodes"][1]["after"], [[0, False]])
        self.assertEqual(self.get(f"/api/v1/graphs/{done['id']}")["id"], done["id"])
        self.assertEqual([row["name"] for row in self.get("/api/v1/graphs")["graphs"]], ["pair"])
        self.assertEqual(self.ask("GET", "/api/v1/graphs/nobody")[0], 404)
        self.assertEqual(self.ask("GET", "/api/v1/graphs/a%20b")[0], 400)

    def test_status_has_the_keys_of_the_command(self):
        def shape(value):
            if isinstance(value, dict):
                return {key: shape(item) for key, item in value.items()}
            return [shape(item) for item in value[:1]] if isinstance(value, list) else None
        until(lambda: "stats" in self.fleet.status()["workers"][0], "the worker tells its host")
        mine = until(lambda: (lambda d: d if "stats" in d["workers"][0] else None)(
            self.get("/api/v1/status")), "the snapshot has it, too")
        theirs = self.fleet.status()
        for document in (mine, theirs):  # what comes and goes
            document["types"] = document["queues"] = document["alerts"] = document["times"] = []
        self.assertEqual(shape(mine), shape(theirs))

    def test_documents_of_a_task(self):
        task = self.fleet.submit("square", "7", "--queue", "q1")
        self.fleet.until_state(task, "succeeded")
        document = self.get(f"/api/v1/task/{task}")
        self.assertEqual((document["id"], document["state"]), (task, "succeeded"))
        self.assertEqual(self.get(f"/api/v1/why/{task}")["reason"], "ended")
        self.assertIn(task, [row["id"] for row in self.get("/api/v1/tasks?queue=q1")["tasks"]])
        self.assertEqual(self.get("/api/v1/tasks?queue=q1&state=failed")["tasks"], [])
        self.assertIn("q1", [row["name"] for row in self.get("/api/v1/queues")["queues"]])
        self.assertEqual(self.get("/api/v1/workers")["workers"][0]["name"], "w1")
        self.assertEqual(self.get("/api/v1/worker/w1")["leases"], [])

    def test_what_was_and_what_fires(self):
        history = self.get("/api/v1/history")
        self.assertEqual((history["span"], history["step_ms"]), ("hour", 5000))
        self.assertIn("running", history["series"])
        self.assertIn("cursor", history)
        self.assertIn("cpu_percent", self.get("/api/v1/history?span=day&worker=w1")["series"])
        self.fleet.drover("queue", "set", "seen", "--weight", "3")
        self.assertEqual(self.get("/api/v1/queue/seen")["queues"][0]["weight"], 3)
        mine = until(lambda: self.ask("GET", "/api/v1/history?queue=seen")[0] == 200 and
                     self.get("/api/v1/history?queue=seen"), "the queue has a history")
        self.assertIn("wait_p99_ms", mine["series"])
        self.assertIn("alerts", self.get("/api/v1/alerts"))
        self.assertEqual(self.get("/api/v1/schedules"), {"schedules": []})
        task = self.fleet.submit("nobody.offers", '{"a":[1,2]}')
        self.assertEqual(self.get(f"/api/v1/values/{task}")["payload"]["value"], {"a": [1, 2]})
        self.fleet.drover("cancel", task)

    def test_lists_go_on_with_a_cursor(self):
        tasks = {self.fleet.submit("noop", "--queue", "paged") for _ in range(5)}
        found, cursor = [], ""
        while cursor is not None:
            page = self.get("/api/v1/tasks?queue=paged&limit=2" + cursor)
            found += [row["id"] for row in page["tasks"]]
            cursor = f"&cursor={page['cursor']}" if "cursor" in page else None
        self.assertEqual(sorted(found), sorted(tasks))

    def test_logs_of_a_task(self):
        task = self.fleet.submit("print", '"hello"')
        self.fleet.until_state(task, "succeeded")
        document = self.get(f"/api/v1/logs/{task}")
        self.assertEqual(document["state"], "succeeded")
        self.assertIn("hello", "".join(piece["text"] for piece in document["pieces"]))

    def test_metrics_are_well_formed(self):
        status, headers, text = self.ask("GET", "/metrics")
        self.assertEqual(status, 200)
        self.assertTrue(headers["Content-Type"].startswith("text/plain; version=0.0.4"))
        self.assertIn("drover_submitted_total", text)
        self.assertIn('drover_worker_slots{worker="w1"', text)
        if shutil.which("promtool"):
            done = subprocess.run(["promtool", "check", "metrics"], input=text, text=True,
                                  capture_output=True, check=False)
            self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))

    def test_about_tells_whether_the_token_is_right(self):
        for token, may in ((None, False), (TOKEN, True), (TOKEN[:-1] + "x", False)):
            headers = {} if token is None else {"Authorization": f"Bearer {token}"}
            status, _, text = self.ask("GET", "/api/v1/about", headers)
            told = json.loads(text)
            self.assertEqual((status, told["actions"], told["token"], told["may_act"]),
                             (200, True, False, may))

    def test_health(self):
        self.assertTrue(self.get("/healthz")["ok"])
        self.assertTrue(self.get("/readyz")["ok"])

    def test_answers_are_not_kept_and_run_no_foreign_script(self):
        for path in ("/", "/api/v1/status", "/nothing"):
            _, headers, _ = self.ask("GET", path)
            self.assertEqual(headers["Cache-Control"], "no-store")
            self.assertEqual(headers["X-Content-Type-Options"], "nosniff")
            policy = headers["Content-Security-Policy"]
            self.assertIn("frame-ancestors 'none'", policy)
            self.assertNotIn("unsafe", policy)

    def test_actions(self):
        task = self.fleet.submit("sleep", "60000")
        self.fleet.until_state(task, "running")
        path = f"/api/v1/task/{task}/cancel"
        self.assertEqual(self.post(path, token=None)[0], 401)
        self.assertEqual(self.post(path, token="wrong")[0], 403)
        self.assertEqual(self.post(path, Origin="http://evil.example")[0], 403)
        self.assertEqual(self.fleet.state(task), "running")
        self.assertEqual(self.post(path), (200, {"ok": True}))
        self.fleet.until_state(task, "cancelled")
        code, answer = self.post(f"/api/v1/task/{task}/retry")
        self.assertEqual(code, 200)
        self.assertEqual(self.fleet.show(answer["retried_as"])["retry_of"], task)
        self.assertEqual(self.post(f"/api/v1/task/{answer['retried_as']}/cancel")[0], 200)
        self.assertEqual(self.post("/api/v1/queue/default/pause")[0], 200)
        self.assertTrue(self.fleet.json("queue", "ls")["queues"][0]["paused"])
        self.assertEqual(self.post("/api/v1/queue/default/resume")[0], 200)
        self.assertEqual(self.post("/api/v1/worker/w1/drain")[0], 200)
        self.assertEqual(self.get("/api/v1/worker/w1")["state"], "draining")
        self.assertEqual(self.post("/api/v1/worker/w1/resume")[0], 200)
        self.assertEqual(self.post("/api/v1/worker/nobody/drain")[0], 404)
        self.assertEqual(self.post("/api/v1/alert/nothing/acknowledge", token=None)[0], 401)
        self.assertEqual(self.post("/api/v1/alert/nothing/acknowledge?subject=w1")[0], 404)

    def test_rules_and_silences_are_told_and_made(self):
        told = self.get("/api/v1/alert-rules")
        rules = {rule["name"]: rule for rule in told["rules"]}
        self.assertEqual(rules["broker-disk"]["severity"], "critical")
        self.assertEqual(rules["type-unserved"]["scope"], "type")
        path = "/api/v1/alert/worker-lost/silence?subject=w1"
        self.assertEqual(self.post(path, token=None)[0], 401)
        self.assertEqual(self.post(path + "&for=30m")[0], 200)
        silence, = self.get("/api/v1/alert-rules")["silences"]
        self.assertEqual((silence["rule"], silence["subject"]), ("worker-lost", "w1"))
        self.assertTrue(29 * 60000 < silence["left_ms"] <= 30 * 60000)
        self.assertEqual(self.post(path.replace("silence", "unsilence"))[0], 200)
        self.assertEqual(self.get("/api/v1/alert-rules")["silences"], [])
        self.assertEqual(self.post(path.replace("silence", "unsilence"))[0], 404)

    def test_elements_of_an_array_are_listed_by_state(self):
        self.fleet.drover("map", "square", "--keep", "1h", stdin='1\n2\n"no number"\n4\n[5]\n', check=False)
        array = self.get("/api/v1/arrays")["arrays"][0]["id"]
        until(lambda: self.get(f"/api/v1/task/{array}")["state"] == "failed", "it has ended")
        failed = self.get(f"/api/v1/elements/{array}?state=failed,expired")
        self.assertEqual([row["index"] for row in failed["elements"]], [2, 4])
        self.assertNotIn("cursor", failed)
        self.assertEqual(failed["elements"][0]["error"]["kind"], "handler")
        self.assertEqual(failed["elements"][0]["error"]["text"],
                         self.get(f"/api/v1/task/{array}.2")["error"]["text"])
        seen, cursor = [], ""
        while cursor is not None:
            page = self.get(f"/api/v1/elements/{array}?limit=2&cursor={cursor}")
            self.assertLessEqual(len(page["elements"]), 2)
            seen += [(row["index"], row["state"]) for row in page["elements"]]
            cursor = page.get("cursor")
        self.assertEqual(seen, [(n, "failed" if n in (2, 4) else "succeeded") for n in range(5)])
        self.assertEqual(self.get(f"/api/v1/elements/{array}?state=running")["elements"], [])
        task = self.fleet.submit("noop")
        for path, code in ((f"elements/{array}.2", 400), (f"elements/{task}", 400),
                           ("elements/00000000000000000000000000", 404)):
            self.assertEqual(self.ask("GET", f"/api/v1/{path}")[0], code, path)

    def events(self, since, enough):
        """Numbers and events of a stream from there on, until enough(events)."""
        connection = http.client.HTTPConnection(self.address, timeout=20)
        connection.request("GET", f"/api/v1/events?since={since}")
        answer = connection.getresponse()
        self.assertEqual(answer.status, 200)
        told, number = [], None
        while not enough([event for _, event in told]):
            line = answer.readline()
            if line.startswith(b"id: "):
                number = int(line[4:])
            elif line == b"event: event\n":
                told.append((number, json.loads(answer.readline()[len("data: "):])))
        connection.close()
        return told

    def test_what_happened_before_one_looked_is_told(self):
        """Without a stream anywhere; and where a stream has ended the next goes on."""
        self.post("/api/v1/queue/backlog/pause?create=1")
        self.post("/api/v1/queue/backlog/resume")

        def has(name):
            return lambda events: any((event["event"], event.get("queue")) == (name, "backlog")
                                      for event in events)
        told = self.events(0, has("queue.resumed"))
        self.assertIn("worker.connected", [event["event"] for _, event in told])
        self.assertTrue(has("queue.paused")([event for _, event in told]))
        self.assertNotIn("gap", [event["event"] for _, event in told])
        numbers = [number for number, _ in told]
        self.assertEqual(numbers, sorted(set(numbers)))
        self.post("/api/v1/queue/later/pause?create=1")
        after = self.events(numbers[-1], lambda events: any(
            event.get("queue") == "later" for event in events))
        self.assertGreater(after[0][0], numbers[-1])
        self.assertFalse(has("queue.paused")([event for _, event in after]))
        self.post("/api/v1/queue/later/resume")
        self.assertEqual(self.ask("GET", "/api/v1/events?since=x")[0], 400)

    def test_work_does_not_push_out_what_is_rare(self):
        """More events of tasks than there is room for, since somebody looks; then another looks."""
        connection = http.client.HTTPConnection(self.address, timeout=20)
        connection.request("GET", "/api/v1/events")
        connection.getresponse().readline()
        self.post("/api/v1/queue/rare/pause?create=1")
        for turn in range(20):
            self.fleet.drover("map", "square", stdin="1\n" * 400)
            self.post(f"/api/v1/queue/mark.{turn}/pause?create=1")
            told = self.events(0, lambda events, mark=f"mark.{turn}": any(
                event.get("queue") == mark for event in events))
            first = next(number for number, event in told if event.get("queue") == "rare")
            if told[-1][0] - first > 600:
                break
        else:
            self.fail("so much work was not told of")
        self.assertFalse(told[0][1]["event"].startswith("task."))
        self.assertNotIn("gap", [told[0][1]["event"], told[1][1]["event"]])
        connection.close()

    def test_events_stream_tells_status_and_what_happens(self):
        connection = http.client.HTTPConnection(self.address, timeout=20)
        connection.request("GET", "/api/v1/events")
        answer = connection.getresponse()
        self.assertEqual(answer.headers["Content-Type"], "text/event-stream")
        self.assertEqual(answer.readline(), b"event: status\n")
        self.assertIn("tasks", json.loads(answer.readline()[len("data: "):]))
        seen, task = [], None
        while task is None or (task, "task.ended") not in seen:
            line = answer.readline()
            if line == b"event: event\n":
                event = json.loads(answer.readline()[len("data: "):])
                self.assertIn("time_ms", event)
                seen.append((event.get("id"), event["event"]))
            elif line == b"event: status\n" and task is None:
                task = self.fleet.submit("noop")
        connection.close()


class HttpAbsent(unittest.TestCase):
    """What a broker without a token, or without HTTP, says."""

    def test_without_a_token_nothing_can_be_changed(self):
        with Fleet() as fleet:
            address = fleet.broker("--http", "127.0.0.1:0").ready["http"]
            connection = http.client.HTTPConnection(address, timeout=20)
            connection.request("POST", "/api/v1/queue/default/pause",
                               headers={"Authorization": "Bearer anything"})
            self.assertEqual(connection.getresponse().status, 403)
            connection.close()

    def test_off_is_off_and_foreign_addresses_are_refused(self):
        with Fleet() as fleet:
            self.assertNotIn("http", fleet.broker("--no-http").ready)
            refused = fleet.start("drover-broker", "--memory", "--http", "0.0.0.0:0")
            self.assertEqual(refused.wait(), 64)
            self.assertIn("--http-token-file", refused.stderr())

    def test_a_broker_that_goes_down_is_well_but_not_ready(self):
        with Fleet() as fleet:
            broker = fleet.broker("--http", "127.0.0.1:0", "--grace", "60s")
            fleet.worker("--slots", "1")

            def ask(path):
                connection = http.client.HTTPConnection(broker.ready["http"], timeout=20)
                connection.request("GET", path)
                answer = connection.getresponse()
                told = answer.status, json.loads(answer.read())
                connection.close()
                return told
            task = fleet.submit("sleep", "600000")
            fleet.until_state(task, "running")
            self.assertEqual(ask("/readyz")[0], 200)
            broker.signal(signal.SIGTERM)
            status, told = until(lambda: (lambda found: found if found[0] != 200 else None)(
                ask("/readyz")), "it is not ready")
            self.assertEqual((status, told["ok"], told["draining"]), (503, False, True))
            status, told = ask("/healthz")
            self.assertEqual((status, told["ok"], told["draining"]), (200, True, True))
            fleet.drover("cancel", task)
            self.assertEqual(broker.wait(), 0)

    def test_a_stopped_broker_ends_its_streams(self):
        with Fleet() as fleet:
            broker = fleet.broker("--http", "127.0.0.1:0")
            connection = http.client.HTTPConnection(broker.ready["http"], timeout=20)
            connection.request("GET", "/api/v1/events")
            answer = connection.getresponse()
            answer.readline()
            self.assertEqual(broker.terminate(), 0)
            while answer.readline():
                pass
            connection.close()


if __name__ == "__main__":
    unittest.main()

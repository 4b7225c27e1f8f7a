"""The page in a browser: real data, live, and text that stays text.

One fleet and one headless Chromium for all stories, in the order of their names. Pictures of each
page, from its top to its end, go to $DROVER_SHOT_DIR, when that is set: as on a phone, a tablet and
a screen in both themes, and as on a wall.
"""

import base64
import json
import os
import shutil
import subprocess
import sys
import unittest

from fleet import Fleet, until

if not (shutil.which("chromium") and shutil.which("chromedriver")):
    print("chromium or its driver is not installed")
    sys.exit(77)

from selenium import webdriver  # noqa: E402
from selenium.webdriver.chrome.options import Options  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

TOKEN = "0123456789abcdef-token"
HOSTILE_NODE = "a-name-that-is-longer-than-its-box"
HOSTILE = "<img src=x onerror='window.hacked=1'><script>window.hacked=1</script>"


class Page(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.fleet = Fleet()
        token = cls.fleet.write("token", TOKEN + "\n")
        subprocess.run(["chmod", "600", token], check=True)
        cls.arguments = ["--http-token-file", token, "--alert-command", "false"]
        broker = cls.fleet.broker("--http", "127.0.0.1:0", *cls.arguments)
        cls.broker = broker
        cls.address = broker.ready["http"]
        cls.fleet.worker("--name", "alpha", "--slots", "3", "--stats-interval", "1s")
        cls.fleet.worker("--name", "beta", "--slots", "2")
        cls.fill()
        options = Options()
        for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                     "--disable-background-networking", "--window-size=1600,1000",
                     f"--user-data-dir={cls.fleet.path('profile')}"):
            options.add_argument(word)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        cls.browser = webdriver.Chrome(options=options, service=Service(
            "/usr/bin/chromedriver", log_path=cls.fleet.path("chromedriver.log")))

    @classmethod
    def tearDownClass(cls):
        cls.browser.quit()
        cls.fleet.__exit__(None, None, None)

    @classmethod
    def fill(cls):
        """Something of everything."""
        cls.done = cls.fleet.submit("square", "7", "--queue", "images", "--tag", f"what={HOSTILE[:60]}")
        cls.failed = cls.fleet.submit("fail", f'"{HOSTILE}"')
        cls.printed = cls.fleet.submit("print", f'"{HOSTILE}"')
        cls.waits = cls.fleet.submit(
            "nobody.offers", "1", "--queue", "mail", "--need", "gpu=1", "--need", "memory=4G",
            "--require", "zone=eu", "--limit", "memory=1G", "--limit", "cpu=30s", "--keep", "7d",
            "--fairness-key", "tenant-7", "--backoff", "2s", "--expire", "50h", "--key", "mine",
            "--group", "some", "--after-any", cls.done)
        cls.runs = cls.fleet.submit("sleep", "600000", "--queue", "images", "--priority", "3")
        cls.fleet.drover("map", "square", "--keep", "1h", stdin="".join(f"{n}\n" for n in range(200)))
        cls.fleet.drover("map", "sleep", "--queue", "reports", stdin="1\n" * 60)
        cls.fleet.drover("schedule", "add", "nightly", "30 2 * * mon-fri", "--tz",
                         "Europe/Berlin", "square", "3")
        cls.fleet.drover("schedule", "add", "often", "--every", "1h", "noop", "1")
        cls.fleet.drover("alert", "add", "deep", "queue_depth > 0 severity critical only mail")
        cls.fleet.drover("queue", "pause", "gated")
        cls.graph("nightly-build", {
            "fetch": ("square", "7", []), "unpack": ("sleep", "30", ["fetch"]),
            "lint": ("sleep", "5", ["unpack"]), "compile": ("sleep", "120", ["unpack"]),
            "unit-tests": ("sleep", "60", ["compile"]), "docs": ("sleep", "20", ["unpack"]),
            "integration-tests-of-everything": ("fail", '"3 of 200 tests failed"', ["compile"]),
            "package": ("square", "1", ["unit-tests", "integration-tests-of-everything", "docs"]),
            "report": ("square", "1", [["integration-tests-of-everything"], ["unit-tests"]]),
            "publish": ("square", "1", ["package"])})
        cls.graph("live", {"first": ("square", "7", []), HOSTILE_NODE: ("square", "8", ["first"]),
                           "last": ("square", "9", [HOSTILE_NODE])}, queue="gated")
        cls.fleet.drover("map", "square", "--keep", "1h", check=False,
                         stdin='1\n2\n"no number"\n4\n5\n')
        cls.fleet.until_state(cls.failed, "failed")
        cls.fleet.until_state(cls.printed, "succeeded")

    @classmethod
    def graph(cls, name, nodes, **options):
        """Submits a graph: name -> (type, payload, parents; a list of one: ended in any way)."""
        def after(parents):
            return [{"name": parent[0], "always": True} if isinstance(parent, list) else parent
                    for parent in parents]
        path = cls.fleet.write(f"{name}.json", json.dumps({"name": name, "nodes": [
            {"name": node, "type": kind, "payload": json.loads(payload), "after": after(parents),
             **options} for node, (kind, payload, parents) in nodes.items()]}))
        return cls.fleet.json("graph", "submit", path)["nodes"]

    # ---- helpers ----

    def go(self, view):
        self.browser.get(f"http://{self.address}/#/{view}")

    def run_js(self, script, *arguments):
        return self.browser.execute_script(script, *arguments)

    def fetch(self, path):
        return self.browser.execute_async_script(
            "const done = arguments[1]; fetch(`/api/v1/${arguments[0]}`).then((a) => a.json()).then(done);",
            path)

    def text(self):
        return self.run_js("return document.querySelector('#view').textContent")

    def until_text(self, *words, seconds=20):
        try:
            until(lambda: all(word in self.text() for word in words), f"shows {words}", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; the page has {self.text()[:3000]!r}, the console "
                                 f"{self.browser.get_log('browser')}") from None

    def press(self, title):
        def found():
            return self.run_js(
                "const b = [...document.querySelectorAll('button')].find((b) => b.checkVisibility"
                " ? b.checkVisibility() && b.textContent === arguments[0]"
                " : b.textContent === arguments[0]); if (b) b.click(); return !!b;", title)
        until(found, f"there is a button {title!r}")

    def follow(self, link):
        """Clicks what the expression finds, as soon as it does."""
        until(lambda: self.run_js(f"const a = {link}; if (a) a.click(); return !!a;"), link)

    def is_harmless(self):
        return (self.run_js("return window.hacked === undefined") and
                self.run_js("return document.querySelectorAll('#view img, #view script').length") == 0)

    # ---- stories ----

    def test_a_overview_shows_what_is_there(self):
        self.go("")
        self.until_text("Throughput", "images", "mail", "Processor")
        self.assertEqual(self.run_js("return document.querySelector('#live').textContent"), "live")
        shown = self.run_js("return [...document.querySelectorAll('.tile b')].map((b) => b.innerText)")
        self.assertNotIn("–", shown)

    def test_c_charts_move(self):
        self.go("")
        points = ("const c = Chart.getChart(document.querySelector('canvas'));"
                  " return c ? c.data.datasets[0].data.length : 0;")
        first = until(lambda: self.run_js(points), "the chart has a point", 30)
        self.fleet.submit("noop")
        until(lambda: self.run_js(points) > first, "the chart has one more", 30)

    def test_c_hostile_text_stays_text(self):
        self.go(f"task/{self.failed}")
        self.until_text("handler", HOSTILE, "failed")
        self.assertTrue(self.is_harmless())
        self.go(f"task/{self.printed}")
        self.until_text(HOSTILE, "Output")
        self.assertTrue(self.is_harmless())
        self.go(f"task/{self.done}")
        self.until_text(HOSTILE[:60], "49")
        self.assertTrue(self.is_harmless())
        self.go("events")
        self.until_text("Events")
        self.assertTrue(self.is_harmless())

    def test_d_why_a_task_stands_still(self):
        self.go("tasks?queue=mail")
        self.until_text(self.waits, "queued")
        self.go(f"task/{self.waits}")
        self.until_text("no worker offers type nobody.offers")
        self.until_text("gpu 1, memory 4.00 GiB", "memory 1.00 GiB, processor time 30 s", "zone=eu",
                        "tenant-7", "mine", "some", "Kept for", "Expires in", "Backoff",
                        f"{self.done} succeeded (or ended)")

    def test_e_lists(self):
        self.go("workers")
        self.until_text("alpha", "beta", "connected")
        self.go("worker/alpha")
        self.until_text("prefork", "Tasks done", "Executors")
        self.press("Day")
        until(lambda: "history?span=day&worker=alpha" in self.run_js(
            "return performance.getEntriesByType('resource').map((e) => e.name).join(' ')"), "it is asked")
        self.assertEqual(self.run_js("return document.querySelector('.group [aria-pressed=true]').textContent"), "Day")
        self.go("queues")
        self.until_text("images", "mail", "no worker offers it", "Run p50")
        until(lambda: self.run_js("return document.querySelectorAll('td svg.spark .line').length") >= 4,
              "each queue has a line")
        self.go("arrays")
        self.until_text("200 of 200")

    def test_e_a_queue_has_a_page_with_its_history(self):
        self.go("queues")
        self.follow("[...document.querySelectorAll('td a')].find((a) => a.textContent === 'mail')")
        self.until_text("Age of the oldest that waits", "Wait p50, p99", self.waits, "as the broker")
        until(lambda: self.run_js(
            "return [...document.querySelectorAll('canvas')].every((c) => (Chart.getChart(c)?.data"
            ".datasets[0].data.length ?? 0) > 1)"), "all charts have points", 30)
        waiting = self.run_js("return Chart.getChart(document.querySelectorAll('canvas')[1])"
                              ".data.datasets[0].data.at(-1).y")
        self.assertEqual(waiting, 1)
        self.go("queue/nobody-has-it")
        self.until_text("This queue is not there now", "It has no task")

    def test_e_it_is_used_with_the_keyboard_alone(self):
        """To the content at once, along the tabs, and what has the focus is seen."""
        self.go("")
        self.until_text("Throughput")
        keys = lambda *words: ActionChains(self.browser).send_keys(*words).perform()
        focus = lambda: self.run_js("return document.activeElement.textContent")
        keys(Keys.TAB)
        self.assertEqual(focus(), "Skip to content")
        for _ in range(20):
            keys(Keys.TAB)
            if focus() == "Queues":
                break
        self.assertEqual(focus(), "Queues")
        self.assertNotEqual(self.run_js("return getComputedStyle(document.activeElement).outlineStyle"), "none")
        keys(Keys.ENTER)
        self.until_text("Wait p50")
        self.assertEqual(self.run_js("return document.querySelector('[aria-current]').textContent"), "Queues")

    def node(self, name):
        """What stands in the box of a node of the picture, and its class."""
        return self.run_js(
            "const a = [...document.querySelectorAll('svg.graph a')].find((a) =>"
            " a.querySelector('title').textContent.startsWith(arguments[0] + ' '));"
            " return a ? [a.textContent, a.getAttribute('class')] : ['', ''];", name)

    def test_e_a_graph_is_a_picture(self):
        """States in words and signs, the failing node and what it took with it, the path."""
        self.go("graphs")
        self.until_text("nightly-build", "live", "of 10")
        self.go("graph/nightly-build")
        self.until_text("fetch", "publish", "Critical path")
        until(lambda: "✕ failed" in self.node("publish")[0], "the failure has gone through")
        text, looks = self.node("integration-tests-of-everything")
        self.assertIn("✕ failed", text)
        self.assertIn("3 of 200 tests failed", text)
        self.assertIn("integration-tests-o…", text)
        self.assertIn("failed", looks)
        until(lambda: "✓ succeeded" in self.node("report")[0], "what waits for any end has run")
        self.assertIn("critical", self.node("compile")[1])
        self.assertNotIn("critical", self.node("lint")[1])
        self.assertEqual(self.run_js("return document.querySelectorAll('svg.graph .line').length"), 12)
        self.assertEqual(self.run_js("return document.querySelectorAll('svg.graph .always').length"), 2)
        self.assertTrue(self.is_harmless())
        self.run_js("[...document.querySelectorAll('svg.graph a')].find((a) => a.textContent"
                    ".includes('fetch')).dispatchEvent(new MouseEvent('click', {bubbles: true, cancelable: true}));")
        self.until_text("Where the time went", "square")
        self.go("graph/nobody")
        self.until_text("There is no such graph")

    def test_e_a_graph_changes_before_ones_eyes(self):
        self.go("graph/live")
        self.until_text("first", "queue gated is paused")
        self.assertIn("○ queued", self.node("first")[0])
        self.assertIn("◌ waiting", self.node("last")[0])
        mark = "document.querySelector('svg.graph').dataset.mark = 'same'"
        self.run_js(mark)
        self.fleet.drover("queue", "resume", "gated")
        for name in ("first", HOSTILE_NODE, "last"):
            until(lambda name=name: "✓ succeeded" in self.node(name)[0], f"{name} is done")
        self.assertEqual(self.run_js("return document.querySelector('svg.graph').dataset.mark"), "same")

    def test_e_what_failed_in_an_array_is_found(self):
        self.go("arrays")
        self.until_text("5 of 5")
        self.follow("[...document.querySelectorAll('tr')].find((r) => r.textContent.includes("
                    "'5 of 5'))?.querySelector('a')")
        self.until_text("Elements", "Failed 1", "Succeeded 4", "handler:")
        links = self.run_js("return [...document.querySelectorAll('#view td a')].map((a) =>"
                            " [a.textContent, a.getAttribute('href')])")
        self.assertEqual([text for text, _ in links if text.isdigit()], ["2"])
        self.follow("document.querySelector('#view td a')")
        self.until_text("element 2", "How it ended", "no number")
        self.browser.back()
        self.until_text("Failed 1")
        self.press("All 5")
        until(lambda: self.run_js("return document.querySelectorAll('#view tbody tr').length") >= 5,
              "all elements are listed")

    def test_e_hosts_have_charts(self):
        self.go("hosts")
        self.until_text("2 workers", "Processor", "Network in")
        until(lambda: self.run_js("return [...document.querySelectorAll('.spark .line')].filter("
                                  "(p) => p.getAttribute('d')?.includes('L')).length") >= 3,
              "the lines have points", 30)
        slots = self.run_js("const e = document.querySelector('.host .sparkline'); return [e.textContent,"
                            " e.querySelector('.line').getAttribute('d'), e.querySelector('svg').ariaLabel];")
        self.assertRegex(slots[0], r"^Slots\d+ %$")  # of both workers; the history of one is no line of it
        self.assertEqual(slots[1:], ["", slots[0].replace("Slots", "Slots: ")])
        self.follow("document.querySelector('.host a')")
        self.until_text("Workers on it", "alpha", "beta", "Up for")
        until(lambda: self.run_js("const c = Chart.getChart(document.querySelector('canvas'));"
                                  " return c ? c.data.datasets[0].data.length : 0") > 1,
              "the charts have points", 30)
        self.go("workers")
        self.until_text("Ten minutes", "alpha")
        until(lambda: self.run_js("return document.querySelectorAll('td svg.spark').length") == 2,
              "each has a line")

    def test_e_more_workers_than_a_status_has_are_counted(self):
        """What the status leaves out is read from the list of workers."""
        told = self.browser.execute_async_script("""
            const done = arguments[0];
            (async () => {
              const { Roster, hostsOf } = await import("/roster.js");
              const row = (n) => ({ id: n, name: `w${n}`, host: `h${n % 7}`, slots: 2, running: 1 });
              const rows = Array.from({ length: 450 }, (_, n) => row(n));
              const asked = [];
              const real = window.fetch;
              window.fetch = async (url) => {
                asked.push(url);
                const from = Number(new URLSearchParams(url.split("?")[1]).get("cursor") ?? 0);
                const page = { workers: rows.slice(from, from + 200) };
                if (from + 200 < rows.length) page.cursor = String(from + 200);
                return new Response(JSON.stringify(page));
              };
              const roster = new Roster(() => {
                window.fetch = real;
                roster.update(status);
                done([asked.length, roster.rows.length, hostsOf(roster.rows).length, roster.rows[3].running]);
              });
              const status = { worker_count: 450, workers: rows.slice(0, 200).map((r) => ({ ...r, running: 2 })) };
              roster.update(status);
            })();""")
        self.assertEqual(told, [3, 450, 7, 2])

    def test_e_more_than_a_page_of_tasks(self):
        self.graph("many", {f"n{n}": ("noop", "1", []) for n in range(130)}, queue="many")
        self.go("tasks?queue=many")
        rows = "return document.querySelectorAll('#view tbody tr').length"
        until(lambda: self.run_js(rows) == 100, "a page is shown")
        self.press("Show more")
        until(lambda: self.run_js(rows) == 130, "all are shown")

    def test_e_what_happened_before_one_looked_is_there(self):
        self.go("events")
        self.until_text("worker.connected", "alpha", "schedule.added", "nightly", "alert.firing", "deep")
        self.press("Alerts")
        self.until_text("critical", "deep", "mail")
        self.assertNotIn("worker.connected", self.text())
        self.press("All")

    def test_e_that_nobody_could_be_told_is_seen(self):
        self.go("alerts")
        self.until_text("Commands and webhooks: 0 told, ", "under way or waiting for another try")

    def test_f_a_life_is_seen_live(self):
        self.go("events")
        self.until_text("Events")
        until(lambda: self.run_js("return document.querySelector('#live').textContent") == "live",
              "the stream is there")
        task = self.fleet.submit("sleep", "300")
        self.until_text(task, "task.submitted", "task.started", "task.ended")
        self.go(f"task/{task}")
        self.until_text("succeeded", "Attempts")

    def test_g_actions_need_the_token(self):
        self.go(f"task/{self.runs}")
        self.until_text("running")
        self.assertNotIn("Cancel", self.text())
        code = self.browser.execute_async_script(
            "const done = arguments[1]; fetch(`/api/v1/task/${arguments[0]}/cancel`,"
            " {method: 'POST'}).then((a) => done(a.status));", self.runs)
        self.assertEqual(code, 401)
        self.assertEqual(self.fleet.state(self.runs), "running")
        self.press("Unlock")
        enter = ("document.querySelector('#token').value = arguments[0];"
                 "document.querySelector('#dialog button[value=ok]').click();")
        self.run_js(enter, TOKEN[:-1] + "x")
        until(lambda: self.run_js("return document.querySelector('dialog[open] [role=alert]')?.textContent")
              == "This is not the broker's token.", "it is told at once")
        self.assertEqual(self.run_js("return sessionStorage.length"), 0)
        self.assertNotIn("Cancel", self.text())
        self.run_js(enter, TOKEN)
        self.press("Cancel")
        self.press("Really cancel?")
        self.fleet.until_state(self.runs, "cancelled")
        self.until_text("cancelled")
        self.go("queues")
        self.press("Pause")
        until(lambda: any(row["paused"] for row in self.fleet.json("queue", "ls")["queues"]),
              "a queue is paused")
        self.press("Resume")
        self.go("alerts")
        self.until_text("deep", "critical", "firing")
        self.press("Acknowledge")
        self.until_text("acknowledged")
        self.assertTrue(all(row["acknowledged"] for row in self.fleet.json("alert", "ls")["alerts"]
                            if row["rule"] == "deep"))
        self.press("Silence for an hour")
        self.until_text("silenced", "Silent for")
        self.press("End it")
        self.until_text("Nothing is silenced.")
        self.assertEqual(self.fleet.json("alert", "rules")["silences"], [])

    def live(self):
        return self.run_js("return document.querySelector('#live')?.textContent")

    def test_g_more_pages_than_a_browser_has_connections(self):
        """All are live, and the last one loads: they share a stream."""
        first = self.browser.current_window_handle
        tabs = [first]
        for view in ("", "tasks", "workers", "queues", "alerts", "events"):
            self.browser.switch_to.new_window("tab")
            tabs.append(self.browser.current_window_handle)
            self.go(view)
            until(lambda: self.live() == "live", f"page {len(tabs)} is live")
        targets = self.browser.execute_cdp_cmd("Target.getTargets", {})["targetInfos"]
        self.assertEqual([target["type"] for target in targets].count("shared_worker"), 1)
        task = self.fleet.submit("noop")
        self.browser.switch_to.window(tabs[6])
        self.browser.execute_cdp_cmd("Page.bringToFront", {})
        self.until_text(task, "task.ended")
        for tab in tabs[1:]:
            self.browser.switch_to.window(tab)
            self.browser.close()
        self.browser.switch_to.window(first)
        self.browser.execute_cdp_cmd("Page.bringToFront", {})
        until(lambda: self.live() == "live", "the one that is left is live")

    def see(self, how):
        """As if the page were in the background, or back."""
        self.run_js("Object.defineProperty(document, 'visibilityState', {configurable: true,"
                    " get: () => arguments[0]});".replace("arguments[0]", json.dumps(how)) +
                    "document.dispatchEvent(new Event('visibilitychange'));")

    def test_g_a_page_that_nobody_sees_has_no_stream(self):
        """Without a worker to share, too; what it missed it is told when it is seen again."""
        self.browser.switch_to.new_window("tab")
        script = self.browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {
            "source": "delete window.SharedWorker;"})
        try:
            self.go("events")
            until(lambda: self.live() == "live", "it has a stream of its own")
            self.see("hidden")
            # a stream is among what was loaded once it has ended
            until(lambda: self.run_js("return performance.getEntriesByType('resource').some("
                                      "(one) => one.name.includes('/events'))"),
                  "the stream has ended", 10)
            self.fleet.drover("queue", "pause", "unseen")
            self.see("visible")
            until(lambda: self.live() == "live", "it is back")
            self.until_text("queue.paused", "unseen")
            self.fleet.drover("queue", "resume", "unseen")
        finally:
            self.browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)
            self.browser.close()
            self.browser.switch_to.window(self.browser.window_handles[0])

    def test_h_the_page_outlives_the_broker(self):
        self.go("")
        self.until_text("Throughput")
        self.broker.terminate()
        until(lambda: "no news" in self.run_js(
            "return document.querySelector('#live').textContent"), "the page says so")
        self.fleet.broker("--http", self.address, *self.arguments)
        until(lambda: self.run_js("return document.querySelector('#live').textContent") == "live",
              "the page is back")

    def test_i_nothing_was_complained_about(self):
        """No error in the console but those of the answers that were asked for."""
        lines = [line["message"] for line in self.browser.get_log("browser")
                 if line["level"] == "SEVERE"]
        expected = ("Failed to load resource", "ERR_CONNECTION", "ERR_INCOMPLETE", "ERR_EMPTY",
                    "ERR_NETWORK")
        self.assertEqual([line for line in lines if not any(w in line for w in expected)], [])

    SIZES = ((400, 900, ("light", "dark")), (1000, 1300, ("dark", "light")),
             (1600, 1000, ("light", "dark")))
    WALL = ((2560, 1440, ("dark",)),)
    ON_A_WALL = ("overview", "hosts", "queues")

    def theme(self, name):
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {
            "features": [{"name": "prefers-color-scheme", "value": name}] if name else []})

    def picture(self, path):
        """All of the page, also what is below the window's end."""
        shot = self.browser.execute_cdp_cmd("Page.captureScreenshot", {
            "format": "png", "optimizeForSpeed": True})
        with open(path, "wb") as file:
            file.write(base64.b64decode(shot["data"]))

    def size(self, width, height):
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": False})
        frames = ("const done = arguments[0];"
                  " requestAnimationFrame(() => requestAnimationFrame(done));")
        self.browser.execute_async_script(frames)
        return self.run_js("const d = document.documentElement;"
                           " return [d.scrollWidth - d.clientWidth, d.scrollHeight];")

    def shoot(self, folder, name, sizes=SIZES):
        """Pictures of what is there now, which must not scroll sideways."""
        for width, height, themes in sizes:
            self.theme(themes[0])
            overflow, whole = self.size(width, height)
            self.assertLessEqual(overflow, 0, f"{name} at {width} scrolls sideways")
            if whole > height:
                self.size(width, whole)
            for theme in themes:
                self.theme(theme)
                self.picture(os.path.join(folder, f"{name}-{width}-{theme}.png"))
        self.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        self.theme(None)

    def test_gz_shots_with_buttons(self):
        """What an operator sees who has given the token, and the question for it."""
        folder = os.environ.get("DROVER_SHOT_DIR")
        if not folder:
            self.skipTest("DROVER_SHOT_DIR is not set")
        os.makedirs(folder, exist_ok=True)
        runs = self.fleet.submit("sleep", "600000", "--queue", "images")
        self.fleet.drover("alert", "add", "mail-waits", "queue_depth > 0 severity warning only mail")
        self.fleet.drover("queue", "pause", "gated")
        self.go("")
        self.run_js("sessionStorage.clear()")
        self.browser.refresh()
        self.press("Unlock")
        enter = ("document.querySelector('#token').value = arguments[0];"
                 "document.querySelector('#dialog button[value=ok]').click();")
        self.run_js(enter, "a wrong one")
        until(lambda: self.run_js("return document.querySelector('dialog[open] [role=alert]')?.textContent"),
              "it is told that it is wrong")
        self.shoot(folder, "dialog")
        self.run_js(enter, TOKEN)
        for name, view, words in (("alerts", "alerts", ("mail-waits", "Acknowledge", "Silence")),
                                  ("queues", "queues", ("mail", "Pause", "Resume")),
                                  ("queue", "queue/images", ("Latest tasks", "Pause")),
                                  ("workers", "workers", ("alpha",)),
                                  ("worker", "worker/alpha", ("Tasks done", "Drain")),
                                  ("task-runs", f"task/{runs}", ("running", "Cancel")),
                                  ("task-failed", f"task/{self.failed}", ("handler", "Retry"))):
            self.go(view)
            self.until_text(*words)
            self.shoot(folder, f"{name}-unlocked")
        self.go(f"task/{runs}")
        self.press("Cancel")
        self.until_text("Really cancel?")
        self.shoot(folder, "task-asks", ((400, 900, ("light",)),))
        self.fleet.drover("cancel", runs)
        self.fleet.drover("queue", "resume", "gated")

    def test_b_shots(self):
        folder = os.environ.get("DROVER_SHOT_DIR")
        if not folder:
            self.skipTest("DROVER_SHOT_DIR is not set")
        os.makedirs(folder, exist_ok=True)
        status = self.fleet.json("status")
        self.go("")
        arrays = self.fetch("arrays")["arrays"]
        views = {"task": f"task/{self.failed}", "tasks": "tasks", "events": "events",
                 "graph": "graph/nightly-build", "graphs": "graphs", "arrays": "arrays",
                 "array": "task/" + next(row["id"] for row in arrays if row["count"] == 5),
                 "schedules": "schedules", "alerts": "alerts", "workers": "workers",
                 "worker": "worker/alpha", "hosts": "hosts",
                 "host": f"host/{status['workers'][0]['host']}", "queues": "queues",
                 "queue": "queue/default", "overview": ""}
        for name, view in views.items():
            self.go(view)
            self.until_text({"overview": "Processor", "task": "handler", "tasks": "succeeded",
                             "worker": "Tasks done", "queues": "Run p50", "queue": "Latest tasks",
                             "events": "Events", "graph": "Critical path", "graphs": "live",
                             "arrays": "200 of 200", "workers": "connected", "array": "Failed 1",
                             "hosts": "2 workers", "host": "Workers on it",
                             "schedules": "nightly", "alerts": "deep"}[name])
            self.shoot(folder, name, self.SIZES + (self.WALL if name in self.ON_A_WALL else ()))


if __name__ == "__main__":
    unittest.main()

"""Schedules and alerts through the command: what is due runs, what is wrong is told and acted on."""

import json
import os
import re
import socket
import stat
import unittest

from fleet import DEADLINE, SCALE, Fleet, until

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


class Schedules(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.fleet = cls.enterClassContext(Fleet())
        # Accepts, and never answers: the broker must not wait for it.
        cls.mute = cls.enterClassContext(socket.create_server(("127.0.0.1", 0), backlog=64))
        cls.told = cls.fleet.path("told")
        cls.hook = cls.fleet.write("hook", f'#!/bin/sh\ncat >> "{cls.told}"\n')
        os.chmod(cls.hook, stat.S_IRWXU)
        cls.start()
        cls.fleet.worker("--slots", "2", "--name", "one")

    @classmethod
    def start(cls, *arguments):
        cls.fleet.broker("--alert-command", cls.hook, "--alert-webhook",
                         f"http://127.0.0.1:{cls.mute.getsockname()[1]}/", *arguments)

    def drover(self, *arguments, code=0):
        done = self.fleet.drover(*arguments, check=False)
        self.assertEqual(done.returncode, code, f"{arguments}\n{done.stdout}{done.stderr}")
        return done

    def schedule(self, name):
        return json.loads(self.drover("schedule", "show", name, "--json").stdout)

    def alerts(self):
        """Lines of what the hook was given."""
        if not os.path.exists(self.told):
            return []
        with open(self.told, encoding="utf-8") as file:
            return [json.loads(line) for line in file if line.endswith("\n")]

    # ---- schedules ----

    def test_interval_runs_and_its_tasks_name_it(self):
        self.assertIn("tick runs in", self.drover("schedule", "add", "tick", "--every", "1s",
                                                  "square", "7", "--keep", "1h").stdout)
        last = until(lambda: self.schedule("tick").get("last"), "a run")
        until(lambda: self.schedule("tick")["last"]["state"] == "succeeded", "its end")
        self.assertEqual(self.drover("result", last["id"]).stdout, "49\n")
        self.assertEqual(self.fleet.show(last["id"])["schedule"], "tick")
        self.assertIn("tick", self.drover("schedules", "ls").stdout)
        task = self.drover("schedule", "run", "tick").stdout.strip()
        self.assertEqual(self.drover("result", task).stdout, "49\n")
        self.drover("schedule", "rm", "tick")
        self.drover("schedule", "show", "tick", code=1)

    def test_cron_with_a_zone_says_when_it_is_due(self):
        self.drover("schedule", "add", "noon", "0 12 * * *", "--tz", "Asia/Kathmandu", "square",
                    "1", "--overlap", "queue", "--missed", "skip", "--jitter", "1m")
        noon = self.schedule("noon")
        self.assertRegex(noon["next"], r"T12:0[01]:\d\d\+05:45$")
        self.assertEqual((noon["zone"], noon["overlap"], noon["missed"], noon["jitter_ms"]),
                         ("Asia/Kathmandu", "queue", "skip", 60000))
        self.drover("schedule", "add", "noon", "0 13 * * *", "square", code=1)
        self.drover("schedule", "add", "noon", "0 13 * * *", "square", "--replace", "--paused")
        self.assertTrue(self.schedule("noon")["paused"])
        self.assertIn("resumed", self.drover("schedule", "resume", "noon").stdout)
        self.assertFalse(self.schedule("noon")["paused"])

    def test_what_makes_no_sense_is_refused(self):
        for arguments, words in (
                (("x", "0 25 * * *", "square"), "hour, position 3: not from 0 to 23"),
                (("x", "0 2 * * *", "square", "--tz", "Mars/Olympus"), "no such time zone"),
                (("x", "--every", "1s", "--tz", "UTC", "square"), "an interval has no time zone"),
                (("x", "0 2 * *", "square"), "4 fields"),
                (("x", "0", "2", "*", "*", "*", "square"), "")):
            with self.subTest(arguments):
                self.assertIn(words, self.drover("schedule", "add", *arguments, code=64).stderr)

    # ---- alerts ----

    def test_rule_fires_runs_the_command_and_is_acknowledged(self):
        self.drover("alert", "add", "busy", "workers > 0")
        line = until(lambda: next((line for line in self.alerts() if line["rule"] == "busy"), None),
                     "the command")
        self.assertEqual((line["state"], line["severity"], line["value"], line["test"]),
                         ("firing", "warning", 1, False))
        alert = next(alert for alert in self.fleet.status()["alerts"] if alert["rule"] == "busy")
        self.assertEqual((alert["subject"], alert["state"], alert["acknowledged"]),
                         ("broker", "firing", False))
        self.assertIn("1 acknowledged", self.drover("alert", "ack", "busy").stdout)
        self.assertIn("acknowledged", self.drover("alert", "ls").stdout)
        self.drover("alert", "rm", "busy")
        self.assertNotIn("busy", self.drover("alert", "ls").stdout)

    def test_webhook_says_who_it_is(self):
        """The line of its file, which nobody else may read, goes along; any other file is refused."""
        fleet = self.enterContext(Fleet())
        hook = self.enterContext(socket.create_server(("127.0.0.1", 0)))
        url = f"http://127.0.0.1:{hook.getsockname()[1]}/hook"
        secret = fleet.write("secret", "Bearer s3cret\nnot this\n")
        os.chmod(secret, stat.S_IRUSR)
        fleet.broker("--alert-webhook", url, "--alert-webhook-auth-file", secret)
        fleet.drover("alert", "test", "worker-lost")
        hook.settimeout(DEADLINE * SCALE)
        peer = self.enterContext(hook.accept()[0])
        request = peer.makefile("rb")
        lines = [line.decode().strip() for line in iter(request.readline, b"\r\n")]
        self.assertEqual(lines[0], "POST /hook HTTP/1.1")
        self.assertEqual([line for line in lines if line.lower().startswith("authorization")],
                         ["Authorization: Bearer s3cret"])
        self.assertEqual(json.loads(request.readline())["rule"], "worker-lost")
        peer.sendall(b"HTTP/1.1 204 Fine\r\nContent-Length: 0\r\n\r\n")
        until(lambda: fleet.status()["alert_actions"]["done"] == 1, "it is told")
        for name, text, mode, about in (
                ("open", "Bearer s3cret\n", 0o640, "chmod 600"), ("empty", "", 0o600, "want a line"),
                ("split", "Bearer\ts3cret\n", 0o600, "want a line"),
                ("long", "x" * 5000, 0o600, "want a line"), ("none", None, 0, "No such file"),
                (".", None, 0, "not a file")):
            if text is not None:
                os.chmod(fleet.write(name, text), mode)
            broker = fleet.start("drover-broker", "--memory", "--no-http", "--bind",
                                 f"ipc://{fleet.path('other')}", "--bind-workers",
                                 f"ipc://{fleet.path('others')}", "--alert-webhook", url,
                                 "--alert-webhook-auth-file", fleet.path(name))
            self.assertNotEqual(broker.wait(), 0, name)
            self.assertIn(about, broker.stderr(), name)
            self.assertNotIn("s3cret", broker.stderr())

    def test_mute_webhook_stalls_nothing(self):
        """The first alert waits for its webhook for seconds; commands and tasks do not."""
        for _ in range(3):
            self.drover("alert", "test", "disk-full")
        until(lambda: sum(line["rule"] == "disk-full" for line in self.alerts()) >= 3,
              "the commands")
        self.assertEqual(self.drover("submit", "square", "3", "--wait").stdout, "9\n")

    def test_installed_configuration_tells_of_alerts(self):
        """What is commented out there is right as it stands."""
        with open(os.path.join(SOURCE, "broker", "install", "broker.ini"), encoding="utf-8") as file:
            lines = [line[2:] for line in file if re.match(r"; (no-default-)?alert[a-z-]* = ", line)]
        self.assertEqual({line.split(" = ")[0] for line in lines}, {
            "alert-rule", "alert-command", "alert-webhook", "alert-webhook-auth-file",
            "alert-webhook-severity", "no-default-alerts"})
        text = "".join(lines).replace("/etc/drover/webhook-auth", self.fleet.write("auth", "Bearer x\n"))
        os.chmod(self.fleet.path("auth"), 0o600)
        broker = self.fleet.start("drover-broker", "--check-config", "--config",
                                  self.fleet.write("installed.ini", "[broker]\n" + text))
        self.assertEqual(broker.wait(), 0, broker.stderr())

    def test_rules_and_silences_are_listed(self):
        self.drover("alert", "silence", "host-cpu", "web-1", "--for", "5m")
        listed = json.loads(self.drover("alert", "rules", "--json").stdout)
        self.assertIn("host-disk", {rule["name"] for rule in listed["rules"]})
        self.assertEqual([(one["rule"], one["subject"]) for one in listed["silences"]],
                         [("host-cpu", "web-1")])
        self.drover("alert", "silence", "host-cpu", "web-1", "--for", "0")
        for arguments in (("rm", "host-cpu"), ("add", "host-cpu", "host_cpu > 1")):
            done = self.fleet.drover("alert", *arguments, check=False)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("comes with the broker", done.stderr)
            self.assertIn("no-default-alerts", done.stderr)
        self.drover("alert", "rm", "host-cpu", code=77)
        self.assertIn("no metric", self.drover("alert", "add", "x", "cpu > 1", code=64).stderr)


if __name__ == "__main__":
    unittest.main()

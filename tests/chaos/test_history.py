"""The checker of histories finds what is wrong with them: a whole history passes, and each that is
broken in one way is told as broken in that way."""

import unittest

import history

SECOND = 1_000_000_000


class Written:
    """A history being written, one event a second."""

    def __init__(self):
        self.lines = []
        self.at = 0

    def note(self, event, **words):
        self.at += SECOND
        text = " ".join(f"{key}={value}" for key, value in words.items())
        self.lines.append(f"at={self.at} event={event} {text}\n")
        return self

    def submit(self, unit="t", level="synced", fails=0, acked=True):
        self.note("sent", unit=unit, level=level, fails=fails)
        if acked:
            self.note("acked", unit=unit, level=level)
        return self

    def run(self, unit="t", attempt=1, worker="a", pid=7, ends="finish"):
        self.note("run", unit=unit, attempt=attempt, worker=worker, pid=pid)
        if ends:
            self.note(ends, unit=unit, attempt=attempt, worker=worker, pid=pid)
        return self

    def end(self, unit="t", attempt=1, state="succeeded", kind="none", value=None):
        value = value or (f"{unit}/{attempt}" if state == "succeeded" else "-")
        return self.note("end", unit=unit, state=state, attempt=attempt, kind=kind, value=value)

    def act(self, number=1, what="kill", victim="a", **more):
        return self.note("act", act=number, what=what, victim=victim, **more)

    def over(self, number=1):
        return self.note("over", act=number)

    def late(self, seconds):
        self.at += seconds * SECOND
        return self

    def report(self):
        return history.check(history.parse(self.lines))


class History(unittest.TestCase):
    def whole(self, written):
        self.assertEqual(written.report().broken, [])
        return written.report()

    def broken(self, written, promise, count=1):
        report = written.report()
        self.assertEqual(report.counts[promise], count, report.broken)
        self.assertEqual(len(report.broken), count, report.broken)

    # ---- whole ones ----

    def test_task_that_runs_once_is_fine(self):
        report = self.whole(Written().submit().run().end().end()
                            .note("attempts", unit="t", succeeded=1).note("listed", unit="t"))
        self.assertEqual((report.counts["acked"], report.counts["duplicates"]), (1, 0))

    def test_what_was_not_acknowledged_may_be_lost(self):
        self.whole(Written().submit(acked=False))

    def test_failure_explains_another_attempt(self):
        report = self.whole(Written().submit(fails=1).run(ends="fail").run(attempt=2)
                            .end(attempt=2))
        self.assertEqual(report.reasons, {"failure": 1})

    def test_kill_and_cut_explain_another_attempt(self):
        for what in ("kill", "cut"):
            report = self.whole(Written().submit().run(ends=None).act(what=what).over()
                                .run(attempt=2, worker="b").end(attempt=2))
            self.assertEqual(report.reasons, {what: 1})

    def test_worker_that_is_back_late_is_explained(self):
        self.whole(Written().submit().act(what="stop").over().run()
                   .run(attempt=2, worker="b").end(attempt=2))

    def test_memory_may_go_with_a_broker(self):
        report = self.whole(Written().submit(level="memory").run().end()
                            .act(victim="broker").over().note("unknown", unit="t"))
        self.assertEqual(report.counts["taken"], 0)
        report = self.whole(Written().submit(level="memory").act(victim="broker").over())
        self.assertEqual(report.counts["taken"], 1)

    def test_ends_other_than_success_are_fine_when_explained(self):
        self.whole(Written().submit(fails=-1).run(ends="fail").end(state="failed",
                                                                   kind="handler"))
        self.whole(Written().submit().note("cancel", unit="t")
                   .end(attempt=0, state="cancelled", kind="cancelled"))
        self.whole(Written().submit().run(ends=None).act(pid=7).over()
                   .end(state="failed", kind="crash"))

    def test_torn_last_line_is_left_out(self):
        written = Written().submit().run().end()
        written.lines.append("at=99 event=run unit=t attem")
        self.whole(written)

    # ---- broken ones ----

    def test_acknowledged_task_without_end_is_lost(self):
        self.broken(Written().submit().run(), "lost")

    def test_kept_task_that_went_with_a_broker_is_lost(self):
        for level in ("written", "synced"):
            self.broken(Written().submit(level=level).act(victim="broker").over()
                        .note("unknown", unit="t"), "lost")

    def test_memory_task_is_lost_when_no_broker_was_killed(self):
        self.broken(Written().submit(level="memory"), "lost")
        self.broken(Written().act(victim="broker").over().submit(level="memory"), "lost")
        self.broken(Written().submit(level="memory").act(what="stop", victim="broker").over(),
                    "lost")

    def test_result_that_is_forgotten_is_lost(self):
        self.broken(Written().submit().run().end().note("unknown", unit="t"), "lost")

    def test_task_that_nobody_sent_is_a_phantom(self):
        self.broken(Written().note("listed", unit="t"), "phantom")
        self.broken(Written().run(), "phantom")

    def test_two_different_ends_are_a_double_accept(self):
        written = Written().submit().run(ends="finish").act().over().run(attempt=2, worker="b")
        self.broken(written.end().end(attempt=2), "double accept", 1)

    def test_end_that_no_handler_finished_is_a_double_accept(self):
        self.broken(Written().submit().run(ends=None).end(), "double accept")
        self.broken(Written().submit().run().act().over().run(attempt=2, ends=None)
                    .end(attempt=2), "double accept")

    def test_value_of_another_attempt_is_a_double_accept(self):
        self.broken(Written().submit().run().end(value="t/2"), "double accept")
        self.broken(Written().submit().run().end(value="u/1"), "double accept")

    def test_two_successes_in_the_broker_s_books_are_a_double_accept(self):
        self.broken(Written().submit().run().end().note("attempts", unit="t", succeeded=2),
                    "double accept")

    def test_end_without_a_reason_is_told(self):
        self.broken(Written().submit().end(attempt=0, state="cancelled", kind="cancelled"),
                    "double accept")
        self.broken(Written().submit().run(ends="fail").end(state="failed", kind="handler"),
                    "double accept")
        self.broken(Written().submit().run(ends=None).end(state="failed", kind="lost"),
                    "double accept")
        self.broken(Written().submit().end(attempt=0, state="expired", kind="expired"),
                    "double accept")
        self.broken(Written().submit().act(victim="broker").over()
                    .end(attempt=0, state="lost_at_restart", kind="lost"), "double accept")

    def test_second_run_without_a_reason_is_told(self):
        self.broken(Written().submit().run().run(attempt=2, worker="b").end(attempt=2),
                    "unexplained")

    def test_broker_is_no_reason_to_run_again(self):
        for what in ("kill", "stop"):
            self.broken(Written().submit().run(ends=None).act(what=what, victim="broker").over()
                        .run(attempt=2, worker="b").end(attempt=2), "unexplained")

    def test_act_on_another_worker_or_executor_is_no_reason(self):
        self.broken(Written().submit().run(ends=None).act(victim="c").over()
                    .run(attempt=2, worker="b").end(attempt=2), "unexplained")
        self.broken(Written().submit().run(ends=None).act(pid=8).over()
                    .run(attempt=2, worker="b").end(attempt=2), "unexplained")

    def test_act_that_was_long_over_is_no_reason(self):
        long = 2 * history.SETTLE_NS // SECOND
        self.broken(Written().submit().act(what="stop").over().late(long).run(ends=None)
                    .run(attempt=2, worker="b").end(attempt=2), "unexplained")

    def test_attempt_that_runs_twice_is_told(self):
        self.broken(Written().submit().run(ends=None).act().over().run(worker="b").end(),
                    "unexplained")

    def test_attempt_beyond_the_accepted_one_is_told(self):
        self.broken(Written().submit().run().act().over().end().run(attempt=2, worker="b"),
                    "unexplained")

    def test_level_other_than_asked_is_told(self):
        for asked, told in (("memory", "synced"), ("synced", "written")):
            written = Written().note("sent", unit="t", level=asked, fails=0)
            self.broken(written.note("acked", unit="t", level=told).run().end(), "level")


if __name__ == "__main__":
    unittest.main(verbosity=2)

"""Whether what clients, handlers and a nemesis wrote down is what drover promises.

A history is a list of events, one a line, in files that are only ever appended to:

    at=NANOSECONDS event=NAME key=value ...

    sent      unit level fails          a client is about to submit (level asked for; attempts
                                        that are to fail: -1 all)
    acked     unit level                the broker has taken it, as durably as that
    refused   unit status               the broker has not taken it
    cancel    unit                      a client asks for it to be cancelled
    end       unit state attempt kind value    a client sees how it ended
    unknown   unit                      the broker does not know it
    listed    unit                      the broker has it
    attempts  unit succeeded            how many attempts succeeded, says the broker
    run       unit attempt worker pid   a handler begins
    finish, fail, leave                 ... ends: well, badly as planned, told to stop
    act       act what victim [pid]     the nemesis does something, to one process if so named
    over      act                       ... takes it back, or has done it

All times are of one monotonic clock. check() gives a Report; its `broken` is empty when

* nothing is lost: what was acknowledged has an end (what is kept in memory may go with a broker
  that was killed after the acknowledgement);
* the level of an acknowledgement is the one that was asked for;
* there are no phantoms: nothing is listed, runs or ends that no client sent;
* nothing is accepted twice: all who see the end of a task see the same one, it is of an attempt
  that some handler finished, with its value, and the broker counts one success at most;
* nothing runs without need: every attempt after a task's first is explained by the failure of
  the one before, or by something the nemesis did to the worker that had it. What it does to the
  broker explains nothing: a broker that restarts re-runs nothing. No attempt runs twice, and
  none runs that is later than the accepted one.
"""

import collections
import os

# A worker that was cut off or stopped may take so long to be back with its broker.
SETTLE_NS = 5_000_000_000 * int(os.environ.get("DROVER_TEST_TIME_SCALE", "1"))


def parse(lines):
    """Events in the order of time. A last line that was torn by a kill is left out."""
    events = []
    for line in lines:
        if not line.endswith("\n"):
            continue
        event = dict(word.split("=", 1) for word in line.split())
        event["at"] = int(event["at"])
        events.append(event)
    return sorted(events, key=lambda event: event["at"])


def read(paths):
    lines = []
    for path in paths:
        with open(path, encoding="utf-8") as file:
            lines += file.readlines()
    return parse(lines)


class Act:
    """Something that the nemesis does to a victim, for some time."""

    def __init__(self, event):
        self.what = event["what"]
        self.victim = event["victim"]
        self.pid = event.get("pid")
        self.begin = event["at"]
        self.end = float("inf")  # until it is taken back

    def harms(self, run, until):
        """Whether it may have cost this run, which was over at `until`, its worker."""
        return (self.victim == run["worker"] and self.pid in (None, run["pid"])
                and self.begin <= until and run["at"] <= self.end + SETTLE_NS)


class Unit:
    """All that is known of one task."""

    def __init__(self, name):
        self.name = name
        self.events = collections.defaultdict(list)

    def first(self, name):
        return self.events[name][0] if self.events[name] else None

    def handled(self, name, attempt):
        return [event for event in self.events[name] if event["attempt"] == attempt]


class Report:
    def __init__(self):
        self.broken = []       # what breaks a promise, in words
        self.suspects = []     # names of the units that it is about
        self.counts = collections.Counter()
        self.reasons = collections.Counter()  # of attempts after the first

    def breaks(self, promise, unit, text):
        self.counts[promise] += 1
        self.broken.append(f"{promise}: {unit.name} {text}")
        self.suspects.append(unit.name)

    def text(self):
        names = ("sent", "acked", "ended", "runs", "duplicates", "lost", "phantom",
                 "double accept", "unexplained", "taken")
        line = ", ".join(f"{name} {self.counts[name]}" for name in names)
        why = ", ".join(f"{reason} {count}" for reason, count in sorted(self.reasons.items()))
        return f"{line}; duplicates by: {why or 'nothing'}"


def gather(events):
    """Units by name, and what the nemesis did."""
    units, acts = {}, {}
    for event in events:
        name = event["event"]
        if name == "act":
            acts[event["act"]] = Act(event)
        elif name == "over":
            acts[event["act"]].end = event["at"]
        else:
            units.setdefault(event["unit"], Unit(event["unit"])).events[name].append(event)
    return units, list(acts.values())


def ends_of(unit):
    """The different ends that were seen."""
    return {(end["state"], end["attempt"], end["kind"], end["value"])
            for end in unit.events["end"]}


def may_be_taken(unit, acts):
    """Whether it was kept in memory only, and a broker was killed since."""
    sent, acked = unit.first("sent"), unit.first("acked")
    if sent is None or (acked or sent)["level"] != "memory":
        return False
    return any(act.victim == "broker" and act.what == "kill" and act.begin >= sent["at"]
               for act in acts)


def check_lost(report, unit, acts):
    if not unit.events["acked"]:
        return
    if may_be_taken(unit, acts):
        report.counts["taken"] += not unit.events["end"]
    elif not unit.events["end"]:
        report.breaks("lost", unit, "was acknowledged and has no end")
    elif unit.events["unknown"]:
        report.breaks("lost", unit, "has ended and is unknown")


def check_level(report, unit):
    """The acknowledgement names the level that was asked for: not less, and not more."""
    for acked in unit.events["acked"]:
        if unit.events["sent"] and acked["level"] != unit.first("sent")["level"]:
            report.breaks("level", unit, f"asked {unit.first('sent')['level']}, acknowledged as "
                          f"{acked['level']}")


def check_phantom(report, unit):
    if unit.events["sent"]:
        return
    seen = [name for name in ("listed", "run", "end") if unit.events[name]]
    report.breaks("phantom", unit, f"was never sent: {' '.join(seen)}")


def explain_end(unit, state, attempt, kind, acts):
    """What does not fit about an end; None when everything does."""
    sent = unit.first("sent")
    fails = int(sent["fails"]) if sent else 0
    runs = unit.handled("run", attempt)
    if state == "succeeded":
        return None if unit.handled("finish", attempt) else "no handler finished that attempt"
    if state == "cancelled":
        return None if unit.events["cancel"] else "nobody cancelled it"
    if state == "lost_at_restart":
        return None if may_be_taken(unit, acts) else "it was kept"
    if state == "failed" and kind == "handler":
        planned = fails == -1 or fails >= int(attempt)
        return None if planned and unit.handled("fail", attempt) else "no handler failed"
    if state == "failed" and kind in ("crash", "lost"):
        seen_at = unit.first("end")["at"]
        harmed = any(act.harms(run, seen_at) for run in runs for act in acts)
        return None if harmed else "nobody harmed its worker"
    return "nothing in the history ends like this"


def check_double(report, unit, acts):
    ends = ends_of(unit)
    if len(ends) > 1 and not may_be_taken(unit, acts):
        report.breaks("double accept", unit, f"ended in {len(ends)} ways: {sorted(ends)}")
    for state, attempt, kind, value in sorted(ends):
        wrong = explain_end(unit, state, attempt, kind, acts)
        if wrong is None and state == "succeeded" and value != f"{unit.name}/{attempt}":
            wrong = f"its value is {value}"
        if wrong is not None:
            report.breaks("double accept", unit,
                          f"ended {state} {kind} with attempt {attempt}, but {wrong}")
    for event in unit.events["attempts"]:
        if int(event["succeeded"]) > 1:
            report.breaks("double accept", unit, f"{event['succeeded']} attempts succeeded")


def explain_rerun(unit, before, after, acts):
    """Why there is another attempt; None when nothing says so."""
    if unit.handled("fail", before["attempt"]):
        return "failure"
    for act in acts:
        if act.harms(before, after["at"]):
            return act.what
    if may_be_taken(unit, acts):
        return "broker kill, kept in memory"
    return None


def check_runs(report, unit, acts):
    runs = sorted(unit.events["run"], key=lambda run: (int(run["attempt"]), run["at"]))
    report.counts["runs"] += len(runs)
    for before, after in zip(runs, runs[1:]):
        report.counts["duplicates"] += 1
        why = explain_rerun(unit, before, after, acts)
        again = before["attempt"] == after["attempt"]
        if why is None or (again and not may_be_taken(unit, acts)):
            report.breaks("unexplained", unit,
                          f"attempt {before['attempt']} on {before['worker']}, then "
                          f"{after['attempt']} on {after['worker']}")
        else:
            report.reasons[why] += 1
    if len(ends_of(unit)) == 1 and unit.first("end")["state"] == "succeeded":
        accepted = int(unit.first("end")["attempt"])
        if runs and int(runs[-1]["attempt"]) > accepted and not may_be_taken(unit, acts):
            report.breaks("unexplained", unit,
                          f"attempt {runs[-1]['attempt']} ran, {accepted} was accepted")


def check(events):
    """The Report of a whole history."""
    report = Report()
    units, acts = gather(events)
    for name, unit in sorted(units.items()):
        report.counts["sent"] += bool(unit.events["sent"])
        report.counts["acked"] += bool(unit.events["acked"])
        report.counts["ended"] += bool(unit.events["end"])
        check_phantom(report, unit)
        check_lost(report, unit, acts)
        check_level(report, unit)
        check_double(report, unit, acts)
        check_runs(report, unit, acts)
    return report


def story(events, unit):
    """What happened to one unit, and what the nemesis did meanwhile; for people."""
    own = [event for event in events if event.get("unit") == unit]
    if not own:
        return ""
    begin, end = own[0]["at"], own[-1]["at"]
    lines = []
    for event in events:
        if event.get("unit") == unit or ("act" in event and begin <= event["at"] <= end):
            words = " ".join(f"{key}={value}" for key, value in event.items()
                             if key not in ("at", "unit", "event"))
            lines.append(f"  {(event['at'] - begin) / 1e9:8.3f} {event['event']} {words}\n")
    return f"{unit}\n{''.join(lines)}"

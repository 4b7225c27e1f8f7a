"""What is done to a fleet, and when: a schedule from a seed, and the hand that follows it.

A schedule is a list of Deeds in the order of time, a function of (seed, seconds) alone. Some
kinds of deeds last and are taken back. Every deed is written down as `act` and `over` (see
history.py) with the name of its victim: "broker", or a worker's of this life.
"""

import collections
import os
import random
import signal
import threading
import time

from fleet import SCALE, descendants, is_alive, name_of, until

Deed = collections.namedtuple("Deed", "at what slot lasts draw")

# How often each kind comes, and how long it lasts (seconds; the lease of the fleet is 3).
KINDS = {
    "kill broker": (6, 0, 0),
    "stop broker": (2, 0.2, 5),
    "kill agent": (4, 0, 0),
    "stop agent": (4, 0.2, 6),
    "kill zygote": (3, 0, 0),
    "stop zygote": (2, 0.2, 3),
    "kill executor": (5, 0, 0),
    "stop executor": (3, 0.2, 3),
    "cut worker": (4, 0.2, 6),
    "deafen worker": (2, 0.2, 6),
    "mute worker": (2, 0.2, 6),
    "reset worker": (3, 0, 1),
    "kill client": (2, 0, 0),
    "stop client": (2, 0.2, 4),
    "cut client": (3, 0.2, 6),
    "reset client": (3, 0, 1),
}
PACE = 0.7  # seconds between two deeds, on average


def schedule(seed, seconds, leave_out=()):
    """Each kind once in the first third if there is time, then at random."""
    rng = random.Random(seed)
    kinds = [kind for kind in KINDS if kind not in leave_out]
    weights = [KINDS[kind][0] for kind in kinds]
    first = rng.sample(kinds, len(kinds))
    deeds, at = [], 0.5
    while at < seconds:
        what = first.pop() if first else rng.choices(kinds, weights)[0]
        _, least, most = KINDS[what]
        deeds.append(Deed(at, what, rng.randrange(1 << 16), rng.uniform(least, most),
                          rng.randrange(1 << 16)))
        at += rng.uniform(0.2, 2) * PACE
    return deeds


class Nemesis:
    """Follows a schedule on a world (test_fleet.py): its programs and links."""

    def __init__(self, world, deeds, path):
        self.world = world
        self.todo = collections.deque(deeds)
        self.undo = []  # (at, order) of what is to be taken back
        self.log = open(path, "a", encoding="ascii", buffering=1)
        self.done = collections.Counter()
        self.acts = 0
        self.busy = set()  # victims of which something has to be taken back first

    def close(self):
        self.log.close()

    def note(self, event, **words):
        text = " ".join(f"{key}={value}" for key, value in words.items())
        self.log.write(f"at={time.monotonic_ns()} event={event} {text}\n")

    def follow(self):
        """Does everything at its time, then takes back what still stands."""
        begin = time.monotonic()
        pause = threading.Event()
        while self.todo or self.undo:
            self.undo.sort(key=lambda entry: entry[0])
            due = self.undo[0][0] if self.undo else float("inf")
            due = min(due, self.todo[0].at * SCALE if self.todo else float("inf"))
            pause.wait(max(0.0, begin + due - time.monotonic()))
            if self.undo and self.undo[0][0] <= due:
                self.undo.pop(0)[1]()
            else:
                self.strike(self.todo.popleft())
            self.world.mend()

    def strike(self, deed):
        verb, victim = deed.what.split()
        slots = {"broker": ["broker"], "client": self.world.clients}.get(
            victim, self.world.workers)
        if deed.what in ("kill agent", "kill zygote"):
            slots = getattr(self.world, "mortals", slots)  # where others have to live on
        target = slots[deed.slot % len(slots)]
        name = target if victim == "broker" else target.name
        if target in self.busy or (victim, verb) in self.busy:
            self.done["left out"] += 1
            return
        act = getattr(self, verb)
        if act(victim, target, name, deed):
            self.done[deed.what] += 1
        else:
            self.done["left out"] += 1

    def begin(self, what, victim, pid=None):
        """Writes down an act; what to call when it is over."""
        self.acts += 1
        number = self.acts
        self.note("act", act=number, what=what, victim=victim,
                  **({} if pid is None else {"pid": pid}))
        return lambda: self.note("over", act=number)

    def later(self, deed, target, order):
        self.busy.add(target)

        def take_back():
            order()
            self.busy.discard(target)
        self.undo.append((deed.at * SCALE + deed.lasts * SCALE, take_back))

    # ---- processes ----

    def process(self, victim, target, deed):
        """The process that is meant, or None when there is none now."""
        if victim in ("broker", "client", "agent"):
            program = self.world.broker if target == "broker" else target.program
            return program.pid
        agent = target.program.pid
        name = "drover-zygote" if victim == "zygote" else "drover-executor"
        found = sorted(pid for pid in descendants(agent) if name_of(pid) == name[:15])
        return found[deed.draw % len(found)] if found else None

    def kill(self, victim, target, name, deed):
        pid = self.process(victim, target, deed)
        if pid is None:
            return False
        over = self.begin("kill", name, pid if victim == "executor" else None)
        send(pid, signal.SIGKILL)
        until(lambda: not is_alive(pid), f"{name} is dead")
        over()
        return True

    def stop(self, victim, target, name, deed):
        pid = self.process(victim, target, deed)
        if pid is None:
            return False
        over = self.begin("stop", name, pid if victim == "executor" else None)
        send(pid, signal.SIGSTOP)

        def go_on():
            send(pid, signal.SIGCONT)
            over()
        self.later(deed, target, go_on)
        return True

    # ---- links ----

    def held(self, target, name, deed, out, back):
        over = self.begin("cut", name)
        target.link.cut(out, back)

        def heal():
            target.link.heal()
            over()
        self.later(deed, target, heal)
        return True

    def cut(self, _victim, target, name, deed):
        return self.held(target, name, deed, True, True)

    def deafen(self, _victim, target, name, deed):
        return self.held(target, name, deed, False, True)

    def mute(self, _victim, target, name, deed):
        return self.held(target, name, deed, True, False)

    def reset(self, _victim, target, name, deed):
        over = self.begin("reset", name)
        target.link.reset()

        def heal():
            target.link.heal()
            over()
        self.later(deed, target, heal)
        return True


def send(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass

"""What drover thinks of cron expressions and time zones, against croniter and Python's zoneinfo."""

import datetime
import os
import random
import subprocess
import unittest
import zoneinfo

import croniter

TESTS = os.path.dirname(os.environ["DROVER_TEST_MODULE_DIR"])
EXPRESSIONS = 2500
NEXT = 2
MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
WEEKDAYS = "sun mon tue wed thu fri sat".split()


def ask(lines):
    """The answers of cron_next to (zone, instant, count, expression)."""
    text = "".join("\t".join(str(field) for field in line) + "\n" for line in lines)
    done = subprocess.run([os.path.join(TESTS, "cron_next")], input=text, capture_output=True,
                          text=True, check=True)
    return done.stdout.splitlines()


class Expressions:
    """Random ones, of what both understand alike."""

    def __init__(self, rng):
        self.rng = rng

    def value(self, number, names):
        if names and self.rng.random() < 0.3:
            return names[number % len(names) if names is WEEKDAYS else number - 1]
        return str(number)

    def item(self, low, high, names):
        kind = self.rng.randrange(3)
        begin = self.rng.randint(low, high)
        if kind == 0:
            return self.value(begin, names)
        end = self.rng.randint(begin, high)
        step = f"/{self.rng.randint(1, 5)}" if kind == 2 and end > begin else ""
        return f"{self.value(begin, names)}-{self.value(end, names)}{step}"

    def field(self, low, high, names=None, any_share=0.3, step_share=0.2):
        roll = self.rng.random()
        if roll < any_share:
            return "*"
        if roll < any_share + step_share:
            return f"*/{self.rng.randint(2, max(2, (high - low) // 2))}"
        return ",".join(self.item(low, high, names) for _ in range(self.rng.randint(1, 3)))

    def days(self):
        """Where they agree: croniter's days with a star and a step go wrong at the end of some
        months, and it takes all weekdays by name for a star."""
        day = self.field(1, 28, any_share=0.5, step_share=0)
        first = self.rng.randint(0, 1)
        weekday = self.field(first, first + 5, WEEKDAYS, any_share=0.5, step_share=0)
        return ("L" if weekday == "*" and self.rng.random() < 0.1 else day), weekday

    def make(self):
        """The expression, and as croniter wants it: there seconds come last."""
        day, weekday = self.days()
        rest = [self.field(0, 59), self.field(0, 23), day, self.field(1, 12, MONTHS), weekday]
        if self.rng.random() < 0.2:
            second = self.field(0, 59)
            return " ".join([second] + rest), " ".join(rest + [second])
        return " ".join(rest), " ".join(rest)


class Cron(unittest.TestCase):
    def setUp(self):
        seed = int(os.environ.get("DROVER_TEST_SEED", random.randrange(1 << 32)))
        print(f"DROVER_TEST_SEED={seed}")
        self.rng = random.Random(seed)

    def test_next_instants_are_those_of_croniter(self):
        expressions = Expressions(self.rng)
        lines, wanted = [], []
        for _ in range(EXPRESSIONS):
            ours, theirs = expressions.make()
            start = self.rng.randint(1_500_000_000, 2_500_000_000)
            begin = datetime.datetime.fromtimestamp(start, datetime.timezone.utc)
            walk = croniter.croniter(theirs, begin)
            lines.append(("", start, NEXT, ours))
            wanted.append(" ".join(str(int(walk.get_next(float))) for _ in range(NEXT)))
        for line, got, want in zip(lines, ask(lines), wanted):
            self.assertEqual(got, want, line)

    def test_offsets_are_those_of_zoneinfo(self):
        names = self.rng.sample(sorted(zoneinfo.available_timezones()), 60)
        lines = [(name, self.rng.randint(-2_000_000_000, 4_000_000_000), 0, "")
                 for name in names for _ in range(40)]
        for (name, at, _, _), got in zip(lines, ask(lines)):
            moment = datetime.datetime.fromtimestamp(0, datetime.timezone.utc)
            moment += datetime.timedelta(seconds=at)
            want = moment.astimezone(zoneinfo.ZoneInfo(name)).utcoffset()
            self.assertEqual(int(got), int(want.total_seconds()), (name, at))


if __name__ == "__main__":
    unittest.main()

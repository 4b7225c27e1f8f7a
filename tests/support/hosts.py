"""Hosts of a network, as network namespaces of this machine; needs root and iproute2.

    with Hosts("broker", "a", "client") as hosts:
        hosts.address("broker")              # its IPv4 address
        hosts.inside("a")                    # words that run a command there: subprocess.run([*..., "true"])
        hosts.down("a")                      # its interface, and it knows
        hosts.unplug("a")                    # both ways; nobody is told: packets just vanish
        hosts.deafen("broker", "a")          # one way: what broker sends to a vanishes
        hosts.up("a"), hosts.plug("a"), hosts.hear("broker", "a")

        broker ── veth ──┐
        a      ── veth ──┼── bridge (in a namespace of its own)
        client ── veth ──┘

Nothing outside of these namespaces is touched. Their names are new with each run. They are removed
when the block is left, or by a process that waits for the end of this one, however it ends; what
still runs in them is killed.
"""

import os
import subprocess
import sys

NETWORK = "10.77.0."
NOBODY = "02:00:00:00:00:ee"  # a link address that no host has

SWEEPER = """
import os, subprocess, sys
sys.stdin.read()
for name in sys.argv[1:]:
    done = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True)
    for pid in done.stdout.split():
        try:
            os.kill(int(pid), 9)
        except ProcessLookupError:
            pass
    subprocess.run(["ip", "netns", "del", name], capture_output=True)
"""


def ip(*words):
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OSError(f"ip {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def why_not():
    """Why there can be no hosts here, in words; None: there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    try:
        with Hosts("one", "two") as hosts:
            subprocess.run([*hosts.inside("one"), "true"], check=True, capture_output=True)
    except (OSError, subprocess.SubprocessError) as problem:
        return f"network namespaces cannot be made here: {problem}"
    return None


class Hosts:
    def __init__(self, *names):
        self.names = names
        self.prefix = f"drover-{os.getpid()}-{os.urandom(3).hex()}-"
        self.switch = self.prefix + "switch"
        self.faults = set()
        spaces = [self.switch, *(self.space(name) for name in names)]
        # Its stdin ends with this process.
        self.sweeper = subprocess.Popen([sys.executable, "-c", SWEEPER, *spaces],
                                        stdin=subprocess.PIPE, start_new_session=True)
        try:
            self.build(spaces)
        except OSError:
            self.close()
            raise

    def build(self, spaces):
        for space in spaces:
            ip("netns", "add", space)
            ip("-n", space, "link", "set", "lo", "up")
        ip("-n", self.switch, "link", "add", "bridge", "type", "bridge")
        ip("-n", self.switch, "link", "set", "bridge", "up")
        for name in self.names:
            ip("-n", self.switch, "link", "add", self.port(name), "type", "veth", "peer", "name",
               "eth0", "netns", self.space(name))
            ip("-n", self.switch, "link", "set", self.port(name), "master", "bridge", "up")
            ip("-n", self.space(name), "address", "add", self.address(name) + "/24", "dev", "eth0")
            ip("-n", self.space(name), "link", "set", "eth0", "up")

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def close(self):
        self.sweeper.stdin.close()
        self.sweeper.wait()

    def space(self, name):
        return self.prefix + name

    def port(self, name):
        return f"port{self.names.index(name)}"

    def address(self, name):
        return NETWORK + str(self.names.index(name) + 1)

    def inside(self, name):
        return ["ip", "netns", "exec", self.space(name)]

    # ---- faults ----

    def down(self, name):
        """The host's interface is down: whoever wants to connect is told at once."""
        ip("-n", self.space(name), "link", "set", "eth0", "down")
        self.faults.add((name, "down"))

    def up(self, name):
        ip("-n", self.space(name), "link", "set", "eth0", "up")
        self.faults.discard((name, "down"))

    def unplug(self, name):
        """The switch passes nothing to and from this host any more."""
        ip("-n", self.switch, "link", "set", self.port(name), "nomaster")
        self.faults.add((name, None))

    def plug(self, name):
        ip("-n", self.switch, "link", "set", self.port(name), "master", "bridge")
        self.faults.discard((name, None))

    def deafen(self, speaker, listener):
        """What speaker sends to listener goes to an address that nobody has."""
        ip("-n", self.space(speaker), "neighbour", "replace", self.address(listener), "lladdr",
           NOBODY, "nud", "permanent", "dev", "eth0")
        self.faults.add((speaker, listener))

    def hear(self, speaker, listener):
        ip("-n", self.space(speaker), "neighbour", "del", self.address(listener), "dev", "eth0")
        self.faults.discard((speaker, listener))

    def heal(self):
        """Takes back every fault that still stands."""
        for name, listener in list(self.faults):
            if listener is None:
                self.plug(name)
            elif listener == "down":
                self.up(name)
            else:
                self.hear(name, listener)

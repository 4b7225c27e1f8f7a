"""Runs a program under the system call filters of a unit file, without systemd.

    python3 filtered.py UNIT PROGRAM [ARGUMENT...]

What systemd would do of SystemCallFilter=, SystemCallErrorNumber=EPERM, RestrictRealtime=,
RestrictNamespaces= (clone3 fails with ENOSYS) and MemoryDenyWriteExecute=; the groups are those
of this machine's `systemd-analyze syscall-filter`. Everything else in the unit is left out.
"""

import ctypes
import errno
import os
import re
import subprocess
import sys

PR_SET_NO_NEW_PRIVS = 38
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
EQUAL, MASKED_EQUAL = 4, 7
PROT_WRITE, PROT_EXEC = 2, 4
SCHED_FIFO, SCHED_RR = 1, 2


class Comparison(ctypes.Structure):
    _fields_ = [("argument", ctypes.c_uint), ("operator", ctypes.c_int),
                ("first", ctypes.c_uint64), ("second", ctypes.c_uint64)]


def groups():
    """{"@name": its members, groups among them} of this machine's systemd."""
    text = subprocess.run(["systemd-analyze", "syscall-filter"], capture_output=True, text=True,
                          check=True, env={**os.environ, "SYSTEMD_COLORS": "0"}).stdout
    found, now = {}, None
    for line in text.splitlines():
        if line.startswith("@"):
            now = found.setdefault(line.strip(), [])
        elif line.startswith("#") or not line.strip():
            now = None if line.startswith("#") else now  # calls that no group has
        elif now is not None and not line.strip().startswith("#"):
            now.append(line.strip())
    return found


def expand(name, known):
    if not name.startswith("@"):
        return {name}
    return set().union(*(expand(member, known) for member in known[name]))


def settings(path):
    """(key, value) of a unit file, in their order."""
    with open(path, encoding="utf-8") as file:
        return re.findall(r"(?m)^(\w+)=(.*)$", file.read())


def allowed(lines, known):
    """The calls that are left by the values of SystemCallFilter=, the first of which allows."""
    calls = expand("@default", known)
    for line in lines:
        names = set().union(*(expand(name, known) for name in line.lstrip("~").split()))
        calls = calls - names if line.startswith("~") else calls | names
    return calls


class Filter:
    LIBRARY = ctypes.CDLL("libseccomp.so.2")
    LIBRARY.seccomp_init.restype = ctypes.c_void_p
    LIBRARY.seccomp_rule_add_array.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int,
                                               ctypes.c_uint, ctypes.POINTER(Comparison)]

    def __init__(self, default):
        self.context = ctypes.c_void_p(self.LIBRARY.seccomp_init(default))

    def add(self, action, call, *comparison):
        number = self.LIBRARY.seccomp_syscall_resolve_name(call.encode())
        if number < 0:
            return  # of another architecture
        done = self.LIBRARY.seccomp_rule_add_array(
            self.context, action, number, 1 if comparison else 0,
            ctypes.pointer(Comparison(*comparison)) if comparison else None)
        if done != 0:
            raise OSError(-done, f"{call}: {os.strerror(-done)}")

    def load(self):
        done = self.LIBRARY.seccomp_load(self.context)
        if done != 0:
            raise OSError(-done, f"the filter cannot be loaded: {os.strerror(-done)}")


def filters(path):
    unit = settings(path)
    flags = {key for key, value in unit if value == "yes"}
    calls = Filter(ERRNO | errno.EPERM)
    for call in allowed([value for key, value in unit if key == "SystemCallFilter"], groups()):
        calls.add(ALLOW, call)
    rest = Filter(ALLOW)
    refused = ERRNO | errno.EPERM
    if "RestrictRealtime" in flags:
        for policy in (SCHED_FIFO, SCHED_RR):
            rest.add(refused, "sched_setscheduler", 1, EQUAL, policy, 0)
    if "RestrictNamespaces" in flags:
        rest.add(ERRNO | errno.ENOSYS, "clone3")
        rest.add(refused, "unshare")
        rest.add(refused, "setns")
    if "MemoryDenyWriteExecute" in flags:
        both = PROT_WRITE | PROT_EXEC
        rest.add(refused, "mmap", 2, MASKED_EQUAL, both, both)
        rest.add(refused, "mprotect", 2, MASKED_EQUAL, PROT_EXEC, PROT_EXEC)
    return rest, calls


def main():
    unit, program, *arguments = sys.argv[1:]
    both = filters(unit)
    if ctypes.CDLL(None).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError("no_new_privs cannot be set")
    for one in both:
        one.load()
    os.execv(program, [program, *arguments])


if __name__ == "__main__":
    main()

"""What compose v2 refuses or warns of in a compose file, as far as our file uses it.

From the Compose specification (github.com/compose-spec/compose-spec: 05-services.md,
12-interpolation.md, schema/compose-spec.json), for machines that have no compose v2: Debian 12 has none. A
key that is not known here is a complaint too, so what the file comes to use has to be looked up first.
"""

import re

NAME = r"[a-zA-Z0-9._-]+"
DURATION = r"(\d+(\.\d+)?(us|ms|s|m|h))+"
SIZE = r"\d+(\.\d+)?(b|k|kb|m|mb|g|gb)?"
PORT = r"(\d{1,3}(\.\d{1,3}){3}:)?\d{1,5}:\d{1,5}(/(tcp|udp))?"
MOUNT = r"[^:]+:/[^:]*(:(ro|rw))?"
VARIABLE = re.compile(r"\$(?:(?P<dollar>\$)|\{(?P<name>\w+)(?::?-(?P<fallback>[^}]*))?\}|(?P<bare>[A-Za-z_]\w*)|)")


class Complaint(Exception):
    """What compose would not take."""


def interpolate(text, environment):
    def replace(match):
        name = match["name"] or match["bare"]
        if match["dollar"]:
            return "$"
        if name is None:
            raise Complaint(f"invalid interpolation format: {text}")
        if name in environment:
            return environment[name]
        if match["fallback"] is None:
            raise Complaint(f"the variable {name} is not set, and becomes an empty text")
        return match["fallback"]
    return VARIABLE.sub(replace, text)


def interpolated(value, environment):
    if isinstance(value, str):
        return interpolate(value, environment)
    if isinstance(value, dict):
        return {key: interpolated(item, environment) for key, item in value.items()}
    if isinstance(value, list):
        return [interpolated(item, environment) for item in value]
    return value


# ---- kinds of values ------------------------------------------------------------------------------

def text(pattern=r"(?s).+"):
    def check(value, where):
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise Complaint(f"{where}: {value!r} is no text like {pattern}")
    return check


def number(whole):
    """A number, or a text that is one: that is how an interpolated one comes."""
    def check(value, where):
        if isinstance(value, bool) or not re.fullmatch(r"\d+" if whole else r"\d+(\.\d+)?", str(value)):
            raise Complaint(f"{where}: {value!r} is no number")
    return check


def flag(value, where):
    if not isinstance(value, bool):
        raise Complaint(f"{where}: {value!r} is neither true nor false")


def texts(pattern=r"(?s).*"):
    """Different ones."""
    def check(value, where):
        if not isinstance(value, list):
            raise Complaint(f"{where} is no list")
        for item in value:
            text(pattern)(item, where)
        if len(set(value)) != len(value) and not where.endswith(("command", "test", "entrypoint")):
            raise Complaint(f"{where} has something twice")
    return check


def mapping(known):
    def check(value, where):
        if not isinstance(value, dict):
            raise Complaint(f"{where} is no mapping")
        for key, item in value.items():
            kind = known.get(key, known.get(""))
            if kind is None:
                raise Complaint(f"additional property {where}.{key} is not allowed")
            kind(item, f"{where}.{key}")
    return check


def scalar(value, where):
    """Of an environment or of arguments: a text, a number, nothing; true and false want quotes."""
    if isinstance(value, (bool, list, dict)):
        raise Complaint(f"{where}: {value!r} wants to be a text")


def depends_on(value, where):
    if isinstance(value, list):
        texts(NAME)(value, where)
    else:
        mapping({"": mapping({"condition": text("service_(started|healthy|completed_successfully)")})})(
            value, where)


def health_test(value, where):
    texts()(value, where)
    if not value or value[0] not in ("NONE", "CMD", "CMD-SHELL") or (
            value[0] == "CMD-SHELL" and len(value) != 2):
        raise Complaint(f"{where} begins with NONE, CMD or CMD-SHELL and one text")


SERVICE = mapping({
    "build": mapping({"context": text(), "dockerfile": text(), "target": text(NAME),
                      "args": mapping({"": scalar})}),
    "cap_drop": texts(r"[A-Z_]+"), "command": texts(), "cpus": number(whole=False),
    "depends_on": depends_on, "entrypoint": texts(), "environment": mapping({"": scalar}),
    "healthcheck": mapping({"test": health_test, "interval": text(DURATION), "timeout": text(DURATION),
                            "start_period": text(DURATION), "retries": number(whole=True)}),
    "image": text(r"[a-z0-9][a-z0-9._/:-]*"), "init": flag,
    "logging": mapping({"driver": text(NAME), "options": mapping({"": text()})}),
    "mem_limit": text(SIZE), "networks": texts(NAME), "pids_limit": number(whole=True),
    "ports": texts(PORT), "profiles": texts(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+"), "read_only": flag,
    "restart": text(r"no|always|unless-stopped|on-failure(:\d+)?"), "scale": number(whole=True),
    "security_opt": texts(), "stop_grace_period": text(DURATION), "tmpfs": texts(r"/[^:]*(:[a-z0-9=,]+)?"),
    "volumes": texts(MOUNT),
})


# ---- what has to fit together ---------------------------------------------------------------------

def dependencies(service):
    found = service.get("depends_on", {})
    return found if isinstance(found, dict) else {name: {} for name in found}


def fit(name, service, services):
    if int(service.get("scale", 1)) != 1 and service.get("ports"):
        raise Complaint(f"{name} has a port of the host and is scaled")
    for other, how in dependencies(service).items():
        if other not in services:
            raise Complaint(f"{name} depends on {other}, which is not there")
        profiles = set(services[other].get("profiles", []))
        own = set(service.get("profiles", []))
        if profiles and not (own and own <= profiles):
            raise Complaint(f"{name} depends on {other}, which is in a profile that may be off")
        if how.get("condition") == "service_healthy" and "healthcheck" not in services[other]:
            raise Complaint(f"{name} waits for the health of {other}, which has no check")
    turn(name, services, ())


def turn(name, services, way):
    if name in way:
        raise Complaint(f"dependency cycle: {' '.join((*way, name))}")
    for other in dependencies(services[name]):
        turn(other, services, (*way, name))


def used(project, key):
    """The names of volumes (those that are no paths) or networks that services use."""
    for service in project["services"].values():
        for entry in service.get(key, []):
            name = entry.split(":")[0]
            if key == "networks" or re.fullmatch(NAME, name) and not name.startswith("."):
                yield name


def check(project, environment):
    """Raises Complaint with what compose v2 would say of the file, or warn of."""
    project = interpolated({key: value for key, value in project.items() if not key.startswith("x-")},
                           environment)
    if "version" in project:
        raise Complaint("the attribute `version` is obsolete")
    for key in set(project) - {"services", "networks", "volumes"}:
        raise Complaint(f"additional property {key} is not allowed")
    for key, items in project.items():
        for name in items:
            text(NAME)(name, key)
    for name, service in project["services"].items():
        SERVICE(service, name)
        if "image" not in service and "build" not in service:
            raise Complaint(f"{name} has neither an image nor a build context")
    for name, service in project["services"].items():
        fit(name, service, project["services"])
    for key in ("volumes", "networks"):
        declared, wanted = set(project.get(key) or {}), set(used(project, key))
        if declared != wanted:
            raise Complaint(f"{key} that are only declared, or only used: {declared ^ wanted}")

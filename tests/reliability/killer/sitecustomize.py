"""Kills the run it is a part of at one of its AWS writes. Python imports this by itself when it is on PYTHONPATH.

The instrument of tests/reliability/kill.py, in no way a part of the product. `HOKUSAI_KILL` holds JSON: `at` is the
number of the write, over all processes of the run; `moment` is `call` (before the request leaves), `response` (AWS has
answered, and nobody has heard it) or `journal` (before the outcome's line); `count` is the file that counts, and `verb`
the one that gets the operation's name. `HOKUSAI_KILL_ROOT` is the process to kill, with all below it.
"""

import importlib.abc
import importlib.machinery
import json
import os
import signal
import sys
from pathlib import Path

GIVEN = json.loads(os.environ.get("HOKUSAI_KILL", "null"))
PATCHED = {"botocore.endpoint": "patch_endpoint"}
READS = ("Describe", "Get", "List", "Discover", "Batch", "Assume", "Head", "Search", "Filter", "PutMetricData")
"""Beginnings of the names of calls that change no resource; data points are none, and no journal has them."""
LOCKS = ("/lock", "/lock-counter")
"""The run's own parameters: a write of them changes no resource."""


def count() -> int:
    """One more write: its number, which no other has, be it of another process or thread.

    A descriptor that appends stands after its own byte; the file may be longer by then.
    """
    descriptor = os.open(GIVEN["count"], os.O_CREAT | os.O_APPEND | os.O_RDWR, 0o600)
    try:
        os.write(descriptor, b".")
        return os.lseek(descriptor, 0, os.SEEK_CUR)
    finally:
        os.close(descriptor)


def below(root: int) -> list[int]:
    """The process and its descendants, wherever their sessions are."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found = {root}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return sorted(found)


def kill() -> None:
    """The root first, that nobody is told of a child's death; this process last."""
    victims = [pid for pid in below(int(os.environ["HOKUSAI_KILL_ROOT"])) if pid != os.getpid()]
    for pid in [*victims, os.getpid()]:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def is_write(model, parameters: dict) -> bool:
    if model.name.startswith(READS):
        return False
    body = parameters.get("body")
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body)
    return not (model.service_model.service_name == "ssm" and any(f'{name}"' in text for name in LOCKS))


def patch_endpoint(module) -> None:
    make_request = module.Endpoint.make_request

    def counted(self, operation_model, request_dict):
        number = count() if is_write(operation_model, request_dict) else 0
        if number == GIVEN["at"]:
            Path(GIVEN["verb"]).write_text(operation_model.name)
        if number == GIVEN["at"] and GIVEN["moment"] == "call":
            kill()
        answer = make_request(self, operation_model, request_dict)
        if number == GIVEN["at"] and GIVEN["moment"] == "response":
            kill()
        if number == GIVEN["at"]:
            arm()
        return answer

    module.Endpoint.make_request = counted


def arm() -> None:
    """From now on the next thing that is made durable is the line about this write's outcome."""
    fsync = os.fsync

    def deadly(descriptor):
        try:
            name = Path(f"/proc/self/fd/{descriptor}").readlink().name
        except OSError:
            name = ""
        if name == "journal.jsonl":
            os.ftruncate(descriptor, max(0, os.fstat(descriptor).st_size - 1))  # the line is torn, as a crash tears it
            kill()
        return fsync(descriptor)

    if GIVEN["moment"] == "journal":
        os.fsync = deadly


class Finder(importlib.abc.MetaPathFinder):
    """Patches a module once it is loaded: importing botocore here would burden every Python process."""

    def find_spec(self, name, path=None, target=None):
        if name not in PATCHED:
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        loader = spec.loader
        execute = loader.exec_module

        def exec_module(module):
            execute(module)
            globals()[PATCHED[name]](module)

        loader.exec_module = exec_module
        return spec


if GIVEN is not None:
    sys.meta_path.insert(0, Finder())

"""The command line: `parser` has its verbs. Exit codes: 0 done, 1 not so, 2 not asked."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

from sandbox import environment, lifecycle
from sandbox.environment import Home
from sandbox.faults.verbs import add_verbs

CONTROL_TIMEOUT = 10.0
SHOWN_LINES = 200
FOLLOW_PERIOD = 0.3


class UsageError(Exception):
    """Cannot be done as asked; the text is all the user needs."""


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    try:
        status: int = options.run(environment.home(), options)
    except UsageError as error:
        say(f"sandbox: {error}", sys.stderr)
        return 2
    except lifecycle.LifecycleError as error:
        say(f"sandbox: {error}", sys.stderr)
        return 1
    except BrokenPipeError:
        return 0
    except OSError as error:
        say(f"sandbox: {error}", sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return status


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m sandbox", description="The Hokusai platform on AWS, on one machine.")
    verbs = made.add_subparsers(required=True, metavar="VERB")
    verb = verbs.add_parser("up", help="build the platform and start it in the background")
    state = verb.add_mutually_exclusive_group()
    state.add_argument(
        "--incident", dest="state", action="store_const", const="incident", help="as it was found broken"
    )
    state.add_argument(
        "--healthy", dest="state", action="store_const", const="healthy", help="as it should be (default)"
    )
    verb.add_argument("--pace", type=pace, default=30.0, help="how many times faster than AWS its control loops run")
    verb.set_defaults(run=up, state="healthy")
    for name, run, text in (
        ("status", status, "show services, tasks and target health"),
        ("env", env, 'print the environment for clients: eval "$(python -m sandbox env)"'),
        ("calls", calls, "count the AWS API calls made since `up` or the last reset"),
    ):
        verb = verbs.add_parser(name, help=text)
        verb.add_argument("--json", action="store_true", help="print JSON")
        verb.set_defaults(run=run)
        if name == "calls":
            verb.add_argument("--reset", action="store_true", help="start counting anew after printing")
    add_enforce(verbs)
    verb = verbs.add_parser("logs", help="print what the services, the ALBs and the daemon log")
    verb.add_argument("service", nargs="?", help="api, mlflow, auth, alb or daemon; all of them if omitted")
    verb.add_argument("-f", "--follow", action="store_true", help="go on printing")
    verb.set_defaults(run=logs)
    add_verbs(verbs, faults)
    verbs.add_parser("down", help="end everything").set_defaults(run=down)
    return made


def add_enforce(verbs: Any) -> None:
    text = "allow what IAM policies allow, and nothing else; without any say what was asked for since"
    verb = verbs.add_parser("enforce", help=text, description=text)
    verb.add_argument("policies", nargs="*", type=Path, metavar="POLICY.json", help="they hold together")
    other = verb.add_mutually_exclusive_group()
    other.add_argument("--record", action="store_true", help="allow everything, and note what is asked for")
    other.add_argument("--off", action="store_true", help="allow everything again")
    verb.add_argument("--json", action="store_true", help="print JSON")
    verb.set_defaults(run=enforce)


def pace(text: str) -> float:
    value = float(text)
    if not 1 <= value <= 100:
        raise argparse.ArgumentTypeError("must be between 1 and 100")
    return value


def up(place: Home, options: argparse.Namespace) -> int:
    begun = time.monotonic()
    lifecycle.up(place, options.state, options.pace)
    say(summary(control(place, "GET", "status")))
    say(f"\nThe sandbox is up ({options.state}, {time.monotonic() - begun:.0f} s), state in {place.path}")
    say('Use it:  eval "$(python -m sandbox env)"      End it:  python -m sandbox down')
    return 0


def down(place: Home, _options: argparse.Namespace) -> int:
    say("The sandbox is down." if lifecycle.down(place) else "No sandbox was up.")
    return 0


def status(place: Home, options: argparse.Namespace) -> int:
    found = control(place, "GET", "status")
    values = environment.read(place)
    endpoint, proxy = values["AWS_ENDPOINT_URL"], values["HTTPS_PROXY"]
    if options.json:
        say(json.dumps({"endpoint": endpoint, "proxy": proxy, "pid": lifecycle.daemon_pid(place), **found}, indent=2))
    else:
        say(
            f"AWS endpoint {endpoint}, internet proxy {proxy}, daemon {lifecycle.daemon_pid(place)}\n\n{summary(found)}"
        )
    return 0


def env(place: Home, options: argparse.Namespace) -> int:
    values = environment_of(place)
    say(json.dumps(values, indent=2) if options.json else environment.script(values, os.environ))
    return 0


def calls(place: Home, options: argparse.Namespace) -> int:
    found = control(place, "POST", "calls/reset") if options.reset else control(place, "GET", "calls")
    if options.json:
        say(json.dumps(found, indent=2))
        return 0
    say(f"{found['reads']} reads, {found['writes']} writes")
    for action, times in sorted(found["actions"].items()):
        say(f"{times:6d}  {action}")
    return 0


def enforce(place: Home, options: argparse.Namespace) -> int:
    """Set the policies that hold, or show what was asked for under them."""
    if options.policies or options.record or options.off:
        try:
            documents = [json.loads(path.read_text()) for path in options.policies]
        except ValueError as error:
            raise UsageError(f"a policy is JSON: {error}") from None
        found = control(place, "POST", "policy", {"policies": documents, "record": options.record})
    else:
        found = control(place, "GET", "policy")
    if options.json:
        say(json.dumps(found, indent=2))
        return 0
    state = "enforced" if found["enforced"] else "recorded" if found["recorded"] else "not asked for"
    say(f"Permissions are {state}.")
    for allowed, action, resource in dict.fromkeys(map(itemgetter("allowed", "action", "resource"), found["asked"])):
        say(f"{'allowed' if allowed else 'REFUSED'}  {action} on {resource}")
    return 0


def logs(place: Home, options: argparse.Namespace) -> int:
    files = log_files(place, options.service)
    positions = {path: show_end(path, named=len(files) > 1) for path in files}
    while options.follow:
        time.sleep(FOLLOW_PERIOD)
        for path in files:
            positions[path] = show_from(path, positions[path], named=len(files) > 1)
    return 0


def log_files(place: Home, wanted: str | None) -> list[Path]:
    found = {short_name(path): path for path in sorted(place.logs.glob("*.*")) if path.is_file()}
    if not found:
        raise UsageError(f"there are no logs in {place.logs}; start a sandbox with `python -m sandbox up`")
    if wanted is None:
        return list(found.values())
    if short_name(Path(wanted)) not in found:
        raise UsageError(f"no log is called {wanted}; there is {', '.join(found)}")
    return [found[short_name(Path(wanted))]]


def short_name(path: Path) -> str:
    """`hokusai-api-development.log` is `api`."""
    return path.name.partition(".")[0].removeprefix("hokusai-").removesuffix("-development")


def show_end(path: Path, *, named: bool) -> int:
    content = path.read_bytes()
    print_lines(path, b"\n".join(content.splitlines()[-SHOWN_LINES:]), named=named)
    return len(content)


def show_from(path: Path, position: int, *, named: bool) -> int:
    with path.open("rb") as file:
        file.seek(position)
        content = file.read()
    print_lines(path, content, named=named)
    return position + len(content)


def print_lines(path: Path, content: bytes, *, named: bool) -> None:
    for line in content.decode("utf-8", "replace").splitlines():
        say(f"{short_name(path)}: {line}" if named else line)


def summary(found: dict[str, Any]) -> str:
    """Services, live tasks and targets as a few lines of text."""
    lines = []
    for service in found["services"]:
        primary = service["deployments"][0] if service["deployments"] else {"rollout": "none"}
        counts = f"{service['running']}/{service['desired']} running"
        lines.append(f"service {service['name']}: {counts}, {service['revision']}, {primary['rollout']}")
        if service["events"]:
            lines.append(f"    {service['events'][0]}")
    lines += [
        f"task {task['id'][:8]} of {task['service']}: {task['status']} at {task['address']}"
        for task in found["tasks"]
        if task["status"] != "STOPPED"
    ]
    for group in found["target_groups"]:
        states = [f"{one['address']}:{one['port']} {one['state']}" for one in group["targets"]]
        lines.append(f"targets {group['name']}: {', '.join(states) or 'none'}")
    return "\n".join(lines)


def faults(place: Home, options: argparse.Namespace) -> int:
    """Every verb of `faults/verbs.py`."""
    values = environment_of(place)
    control(place, "GET", "health")
    commands = importlib.import_module("sandbox.faults.commands")
    if problem := commands.work(options.verb, place, values, options, say):
        raise UsageError(problem)
    return 0


def environment_of(place: Home) -> dict[str, str]:
    try:
        return environment.read(place)
    except FileNotFoundError:
        raise UsageError(f"no sandbox is up in {place.path}; start one with `python -m sandbox up`") from None


def control(place: Home, method: str, path: str, body: Any = None) -> Any:
    """Ask the daemon's control endpoint."""
    url = f"{environment_of(place)['AWS_ENDPOINT_URL']}/_sandbox/{path}"
    sent = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, sent, method=method)  # noqa: S310 - the daemon's own http endpoint
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=CONTROL_TIMEOUT) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        raise UsageError(json.load(error)["error"]) from None
    except (urllib.error.URLError, TimeoutError) as error:
        raise UsageError(
            f"the sandbox in {place.path} does not answer ({error}); see `python -m sandbox logs daemon`, "
            "and end it with `python -m sandbox down`"
        ) from None


def say(text: str, stream: Any = None) -> None:
    with contextlib.suppress(ValueError):
        print(text, file=stream or sys.stdout, flush=True)

"""Looks for secrets where they must not be: in texts, in files, and in the processes of this machine while it works."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

PART = 12
"""Characters of a secret, in any of its forms, that count as a part of it."""
MIDDLE = 2
"""Characters at each end of a base64 text that depend on what stands beside the secret."""
PAUSE = 0.02


class Secrets:
    """Secrets by what they are called here; `found` tells which of them a text holds, whole or in part."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._parts = {part: name for name, text in texts.items() for part in parts(text)}

    def found(self, text: str) -> set[str]:
        known = self._parts
        return {known[part] for at in range(len(text) - PART + 1) if (part := text[at : at + PART]) in known}

    def found_in_file(self, file: Path) -> set[str]:
        return self.found(file.read_bytes().decode("latin-1"))


def parts(secret: str) -> Iterator[str]:
    for form in forms(secret):
        yield from (form[at : at + PART] for at in range(len(form) - PART + 1))


def forms(secret: str) -> Iterator[str]:
    """The secret as it is, for a URL, for JSON, and in base64 after every number of other characters."""
    yield secret
    yield from (quote(secret, safe=""), quote(secret, safe="").replace("%2F", "%2f").replace("%2B", "%2b"))
    yield from (json.dumps(secret)[1:-1], secret.replace("/", "\\/"), "".join(map(escaped, secret)))
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + secret.encode()).decode().rstrip("=")
        middle = encoded[2 * before : -MIDDLE]
        yield from (middle, middle.replace("+", "-").replace("/", "_"), quote(middle, safe=""))


def escaped(character: str) -> str:
    return character if character.isalnum() else f"\\u{ord(character):04x}"


@dataclass(frozen=True)
class Sighting:
    """A secret in a process; `place` is "command line" or "environment", `program` the process's first three words."""

    secret: str
    place: str
    program: str


class Watch:
    """Looks into every process of the machine, and into Ansible's temporary directories, for as long as it is open."""

    def __init__(self, secrets: Secrets, temporary: Path) -> None:
        self.sightings: set[Sighting] = set()
        self.modes: set[int] = set()
        """Of the directories of Ansible's in which a file held a secret."""
        self._secrets, self._temporary = secrets, temporary
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._seen: set[bytes] = set()

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_raised: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(PAUSE):
            for process in Path("/proc").iterdir():
                if process.name.isdigit():
                    with contextlib.suppress(OSError):
                        self._look_into(process)
            self._look_at_directories()

    def _look_into(self, process: Path) -> None:
        command, environment = given(process)
        first, *words = command.decode(errors="replace").split("\0")
        program = " ".join([Path(first).name, *words[:2]])
        for place, content in (("command line", command), ("environment", environment)):
            if content not in self._seen:
                self._seen.add(content)
                for secret in self._secrets.found(content.decode("latin-1")):
                    self.sightings.add(Sighting(secret, place, program))

    def _look_at_directories(self) -> None:
        for directory in self._temporary.glob("ansible-*"):
            with contextlib.suppress(OSError):
                mode = directory.stat().st_mode & 0o777
                if any(map(self._is_new_and_holds_one, files(directory))):
                    self.modes.add(mode)

    def _is_new_and_holds_one(self, file: Path) -> bool:
        known = f"{file} {file.stat().st_size}".encode()
        is_new = known not in self._seen
        self._seen.add(known)
        return is_new and bool(self._secrets.found_in_file(file))


def given(process: Path) -> tuple[bytes, bytes]:
    """A process's command line, and its environment; both of one program where it becomes another one meanwhile."""
    while True:
        command, environment = (process / "cmdline").read_bytes(), (process / "environ").read_bytes()
        if (process / "cmdline").read_bytes() == command:
            return command, environment


def files(directory: Path) -> Iterator[Path]:
    return (path for path in sorted(directory.rglob("*")) if path.is_file() and not path.is_symlink())

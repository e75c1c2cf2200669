# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where run records are kept: a directory of this machine, or a versioned S3 bucket. Both have the same shape.

    <environment>/<run id>/run.json, before.json, journal.jsonl, journal.head, after.json, result.json

In a bucket, which cannot append, the journal is one object per line: `journal/000001.json`.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.errors import (
    AwsError,
    BadInput,
    BadRecord,
    Unrecorded,
    calling,
)

JOURNAL = "journal.jsonl"
RUN_ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{6}")
ENVIRONMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
TAKEN = frozenset({"PreconditionFailed", "ConditionalRequestConflict"})
ABSENT = frozenset({"NoSuchKey", "404"})


class Store(Protocol):
    """The place of one run's record. Names are file names; `put` is there for good when it returns."""

    def create(self, name: str, data: bytes) -> None:
        """Write a file that must not exist yet; it is there as a whole, or not at all."""

    def put(self, name: str, data: bytes) -> None:
        """Write a file over what is there, in one piece."""

    def get(self, name: str) -> bytes | None:
        """What the file holds; None when there is no such file."""

    def append(self, after: int, lines: Sequence[bytes]) -> None:
        """Add lines to the journal, of which `after` are there. What was torn off behind those is dropped."""

    def lines(self) -> list[bytes]:
        """The journal's lines; each ends with a newline but one that was cut off."""

    def exclusively(self) -> Any:
        """A context in which no other process of this machine writes to the journal."""

    def called(self, name: str) -> str:
        """What the file is called in a message."""


@dataclass(frozen=True)
class Directory:
    """A record as files 0600 in directories 0700."""

    path: Path

    def create(self, name: str, data: bytes) -> None:
        with unrecorded(self.called(name)):
            make_private(self.path)
            with drafted(self.path / name, data) as draft:
                os.link(draft, self.path / name)  # refuses a name that is taken, as a rename does not

    def put(self, name: str, data: bytes) -> None:
        with unrecorded(self.called(name)), drafted(self.path / name, data) as draft:
            draft.replace(self.path / name)

    def get(self, name: str) -> bytes | None:
        try:
            return (self.path / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise BadRecord(f"{self.called(name)} cannot be read: {error.strerror}", "check its permissions") from error

    def append(self, after: int, lines: Sequence[bytes]) -> None:
        with unrecorded(self.called(JOURNAL)):
            sound = sum(map(len, self.lines()[:after]))
            descriptor = os.open(self.path / JOURNAL, os.O_WRONLY | os.O_CREAT, 0o600)
            with os.fdopen(descriptor, "wb") as handle:
                handle.truncate(sound)
                handle.seek(sound)
                handle.write(b"".join(lines))
                handle.flush()
                os.fsync(handle.fileno())
            if not after:
                sync(self.path)

    def lines(self) -> list[bytes]:
        return (self.get(JOURNAL) or b"").splitlines(keepends=True)

    @contextmanager
    def exclusively(self) -> Iterator[None]:
        with unrecorded(self.called("journal.lock")):
            descriptor = os.open(self.path / "journal.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def called(self, name: str) -> str:
        return str(self.path / name)


@dataclass(frozen=True)
class Bucket:
    """A record as objects of a bucket that keeps every version; no object is written over unless it is the one read."""

    s3: Any
    bucket: str
    prefix: str

    def create(self, name: str, data: bytes) -> None:
        with calling(f"write {self.called(name)}"):
            self.write(name, data, IfNoneMatch="*")

    def put(self, name: str, data: bytes) -> None:
        with calling(f"write {self.called(name)}"):
            held = self.head(name)
            self.write(name, data, **({"IfMatch": held} if held else {"IfNoneMatch": "*"}))

    def get(self, name: str) -> bytes | None:
        try:
            with calling(f"read {self.called(name)}"):
                answer = self.s3.get_object(Bucket=self.bucket, Key=self.key(name))
                return bytes(answer["Body"].read())
        except AwsError as error:
            if error.code in ABSENT:
                return None
            raise

    def append(self, after: int, lines: Sequence[bytes]) -> None:
        for number, line in enumerate(lines, after + 1):
            self.create(f"journal/{number:06}.json", line)

    def lines(self) -> list[bytes]:
        with calling(f"list {self.called('journal/')}"):
            pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.key("journal/"))
            keys = [each["Key"] for page in pages for each in page.get("Contents", ())]
        names = [key[len(self.prefix) :] for key in sorted(keys)]
        if names != [f"journal/{number:06}.json" for number in range(1, len(names) + 1)]:
            raise BadRecord(f"{self.called('journal/')} is not a row of lines without a gap", "restore its objects")
        return [self.get(name) or b"" for name in names]

    @contextmanager
    def exclusively(self) -> Iterator[None]:
        yield  # an object that another process has written is not written over: IfNoneMatch

    def called(self, name: str) -> str:
        return f"s3://{self.bucket}/{self.key(name)}"

    def key(self, name: str) -> str:
        return self.prefix + name

    def head(self, name: str) -> str:
        try:
            with calling(f"look for {self.called(name)}"):
                return str(self.s3.head_object(Bucket=self.bucket, Key=self.key(name))["ETag"])
        except AwsError as error:
            if error.code in ABSENT:
                return ""
            raise

    def write(self, name: str, data: bytes, **condition: str) -> None:
        """Put an object on a condition. Refused, it may be there from our own first try, whose answer was lost."""
        try:
            with calling(f"write {self.called(name)}"):
                self.s3.put_object(Bucket=self.bucket, Key=self.key(name), Body=data, **condition)
        except AwsError as error:
            if error.code in TAKEN and self.get(name) == data:
                return
            if error.code in TAKEN:
                raise Unrecorded(
                    f"{self.called(name)} was written by somebody else meanwhile",
                    "look who works with this run's record, then run again",
                ) from error
            raise


@dataclass(frozen=True)
class Runs:
    """Where the records of all runs are: a directory, and where a bucket is named the records themselves in that.

    The directory holds the context of each run in any case: it is what the tasks of a play are given.
    """

    directory: Path
    bucket: str = ""
    prefix: str = ""

    @classmethod
    def of(cls, option: Mapping[str, Any]) -> Runs:
        prefix = (option.get("prefix") or "").strip("/")
        return cls(Path(option["directory"]).absolute(), option.get("bucket") or "", f"{prefix}/" if prefix else "")

    def as_data(self) -> dict[str, str]:
        return {"directory": str(self.directory), "bucket": self.bucket, "prefix": self.prefix}

    def local(self, environment: str, run_id: str) -> Directory:
        return Directory(self.directory / checked(ENVIRONMENT, environment) / checked(RUN_ID, run_id))

    def store(self, aws: Aws, environment: str, run_id: str) -> Store:
        local = self.local(environment, run_id)
        return Bucket(aws.s3, self.bucket, f"{self.prefix}{environment}/{run_id}/") if self.bucket else local

    def ids(self, aws: Aws, environment: str) -> list[str]:
        """The ids of the runs of an environment, newest first."""
        names = self.in_bucket(aws, environment) if self.bucket else self.in_directory(environment)
        return sorted(filter(RUN_ID.fullmatch, names), reverse=True)

    def in_directory(self, environment: str) -> list[str]:
        path = self.directory / checked(ENVIRONMENT, environment)
        try:
            return [each.name for each in path.iterdir()] if path.exists() else []
        except OSError as error:
            raise BadInput(f"The runs in {path} cannot be listed: {error.strerror}", "check its permissions") from error

    def in_bucket(self, aws: Aws, environment: str) -> list[str]:
        prefix = f"{self.prefix}{checked(ENVIRONMENT, environment)}/"
        with calling(f"list the runs in s3://{self.bucket}/{prefix}"):
            pages = aws.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix, Delimiter="/")
            found = [each["Prefix"] for page in pages for each in page.get("CommonPrefixes", ())]
        return [each[len(prefix) :].rstrip("/") for each in found]

    def prove(self, aws: Aws, environment: str) -> None:
        """That a record can be kept, without a write to AWS. Raises `BadInput` where it could not."""
        path = self.directory / checked(ENVIRONMENT, environment)
        trial = path / f".trial.{secrets.token_hex(8)}"
        try:
            if not self.directory.exists():
                make_private(self.directory)
                write(self.directory / ".gitignore", b"*\n", os.O_TRUNC)
            make_private(path)
            with drafted(trial, b"trial\n") as draft:
                os.link(draft, trial)
            trial.unlink()
        except OSError as error:
            raise BadInput(
                f"Runs cannot be recorded in {path}: {error.strerror}",
                "make the directory writable, free some space, or name another one; nothing was written",
            ) from error
        if self.bucket:
            self.prove_bucket(aws)

    def prove_bucket(self, aws: Aws) -> None:
        with calling(f"look at the versioning of the bucket {self.bucket}"):
            status = aws.s3.get_bucket_versioning(Bucket=self.bucket).get("Status")
        if status != "Enabled":
            raise BadInput(
                f"The bucket {self.bucket} does not keep versions, so a record in it could be lost",
                f"aws s3api put-bucket-versioning --bucket {self.bucket} --versioning-configuration Status=Enabled",
            )


def checked(form: re.Pattern[str], name: str) -> str:
    if not form.fullmatch(name):
        what = "run id" if form is RUN_ID else "environment"
        raise BadInput(f"{name!r} is not the name of a {what}", "give one as platform_history lists it")
    return name


def make_private(path: Path) -> None:
    """A directory 0700 with all above it; those that are there stay as they are."""
    missing = [each for each in (path, *path.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)
        sync(each.parent)


def write(path: Path, data: bytes, flags: int) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | flags, 0o600), "wb") as handle:
        handle.write(data)
        handle.flush()
        os.fsync(handle.fileno())


@contextmanager
def drafted(file: Path, data: bytes) -> Iterator[Path]:
    """A draft that is on disk as a whole, to be given the name of `file` inside; so is that name when this is over."""
    draft = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    try:
        write(draft, data, os.O_EXCL)
        yield draft
    finally:
        draft.unlink(missing_ok=True)
    sync(file.parent)


def sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def unrecorded(file: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unrecorded(
            f"The run's record cannot be written: {file}: {error.strerror}",
            "make it writable or free some space, then run again; rollback.yml takes back what is done",
        ) from error

# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The runs that took the lock after another one did: how many, and what they created.

The tokens of the lock say that there were some, wherever their records are kept; the records here say what they did.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from ansible_collections.hokusai.platform.plugins.module_utils import journal_writes
from ansible_collections.hokusai.platform.plugins.module_utils.archive import Archive
from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadRecord, LockLost
from ansible_collections.hokusai.platform.plugins.module_utils.journal_writes import Write, Written
from ansible_collections.hokusai.platform.plugins.module_utils.run_record import Contents, Record


@dataclass(frozen=True)
class Successors:
    """What newer runs created, by (kind, id) with the run's id, and what they may have created: no answer told the id.

    `writes` are all of theirs, with the run's id; `unseen` are the tokens of those whose record is not here, or cannot
    be read.
    """

    made: Mapping[tuple[str, str], str] = field(default_factory=dict)
    unnamed: tuple[tuple[str, Written], ...] = ()
    writes: tuple[tuple[str, Write], ...] = ()
    unseen: frozenset[int] = frozenset()


def token(record: Record | Contents) -> int:
    return int(record.context["lock"]["counter"])


def refuse_followed(contents: Contents, newest: int, own: int = 0) -> None:
    """Raise `LockLost` where other runs took the lock since. `newest` is the newest token, `own` that of this run."""
    run_id, environment = contents.identity.run_id, contents.identity.environment
    if {*range(token(contents) + 1, newest + 1)} - {own}:
        raise LockLost(
            f"Another run took the lock of {environment} since the run {run_id} did, and may need what that one wrote",
            "look what it did and whether all is well; a person who has looked can still take the run back",
        )


def successors(archive: Archive, contents: Contents, newest: int) -> Successors:
    """Of the runs with a token newer than that of `contents`, up to the token `newest`."""
    made: dict[tuple[str, str], str] = {}
    unnamed: list[tuple[str, Written]] = []
    writes: list[tuple[str, Write]] = []
    unseen = set(range(token(contents) + 1, newest + 1))
    for record in _newer(archive, contents):
        try:
            verified = None if record.was_only_opened() else record.verify()
        except BadRecord:
            continue  # its token stays unseen
        unseen.discard(token(record))
        if verified is None:
            continue
        written = journal_writes.read(verified.entries).writes
        writes += [(record.identity.run_id, write) for write in written]
        created = list(_created(verified, written))
        made |= {(each.kind, each.id): record.identity.run_id for each in created if each.id}
        unnamed += [(record.identity.run_id, each) for each in created if not each.id]
    return Successors(made, tuple(unnamed), tuple(writes), frozenset(unseen))


def _newer(archive: Archive, contents: Contents) -> Iterator[Record]:
    for run_id in archive.ids():
        if run_id == contents.identity.run_id:
            return
        try:
            record = archive.open(run_id)
        except BadRecord:
            continue
        if token(record) > token(contents):
            yield record


def _created(contents: Contents, writes: Iterable[Write]) -> Iterator[Written]:
    """What is new by a run: a write that creates what is not there changes what is."""
    before = {(each["kind"], each["id"]) for each in contents.before["resources"]}
    for write in writes:
        if write.act == journal_writes.CREATE and (write.kind, write.id) not in before:
            written = Written(write.kind, write.id)
            written.add(write)
            yield written

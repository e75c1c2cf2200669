# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The archive of an environment's runs: where their records are, and the key that they are sealed with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadInput, BadRecord, NotFound, calling
from ansible_collections.hokusai.platform.plugins.module_utils.record_key import (
    KEY_OPTION,
    chosen_source,
    make_file,
    run_key,
)
from ansible_collections.hokusai.platform.plugins.module_utils.run_envelope import Identity, Seal, parsed
from ansible_collections.hokusai.platform.plugins.module_utils.run_record import Record, is_empty
from ansible_collections.hokusai.platform.plugins.module_utils.run_store import Runs

ARCHIVE_OPTIONS: dict[str, dict[str, Any]] = {
    "environment": {"type": "str"},
    "runs": {
        "type": "dict",
        "options": {
            "directory": {"type": "path", "required": True},
            "bucket": {"type": "str"},
            "prefix": {"type": "str"},
        },
    },
    "key": KEY_OPTION,
}
"""The options of the modules that deal with records: they make an `Archive`."""


class Archive:
    """The runs of one environment, found by the options `environment`, `runs` and `key`."""

    def __init__(self, aws: Aws, params: Mapping[str, Any]) -> None:
        self.aws = aws
        self.environment = str(params["environment"])
        self.runs = Runs.of(params["runs"])
        self.key = chosen_source(params["key"], str(self.runs.directory))
        self._caller: dict[str, str] = {}

    @property
    def caller(self) -> dict[str, str]:
        """Who AWS says that we are: {"Account", "Arn", ...}."""
        if not self._caller:
            with calling("ask AWS who is calling"):
                self._caller = dict(self.aws.sts.get_caller_identity())
        return self._caller

    def prove(self) -> None:
        """That a run can be recorded: a place that can be written to and a key. Writes nothing to AWS."""
        self.runs.prove(self.aws, self.environment)
        make_file(self.key)

    def seal(self, run_id: str) -> Seal:
        identity = Identity(self.caller["Account"], self.aws.region, self.environment, run_id)
        return Seal(run_key(self.key, run_id, self.aws), identity)

    def create(self, run_id: str, context: Mapping[str, Any]) -> Record:
        return Record.create(self.runs.store(self.aws, self.environment, run_id), self.seal(run_id), context)

    def keep_context(self, run_id: str) -> Path:
        """The file that tasks of the run are given; where the record is in a bucket it is a copy of the one there."""
        local = self.runs.local(self.environment, run_id)
        if self.runs.bucket:
            local.create("run.json", self.runs.store(self.aws, self.environment, run_id).get("run.json") or b"")
        return local.path / "run.json"

    def open(self, run_id: str) -> Record:
        """The record of a run, its context verified; `Record.verify` does the rest. Raises `BadRecord`."""
        self.runs.local(self.environment, run_id)  # refuses what is no run id
        return Record.open(self.runs.store(self.aws, self.environment, run_id), self.seal(run_id))

    def is_empty(self, run_id: str) -> bool:
        """Whether a run, one of `ids`, was cut off before the first file of its record was there."""
        return is_empty(self.runs.store(self.aws, self.environment, run_id))

    def ids(self) -> list[str]:
        """The ids of all runs, newest first."""
        return self.runs.ids(self.aws, self.environment)

    def newest(self) -> str:
        for run_id in self.ids():
            return run_id
        where = self.runs.bucket or self.runs.directory
        raise NotFound(f"There is no run of {self.environment} in {where}", "name the place that the run was told")


@dataclass(frozen=True)
class Told:
    """What is said of a sealed file: how it is called, where to find one, what it is not, and the remedy then."""

    called: str
    find: str
    is_none: str
    remedy: str


def unsealed(aws: Aws, file: Path, kind: str, told: Told) -> tuple[Seal, dict[str, Any]]:
    """The seal and the body of a file that says whose it is and where its key is.

    Raises `BadInput` for no file, `BadRecord` for one that was altered.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise BadInput(f"{told.called} cannot be read: {error.strerror}", told.find) from error
    claimed = parsed(data, str(file))
    try:
        identity = Identity(**{name: str(claimed[name]) for name in Identity.__dataclass_fields__})
        seal = Seal(run_key(dict(claimed["body"]["key"]), identity.run_id, aws), identity)
    except (KeyError, TypeError, ValueError) as error:
        raise BadRecord(told.is_none, told.remedy) from error
    return seal, seal.unwrap(data, kind, str(file))

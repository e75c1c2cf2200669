"""A record in a bucket that somebody changed is made whole by the bucket's versions, as docs/runbook.md says."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import yaml
from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadRecord
from ansible_collections.hokusai.platform.plugins.module_utils.run_record import Record
from ansible_collections.hokusai.platform.plugins.module_utils.run_store import Bucket, Runs

from tests.harness import ROOT
from tests.unit.conftest import CountingAws
from tests.unit.run_world import RUN, seal, write

BUCKET, ENVIRONMENT = "hokusai-runs", "development"


@pytest.fixture
def recorded(aws: CountingAws) -> Bucket:
    aws.s3.create_bucket(Bucket=BUCKET)
    aws.s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    found = Runs.of(suggested()).store(aws, ENVIRONMENT, RUN)
    assert isinstance(found, Bucket)
    write(found, writes=2)
    return found


def suggested() -> dict[str, str]:
    """Where the inventory suggests to keep the records."""
    place = ROOT / "inventories" / ENVIRONMENT / "group_vars" / "hokusai_platforms" / "runs.yml"
    (line,) = re.findall(r"^# (hokusai_runs: .*bucket.*)$", place.read_text(), re.MULTILINE)
    found: dict[str, str] = yaml.safe_load(line)["hokusai_runs"]
    return found


def test_the_runbook_looks_where_the_inventory_suggests_to_keep_them(recorded: Bucket) -> None:
    runbook = (ROOT / "docs" / "runbook.md").read_text()
    said = re.findall(r"--bucket (\S+) (?:--prefix|--key) (\S+/RUN/)", runbook)
    assert said == [(recorded.bucket, recorded.key("").replace(RUN, "RUN"))] * 2


def changed(bucket: Bucket, key: str) -> None:
    bucket.s3.put_object(Bucket=BUCKET, Key=key, Body=b"{}")


def deleted(bucket: Bucket, key: str) -> None:
    bucket.s3.delete_object(Bucket=BUCKET, Key=key)


@pytest.mark.parametrize("name", ["run.json", "before.json", "journal/000002.json", "result.json"])
@pytest.mark.parametrize("damage", [changed, deleted])
def test_an_older_version_that_is_copied_over_the_newest_makes_it_whole(
    recorded: Bucket, damage: Callable[[Bucket, str], None], name: str
) -> None:
    key = recorded.key(name)
    listed = recorded.s3.list_object_versions(Bucket=BUCKET, Prefix=recorded.key(""))["Versions"]
    (version,) = [each["VersionId"] for each in listed if each["Key"] == key]
    damage(recorded, key)
    if name != "result.json" or damage is changed:
        with pytest.raises(BadRecord):
            Record.open(recorded, seal()).verify()

    recorded.s3.copy_object(Bucket=BUCKET, Key=key, CopySource=f"{BUCKET}/{key}?versionId={version}")

    result = Record.open(recorded, seal()).verify().result
    assert result
    assert result["verdict"] == "succeeded"

"""A run's record says what happened, or refuses to be read."""

from __future__ import annotations

import os
import random
import re
import stat
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadInput, BadRecord, Unrecorded
from ansible_collections.hokusai.platform.plugins.module_utils.record_key import make_file
from ansible_collections.hokusai.platform.plugins.module_utils.run_record import Record, changes, new_run_id
from ansible_collections.hokusai.platform.plugins.module_utils.run_store import RUN_ID, Bucket, Directory, Runs, Store

from tests.reliability.counts import BUCKET_DAMAGES, RECORD_DAMAGES
from tests.unit.conftest import CountingAws
from tests.unit.run_world import BEFORE, RUN, damaged, held, intent, overwrite, record_in, seal, write


@pytest.fixture
def bucket(aws: CountingAws) -> Bucket:
    aws.s3.create_bucket(Bucket="runs")
    aws.s3.put_bucket_versioning(Bucket="runs", VersioningConfiguration={"Status": "Enabled"})
    return Bucket(aws.s3, "runs", f"teams/ml/development/{RUN}/")


@pytest.fixture(params=["directory", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    found: Store = Directory(tmp_path / RUN) if request.param == "directory" else request.getfixturevalue("bucket")
    return found


def test_what_was_written_is_read_again(store: Store) -> None:
    write(store, writes=2)
    contents = Record.open(store, seal()).verify()
    assert contents.context == {"owner": "ada", "host": "desk"}
    assert contents.before == contents.after == BEFORE
    assert [entry["kind"] for entry in contents.entries] == ["intent", "outcome", "intent", "outcome", "closed"]
    assert [entry["seq"] for entry in contents.entries] == [1, 2, 3, 4, 5]
    assert contents.result is not None
    assert contents.result["verdict"] == "succeeded"


def test_a_run_that_was_interrupted_is_read_and_has_no_result(store: Store) -> None:
    record = write(store, writes=1, closed=False)
    record.append(intent("cut off"))
    contents = Record.open(store, seal()).verify()
    assert contents.result is contents.after is None
    assert [(each["why"], each["result"]) for each in changes(contents.entries)] == [
        ("rule r0", "done"),
        ("rule cut off", "unknown"),
    ]


def test_another_process_goes_on_with_the_journal_where_the_last_one_stopped(store: Store) -> None:
    first = write(store, writes=1, closed=False)
    assert Record.open(store, seal()).append(intent("b"), intent("c")) == [3, 4]
    assert first.append(intent("d")) == [5]
    assert [entry["seq"] for entry in first.entries()] == [1, 2, 3, 4, 5]


def test_a_record_is_not_written_over(store: Store) -> None:
    write(store)
    with pytest.raises(Unrecorded):
        write(store)


def test_what_follows_a_closed_journal_is_refused_though_it_be_half_a_line(tmp_path: Path) -> None:
    store = record_in(tmp_path)
    with (store.path / "journal.jsonl").open("ab") as journal:
        journal.write(b'{"args":{"RuleArn":"b"},"ki')
    with pytest.raises(BadRecord, match="closed with"):
        Record.open(store, seal()).verify()


def test_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    runs = Runs.of({"directory": str(tmp_path / "deep" / "runs")})
    write(runs.local("development", RUN))
    modes = {path.relative_to(tmp_path): stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "deep").rglob("*")}
    assert {mode for path, mode in modes.items() if (tmp_path / path).is_file()} == {0o600}
    assert {mode for path, mode in modes.items() if (tmp_path / path).is_dir()} == {0o700}


def test_a_new_key_is_on_disk_under_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the records are that it seals: the key without its name verifies none of them."""
    synced: list[tuple[Path, list[str]]] = []

    def sync(descriptor: int) -> None:
        synced.append((Path(f"/proc/self/fd/{descriptor}").readlink(), [each.name for each in tmp_path.iterdir()]))

    monkeypatch.setattr(os, "fsync", sync)
    make_file({"file": str(tmp_path / "hmac.key")})
    assert synced[-1] == (tmp_path, ["hmac.key"])
    assert stat.S_IMODE((tmp_path / "hmac.key").stat().st_mode) == 0o600


def test_the_key_of_a_run_that_was_quicker_is_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, link = tmp_path / "hmac.key", os.link

    def second(draft: Path, name: Path) -> None:
        file.write_text("the other's")
        link(draft, name)

    monkeypatch.setattr(os, "link", second)
    make_file({"file": str(file)})
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("hmac.key", "the other's")]


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("account", "210987654321"),
        ("region", "eu-west-1"),
        ("environment", "production"),
        ("run_id", "20261121T150000Z-ffffff"),
    ],
)
def test_a_record_of_another_platform_is_refused_and_says_whose_it_is(tmp_path: Path, part: str, value: str) -> None:
    store = record_in(tmp_path)
    with pytest.raises(BadRecord, match=f"run.json is of {part} .*not '{value}'"):
        Record.open(store, seal(**{part: value}))


def test_a_record_of_another_schema_is_refused(tmp_path: Path) -> None:
    store = record_in(tmp_path)
    file = store.path / "run.json"
    file.write_bytes(file.read_bytes().replace(b'"schema":1', b'"schema":2'))
    with pytest.raises(BadRecord, match="schema 2, not 1"):
        Record.open(store, seal())


def test_a_record_made_with_another_key_is_refused_and_the_remedy_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadRecord, match=r"run\.json is not what was written.*name the key"):
        Record.open(record_in(tmp_path), seal(b"x" * 32))


def refused(store: Store) -> BadRecord | None:
    try:
        Record.open(store, seal()).verify()
    except BadRecord as error:
        return error
    return None


@pytest.mark.parametrize("closed", [True, False], ids=["closed", "interrupted"])
def test_any_flipped_bit_and_any_cut_of_any_file_is_refused_by_name(store: Store, *, closed: bool) -> None:
    write(store, closed=closed)
    chance = random.Random(int(os.environ.get("HOKUSAI_SEED", "4")))
    sound = sorted(held(store).items())
    accepted = []
    for number in range(RECORD_DAMAGES if isinstance(store, Directory) else BUCKET_DAMAGES):
        name, data = sound[number % len(sound)]
        overwrite(store, name, damaged(data, chance))
        refusal = refused(store)
        if refusal is None or store.called("") not in refusal.message or not refusal.remedy:
            accepted.append(name)
        overwrite(store, name, data)
    assert not accepted
    assert refused(store) is None


@pytest.mark.parametrize(
    "name", ["run.json", "before.json", "after.json", "result.json", "journal.jsonl", "journal.head"]
)
def test_a_file_that_is_missing_is_refused_by_name(tmp_path: Path, name: str) -> None:
    store = record_in(tmp_path)
    (store.path / name).unlink()
    with pytest.raises(BadRecord, match=re.escape(name)):
        Record.open(store, seal()).verify()


def test_a_journal_cut_together_with_its_head_is_refused_once_the_run_is_closed(tmp_path: Path) -> None:
    store = Directory(tmp_path / RUN)
    record = write(store, writes=1, closed=False)
    earlier = {name: (store.path / name).read_bytes() for name in ("journal.jsonl", "journal.head")}
    record.append(intent("b"))
    record.close({"verdict": "succeeded"})
    for name, data in earlier.items():
        (store.path / name).write_bytes(data)
    with pytest.raises(BadRecord, match="closed with"):
        Record.open(store, seal()).verify()


def test_a_journal_that_ends_with_an_earlier_line_is_refused(tmp_path: Path) -> None:
    store = record_in(tmp_path, closed=False)
    journal = store.path / "journal.jsonl"
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:-1]))
    with pytest.raises(BadRecord, match="5 lines of 6 are there"):
        Record.open(store, seal()).verify()


def test_a_line_that_was_cut_off_before_its_call_was_made_is_dropped_and_the_run_goes_on(tmp_path: Path) -> None:
    """The head follows the lines, so a process that dies between the two has not made the call."""
    store = record_in(tmp_path, writes=1, closed=False)
    with (store.path / "journal.jsonl").open("ab") as journal:
        journal.write(b'{"args":{"RuleArn":"b"},"ki')
    record = Record.open(store, seal())
    assert len(record.entries()) == 2
    assert record.append(intent("c")) == [3]
    assert [entry["seq"] for entry in Record.open(store, seal()).verify().entries] == [1, 2, 3]


def test_lines_cannot_change_places_nor_come_from_another_run(tmp_path: Path) -> None:
    store = record_in(tmp_path)
    journal = store.path / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([lines[2], lines[1], lines[0], *lines[3:]]))
    with pytest.raises(BadRecord, match="line 1"):
        Record.open(store, seal()).verify()


def test_an_object_of_the_journal_that_is_missing_is_refused(bucket: Bucket) -> None:
    write(bucket)
    bucket.s3.delete_object(Bucket="runs", Key=bucket.key("journal/000002.json"))
    with pytest.raises(BadRecord, match="without a gap"):
        Record.open(bucket, seal()).verify()


def test_a_bucket_that_does_not_keep_versions_is_refused_before_anything_is_written(
    aws: CountingAws, tmp_path: Path
) -> None:
    aws.s3.create_bucket(Bucket="plain")
    aws.calls.clear()
    with pytest.raises(BadInput, match="put-bucket-versioning --bucket plain"):
        Runs.of({"directory": str(tmp_path), "bucket": "plain"}).prove(aws, "development")
    assert not aws.writes


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_cannot_be_written_is_refused(aws: CountingAws, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(BadInput, match="cannot be recorded"):
        Runs.of({"directory": str(tmp_path / "runs")}).prove(aws, "development")


def test_a_directory_that_is_a_file_is_refused(aws: CountingAws, tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises(BadInput, match=r"cannot be recorded.*nothing was written"):
        Runs.of({"directory": str(tmp_path / "runs")}).prove(aws, "development")
    assert not aws.calls


def test_run_ids_sort_by_time_and_are_listed_newest_first(aws: CountingAws, tmp_path: Path) -> None:
    begun = datetime(2026, 11, 21, 17, 0, tzinfo=timezone(timedelta(hours=2)))
    assert RUN_ID.fullmatch(found := new_run_id(begun))
    assert found.startswith("20261121T150000Z-")
    runs = Runs.of({"directory": str(tmp_path)})
    for run_id in ("20261121T150000Z-ffffff", "20261121T160000Z-000000", "20251121T150000Z-aaaaaa"):
        (tmp_path / "development" / run_id).mkdir(parents=True)
    (tmp_path / "development" / "notes").mkdir()
    assert runs.ids(aws, "development") == [
        "20261121T160000Z-000000",
        "20261121T150000Z-ffffff",
        "20251121T150000Z-aaaaaa",
    ]


@pytest.mark.parametrize(("environment", "run_id"), [("..", RUN), ("development", "../../etc"), ("a/b", RUN)])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, environment: str, run_id: str) -> None:
    with pytest.raises(BadInput):
        Runs.of({"directory": str(tmp_path)}).local(environment, run_id)

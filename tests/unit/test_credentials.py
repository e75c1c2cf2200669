"""Keys are read from one place, kept privately, and taken out of every text."""

from __future__ import annotations

import base64
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hokusai.platform.plugins.module_utils import credentials as subject
from ansible_collections.hokusai.platform.plugins.module_utils.credentials import Credentials
from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadInput, LockLost, NotFound

from tests.unit.web import make_key, traces


@pytest.fixture
def hidden() -> set[str]:
    return set()


@pytest.fixture
def made(aws_options: dict[str, str], hidden: set[str]) -> Credentials:
    return Credentials(aws_options, hidden.add)


def private(path: Path, text: str, mode: int = 0o600) -> str:
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def test_a_key_is_read_from_the_environment(made: Credentials, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", key := make_key())
    assert made.read({"environment": "SOME_KEY"}).reveal() == key


def test_a_key_is_read_from_a_file_without_its_line_end(made: Credentials, tmp_path: Path) -> None:
    key = make_key("live")
    read = made.read({"file": private(tmp_path / "key", key + "\n")})
    assert (read.reveal(), read.environment) == (key, "live")


def test_a_key_is_read_from_the_option_itself(made: Credentials) -> None:
    assert made.read({"value": (key := make_key())}).reveal() == key


@pytest.mark.parametrize("store", [{"ssm_parameter": "/some/key"}, {"secret": "some/key"}])
def test_a_key_kept_in_aws_is_read_back_also_after_it_was_replaced(
    made: Credentials, aws_options: dict[str, str], store: dict[str, str]
) -> None:
    for key in (make_key(), make_key()):
        made.keep(store, made.adopt(key, "a test"))
        assert Credentials(aws_options, set().add).read(store).reveal() == key


@pytest.mark.parametrize(("store", "is_there"), [({"ssm_parameter": "/some/key"}, True), ({"secret": "key"}, False)])
def test_before_a_second_write_it_is_asked_whether_it_may_be_made(
    made: Credentials, aws_options: dict[str, str], store: dict[str, str], *, is_there: bool
) -> None:
    def refuse() -> None:
        raise LockLost("Another run took the lock", "look what it did")

    first = make_key()
    if is_there:
        made.keep(store, made.adopt(first, "a test"), refuse)
    with pytest.raises(LockLost):
        made.keep(store, made.adopt(make_key(), "a test"), refuse)
    found = Credentials(aws_options, set().add).stored(store)
    assert (found.reveal() if found else "") == (first if is_there else "")


def test_a_key_in_ssm_is_encrypted_and_tagged_as_ours(made: Credentials, aws: Any) -> None:
    made.keep({"ssm_parameter": "/some/key"}, made.adopt(make_key(), "a test"))
    assert aws.ssm.get_parameter(Name="/some/key")["Parameter"]["Type"] == "SecureString"
    tags = aws.ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId="/some/key")["TagList"]
    assert tags == [{"Key": "hokusai:managed-by", "Value": "hokusai.platform"}]


def test_a_parameter_that_is_overwritten_stays_encrypted_with_its_own_kms_key(made: Credentials, aws: Any) -> None:
    """PutParameter without KeyId falls back to aws/ssm, which everybody in the account may decrypt with."""
    mine = aws.kms.create_key()["KeyMetadata"]["KeyId"]
    aws.ssm.put_parameter(Name="/some/key", Value="old", Type="SecureString", KeyId=mine)
    made.keep({"ssm_parameter": "/some/key"}, made.adopt(key := make_key(), "a test"))
    assert aws.ssm.get_parameter(Name="/some/key", WithDecryption=True)["Parameter"]["Value"] == key
    (described,) = aws.ssm.describe_parameters()["Parameters"]
    assert (described["Type"], described["KeyId"]) == ("SecureString", mine)


def test_a_parameter_that_anybody_can_read_takes_no_key(made: Credentials, aws: Any) -> None:
    aws.ssm.put_parameter(Name="/some/key", Value="old", Type="String")
    for refused in (
        lambda: made.check_writable({"ssm_parameter": "/some/key"}),
        lambda: made.keep({"ssm_parameter": "/some/key"}, made.adopt(make_key(), "a test")),
    ):
        with pytest.raises(BadInput, match="/some/key is a String"):
            refused()
    assert aws.ssm.get_parameter(Name="/some/key")["Parameter"]["Value"] == "old"


def test_a_key_file_is_private_and_replaced_in_one_piece(made: Credentials, tmp_path: Path) -> None:
    path = tmp_path / "key"
    private(path, "old", 0o644)
    made.keep({"file": str(path)}, made.adopt(key := make_key(), "a test"))
    assert path.read_text() == key + "\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["key"]


def test_a_store_that_holds_nothing_yet_is_not_an_error(made: Credentials, tmp_path: Path) -> None:
    for store in ({"file": str(tmp_path / "none")}, {"ssm_parameter": "/none"}, {"secret": "none"}):
        assert made.stored(store) is None


@pytest.mark.parametrize(
    "source", [{"ssm_parameter": "/none"}, {"secret": "none"}, {"file": "/none"}, {"environment": "NO_SUCH"}]
)
def test_a_source_that_does_not_exist_is_named(made: Credentials, source: dict[str, str]) -> None:
    with pytest.raises(NotFound, match=next(iter(source.values()))):
        made.read(source)


def test_a_key_file_that_everybody_can_open_is_refused_with_the_remedy(made: Credentials, tmp_path: Path) -> None:
    name = private(tmp_path / "key", make_key(), 0o644)
    with pytest.raises(BadInput, match=f"open to every user .*mode 0644.*chmod 600 {name}"):
        made.read({"file": name})


@pytest.mark.parametrize(
    "wrong", ["hk_test_short", "hk_prod_" + "a" * 32, "sk-" + "a" * 32, "hk_test_" + "a" * 31 + "!"]
)
def test_a_key_that_is_not_a_key_is_refused_by_its_source_and_not_by_its_value(
    made: Credentials, hidden: set[str], monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    monkeypatch.setenv("SOME_KEY", wrong)
    with pytest.raises(BadInput, match="the environment variable SOME_KEY holds is not a platform key") as refused:
        made.read({"environment": "SOME_KEY"})
    assert wrong not in str(refused.value)
    assert wrong in hidden


@pytest.mark.parametrize("kind", ["environment", "file", "ssm_parameter", "secret"])
@pytest.mark.parametrize("cut", [0, 5], ids=["whole", "cut short"])
def test_a_key_that_stands_where_a_name_belongs_is_not_shown(
    made: Credentials, hidden: set[str], kind: str, cut: int
) -> None:
    key = make_key("dev")[: 40 - cut]
    source = dict.fromkeys(subject.SOURCES) | {kind: key}
    with pytest.raises(BadInput, match=f"The key itself stands in `{kind}`.*put it in `value`") as refused:
        made.read(source)
    assert not traces(str(refused.value), key)
    assert key in hidden


@pytest.mark.parametrize("use", ["stored", "keep", "check_writable"])
def test_a_key_that_stands_where_its_store_belongs_is_not_shown(made: Credentials, hidden: set[str], use: str) -> None:
    wrong, key = make_key(), made.adopt(make_key(), "a test")
    with pytest.raises(BadInput, match="The key itself stands in `secret`") as refused:
        getattr(made, use)(*[{"secret": wrong}, key][: 2 if use == "keep" else 1])
    assert not traces(str(refused.value), wrong)
    assert wrong in hidden


def test_a_place_may_be_named_after_the_key_it_holds(made: Credentials, tmp_path: Path) -> None:
    name = private(tmp_path / "hk_test_key", key := make_key())
    assert made.read({"file": name}).reveal() == key


def test_two_values_are_two_keys(made: Credentials) -> None:
    first, second = make_key(), make_key()
    assert [made.read({"value": key}).reveal() for key in (first, second)] == [first, second]


def test_a_key_once_read_is_hidden_from_the_modules_output(made: Credentials, hidden: set[str]) -> None:
    key = make_key()
    made.read({"value": key})
    assert {key, key[8:]} <= hidden


def test_a_key_shows_where_it_is_from_and_nothing_else(made: Credentials) -> None:
    key = made.read({"value": (text := make_key())})
    assert repr(key) == str(key) == f"{key}" == "<key from the option value>"
    assert not traces(f"{key!r} {made!r} {[key]} {vars(made)['_keys']}", text)


@pytest.mark.parametrize(
    "echo",
    [
        pytest.param(lambda key: f"no such key: {key}", id="whole"),
        pytest.param(lambda key: f"no such key: {key[:14]}...", id="its beginning"),
        pytest.param(lambda key: f"no such key: ...{key[-8:]}", id="its end"),
        pytest.param(lambda key: f"no such key: {key[12:20]}", id="its middle"),
        pytest.param(lambda key: base64.b64encode(f"Bearer {key}".encode()).decode(), id="base64"),
        pytest.param(lambda key: base64.b64encode(f"x:{key}".encode()).decode(), id="base64 of basic"),
        pytest.param(lambda key: base64.urlsafe_b64encode(f"xx{key}".encode()).decode(), id="base64 for URLs"),
    ],
)
def test_an_echo_of_a_key_is_taken_out_of_a_text(made: Credentials, echo: Callable[[str], str]) -> None:
    key = make_key()
    assert traces(echo(key), key) or "..." in echo(key)
    made.read({"value": key})
    assert not traces(made.scrub(f"before {echo(key)} after"), key)
    assert made.scrub(f"before {echo(key)} after").startswith("before ")


def test_a_key_nobody_read_here_is_taken_out_of_a_text_too(made: Credentials) -> None:
    assert made.scrub(f"is it {make_key()}?") == "is it ********?"


def test_a_text_without_a_key_stays_as_it_is(made: Credentials) -> None:
    made.read({"value": make_key()})
    text = '{"experiments": [{"name": "Default", "artifact_location": "mlflow-artifacts:/0"}]} hk_test_'
    assert made.scrub(text) == text


def test_a_directory_that_is_not_there_is_found_before_a_key_is_minted(made: Credentials, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be written"):
        made.check_writable({"file": str(tmp_path / "none" / "key")})


def test_the_refused_key_has_the_form_of_a_key_and_is_another_each_time() -> None:
    first, second = subject.refused_key(), subject.refused_key()
    assert subject.KEY_FORM.fullmatch(first.reveal())
    assert first.reveal() != second.reveal()

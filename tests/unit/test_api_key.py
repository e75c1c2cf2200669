"""Keys are validated, minted, copied and revoked, and shown nowhere while that happens."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hokusai.platform.plugins.modules import api_key

from sandbox.controlplane import ControlPlane, Fault
from tests.unit.web import Auth, Reply, Web, make_key, serving, traces

ROOT = Path(__file__).resolve().parents[2]
Run = Callable[..., dict[str, Any]]


@pytest.fixture
def auth() -> Auth:
    return Auth()


@pytest.fixture
def web(auth: Auth) -> Iterator[Web]:
    with serving(auth.respond) as running:
        yield running


@pytest.fixture
def run(run_module: Run, web: Web, auth: Auth, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run an action; the admin key is in ADMIN_KEY, the module's parameters are complete for a mint to `store`."""
    monkeypatch.setenv("ADMIN_KEY", auth.admin)

    def act(action: str, **options: Any) -> dict[str, Any]:
        given = {"auth_url": web.url, "admin_source": {"environment": "ADMIN_KEY"}, "name": "tests", **options}
        return run_module(api_key.main, action=action, **given)

    return act


def test_a_valid_key_is_reported_with_its_id_service_and_scopes(run: Run, auth: Auth) -> None:
    key = auth.add()
    result = run("validate", source={"value": key}, scopes=["read"])
    assert (result["is_valid"], result["verdict"], result["changed"]) == (True, "valid", False)
    assert (result["key_id"], result["service_id"]) == (auth.keys[key]["key_id"], "platform")
    assert result["scopes"] == ["read", "write"]


def test_a_revoked_key_is_refused_with_the_services_reason(run: Run, auth: Auth) -> None:
    key = auth.add()
    auth.keys[key]["is_active"] = False
    result = run("validate", source={"value": key})
    assert (result["is_valid"], result["verdict"], result["reason"]) == (False, "refused", "revoked")


def test_a_key_in_the_services_reason_is_masked(run: Run) -> None:
    """The service of these tests repeats the beginning of a key it does not know, as real ones do."""
    assert run("validate", source={"value": make_key()})["reason"] == "unknown: ********..."


def test_a_key_of_another_service_is_told_from_a_refused_one(run: Run, auth: Auth) -> None:
    result = run("validate", source={"value": auth.add("ml-platform")})
    assert (result["is_valid"], result["verdict"]) == (False, "wrong_service")


def test_an_approved_key_whose_service_is_another_is_not_valid(run: Run, auth: Auth) -> None:
    auth.outage = Reply(200, {"is_valid": True, "service_id": "other", "scopes": []})
    result = run("validate", source={"value": make_key()})
    assert (result["is_valid"], result["verdict"]) == (False, "wrong_service")
    assert "other, not platform" in result["reason"]


def test_missing_scopes_are_listed(run: Run, auth: Auth) -> None:
    result = run("validate", source={"value": auth.add(scopes=("read",))}, scopes=["read", "write"])
    assert (result["is_valid"], result["verdict"]) == (False, "missing_scopes")
    assert result["missing_scopes"] == ["write"]


@pytest.mark.parametrize(
    "outage",
    [
        Reply(503, {"detail": "down"}, {"Retry-After": "7"}),
        Reply(500, "boom"),
        Reply(429, {"detail": "slow down"}),
        Reply(404, "<html>404</html>"),
        Reply(403, "<html>blocked</html>"),
        Reply(301, "", {"Location": "https://elsewhere.invalid/"}),
        Reply(200, "<html>login</html>"),
        Reply(200, {"valid": True}),
    ],
    ids=lambda reply: f"{reply.status} {str(reply.body)[:12]}",
)
def test_an_answer_outside_the_contract_is_an_error_and_says_nothing_about_the_key(
    run: Run, auth: Auth, outage: Reply
) -> None:
    auth.outage = outage
    result = run("validate", source={"value": make_key()})
    assert result["failed"]
    assert result["error"] == "AuthServiceError"
    assert f"answered {outage.status}" in result["msg"]
    assert "is_valid" not in result


def test_an_auth_service_that_is_not_there_is_an_error_that_names_what_failed(run: Run) -> None:
    result = run("validate", source={"value": make_key()}, auth_url="http://127.0.0.1:9")
    assert result["failed"]
    assert "connect" in result["msg"]


def test_what_retry_after_says_is_in_the_remedy(run: Run, auth: Auth) -> None:
    auth.outage = Reply(503, {"detail": "down"}, {"Retry-After": "7"})
    assert "try again in 7 s" in run("validate", source={"value": make_key()})["remedy"]


def test_a_key_that_is_not_a_key_makes_no_request(run: Run, web: Web) -> None:
    result = run("validate", source={"value": "hk_test_tooshort"})
    assert "the option value holds is not a platform key" in result["msg"]
    assert web.seen == []


@pytest.mark.parametrize("check", [False, True], ids=["run", "check mode"])
def test_checking_a_key_says_where_it_was_read_and_asks_nobody(run: Run, auth: Auth, web: Web, check: bool) -> None:
    result = run("check", source={"environment": "ADMIN_KEY"}, auth_url=None, _check=check)
    assert result["source"] == "the environment variable ADMIN_KEY"
    assert (result["changed"], result["is_valid"], result["verdict"]) == (False, None, "")
    assert web.seen == []
    assert not traces(json.dumps(result), auth.admin)


def test_checking_refuses_what_has_not_the_form_of_a_key(run: Run) -> None:
    result = run("check", source={"value": "hk_test_tooshort"})
    assert "What the option value holds is not a platform key" in result["msg"]
    assert result["remedy"]


def test_validating_says_where_the_key_was_read(run: Run, auth: Auth) -> None:
    assert run("validate", source={"value": auth.add()})["source"] == "the option value"


@pytest.mark.parametrize(
    "source", [{}, {"environment": "A", "file": "/b"}, {"value": None}], ids=["none", "two", "empty"]
)
def test_exactly_one_source_is_given(run: Run, web: Web, source: dict[str, Any]) -> None:
    assert run("validate", source=source)["failed"]
    assert web.seen == []


def test_the_client_address_is_passed_on(run: Run, auth: Auth, web: Web) -> None:
    run("validate", source={"value": auth.add()}, client_ip="192.0.2.7")
    assert json.loads(web.seen[-1].body) == {"service_id": "platform", "client_ip": "192.0.2.7"}


@pytest.mark.parametrize("kind", ["file", "ssm_parameter", "secret"])
def test_a_minted_key_is_valid_and_in_its_store_and_a_second_run_changes_nothing(
    run: Run, auth: Auth, tmp_path: Path, kind: str
) -> None:
    store = {kind: str(tmp_path / "key")}
    predicted = run("mint", store=store, _check=True)
    assert auth.keys == {}
    made = run("mint", store=store)
    assert (made["changed"], made["is_valid"], made["steps"]) == (True, True, predicted["steps"])
    read = run("validate", source=store, scopes=["read", "write"])
    assert (read["is_valid"], read["key_id"]) == (True, made["key_id"])
    again = run("mint", store=store)
    assert (again["changed"], again["key_id"], again["steps"]) == (False, made["key_id"], [])
    assert run("mint", store=store, _check=True)["changed"] is False
    assert len(auth.keys) == 1


@pytest.mark.parametrize(
    "held",
    [
        {"service_id": "other"},
        {"scopes": ("read",)},
        {"scopes": ("admin", "read", "write")},
        {"environment": "dev"},
    ],
    ids=["another service", "too few scopes", "too many scopes", "another environment"],
)
def test_a_stored_key_that_is_not_the_wanted_one_is_replaced(
    run: Run, auth: Auth, tmp_path: Path, held: dict[str, Any]
) -> None:
    path = tmp_path / "key"
    path.touch(0o600)
    path.write_text(auth.add(**held))
    assert run("mint", store={"file": str(path)})["changed"]
    assert auth.keys[path.read_text().strip()]["scopes"] == ["read", "write"]


def test_a_stored_key_is_not_replaced_because_the_auth_service_is_down(run: Run, auth: Auth, tmp_path: Path) -> None:
    store = {"file": str(tmp_path / "key")}
    run("mint", store=store)
    auth.outage = Reply(503, {"detail": "down"})
    assert run("mint", store=store)["failed"]
    auth.outage = None
    assert len(auth.keys) == 1


def test_something_in_the_store_that_is_no_key_is_not_overwritten(run: Run, auth: Auth, tmp_path: Path) -> None:
    path = tmp_path / "notes"
    path.touch(0o600)
    path.write_text("my shopping list")
    result = run("mint", store={"file": str(path)})
    assert "is not a platform key" in result["msg"]
    assert (path.read_text(), auth.keys) == ("my shopping list", {})


def test_a_place_that_cannot_be_written_is_found_before_the_mint(run: Run, auth: Auth, tmp_path: Path) -> None:
    assert run("mint", store={"file": str(tmp_path / "none" / "key")})["failed"]
    assert auth.keys == {}


def test_a_readable_parameter_is_found_before_the_mint(run: Run, auth: Auth, aws: Any) -> None:
    aws.ssm.put_parameter(Name="/some/key", Value=make_key(), Type="String")
    assert "is a String" in run("mint", store={"ssm_parameter": "/some/key"})["msg"]
    assert auth.keys == {}


def test_a_key_that_cannot_be_kept_is_revoked_again(
    run: Run, auth: Auth, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    result = run("mint", store={"file": str(tmp_path / "key")})
    assert "No space left on device" in result["msg"]
    assert "is revoked again" in result["msg"]
    assert (len(auth.keys), auth.active, list(tmp_path.iterdir())) == (1, [], [])


def test_a_key_that_its_store_may_hold_is_not_revoked(
    run: Run, auth: Auth, aws: Any, control_plane: ControlPlane
) -> None:
    """The write landed, its answer was lost, and the next try is refused."""
    parameter = {"ssm_parameter": "/some/key"}
    faults = [Fault("^ssm:PutParameter$", after=True), Fault("^ssm:PutParameter$", skip=1, times=9, kind="denied")]
    control_plane.faults.replace(faults)
    result = run("mint", store=parameter)
    control_plane.faults.replace([])
    stored = aws.ssm.get_parameter(Name="/some/key", WithDecryption=True)["Parameter"]["Value"]
    assert result["failed"]
    assert "its store may hold it" in result["msg"]
    assert auth.active == [stored]


def test_a_minted_key_that_is_not_a_key_is_revoked_again_and_not_stored(run: Run, auth: Auth, tmp_path: Path) -> None:
    auth.mints = lambda _environment: "certainly-not-a-key"
    result = run("mint", store={"file": str(tmp_path / "key")})
    assert "is revoked again" in result["msg"]
    assert "certainly" not in json.dumps(result)
    assert (auth.active, list(tmp_path.iterdir())) == ([], [])


def test_a_key_that_may_not_administer_is_named_by_its_source(run: Run, auth: Auth, tmp_path: Path) -> None:
    auth.admin = make_key()
    result = run("mint", store={"file": str(tmp_path / "key")})
    assert "answered 403 to the admin key" in result["msg"]
    assert "admin_source" in result["remedy"]


def test_revoking_is_predicted_done_once_and_then_nothing(run: Run, auth: Auth) -> None:
    key_id = auth.keys[auth.add()]["key_id"]
    assert run("revoke", key_id=key_id, _check=True)["changed"]
    assert len(auth.active) == 1
    assert run("revoke", key_id=key_id)["changed"]
    assert auth.active == []
    assert not run("revoke", key_id=key_id)["changed"]


def test_revoking_an_unknown_key_is_an_error(run: Run) -> None:
    assert run("revoke", key_id="key_none")["error"] == "NotFound"


@pytest.mark.parametrize("key_id", ["", " "])
def test_revoking_no_key_is_refused_and_nobody_is_asked(run: Run, web: Web, auth: Auth, key_id: str) -> None:
    auth.add()
    result = run("revoke", key_id=key_id)
    assert (result["failed"], result["error"]) == (True, "BadInput")
    assert "key_id is empty" in result["msg"]
    assert (len(auth.active), web.seen) == (1, [])


def test_a_key_is_copied_once_and_predicted(run: Run, web: Web, tmp_path: Path) -> None:
    key, store = make_key(), {"file": str(tmp_path / "key")}
    assert run("copy", source={"value": key}, store=store, _check=True)["changed"]
    assert not (tmp_path / "key").exists()
    assert run("copy", source={"value": key}, store=store)["changed"]
    assert (tmp_path / "key").read_text().strip() == key
    assert not run("copy", source={"value": key}, store=store)["changed"]
    assert web.seen == []


def shout(options: dict[str, Any], environment: dict[str, str]) -> str:
    """Everything Ansible prints of the task at its loudest."""
    command = ["adhoc", "-m", "hokusai.platform.api_key", "-a", json.dumps(options), "-vvvv", "--diff"]
    where = ["-i", "localhost,", "-c", "local", "-e", f"ansible_python_interpreter={sys.executable}", "localhost"]
    run = subprocess.run(
        [sys.executable, "-m", "ansible", *command, *where],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=100,
        env={
            **os.environ,
            **environment,
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".collections"),
        },
        check=False,
    )
    assert "api_key" in run.stdout
    return run.stdout + run.stderr


def test_the_key_is_nowhere_in_what_ansible_prints_at_its_loudest(web: Web, auth: Auth, tmp_path: Path) -> None:
    key, unknown = auth.add(), make_key()
    environment = {"SOME_KEY": key, "ADMIN_KEY": auth.admin}
    asked = {"auth_url": web.url, "admin_source": {"environment": "ADMIN_KEY"}}
    valid = shout({**asked, "action": "validate", "source": {"environment": "SOME_KEY"}}, environment)
    assert '"is_valid": true' in valid or "is_valid: true" in valid
    refused = shout({**asked, "action": "validate", "source": {"value": unknown}}, environment)
    assert "unknown: ********" in refused
    store = {"file": str(tmp_path / "key")}
    minted = shout({**asked, "action": "mint", "name": "canary", "store": store}, environment)
    auth.outage = Reply(500, {"detail": f"cannot look up {key} for {auth.admin[8:24]}"})
    failed = shout({**asked, "action": "revoke", "key_id": "key_1"}, environment)
    assert "cannot look up" in failed
    misplaced = shout({**asked, "action": "check", "source": {"environment": unknown}}, environment)
    assert "The key itself stands in `environment`" in misplaced
    for each in (key, unknown, auth.admin, *auth.keys):
        assert not traces(valid + refused + minted + failed + misplaced, each)


def test_every_failure_keeps_the_keys_to_itself(run: Run, auth: Auth, tmp_path: Path) -> None:
    key, path = auth.add(), tmp_path / "key"
    path.touch(0o644)
    path.write_text(key)
    path.chmod(0o644)
    seen = [run("validate", source={"file": str(path)}), run("validate", source={"value": key}, auth_url="nonsense")]
    for status in (200, 201, 401, 403, 422, 500):
        auth.outage = Reply(status, {"detail": f"{key} {auth.admin}", "key": key, "message": key[10:30]})
        seen += [run("validate", source={"value": key}), run("mint", store={"file": str(tmp_path / "new")})]
    assert not traces(json.dumps(seen), key)
    assert not traces(json.dumps(seen), auth.admin)

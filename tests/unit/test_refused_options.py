"""A secret in an option that a module refuses is shown as little as one in its right place."""

from __future__ import annotations

import json
import secrets
import string
from collections.abc import Callable
from typing import Any

import pytest
from ansible.module_utils import basic
from ansible_collections.hokusai.platform.plugins.module_utils import redaction
from ansible_collections.hokusai.platform.plugins.modules import (
    alb_rules,
    api_key,
    ecs_service,
    health_score,
    http_probe,
    platform_history,
)

from tests.unit.web import make_key, traces

Shout = Callable[..., str]
KEY = make_key()
AWS_SECRET = "aB3" + "".join(secrets.choice(string.ascii_letters + string.digits + "/+") for _ in range(37))
RECORD_KEY = secrets.token_hex(32)
SLASHED = f"{RECORD_KEY[:10]}/{RECORD_KEY[10:20]}"
VALIDATE = {"action": "validate", "auth_url": "http://127.0.0.1:9"}


@pytest.fixture
def shout(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shout:
    """All that a module says with these options: what Ansible gets of it, and the machine's system log."""
    logged: list[str] = []
    monkeypatch.setattr(basic, "has_journal", False)
    monkeypatch.setattr(basic.AnsibleModule, "_log_to_syslog", lambda _module, text: logged.append(text))
    monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)

    def run(main: Callable[[], None], options: dict[str, Any]) -> str:
        given = {"region": "us-east-1", **options, "_ansible_remote_tmp": "/tmp/of-ansible", "_ansible_verbosity": 4}
        monkeypatch.setattr(basic, "_ANSIBLE_ARGS", json.dumps({"ANSIBLE_MODULE_ARGS": given}).encode())
        with pytest.raises(SystemExit):
            main()
        return capsys.readouterr().out + "\n".join(logged)

    return run


@pytest.mark.parametrize(
    ("main", "options", "secret"),
    [
        (api_key.main, {**VALIDATE, "source": {"valeu": KEY}}, KEY),
        (api_key.main, {**VALIDATE, "source": {KEY: None}}, KEY),
        (api_key.main, {**VALIDATE, "source": KEY}, KEY),
        (api_key.main, {**VALIDATE, "source": [KEY]}, KEY),
        (api_key.main, {**VALIDATE, "soruce": {"value": KEY}}, KEY),
        (api_key.main, {**VALIDATE, "source": {"file": "/none"}, "key_id": KEY}, KEY),
        (api_key.main, {**VALIDATE, "source": {"value": KEY, "file": "/none"}}, KEY),
        (api_key.main, {"action": "valdiate", "source": {"value": KEY}}, KEY),
        (api_key.main, {**VALIDATE, "source": "bare", "secret_key": AWS_SECRET}, AWS_SECRET),
        (api_key.main, {**VALIDATE, "source": {"file": "/none"}, "secretkey": AWS_SECRET}, AWS_SECRET),
        (api_key.main, {**VALIDATE, "source": {"file": "/none"}, "access_key": AWS_SECRET}, AWS_SECRET),
        (api_key.main, {**VALIDATE, "auth_url": f"http://u:{RECORD_KEY[:20]}@h/"}, RECORD_KEY[:20]),
        (http_probe.main, {"requests": [{"name": "n", "url": f"http://u:{SLASHED}@h/"}]}, SLASHED),
        (health_score.main, {"api_key": {"valeu": KEY}}, KEY),
        (http_probe.main, {"requests": [{"name": "n", "url": "http://h", "credential": {"valeu": KEY}}]}, KEY),
        (http_probe.main, {"requests": [{"name": "n", "url": "http://h", "headres": {"X-API-Key": KEY}}]}, KEY),
        (alb_rules.main, {"rules": [{"name": "n", "hosts": KEY, "wrong": [KEY]}]}, KEY),
        (platform_history.main, {"environment": "e", "key": {"environment": RECORD_KEY}}, RECORD_KEY),
        (platform_history.main, {"environment": "e", "key": {"evnironment": RECORD_KEY}}, RECORD_KEY),
        (ecs_service.main, {"containers": [{"name": "n", "environment": {"DB_PASSWORD": "a horse"}}]}, "a horse"),
        (ecs_service.main, {"containers": [{"name": "n", "enviroment": {"DB_PASSWORD": "a horse"}}]}, "a horse"),
        (ecs_service.main, {"containers": [{"name": "n", "command": ["x", "--token", "a horse"], "a": 1}]}, "a horse"),
    ],
    ids=lambda each: each.__module__.rpartition(".")[2] if callable(each) else type(each).__name__,
)
def test_it_is_in_nothing_that_the_module_says(
    shout: Shout, main: Callable[[], None], options: dict[str, Any], secret: str
) -> None:
    said = shout(main, options)
    assert '"failed": true' in said or '"ok": false' in said
    assert secret not in said
    assert not traces(said, secret)


def test_a_misspelt_option_is_still_named_with_those_there_are(shout: Shout) -> None:
    said = shout(api_key.main, {**VALIDATE, "source": {"file": "/none", "valeu": KEY}})
    assert "source.valeu. Supported parameters include: environment, file" in said


def test_what_is_no_secret_stays_to_be_seen(shout: Shout) -> None:
    tags = {"Owner": "platform", "Image": "sha256:" + "0" * 64}
    said = shout(alb_rules.main, {"rules": [{"name": "n", "hosts": ["registry.hokus.ai"], "tags": tags, "wrong": 1}]})
    (given,) = json.loads(said.splitlines()[1])["invocation"]["module_args"]["rules"]
    assert given["tags"] == tags
    assert given["hosts"] == ["registry.hokus.ai"]


def test_the_system_log_has_no_secret_of_options_that_are_accepted(shout: Shout) -> None:
    environment = {"DB_PASSWORD": "a horse", "PORT": "8001"}
    options = {"cluster": "c", "service": "s", "containers": [{"name": "n", "environment": environment}]}
    said = shout(ecs_service.main, {**options, "access_key": "only one half"})
    assert "Invoked with" in said
    assert "8001" in said
    assert "a horse" not in said


@pytest.mark.parametrize("text", ["", "hk_test_key", "a" * 40, "0123456789abcdef" * 2, "AKIA" + "B" * 16, "f" * 40])
def test_a_name_is_not_taken_for_a_secret(text: str) -> None:
    assert list(redaction.among({"key": text}, {"key": {"type": "str"}})) == []

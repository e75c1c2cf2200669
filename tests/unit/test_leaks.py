"""The search for secrets finds each form of one, and parts of each; a text that has none it leaves alone."""

from __future__ import annotations

import base64
import json
import secrets
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.integration.leaks import PART, Secrets, Sighting, Watch
from tests.unit.web import make_key

KEY = make_key()
TEXT = "aB3/+" + secrets.token_urlsafe(30).replace("-", "/").replace("_", "+")
SEARCH = Secrets({"key": KEY, "text": TEXT})


@pytest.mark.parametrize("secret", [KEY, TEXT], ids=["key", "text"])
@pytest.mark.parametrize("before", ["", "x", "xx", "Bearer "])
@pytest.mark.parametrize("part", [slice(None), slice(8, 8 + PART + 4), slice(-PART - 4, None)], ids=str)
def test_a_secret_is_found_in_every_form_and_in_part(secret: str, before: str, part: slice) -> None:
    name, piece = ("key" if secret == KEY else "text"), before + secret[part]
    encoded = base64.b64encode(piece.encode()).decode()
    shown = [piece, encoded, base64.urlsafe_b64encode(piece.encode()).decode(), quote(piece, safe=""), quote(encoded)]
    shown += [json.dumps(piece), json.dumps({"inner": json.dumps(piece)}), piece.replace("/", "\\/")]
    assert [SEARCH.found(f"before {each} after") for each in shown] == [{name}] * len(shown)


def test_what_is_masked_or_of_another_is_not_found() -> None:
    other = make_key()
    texts = ["", "hk_test_********", KEY[:8], other, base64.b64encode(other.encode()).decode(), KEY[: PART - 1]]
    assert not any(map(SEARCH.found, texts))


def test_a_secret_on_a_command_line_or_in_an_environment_is_seen(tmp_path: Path) -> None:
    with Watch(SEARCH, tmp_path) as watch:
        program = [sys.executable, "-c", "import time; time.sleep(0.5)"]
        with subprocess.Popen([*program, KEY]), subprocess.Popen(program, env={"OF_MINE": TEXT}):
            pass
    seen = {Sighting("key", "command line", sighting.program) for sighting in watch.sightings}
    assert {(each.secret, each.place) for each in watch.sightings} == {("key", "command line"), ("text", "environment")}
    assert all(Path(sys.executable).name in each.program for each in seen)


def test_the_mode_of_a_directory_with_a_secret_is_noted(tmp_path: Path) -> None:
    for name, content, mode in (("ansible-open", KEY, 0o755), ("ansible-other", "nothing", 0o750)):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(mode)
        (tmp_path / name / "payload").write_text(content)
    with Watch(SEARCH, tmp_path) as watch:
        deadline = time.monotonic() + 10
        while not watch.modes and time.monotonic() < deadline:
            time.sleep(0.02)
    assert watch.modes == {0o755}

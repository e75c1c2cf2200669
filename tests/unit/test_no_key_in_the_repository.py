"""No key, and no account but the made-up one, is in the repository or was ever in its history."""

from __future__ import annotations

import re
import secrets
import string
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ACCOUNT = "123456789012"
PLATFORM_KEY = re.compile(r"hk_(?:live|test|dev)_([A-Za-z0-9]{20,})")
SHAPES = {
    "a platform key": PLATFORM_KEY,
    "an AWS access key": re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    "a private key": re.compile(r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----\s+[A-Za-z0-9+/=]{16}"),
    "an account": re.compile(r"\barn:aws[a-z-]*:[a-z0-9-]+:[a-z0-9-]*:(?!123456789012)\d{12}\b"),
}
ORDERED = string.ascii_lowercase + string.digits
"""Letters in the order of the alphabet are an example, which nobody takes for a key."""


def added(repository: Path) -> str:
    """Every line that any commit added, and what stands in the work tree under version control."""
    log = ["git", "log", "--all", "--full-history", "-m", "-p", "--unified=0", "--no-color", "--format="]
    history = subprocess.run(log, cwd=repository, capture_output=True, check=True).stdout.decode(errors="replace")
    lines = (line[1:] for line in history.splitlines() if line.startswith("+"))
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=repository, capture_output=True, check=True).stdout
    files = (repository / name for name in listed.decode().split("\0") if name)
    texts = (file.read_bytes().decode(errors="replace") for file in files if file.is_file())
    return "\n".join([*lines, *texts])


def shaped(text: str) -> Iterator[str]:
    """The kinds of what looks like a key; never the text itself."""
    for kind, shape in SHAPES.items():
        for found in shape.finditer(text):
            if not (shape is PLATFORM_KEY and found[1] in ORDERED):
                yield kind


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="this is no clone")
def test_nothing_that_looks_like_a_key_is_or_was_in_the_repository() -> None:
    assert sorted(set(shaped(added(ROOT)))) == []


def commit(repository: Path, text: str) -> None:
    (repository / "file").write_text(text)
    who = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "add", "file"], cwd=repository, check=True)
    subprocess.run(["git", *who, "commit", "--quiet", "-m", "a change"], cwd=repository, check=True)


def random_text(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("a platform key", "hk_live_" + random_text(string.ascii_letters + string.digits, 32)),
        ("an AWS access key", "AKIA" + random_text(string.ascii_uppercase, 16)),
        ("a private key", f"-----BEGIN {'PRIVATE'} KEY-----\n{random_text(string.ascii_letters, 32)}"),
        ("an account", "arn:aws:iam::" + "4" * 12 + ":role/x"),
    ],
    ids=lambda value: value if value.startswith("a") and len(value) < 20 else "",
)
def test_a_key_that_was_taken_out_again_is_still_found(tmp_path: Path, kind: str, text: str) -> None:
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    commit(tmp_path, f"before {text} after\n")
    commit(tmp_path, f"arn:aws:iam::{ACCOUNT}:role/x hk_test_{ORDERED[:32]}\n")

    assert list(shaped(added(tmp_path))) == [kind]

"""No key, and no account but two made-up ones, is in the repository or was ever in its history."""

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
    "an AWS secret key": re.compile(r"(?i)secret_?access_?key\W{1,8}[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+])"),
    "a GitHub token": re.compile(r"\b(?:gh[pousr]_|github_pat_)[A-Za-z0-9_]{36}"),
    "a JSON web token": re.compile(r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}"),
    "a private key": re.compile(r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----\s+[A-Za-z0-9+/=]{16}"),
    "an account": re.compile(r"\barn:aws[a-z-]*:[a-z0-9-]+:[a-z0-9-]*:(?!123456789012|210987654321)\d{12}\b"),
}
ORDERED = string.ascii_lowercase + string.digits
"""Letters in the order of the alphabet are an example, which nobody takes for a key."""


def added(repository: Path) -> str:
    """Every line that any commit added, what each says, and what stands in the work tree under version control."""
    history = git(
        repository, "log", "--all", "--full-history", "-m", "-p", "--text", "--unified=0", "--no-color", "--format="
    )
    lines = (line[1:] for line in history.splitlines() if line.startswith("+"))
    messages = git(repository, "log", "--all", "--format=%an %ae %cn %ce%n%B%n%N")
    listed = git(repository, "ls-files", "-z")
    files = (repository / name for name in listed.split("\0") if name)
    texts = (file.read_bytes().decode(errors="replace") for file in files if file.is_file())
    return "\n".join([*lines, messages, *texts])


def git(repository: Path, *command: str) -> str:
    ended = subprocess.run(["git", *command], cwd=repository, capture_output=True, check=True)
    return ended.stdout.decode(errors="replace")


def shaped(text: str) -> Iterator[str]:
    """The kinds of what looks like a key; never the text itself."""
    for kind, shape in SHAPES.items():
        for found in shape.finditer(text):
            if not (shape is PLATFORM_KEY and found[1] in ORDERED):
                yield kind


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="this is no clone")
def test_nothing_that_looks_like_a_key_is_or_was_in_the_repository() -> None:
    assert sorted(set(shaped(added(ROOT)))) == []


def commit(repository: Path, text: str, message: str = "a change") -> None:
    (repository / "file").write_text(text)
    who = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "add", "file"], cwd=repository, check=True)
    subprocess.run(["git", *who, "commit", "--quiet", "-m", message], cwd=repository, check=True)


def random_text(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))


KEYS = pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("a platform key", "hk_live_" + random_text(string.ascii_letters + string.digits, 32)),
        ("an AWS access key", "AKIA" + random_text(string.ascii_uppercase, 16)),
        ("an AWS secret key", "aws_secret_access_key = " + random_text(string.ascii_letters + "/+", 40)),
        ("a GitHub token", "ghp_" + random_text(string.ascii_letters, 36)),
        (
            "a JSON web token",
            f"eyJ{random_text(string.ascii_letters, 20)}.eyJ{random_text(string.ascii_letters, 40)}.signature_",
        ),
        ("a private key", f"-----BEGIN {'PRIVATE'} KEY-----\n{random_text(string.ascii_letters, 32)}"),
        ("an account", "arn:aws:iam::" + "4" * 12 + ":role/x"),
    ],
    ids=lambda value: value if value in SHAPES else "",
)


@KEYS
def test_a_key_in_what_a_commit_says_is_found(tmp_path: Path, kind: str, text: str) -> None:
    git(tmp_path, "init", "--quiet")
    commit(tmp_path, "text\n", f"it was {text} before")

    assert list(shaped(added(tmp_path))) == [kind]


@KEYS
def test_a_key_that_was_taken_out_again_is_still_found(tmp_path: Path, kind: str, text: str) -> None:
    git(tmp_path, "init", "--quiet")
    commit(tmp_path, f"before {text} after\n")
    commit(tmp_path, f"arn:aws:iam::{ACCOUNT}:role/x hk_test_{ORDERED[:32]}\n")

    assert list(shaped(added(tmp_path))) == [kind]

"""Every shell block of the documents is run: here, or by what is named; and all of them are read before."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import botocore.session
import pytest
from ansible.cli.playbook import PlaybookCLI
from botocore import xform_name

from tests.docs.elsewhere import COMMANDS, COMPARED
from tests.docs.test_commands import PAGES
from tests.docsite import blocks
from tests.docsite.blocks import Block
from tests.sanity import ROOT

BLOCKS = [block for document in blocks.documents() for block in blocks.read(document)]
ALL = [command for block in BLOCKS for command in block.commands]
PLAYBOOKS = sorted({command for command in ALL if command.startswith("ansible-playbook ")})
AWS = sorted({command for command in COMMANDS if command.startswith("aws ")})


def test_a_command_that_is_run_elsewhere_names_what_runs_it_and_no_other_is_kept() -> None:
    assert {
        command for block in BLOCKS if block.kind == blocks.ELSEWHERE for command in block.commands
    } == COMMANDS.keys()


def test_what_a_block_that_is_run_elsewhere_prints_is_compared_there() -> None:
    told = {tuple(block.commands) for block in BLOCKS if block.kind == blocks.ELSEWHERE and block.printed}
    assert told == COMPARED.keys()
    assert [file for file in COMPARED.values() if "blocks.missing(" not in (ROOT / file).read_text()] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_said_to_run_a_command_does(command: str) -> None:
    place = COMMANDS[command]
    if place.file.endswith(".md"):
        assert place.file in PAGES
        assert command in [each for block in BLOCKS if is_run(block, place.file) for each in block.commands]
    else:
        text = (ROOT / place.file).read_text()
        assert [line for line in place.lines if line not in text] == []
        assert [name for name in telling(command) if name not in "\n".join(place.lines)] == []


def is_run(block: Block, page: str) -> bool:
    return (block.document, block.kind) == (page, blocks.RUN)


def telling(command: str) -> set[str]:
    """What tells a command from others: what it is about, its switches, the names of its variables."""
    words = shlex.split(command)
    about = words[{"make": 1, "aws": 2, "ansible-galaxy": 2, "ansible-playbook": 1}.get(words[0], -1)]
    name = re.split(r"[./]", about.removesuffix(".yml"))[-1].replace("-", "_")
    variables = {word.partition("=")[0] for word in words if re.match(r"\w+=", word)}
    switches = {word for word in words if word in {"--check", "--diff"}}
    return {name, *variables, *switches}


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.where)
def test_every_block_is_something_that_bash_understands(block: Block) -> None:
    ended = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("command", PLAYBOOKS)
def test_every_playbook_exists_and_its_options_do(command: str) -> None:
    words = shlex.split(command)
    PlaybookCLI(words).parse()
    playbook = words[1]
    name = playbook.removeprefix("hokusai.platform.") if playbook.startswith("hokusai.") else Path(playbook).stem
    assert (ROOT / "playbooks" / f"{name}.yml").exists()


@pytest.mark.parametrize("command", AWS)
def test_every_command_of_aws_is_an_operation_with_these_options(command: str) -> None:
    _aws, service, operation, *words = shlex.split(command)
    model = botocore.session.get_session().get_service_model({"s3api": "s3"}.get(service, service))
    names = {xform_name(name, "-"): name for name in model.operation_names}
    assert operation in names
    shape = model.operation_model(names[operation]).input_shape
    options = {xform_name(name, "-") for name in shape.members} if shape else set()
    given = {re.sub("^--(no-)?", "", word).partition("=")[0] for word in words if word.startswith("--")}
    assert given <= options | {"query", "output", "region"}


def read(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> list[Block]:
    (tmp_path / "page.md").write_text(text)
    monkeypatch.setattr(blocks, "ROOT", tmp_path)
    return blocks.read("page.md")


def test_a_block_that_does_not_say_what_it_is_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(blocks.BadBlockError, match=r"page\.md:3"):
        read(tmp_path, "# Page\n\n```\nmake demo\n```\n", monkeypatch)
    with pytest.raises(blocks.BadBlockError, match="later is none of"):
        read(tmp_path, "```sh later\nmake demo\n```\n", monkeypatch)


@pytest.mark.parametrize(
    "text",
    [
        "```bash\nmake demo\n```\n",
        "```SH\nmake demo\n```\n",
        "```console\n$ make demo\n```\n",
        "```shell\nmake demo\n```\n",
        "````sh\nmake demo\n````\n",
        "~~~sh\nmake demo\n~~~\n",
        "1. so\n\n   ```sh\n   make demo\n   ```\n",
        "- ```sh\n  make demo\n  ```\n",
        "> ```sh\n> make demo\n> ```\n",
        "```sh\nmake demo\n",
        "```sh\nmake demo\n``` \n\n```sh\nfalse\n```\n",
        "```text\nprinted by nothing\n```\n",
    ],
)
def test_a_block_that_nothing_would_run_or_compare_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    with pytest.raises(blocks.BadBlockError, match=r"page\.md:"):
        read(tmp_path, text, monkeypatch)


def test_an_output_belongs_to_the_block_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "```sh\nls\n```\n\nIt prints\n\n```text\na\nb\n```\n\n```sh fails\nfalse\n```\n"
    first, second = read(tmp_path, text, monkeypatch)
    assert (first.kind, first.printed) == ("run", ("a", "b"))
    assert (second.kind, second.printed) == ("fails", ())


def block(text: str, *printed: str, kind: str = blocks.RUN) -> Block:
    return Block("page.md", 1, kind, text, printed)


def test_commands_are_taken_apart_without_their_comments() -> None:
    assert block("one  # first\ntwo \\\n  --more\n\n# nothing\n").commands == ["one", "two --more"]


def run(*several: Block) -> tuple[int, dict[int, str]]:
    ended = subprocess.run(["bash", "-c", blocks.script(several)], capture_output=True, text=True, check=False)
    return ended.returncode, blocks.outputs(ended.stdout)


def test_the_blocks_of_a_page_share_a_shell_and_each_has_its_own_output() -> None:
    assert run(block("X=1\n"), block("echo $X\n"), block("exit 9\n", kind=blocks.ELSEWHERE)) == (0, {0: "", 1: "1\n"})


def test_a_block_that_should_fail_and_does_not_is_a_failure() -> None:
    assert run(block("false\n", kind=blocks.FAILS), block("echo on\n")) == (0, {0: "", 1: "on\n"})
    assert run(block("true\n", kind=blocks.FAILS))[0] == 70


def test_the_first_command_that_fails_ends_the_page() -> None:
    assert run(block("false\necho on\n")) == (1, {0: ""})


@pytest.mark.parametrize(
    ("printed", "lacking"),
    [
        (["took 12 s"], []),
        (["model hokusai-0a1b2c3d version 2"], []),
        (["model ... version 2"], []),
        (["took ..."], []),
        (["took 3 s ..."], []),
        (["...", "b"], []),
        (["b", "took 12 s"], ["took # s"]),
        (["took 12 minutes"], ["took 12 minutes"]),
        (["model hokusai-0a1b2c3d version 3"], ["model hokusai-# version 3"]),
    ],
)
def test_an_output_is_compared_but_for_ids_and_durations_and_in_order(printed: list[str], lacking: list[str]) -> None:
    real = "took 3 s\nmodel hokusai-ffffff01 version 2\nb\n"
    assert blocks.missing(block("x", *printed), real) == lacking

"""The README says what is so: its links lead somewhere, and its commands run, from its own text."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from commands import ROOT, free_port, script, start
from conftest import composed

README = (ROOT / "README.md").read_text()
LINKS = re.findall(r"\]\(([\w./-]+?)(?:#L(\d+))?\)", README)
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", BLOCK.sub("", README))]

# What makes the environment that the tests have already: it stands in for the one of a fresh machine.
SETTING_UP = ("python3 -m venv", ". .venv/bin/activate", "pip install")
NOT_RUN = {
    "pytest": "it runs this test",
    "python tests/drift.py": "it measures for an hour",
}
PLACEHOLDERS = {"<first node>": "127.0.0.1"}
PROGRAMS = ("python", "pip", "tensorboard", "pytest", "torchrun", "srun")


class Ran(NamedTuple):
    block: int  # the number of its block in the README
    command: str
    status: int
    out: str
    err: str


def test_links_lead_to_files_and_pictures() -> None:
    assert len(LINKS) >= 8
    for path, _ in LINKS:
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize(
    ("idea", "word"),
    [
        ("Forward pass", "def forward"),
        ("Activation", "ACTIVATIONS"),
        ("Loss", "mse_loss"),
        ("Backpropagation", "def training_step"),
        ("Optimizer", "def configure_optimizers"),
        ("Learning rate", "lr:"),
        ("Epochs", "max_epochs"),
    ],
)
def test_each_idea_of_the_tutorial_leads_to_its_line(idea: str, word: str) -> None:
    """The table's link names the line that does it."""
    (row,) = [line for line in README.splitlines() if re.match(rf"\|\s*{idea}\b", line, re.IGNORECASE)]
    path, line = re.findall(r"\]\(([\w./-]+?)#L(\d+)\)", row)[0]
    assert word in (ROOT / path).read_text().splitlines()[int(line) - 1]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this checkout, with what isn't committed yet; the README's files and outputs go there."""
    copy = tmp_path_factory.mktemp("checkout")
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    for name in subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0"):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    return copy


@pytest.fixture(scope="module")
def ran(checkout: Path) -> list[Ran]:
    """Everything that the README's blocks say to do, in their order: files are written, commands run."""
    done = []
    for number, block in enumerate(BLOCK.finditer(README)):
        language, text = block.groups()
        if language in ("python", "yaml"):
            path = checkout / re.findall(r"`([\w./]+\.(?:py|yaml))`", README[: block.start()])[-1]
            with path.open("a") as file:  # a module is told in parts
                file.write(text)
        elif language == "bash":
            known = {one.command for one in done}
            for command in (command for command in commands_of(text) if command not in known):
                done.append(Ran(number, command, *run(command, checkout, fresh=not done)))
    return done


def commands_of(text: str) -> Iterator[str]:
    """The lines of a block, without comments and what sets up the environment."""
    for line in text.replace("\\\n", "").splitlines():
        parts = shlex.join(shlex.split(line, comments=True)).replace("'&&'", "&&").split(" && ")
        yield from (part for part in parts if part and not part.startswith(SETTING_UP) and part not in NOT_RUN)


def run(command: str, checkout: Path, fresh: bool = False) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of a command; of a review once it has answered and been ended.

    The first runs as on a fresh machine, the others in processes that know Python's part of it.
    """
    environment, (program, *words) = environment_of(command)
    if program == "python" and words[0] == "scripts/review.py":
        return ask_review(words, checkout)
    if program == "python" and words[0].endswith(".py"):
        done = script(str(checkout / words[0]), *words[1:], cwd=checkout, environment=environment, fresh=fresh)
        return done.returncode, done.stdout, done.stderr
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    whole = ["bash", "-c", command]
    done = subprocess.run(whole, cwd=checkout, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def environment_of(command: str) -> tuple[dict[str, str], list[str]]:
    """The environment that a command asks for, and its words."""
    words = shlex.split(command)
    environment = dict(os.environ)
    while re.match(r"[A-Z_]+=", words[0]):
        name, _, value = words.pop(0).partition("=")
        environment[name] = value
        if name == "PYTHONPATH":  # our own finds simplenn where it isn't installed
            environment[name] += os.pathsep + os.environ.get(name, "")
    return environment, words


def ask_review(words: list[str], checkout: Path) -> tuple[int, str, str]:
    server = start(str(checkout / words[0]), *words[1:], "--port", "0", cwd=checkout)
    told = ""
    try:
        while "Ctrl-C ends it" not in told:
            line = server.stdout.readline()
            assert line, told + server.stderr.read()
            told += line
        address = re.search(r"http://[\d.]+:\d+/", told)
        assert address, told
        with urllib.request.urlopen(f"{address[0]}data/environment", timeout=60) as answer:
            assert b"data_location" in answer.read()
    finally:
        server.send_signal(signal.SIGINT)
    out, _ = server.communicate()
    assert server.returncode == 130, told
    return 0, out, told


def test_every_command_of_the_readme_runs(ran: list[Ran]) -> None:
    """In the order of the README, in one checkout, each with the status 0."""
    assert len(ran) >= 16
    for _, command, status, out, err in ran:
        assert status == 0, f"{command}\n{out[-2000:]}{err}"


def test_the_example_is_what_the_second_command_prints(ran: list[Ran]) -> None:
    """But for the seconds."""
    introduction = README.index("The second of these prints:")
    blocks = list(BLOCK.finditer(README))
    (number,) = [n for n, block in enumerate(blocks) if block.end() < introduction < blocks[n + 1].start()]
    printed = [one.out for one in ran if one.block == number][1]
    example, printed = (re.sub(r"[\d.]+ s:", "some s:", text) for text in (blocks[number + 1][2], printed))
    assert printed == example


@pytest.mark.parametrize("title", ["## What a run leaves", "A sweep leaves"])
def test_what_is_left_is_what_the_readme_lists(title: str, ran: list[Ran], checkout: Path) -> None:
    """Each file of the list is there; a run leaves no other."""
    block = BLOCK.search(README, README.index(title))
    assert block is not None
    place, *lines = block[2].splitlines()
    directory = place.split()[0]
    names = [name for line in lines for name in re.split(r"\s{2,}", line.strip())[0].split(", ")]
    found = [list((checkout / directory).glob(name.rstrip("/"))) for name in names]
    assert all(found), dict(zip(names, found, strict=True))
    if directory.startswith("outputs/runs"):
        there = {path for path in (checkout / directory).rglob("*") if path.is_file()}
        assert {path for paths in found for path in paths} == there


def inline_commands() -> list[str]:
    return [code for code in INLINE if re.match(rf"([A-Z_]+=\S+ |<.*?> )*({'|'.join(PROGRAMS)}) \S", code)]


def test_every_command_in_the_readmes_prose_runs(ran: list[Ran], checkout: Path) -> None:
    """Those of several nodes in a test of their own."""
    assert len(inline_commands()) >= 4
    assert all(command in README for command in NOT_RUN)
    for command in dict.fromkeys(inline_commands()):
        if command in NOT_RUN or command.startswith((*SETTING_UP, "NODE_RANK")):
            continue
        status, out, err = run(command, checkout)
        assert status == 0, f"{command}\n{out[-2000:]}{err}"


def test_the_command_for_several_nodes_trains(checkout: Path) -> None:
    """On two nodes that are both this machine, with one process each for the two of `trainer=ddp`."""
    (command,) = [code for code in INLINE if code.startswith("NODE_RANK=0 ")]
    for name, value in PLACEHOLDERS.items():
        command = command.replace(name, value)
    command = command.replace("29500", str(free_port()))
    nodes = []
    for node in range(2):
        environment, words = environment_of(command.replace("NODE_RANK=0", f"NODE_RANK={node}"))
        ours = ["trainer.devices=1", "trainer.accelerator=cpu", "trainer.max_epochs=2"]
        nodes.append(start(str(checkout / words[1]), *words[2:], *ours, cwd=checkout, environment=environment))
    (out, err), rest = (node.communicate() for node in nodes)
    assert [node.returncode for node in nodes] == [0, 0], out + err
    assert "done after 2 epochs" in out and rest == ("", "")


OVERRIDES = [code for code in dict.fromkeys(INLINE) if re.fullmatch(r"[a-z][\w./]*=[^<>]*", code)]


@pytest.mark.parametrize("override", OVERRIDES)
def test_every_setting_in_the_readmes_prose_is_known(override: str) -> None:
    (word,) = shlex.split(override)
    composed(word)


def test_the_places_that_the_readme_names_are_there() -> None:
    block = BLOCK.search(README, README.index("## What is where"))
    assert block is not None
    places = re.findall(r"(?:conf|scripts|src|tests)/[\w/.]*", block[2])
    assert len(places) >= 10
    assert [place for place in places if not (ROOT / place).exists()] == []


def test_ci_runs_the_readmes_test_command() -> None:
    """In a fresh virtual environment, and what else keeps the code in order."""
    (command,) = [line for line in README.splitlines() if line.endswith("&& pytest")]
    set_up, _, test = command.rpartition(" && ")
    lines = [line.replace(" --quiet", "") for line in (ROOT / ".ci" / "run").read_text().splitlines()]
    for wanted in (set_up, "ruff check .", "ruff format --check .", "pyright", test):
        assert wanted in lines, wanted
    assert lines.index("rm -rf .venv") < lines.index(set_up) < lines.index(test)
    assert "set -euo pipefail" in lines
    assert os.access(ROOT / ".ci" / "run", os.X_OK)

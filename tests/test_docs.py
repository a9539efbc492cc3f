"""The pages in docs/ say what is so: their code runs, from their own text, and their links lead somewhere."""

import re
import shlex
import signal
import urllib.request
from pathlib import Path

import matplotlib
import pytest
from commands import FORKING, ROOT, script, start
from matplotlib import pyplot

from simplenn.notebook import training

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([\w./-]+)(?:#([\w-]+))?\)")
PAGES = sorted((ROOT / "docs").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for path, anchor in LINK.findall(page.read_text()):
        assert (page.parent / path).exists(), path
        if anchor:
            headings = re.findall(r"^#+ (.+)$", (page.parent / path).read_text(), re.MULTILINE)
            assert anchor in [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings], anchor


def test_the_notebook_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All of its blocks in their order, as in a notebook, with what they say of the values."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(training, "subprocess", FORKING)
    matplotlib.use("agg")
    cells: dict = {}
    text = (ROOT / "docs" / "notebook.md").read_text()
    for language, code in BLOCK.findall(text):
        assert language == "python"
        exec(compile(code, "docs/notebook.md", "exec"), cells)
    assert f"# {cells['sweep']!r}\n" in text
    assert abs(cells["network"]([1, 2, 3]) - 6) < 1
    assert f"# {capsys.readouterr().out.splitlines()[-1]}\n" in text  # the refusal
    pyplot.close(cells["figure"])
    assert len(cells["band"]) == 100 and cells["is_dead"].shape == (120, 4)
    columns = set(re.findall(r"`(\w+)`", next(line for line in text.splitlines() if "`sweep.summary`" in line)))
    assert columns - {"diverged", "failed"} <= set(cells["sweep"].summary.columns)


def test_the_tutorials_commands_run_and_print_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In their order, in one directory; each line that a step quotes is within one of those that its commands print."""
    text = (ROOT / "docs" / "tutorial.md").read_text()
    steps = re.split(r"^## \d+\. ", text, flags=re.MULTILINE)[1:]
    assert len(steps) == 10
    cells: dict = {}
    monkeypatch.chdir(tmp_path)
    for step in steps:
        printed = ""
        for language, code in BLOCK.findall(step):
            if language == "bash":
                for command in code.splitlines():
                    printed += run(command, tmp_path)
            elif language == "python":
                exec(compile(code, "docs/tutorial.md", "exec"), cells)
            else:
                missing = [line for line in code.splitlines() if line not in printed]
                assert not missing, f"{missing}\n{printed}"
        for place in re.findall(r"`(outputs/[\w./]+)`", step):
            assert (tmp_path / place).exists(), place
    assert str(cells["network"].epoch) == "80"


def run(command: str, cwd: Path) -> str:
    """What it prints; one that serves is ended by Ctrl-C once its page answers."""
    program, path, *words = shlex.split(command)
    assert program == "python" and path.startswith("scripts/")
    if path == "scripts/review.py":
        return served(words, cwd)
    done = script(path.removeprefix("scripts/"), *words, cwd=cwd)
    assert done.returncode == 0 and not done.stderr, f"{command}\n{done.stdout[-2000:]}{done.stderr}"
    return done.stdout


def served(words: list[str], cwd: Path) -> str:
    server = start("review.py", *words, "--port", "0", cwd=cwd)
    printed = ""
    try:
        while "Ctrl-C ends it" not in printed:
            line = server.stdout.readline()
            assert line, printed
            printed += line
        links = re.findall(r"http://[\w.:/]+", printed)
        assert links
        with urllib.request.urlopen(links[0], timeout=60) as answer:
            assert answer.status == 200
    finally:
        server.send_signal(signal.SIGINT)
        _, errors = server.communicate()
    assert server.returncode in (0, 130), errors
    return printed

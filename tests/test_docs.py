"""The pages in docs/ say what is so: their code runs, from their own text, and their links lead somewhere."""

import re
from pathlib import Path

import matplotlib
import pytest
from commands import ROOT
from matplotlib import pyplot

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([\w./-]+?)(?:#L(\d+))?\)")
PAGES = sorted((ROOT / "docs").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_to_files_and_pictures(page: Path) -> None:
    for path, _ in LINK.findall(page.read_text()):
        assert (page.parent / path).exists(), path


def test_the_notebook_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All of its blocks in their order, as in a notebook, with what they say of the values."""
    monkeypatch.chdir(tmp_path)
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

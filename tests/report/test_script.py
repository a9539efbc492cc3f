"""`scripts/report.py` as people call it, of sweeps that were trained: finished, several, cut off, running."""

import json
import shutil
import signal
import socket
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import polars
import pytest
from commands import ROOT, script, start

from simplenn.notebook.sweep import Sweep
from simplenn.report import study_of
from simplenn.report.comparison import compare
from simplenn.report.curves import bands_of, objectives_by_epoch
from simplenn.report.summary import write_summary
from simplenn.rundir import Run, read_rows

POST = ("experiment=post", "trainer=cpu", "progress=none", "trainer.max_epochs=6")
KILLED_AFTER_A_STACK = """
import os, signal
import simplenn.rundir.atomic as atomic

def crash_point(moment, path):
    if moment == "after rename" and str(path).endswith("stacks/0000-6"):
        os.kill(os.getpid(), signal.SIGKILL)

atomic.crash_point = crash_point
"""
GRID = ("optimizer=sgd,adam", "optimizer.lr=0.01,0.1,1e9", "seed=range(8)")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`study` has a sweep of 48 runs without directories, some of which diverged; `singly` one that Hydra's own
    launcher trained."""
    root = tmp_path_factory.mktemp("reported")
    done = script("train.py", "-m", *POST, *GRID, "name=study", "run_dirs=none", cwd=root)
    assert done.returncode == 1, done.stderr
    (root / "said").write_text(done.stdout)
    words = ("optimizer=sgd,adam", "optimizer.lr=0.01", "seed=1,2", "hydra/launcher=basic", "name=singly")
    assert script("train.py", "-m", *POST, *words, cwd=root).returncode == 0
    return root


def sweep_of(root: Path, name: str = "study") -> Path:
    return root / "outputs" / "sweeps" / name


def report(root: Path, *arguments: str, status: int = 0) -> str:
    done = script("report.py", *arguments, cwd=root, preloaded="hydra")
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout if status == 0 else done.stderr


def test_the_end_of_a_sweep_says_what_the_report_says(root: Path) -> None:
    """And leads there. Its summary.csv is the study's."""
    said = (root / "said").read_text().splitlines()
    reported = report(root, "outputs/sweeps/study", "--no-figures").splitlines()
    assert [line for line in said if line in reported] == [line for line in reported if line]
    assert f"report: python {ROOT}/scripts/report.py outputs/sweeps/study --html" in said
    table = polars.read_csv(sweep_of(root) / "summary.csv")
    study = study_of([sweep_of(root)])
    assert table.columns == study.settings.columns and len(table) == 6
    for name in ("setting", "n", "median", "q10", "q90", "diverged", "failed"):
        assert table[name].to_list() == study.settings[name].to_list(), name


def test_the_commands_that_it_prints_work(root: Path) -> None:
    """One trains the median run again by itself; one writes the directories of the best, the median and the worst."""
    lines = report(root, "outputs/sweeps/study", "--no-figures").splitlines()
    study = study_of([sweep_of(root)])
    best = study.runs.filter(study.runs["setting"] == study.settings["setting"][0]).sort("value")
    middle = best.row((len(best) - 1) // 2, named=True)
    (alone,) = [line.split()[3:] for line in lines if line.startswith("alone:")]
    assert script("train.py", *alone, "name=again", cwd=root).returncode == 0
    result = Run(root / "outputs" / "runs" / "again").result()
    assert result is not None and result.metrics["train/loss"] == middle["train/loss"]
    extract = lines[next(place for place, line in enumerate(lines) if line.startswith("runs:")) + 1].split()
    assert extract[:3] == ["python", f"{ROOT}/scripts/extract.py", "outputs/sweeps/study"]
    assert extract[3:] == [best["run"][0], middle["run"], best["run"][-1]]


def test_bands_are_those_of_the_runs_own_rows(root: Path) -> None:
    """Of stacks as of runs that trained by themselves; a diverged run is the worst from where its curve ends."""
    study = study_of([sweep_of(root, "singly")])
    setting = study.settings["setting"][0]
    runs = study.runs.filter(study.runs["setting"] == setting)["run"]
    rows = [read_rows(Run(sweep_of(root, "singly") / "runs" / run).metrics_file) for run in runs]
    curves = np.array([[row["train/loss"] for row in own] for own in rows]).T
    assert (objectives_by_epoch(study, [setting])[setting] == curves).all()
    assert (bands_of(study, [setting])[setting].median == np.median(curves, axis=1)).all()
    stacked = study_of([sweep_of(root)])
    assert bands_of(stacked, ["optimizer=sgd,optimizer.lr=0.01"])["optimizer=sgd,optimizer.lr=0.01"].n == 8
    same = stacked.runs.with_row_index().filter(stacked.runs["run"] == "optimizer=sgd,optimizer.lr=0.01,seed=1")
    own = objectives_by_epoch(stacked, ["optimizer=sgd,optimizer.lr=0.01"])["optimizer=sgd,optimizer.lr=0.01"]
    single = [row["train/loss"] for row in rows[0]] if "sgd" in setting else None
    assert len(same) == 1 and (single is None or (own[:, 1] == single).all())
    (diverged,) = objectives_by_epoch(stacked, ["optimizer=sgd,optimizer.lr=1e+09"]).values()
    assert np.isinf(diverged[-1]).all() and np.isfinite(diverged[0]).all()


class Page(HTMLParser):
    """The texts of a page and what it refers to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.references: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.references += [str(value) for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_the_page_has_table_words_and_figures_in_one_file(root: Path) -> None:
    said = report(root, "outputs/sweeps/study", "--html")
    folder = sweep_of(root) / "figures"
    assert sorted(path.name for path in folder.iterdir()) == ["curves.png", "histogram.png", "loss_by_lr.png"]
    assert "figures: outputs/sweeps/study/figures/ (loss_by_lr.png, curves.png, histogram.png)" in said
    assert "page:   outputs/sweeps/study/report.html" in said
    page = Page((sweep_of(root) / "report.html").read_text())
    assert len(page.references) == 3 and all(uri.startswith("data:image/png;base64,") for uri in page.references)
    text = " ".join(page.texts)
    study = study_of([sweep_of(root)])
    assert compare(study).rivalries[0].sentence in text and "48 runs: " in text
    assert not page.open and all(f"{median:.4g}" in text for median in study.settings["median"] if np.isfinite(median))


def test_several_sweeps_are_one_report(root: Path) -> None:
    said = report(root, "outputs/sweeps/study", "outputs/sweeps/singly")
    assert "48 runs: " in said and "figures: those of several sweeps are written where --figures says" in said
    report(root, "outputs/sweeps/study", "outputs/sweeps/singly", "--figures", "here", "--page", "both.html")
    assert (root / "here" / "loss_by_lr.png").exists() and "study, singly" in (root / "both.html").read_text()
    refused = report(root, "outputs/sweeps/study", "outputs/sweeps/singly", "--html", status=2)
    assert "--html of several sweeps must say which file, got none; try --page report.html" in refused


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere must be a sweep's directory, and is missing"),
        (["."], ". must be a sweep's directory, but has no results.csv"),
        (["outputs/runs/again"], f"must be a sweep's directory, and is a run's; see python {ROOT}/scripts/explain.py"),
        (["outputs/sweeps"], "must be a sweep's directory, and is a folder of them; name one: outputs/sweeps/"),
        (["outputs/sweeps/study", "--heat", "seed", "optimizer.lr"], "--heat must name two swept numbers, got seed"),
    ],
)
def test_bad_input_is_refused_in_one_line(root: Path, arguments: list[str], message: str) -> None:
    (root / "outputs" / "runs" / "again").mkdir(parents=True, exist_ok=True)
    refused = report(root, *arguments, status=2)
    assert message in refused and refused.count("\n") == 1


def test_a_sweep_at_work_or_cut_off_is_reported_so_far(root: Path) -> None:
    """A line says whose it is, as long as its process lives."""
    sweep = sweep_of(root, "singly")
    process = start("train.py", "-m", *POST, *GRID, "name=long", "trainer.max_epochs=100000", cwd=root)
    try:
        lock = {"pid": process.pid, "host": socket.gethostname(), "since": "2026-01-01 10:00"}
        (sweep / ".lock").write_text(json.dumps(lock))
        said = " ".join(report(root, str(sweep), "--no-figures").split())
        assert f"note: process {process.pid} on host" in said and "is at work in outputs/sweeps/singly." in said
    finally:
        process.kill()
        process.communicate()
    said = report(root, str(sweep), "--no-figures")
    assert "at work" not in said
    (sweep / ".lock").unlink()


def test_a_summary_has_no_formula(root: Path, tmp_path: Path) -> None:
    study = study_of([sweep_of(root)])
    text = polars.Series("setting", ["=1+1", *study.settings["setting"][1:]])
    write_summary(tmp_path, replace(study, settings=study.settings.with_columns(text)))
    assert (tmp_path / "summary.csv").read_text().splitlines()[1].startswith("'=1+1,")


def test_of_a_sweep_that_was_killed_the_runs_that_are_left_are_counted(root: Path) -> None:
    """Not only those that it has: in the report, on the page, in a notebook, and with the command that goes on."""
    sweep = sweep_of(root, "killed")
    words = ("optimizer=sgd,adam", "seed=range(8)", "name=killed")
    assert script("train.py", "-m", *POST, *words, cwd=root, prelude=KILLED_AFTER_A_STACK).returncode == -signal.SIGKILL
    said = report(root, str(sweep), "--no-figures", "--page", "killed.html").splitlines()
    assert said[0] == "16 runs: 8 done, 8 left to train"
    assert "note:   8 of 16 runs are left to train: this is so far." in said
    assert f"go on with: python {ROOT}/scripts/train.py -m name=killed resume=true" in said
    assert "8 left to train" in (root / "killed.html").read_text()
    found = Sweep(sweep)
    assert repr(found).endswith("8 runs, 8 done, 8 left to train)") and "so far" in found.notes[0]
    assert found.results.columns[:3] == ["run", "optimizer", "seed"]  # though all 8 runs have one optimizer
    assert "1*" in said[4] or "sgd" in said[4], said
    done = script("extract.py", str(sweep), "optimizer=adam,seed=3", cwd=root, preloaded="hydra")
    assert done.returncode == 2
    assert f"8 are left to train: python {ROOT}/scripts/train.py -m name=killed" in done.stderr


def test_a_sweep_of_which_no_run_is_done_has_the_command_that_goes_on(root: Path, tmp_path: Path) -> None:
    shutil.copytree(sweep_of(root), tmp_path / "study")
    shutil.rmtree(tmp_path / "study" / "stacks")
    (tmp_path / "study" / "results.csv").unlink()
    refused = report(tmp_path, "study", status=2)
    assert "must have runs to report on, and has none yet; its command has ended, so go on with python" in refused

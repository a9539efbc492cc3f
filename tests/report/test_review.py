"""What a person sees of a sweep in TensorBoard: a real server over HTTP, and a real browser at each printed link."""

import io
import json
import os
import re
import shutil
import signal
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import browser
import numpy as np
import polars
import pytest
from commands import ROOT, Forked, script, start
from PIL import Image

from simplenn.errors import ConfigError
from simplenn.report.study import study_of
from simplenn.report.tensorboard import review, server
from simplenn.report.tensorboard.review import review_of
from simplenn.report.tensorboard.views import file_names
from simplenn.rundir import events
from simplenn.sweep.results import results_of

QUICK = ("experiment=post", "trainer=cpu", "trainer.max_epochs=6", "show_outputs=false", "progress=none")
LRS, SEEDS = ("0.001", "0.01", "0.1"), 9
SECONDS = 60


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep with seeds of which some runs diverge, one with a run per setting, and a run alone."""
    place = tmp_path_factory.mktemp("review")
    words = ["optimizer=sgd,adam", f"optimizer.lr={','.join(LRS)},1e12", f"seed=range({SEEDS})", "run_dirs=none"]
    for command in (
        ["-m", *words, "name=seeds"],
        ["-m", "optimizer.lr=0.001,0.01", "name=two"],
        ["optimizer=adam", "name=x"],
    ):
        done = script("train.py", *command, *QUICK, cwd=place)
        assert done.returncode in (0, 1), done.stderr
    return place / "outputs"


@pytest.fixture(scope="module")
def seeds(outputs: Path) -> Path:
    return outputs / "sweeps" / "seeds"


class Reviewed:
    """The script at work: what it has printed, and its server."""

    def __init__(self, process: Forked) -> None:
        self.process = process
        self.lines: list[str] = []
        while not self.lines or not self.lines[-1].startswith("Ctrl-C"):
            line = process.stdout.readline()
            assert line, process.stderr.read()
            self.lines.append(line.rstrip())
        self.links = [line.strip() for line in self.lines if line.strip().startswith("http")]
        self.address = re.match(r"http://127\.0\.0\.1:\d+/", self.links[0])[0]  # pyright: ignore[reportOptionalSubscript]

    def close(self) -> None:
        self.process.stdout.close()
        self.process.stderr.close()

    def ask(self, path: str, body: object = None, **query: str) -> Any:
        request = urllib.request.Request(f"{self.address}{path}?{urllib.parse.urlencode(query)}")
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        return json.loads(urllib.request.urlopen(request, timeout=30).read())

    def scalars(self, run: str) -> dict[str, list[tuple[int, float]]]:
        tags = self.ask("data/plugin/scalars/tags")[run]
        found = {tag: self.ask("data/plugin/scalars/scalars", run=run, tag=tag) for tag in tags}
        return {tag: [(step, value) for _, step, value in points] for tag, points in found.items()}


@pytest.fixture(scope="module")
def reviewed(outputs: Path) -> Iterator[Reviewed]:
    process = start("review.py", "outputs", "--port", "0", cwd=outputs.parent)
    try:
        opened = Reviewed(process)
        yield opened
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        opened.close()
    finally:
        process.kill()


def test_all_that_is_there_is_shown(reviewed: Reviewed) -> None:
    """Sweeps by what they found, and by settings or by runs; runs alone by themselves."""
    shown = set(reviewed.ask("data/runs"))
    assert {"seeds/overview/adam", "seeds/overview/sgd", "runs/x"} <= shown
    assert {"two/runs/optimizer.lr=0.001", "two/runs/optimizer.lr=0.01"} <= shown
    assert len([name for name in shown if name.startswith("seeds/settings/")]) == 8
    assert not [name for name in shown if name.startswith(("seeds/runs/", "two/settings/"))]
    assert "outputs/sweeps/seeds: 72 runs of 8 settings; shown are its settings" in reviewed.lines


def finals(sweep: Path) -> dict[tuple[str, float], list[float]]:
    """The runs' final objectives by optimizer and learning rate; infinite for one that diverged."""
    values: dict[tuple[str, float], list[float]] = {}
    for row in results_of(sweep).iter_rows(named=True):
        value = row["train/loss"] if row["status"] == "done" else np.inf
        values.setdefault((row["optimizer"], row["optimizer.lr"]), []).append(value)
    return values


def quantile(values: list[float], share: float) -> float:
    """As numpy has it, but that a place between a finite and an infinite value is infinite."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low, high = ordered[int(np.floor(place))], ordered[int(np.ceil(place))]
    return high if np.isinf(high) else low + place % 1 * (high - low)


def test_the_overview_has_a_margin_chart_of_the_objective_against_the_learning_rate(
    reviewed: Reviewed, seeds: Path
) -> None:
    """At 1000 times the logarithm of each learning rate, the logarithm of the median and of both ends of the band, as
    results.csv has the runs. What has diverged stands a decade above all that is finite."""
    categories = {one["title"]: one["chart"] for one in reviewed.ask("data/plugin/custom_scalars/layout")["category"]}
    charts = {chart["title"]: chart["margin"]["series"][0] for chart in categories["seeds: train/loss"]}
    (title,) = [title for title in charts if "against" in title]
    assert title == (
        "log10(train/loss) (at the top edge: diverged) against 1000 x log10(optimizer.lr), a line per optimizer"
    )
    expected: dict[str, dict[str, dict[int, float]]] = {}
    for (optimizer, lr), values in finals(seeds).items():
        for name, share in (("value", 0.5), ("lower", 0.1), ("upper", 0.9)):
            own = expected.setdefault(optimizer, {}).setdefault(name, {})
            own[round(1000 * np.log10(lr))] = np.log10(quantile(values, share))
    everything = [value for lines in expected.values() for own in lines.values() for value in own.values()]
    assert np.inf in everything
    top = max(value for value in everything if np.isfinite(value)) + 1
    for optimizer, lines in expected.items():
        scalars = reviewed.scalars(f"seeds/overview/{optimizer}")
        for name, own in lines.items():
            points = dict(scalars[charts[title][name]])
            assert sorted(points) == sorted(own)
            for step, value in own.items():
                assert points[step] == pytest.approx(min(value, top), rel=1e-5, abs=1e-6)


def test_the_overview_has_the_best_settings_as_text_and_the_figures(reviewed: Reviewed, seeds: Path) -> None:
    """The page begins with the sentences of the terminal, then the settings, best first."""
    study = study_of([seeds])
    run = "seeds/overview/" + study.settings["optimizer"][0]
    ((*_, html),) = [list(event.values()) for event in reviewed.ask("data/plugin/text/text", run=run, tag="summary")]
    assert "72 runs" in str(html) and "best:" in str(html)
    places = [str(html).index(f"<td>{setting}</td>") for setting in study.settings["setting"]]
    assert places == sorted(places)
    shown = reviewed.ask("data/plugin/images/tags")[run]
    assert sorted(shown) == ["figures/curves", "figures/histogram", "figures/loss_by_lr"]  # drawn as the sweep is now


def test_a_setting_has_the_median_and_the_band_of_its_runs(reviewed: Reviewed, seeds: Path) -> None:
    """Epoch by epoch, as the curves of its runs have them; of diverged runs nothing that is no number."""
    curves = polars.concat(
        polars.read_parquet(path).with_columns(polars.col("run").cast(polars.String))
        for path in sorted(seeds.glob("stacks/*/curves.parquet"))
    )
    results = results_of(seeds)
    for name in (name for name in reviewed.ask("data/runs") if name.startswith("seeds/settings/")):
        scalars = reviewed.scalars(name)
        assert all(np.isfinite(value) for points in scalars.values() for _, value in points)
        optimizer, lr = re.findall(r"optimizer=(\w+),optimizer\.lr=(\S+)", name)[0]
        runs = results.filter((polars.col("optimizer") == optimizer) & (polars.col("optimizer.lr") == float(lr)))
        own = curves.filter(polars.col("run").is_in(runs["run"].to_list()))
        for epoch in range(1, 7):
            values = own.filter(polars.col("epoch") == epoch)["train/loss"].to_list()
            values += [np.inf] * (SEEDS - len(values))
            for tag, share in (("median", 0.5), ("q10", 0.1), ("q90", 0.9)):
                expected = quantile(values, share)
                found = dict(scalars.get(f"train/loss/{tag}", [])).get(epoch)
                if np.float32(expected) < np.finfo(np.float32).max:
                    assert found == pytest.approx(expected, rel=1e-5)
                else:
                    assert found is None


def rows_of(reviewed: Reviewed) -> list[dict[str, Any]]:
    body = {
        "startIndex": 0,
        "sliceSize": 100,
        "allowedStatuses": ["STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_UNKNOWN", "STATUS_RUNNING"],
        "colParams": [],
        "aggregationType": "AGGREGATION_AVG",
    }
    answer = reviewed.ask("experiment/defaultExperimentId/data/plugin/hparams/session_groups", body)
    return answer["sessionGroups"]


def test_the_hparams_page_has_a_row_per_setting(reviewed: Reviewed, seeds: Path) -> None:
    """With median, width of the band, number of runs and share diverged as in the study, numbers all; the seed is no
    hyperparameter. Rows stand best first."""
    study = study_of([seeds])
    rows = [row for row in rows_of(reviewed) if re.match(r"\d{3} ", row["name"])]
    assert [row["name"][4:] for row in rows] == study.settings["setting"].to_list()
    for row, expected in zip(rows, study.settings.iter_rows(named=True), strict=True):
        assert row["hparams"] == {key: expected[key] for key in ("optimizer", "optimizer.lr")}
        found = {one["name"]["tag"]: one["value"] for one in row["metricValues"]}
        assert found["setting/n train/loss"] == expected["n"] == SEEDS
        assert found["setting/diverged train/loss"] == pytest.approx(expected["diverged"] / SEEDS)
        median, band = expected["median"], expected["q90"] - expected["q10"]
        for tag, value in (("median", median), ("band", band)):
            if np.isfinite(value):
                assert found[f"setting/{tag} train/loss"] == pytest.approx(value, rel=1e-5)
            else:
                assert f"setting/{tag} train/loss" not in found
        (session,) = row["sessions"]
        assert session["status"] == ("STATUS_SUCCESS" if expected["diverged"] < SEEDS else "STATUS_FAILURE")


def test_the_columns_of_the_hparams_page_are_what_differs(reviewed: Reviewed) -> None:
    """The objective is the first metric; the learning rate and the seed are none, and no hyperparameter is constant."""
    body = {"experimentName": "", "hparamsLimit": 100, "includeMetrics": True}
    found = reviewed.ask("experiment/defaultExperimentId/data/plugin/hparams/experiment", body)
    names = {info["name"] for info in found["hparamInfos"]}
    assert names == {"experiment", "optimizer", "optimizer.lr", "trainer.max_epochs"}  # which the run alone was told
    tags = [info["name"]["tag"] for info in found["metricInfos"]]
    assert tags[0] == "setting/median train/loss"
    assert tags[4:6] == ["train/loss", "best/train/loss"]
    assert "train/lr" not in tags and "lr" not in tags


def test_a_runs_own_row_has_its_final_metrics(reviewed: Reviewed, outputs: Path) -> None:
    """Of a sweep's run, named by what was swept, and of a run alone by what it was told."""
    rows = {row["name"].partition(" #")[0]: row for row in rows_of(reviewed)}
    result = results_of(outputs / "sweeps" / "two").row(0, named=True)
    row = rows[f"optimizer.lr={result['optimizer.lr']}"]
    assert row["hparams"] == {"optimizer.lr": result["optimizer.lr"]}
    found = {one["name"]["tag"]: one["value"] for one in row["metricValues"]}
    assert found["train/loss"] == pytest.approx(result["train/loss"], rel=1e-6)
    assert found["best/train/loss"] == pytest.approx(result["best/train/loss"], rel=1e-6)
    (alone,) = [row for row in rows.values() if row["sessions"][0]["name"] == "runs/x"]
    assert alone["hparams"] == {"optimizer": "adam", "experiment": "post", "trainer.max_epochs": 6}


# Of each page: what is drawn there, as an expression that is true once it is.
DRAWN = {
    "#custom_scalars": "all('vz-line-chart2').length > 1 && all('path.line').length > 3 && all('path.area').length > 1",
    "#text": "text().includes('best:') && text().includes('optimizer=sgd,optimizer.lr=')",
    "#hparams": "['Trial ID', 'median train/loss', '001 optimizer'].every(word => text().includes(word))",
    "#timeseries": "all('scalar-card').length >= 1 && all('line-chart canvas').length >= 1 && text().includes('Value')",
    "#images": "all('img').some(image => image.complete && image.naturalWidth > 100)",
}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browser.Browser]:
    if browser.program() is None:
        pytest.skip(f"needs a browser, and finds none of {', '.join(browser.PROGRAMS)}")
    with browser.Browser(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


def test_each_link_opens_its_view_with_its_chart_drawn(
    reviewed: Reviewed, page: browser.Browser, tmp_path: Path
) -> None:
    """In a browser, without an error on the page; where curves are drawn, there is colour."""
    fragments = [f"#{link.partition('#')[2].partition('&')[0]}" for link in reviewed.links]
    assert set(fragments) == set(DRAWN)
    for link, fragment in zip(reviewed.links, fragments, strict=True):
        page.open(link)
        drawn = page.wait_for(DRAWN[fragment])
        page.picture(tmp_path / "page.png")
        assert drawn, f"{link}: {page.evaluate('text()')}"
        assert page.errors == [], link
        if fragment in ("#custom_scalars", "#timeseries", "#images"):
            assert wait_for(lambda: coloured(page, tmp_path / "page.png") > 300), link


def coloured(page: browser.Browser, path: Path) -> int:
    """Pixels of curves and pictures: neither grey nor of the bar above them, to the right of the lists."""
    page.picture(path)
    pixels = np.asarray(Image.open(io.BytesIO(path.read_bytes())).convert("RGB")).astype(int)[150:, 400:]
    return int((np.ptp(pixels, axis=2) > 60).sum())


def wait_for(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + 20
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.2)
    return True


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_and_leaves_nothing(number: int, status: int, outputs: Path) -> None:
    """Neither a server nor a folder; also where the signal reaches the script alone."""
    process = start("review.py", "outputs/runs/x", "--port", "0", cwd=outputs.parent)
    try:
        reviewed = Reviewed(process)
        logdir = Path(reviewed.ask("data/environment")["data_location"])
        assert logdir.is_dir()
        assert str(logdir) in _command_lines()
        process.send_signal(number)
        assert process.wait(30) == status
        reviewed.close()
    finally:
        process.kill()
    assert wait_for(lambda: str(logdir) not in _command_lines())
    assert not logdir.parent.exists()
    with pytest.raises(OSError):  # noqa: PT011
        urllib.request.urlopen(reviewed.address, timeout=5)


def _command_lines() -> str:
    return subprocess.run(["ps", "-ewwo", "args"], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["outputs/sweeps/seed"], "outputs/sweeps/seed must be the directory of a run, of a sweep, or of several; did"),
        (["empty"], f"empty has neither a run nor a sweep; train one with python {ROOT}/scripts/train.py"),
        (["outputs/sweeps/seeds", "--show", "runs"], "outputs/sweeps/seeds has no directories of its runs to show; "),
        (["outputs/runs/x", "--show", "settings"], "--show settings is of a sweep, and outputs/runs/x has none; "),
        (["outputs", "--show", "run"], "--show must be one of auto, overview, settings, runs, got run; did you mean"),
        (
            ["outputs", "--port", "99999"],
            "--port must be a number from 0 (any that is free) to 65535, got 99999; leave it out",
        ),
    ],
)
def test_what_cannot_be_shown_is_refused_in_one_line(words: list[str], said: str, outputs: Path) -> None:
    (outputs.parent / "empty").mkdir(exist_ok=True)
    done = script("review.py", *words, cwd=outputs.parent)
    assert done.returncode == 2 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(said)


def test_a_sweep_without_results_is_left_out_of_its_folder_and_refused_by_name(outputs: Path, tmp_path: Path) -> None:
    """As one that was killed before its first results: a note says why, and the others are shown."""
    killed, done = tmp_path / "sweeps" / "killed", tmp_path / "sweeps" / "two"
    shutil.copytree(outputs / "sweeps" / "two", done)
    killed.mkdir()
    shutil.copy(done / "multirun.yaml", killed)
    reason = f"{killed} must have runs to report on, and has none yet; its command has ended, so go on with python"
    opened = review_of([tmp_path])
    try:
        assert {entry.name.partition("/")[0] for entry in opened.entries} == {"two"}
        assert [note for note in opened.notes if note.startswith(f"left out: {reason}")]
    finally:
        opened.close()
    for paths in ([killed], [done, killed], [tmp_path, killed]):
        with pytest.raises(ConfigError) as refusal:
            review_of(paths)
        assert str(refusal.value).startswith(reason)
    shutil.rmtree(done)
    with pytest.raises(ConfigError) as refusal:
        review_of([tmp_path])
    assert str(refusal.value).startswith(reason)


def test_what_is_read_is_told_where_it_takes_long(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line for the sweeps that come after so many seconds of silence, and none where it is quick."""
    for seconds, expected in ((1000, 0), (-1, 2)):
        told: list[str] = []
        monkeypatch.setattr(review, "SECONDS_OF_SILENCE", seconds)
        review_of([outputs], tell=told.append).close()
        assert len(told) == expected
    assert all(re.fullmatch(rf"reading sweep {n} of 2, \S+", line) for n, line in enumerate(told, 1))


def test_a_sweep_of_one_run_is_said_to_have_one(tmp_path: Path) -> None:
    done = script("train.py", "-m", "seed=1", "name=x", *QUICK, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    opened = review_of([tmp_path / "outputs" / "sweeps" / "x"])
    opened.close()
    assert any(note.endswith("x: 1 run of 1 setting; shown are its runs") for note in opened.notes)


def test_a_folder_of_many_runs_shows_those_written_last(tmp_path: Path) -> None:
    """As many as TensorBoard selects by itself, and says so."""
    for number in range(review.MOST_ENTRIES + 3):
        folder = tmp_path / "runs" / f"{number:03d}"
        folder.mkdir(parents=True)
        path = folder / "events.out.tfevents.1.host"
        path.write_bytes(events.record(events.first_event(1).SerializeToString()))
        os.utime(path, (number, number))
    opened = review_of([tmp_path / "runs"])
    try:
        names = {entry.name for entry in opened.entries}
        assert len(names) == review.MOST_ENTRIES and "002" not in names and "003" in names
        assert any("500 of 503 are shown" in note for note in opened.notes)
        assert len(list((opened.folder / "logdir").iterdir())) == review.MOST_ENTRIES
    finally:
        opened.close()


def test_few_open_files_show_fewer_runs_and_say_so(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the system is short of is told, with what would do."""
    resource = pytest.importorskip("resource")
    limits = [64, server.FILES_OF_ITS_OWN + 5]
    monkeypatch.setattr(resource, "getrlimit", lambda _: tuple(limits))
    monkeypatch.setattr(resource, "setrlimit", lambda _, new: limits.__setitem__(slice(None), new))
    opened = review_of([outputs / "sweeps" / "seeds"])
    try:
        assert len(opened.entries) == 5 and limits[0] == server.FILES_OF_ITS_OWN + 5
        assert any("raise it by 5" in note for note in opened.notes)
    finally:
        opened.close()


def test_views_are_made_anew_where_the_runs_are_others(seeds: Path, tmp_path: Path) -> None:
    """And left as they are where they are the same."""
    sweep = tmp_path / "sweep"
    shutil.copytree(seeds, sweep, ignore=shutil.ignore_patterns("tensorboard"))
    review_of([sweep]).close()
    made = {path: path.stat().st_mtime_ns for path in (sweep / "tensorboard").rglob("*") if path.is_file()}
    review_of([sweep]).close()
    assert made == {path: path.stat().st_mtime_ns for path in (sweep / "tensorboard").rglob("*") if path.is_file()}
    shutil.rmtree(min((sweep / "stacks").iterdir()))
    (sweep / "results.csv").unlink()
    review_of([sweep]).close()
    now = {path for path in (sweep / "tensorboard").rglob("*") if path.is_file()}
    assert len([path for path in now if "settings" in path.parts]) == 4


def test_a_sweep_whose_runs_all_diverge_has_a_page(tmp_path: Path) -> None:
    """With the table, and without a number that is none."""
    done = script("train.py", "-m", "optimizer.lr=1e30,1e31", "seed=1,2", "name=x", *QUICK, cwd=tmp_path)
    assert done.returncode == 1
    opened = review_of([tmp_path / "outputs" / "sweeps" / "x"], "settings")
    try:
        for path in (opened.folder / "logdir").rglob("*tfevents*"):
            for event in events.read_events(path):
                for value in event.summary.value:
                    assert not value.HasField("simple_value") or np.isfinite(value.simple_value)
        assert [link for link, _ in opened.links if link.startswith("#hparams")]
    finally:
        opened.close()


def test_a_run_without_anything_to_show_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "config.yaml").write_text("seed: 0\n")
    with pytest.raises(ConfigError, match="has nothing that TensorBoard shows yet"):
        review_of([tmp_path])


def test_lines_whose_names_are_one_once_they_are_safe_are_kept_apart() -> None:
    assert file_names(["a/b", "a_b", "a:b", "c"]) == ["a_b", "a_b (2)", "a_b (3)", "c"]

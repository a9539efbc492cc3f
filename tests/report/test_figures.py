"""The figures of a sweep: which there are, and that what they show are the study's numbers."""

import io
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import StepPatch
from PIL import Image
from studies import runs_of

from simplenn.errors import ConfigError
from simplenn.report import Study, study_of_runs
from simplenn.report.comparison import compare
from simplenn.report.curves import band_of
from simplenn.report.figures import against, drawings, heat_map, histogram, side_by_side, write_drawings
from simplenn.report.style import LOOKS, limits


def study(**columns: Any) -> Study:
    return study_of_runs([Path("sweep")], runs_of(**columns))


def grid(**keys: list) -> dict[str, list]:
    """A run for each combination of the keys' values, with losses by a seeded draw."""
    cells: list[tuple] = [()]
    for values in keys.values():
        cells = [(*cell, value) for cell in cells for value in values]
    columns = {name: [cell[place] for cell in cells] for place, name in enumerate(keys)}
    return columns | {"final": np.random.default_rng(0).lognormal(0, 2, len(cells)).tolist()}


SEEDS = list(range(7))
OPTIMIZERS, RATES = ["sgd", "adam"], [0.001, 0.01, 0.1]


@pytest.mark.parametrize(
    ("columns", "names"),
    [
        (grid(key_optimizer=OPTIMIZERS, key_optimizer__lr=RATES, key_seed=SEEDS), ["loss_by_lr.png", "histogram.png"]),
        (grid(key_optimizer__lr=RATES, key_seed=SEEDS), ["loss_by_lr.png", "histogram.png"]),
        (grid(key_optimizer__lr=RATES), ["loss_by_lr.png"]),
        (
            grid(key_optimizer__momentum=[0.0, 0.9], key_optimizer__lr=RATES, key_seed=SEEDS),
            ["loss_by_lr.png", "histogram.png", "heat_momentum_lr.png"],
        ),
        (grid(key_model__hidden=[2, 4, 8], key_seed=SEEDS), ["loss_by_hidden.png", "histogram.png"]),
        (grid(key_optimizer=OPTIMIZERS, key_seed=SEEDS), ["settings.png", "histogram.png"]),
        (grid(key_seed=SEEDS), ["histogram.png"]),
        (grid(key_seed=[0]), []),
        ({"key_lr": RATES, "final": [None] * 3, "status": ["diverged"] * 3}, ["loss_by_lr.png"]),
        ({"key_lr": RATES, "final": [None] * 3, "status": ["failed"] * 3}, []),
        (
            {"key_lr": [0.1, 0.2, None], "final": [None, None, 1.0], "status": ["failed", "failed", "done"]},
            ["settings.png"],
        ),
        ({"key_lr": [0.0, -1.0, 2.0], "final": [0.0, 1.0, -3.0]}, ["loss_by_lr.png"]),
    ],
)
def test_what_was_swept_decides_which_figures_there_are(
    columns: dict[str, list], names: list[str], tmp_path: Path
) -> None:
    """Each is a picture that has ink, and the same file every time."""
    own = study(**columns)
    drawn = list(drawings(own, compare(own)))
    assert [drawing.name for drawing in drawn] == names
    for path, drawing in zip(write_drawings(tmp_path, drawn), drawn, strict=True):
        picture = np.asarray(Image.open(path).convert("L"))
        assert picture.shape[1] > 500 and 0.001 < (picture < 128).mean() < 0.6, drawing.name
    assert [drawing.png for drawing in drawings(own, compare(own))] == [drawing.png for drawing in drawn]


def lines_of(figure: Figure, marker: str) -> list[tuple[np.ndarray, np.ndarray]]:
    found = [line for line in figure.axes[0].lines if line.get_marker() == marker and np.size(line.get_xdata())]
    return [(np.asarray(line.get_xdata()), np.asarray(line.get_ydata())) for line in found]


def test_points_are_the_medians_of_the_settings() -> None:
    """Of several settings at one learning rate, the best one's."""
    columns = grid(
        key_optimizer=OPTIMIZERS, key_optimizer__lr=RATES, key_optimizer__momentum=[0.0, 0.9], key_seed=SEEDS
    )
    own = study(**columns)
    figure = against(own, "optimizer.lr")
    for place, optimizer in enumerate(own.settings["optimizer"].unique(maintain_order=True)):
        ((x, y),) = lines_of(figure, LOOKS[place].marker)
        rows = own.settings.filter(own.settings["optimizer"] == optimizer)
        expected = [rows.filter(rows["optimizer.lr"] == rate)["median"].min() for rate in RATES]
        assert (x.tolist(), y.tolist()) == (RATES, expected)
    assert figure.axes[0].get_xscale() == figure.axes[0].get_yscale() == "log"
    assert "the best of momentum at each" in figure.axes[0].texts[0].get_text()


def test_a_setting_that_diverged_stands_hollow_at_the_edge_and_below_its_share() -> None:
    columns = {"key_lr": [0.01, 0.01, 0.1, 0.1, 1.0, 1.0], "final": [1.0, 30.0, 2.0, None, None, None]}
    own = study(**columns, status=["done", "done", "done", "diverged", "diverged", "diverged"])
    figure = against(own, "lr")
    filled, hollow = [line for line in figure.axes[0].lines if line.get_marker() == "o" and np.size(line.get_xdata())]
    assert np.asarray(filled.get_xdata()).tolist() == [0.01]
    assert hollow.get_markerfacecolor() == "white"
    assert set(np.asarray(hollow.get_ydata())) == {figure.axes[0].get_ylim()[1]}
    (shares,) = [line for line in figure.axes[1].lines if line.get_marker() == "o"]
    assert np.asarray(shares.get_ydata()).tolist() == [0, 0.5, 1]


def test_lines_differ_in_color_marker_and_style() -> None:
    for what in ("color", "marker", "line"):
        assert len({str(getattr(look, what)) for look in LOOKS}) == len(LOOKS)


def test_a_few_very_bad_values_dont_take_the_axis() -> None:
    values = np.array([0.1, 1, 2, 3, 1e12, np.inf])
    assert limits(values, True)[1] > 1e12
    assert 3 < limits(values, True, bad_is_high=True)[1] < 1e12
    low, high = limits(np.array([-1e9, 0.1, 0.2, 0.5, 0.6, 0.8, 0.9]), False, bad_is_high=False)
    assert -1e9 < low < 0.1 and high > 0.9


def test_a_heat_map_has_the_medians_dark_where_they_are_good() -> None:
    columns = {"key_lr": [0.1, 0.1, 1.0, 1.0], "key_m": [0.0, 0.9, 0.0, 0.9], "final": [0.01, 1.0, 100.0, None]}
    figure = heat_map(study(**columns, status=["done"] * 3 + ["diverged"]), "lr", "m")
    assert [text.get_text() for text in figure.axes[0].texts] == ["0.01", "100", "1", "x"]
    (mesh,) = figure.axes[0].collections
    grid = np.ma.asarray(mesh.get_array()).reshape(2, 2)
    assert grid[0].tolist() == [0.01, 100.0] and grid[1, 0] == 1.0 and np.ma.getmaskarray(grid)[1, 1]
    figure.canvas.draw()
    lightness = np.asarray(mesh.get_facecolor())[:3, :3].mean(axis=1)
    assert lightness[0] < lightness[2] < lightness[1]


def test_any_two_swept_numbers_have_a_heat_map() -> None:
    own = study(**grid(key_a=[1.0, 2.0], key_b=[1.0, 2.0], key_c=[1, 2, 3]))
    names = [drawing.name for drawing in drawings(own, compare(own), ["c", "a"])]
    assert "heat_c_a.png" in names and "heat_a_b.png" not in names
    for heat, message in ((["a", "d"], "got d; there are a, b, c"), (["a", "a"], "got a twice")):
        with pytest.raises(ConfigError, match=message):
            list(drawings(own, compare(own), heat))


def test_a_histogram_has_all_runs_that_are_done() -> None:
    columns = grid(key_optimizer=OPTIMIZERS, key_seed=list(range(100)))
    own = study(**columns, status=["done"] * 95 + ["diverged"] * 5 + ["done"] * 100)
    figure = histogram(own, compare(own))
    shares = {
        axes.texts[1].get_text(): cast(StepPatch, axes.patches[0]).get_data()[0].sum() for axes in figure.axes[:2]
    }
    assert {text.splitlines()[1]: round(share, 9) for text, share in shares.items()} == {
        "95 runs, 5 more diverged": 0.95,
        "100 runs": 1.0,
    }


def test_long_names_leave_the_axes_room() -> None:
    """They are written in several lines, which lie within the picture."""
    names = [f"{letter}{'path/to/some/data,' * 12}" for letter in "xyz"]
    figure = side_by_side(study(key_a=names, final=[3.0, 1.0, 2.0]))
    (axes,) = figure.axes
    figure.canvas.draw()
    labels = axes.get_yticklabels()
    assert ["".join(label.get_text().split("\n")) for label in labels] == [names[i] for i in (1, 2, 0)]
    assert axes.get_position().width > 0.35
    boxes = [label.get_window_extent() for label in labels]
    assert min(box.x0 for box in boxes) >= 0
    assert all(upper.y0 >= lower.y1 for upper, lower in pairwise(boxes))


def test_settings_stand_side_by_side_best_first() -> None:
    figure = side_by_side(study(key_a=list("xyz"), final=[3.0, 1.0, 2.0]))
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["y", "z", "x"]


def test_a_band_counts_diverged_runs_as_worst_to_the_end() -> None:
    curves = np.array([[4.0, 2.0, 3.0], [1.0, np.inf, 3.0], [np.inf, np.inf, np.inf], [np.nan, np.nan, np.nan]])
    band = band_of(curves)
    assert band.epochs.tolist() == [1, 2] and band.median.tolist() == [3.0, 3.0] and band.n == 3
    assert band.q90[1] == np.inf
    missing = band_of(np.array([[1.0, np.nan, 3.0]]))
    assert missing.median.tolist() == [2.0]


def test_a_picture_says_nothing_of_the_machine() -> None:
    own = study(**grid(key_optimizer__lr=RATES, key_seed=SEEDS))
    (first, *_) = drawings(own, compare(own))
    assert Image.open(io.BytesIO(first.png)).info.keys() <= {"dpi"}


def test_a_dollar_in_a_swept_text_is_no_formula() -> None:
    """Nor are powers of ten anything else."""
    names = ["a$_{x", "b$^"]
    swept = grid(key_model__kind=names, key_lr=RATES, key_seed=SEEDS)
    own = study(**swept)
    assert len(list(drawings(own, compare(own)))) == 2
    own = study(**grid(key_model__kind=names, key_seed=SEEDS))
    assert [drawing.name for drawing in drawings(own, compare(own))] == ["settings.png", "histogram.png"]


def test_families_without_a_line_are_counted() -> None:
    own = study(**grid(key_optimizer=list("abcdefghi"), key_optimizer__lr=RATES))
    texts = [text.get_text() for text in against(own, "optimizer.lr").axes[0].texts]
    assert any("2 more of optimizer are left out" in text for text in texts), texts


def test_what_a_figure_leaves_out_is_said_below_its_title() -> None:
    own = study(**grid(key_optimizer__lr=[0.1, 0.01, None], key_model__hidden=[2, 4], key_seed=SEEDS))
    texts = [text.get_text() for text in against(own, "optimizer.lr").axes[0].texts]
    assert any("settings without lr are not drawn" in " ".join(text.split()) for text in texts), texts
    many = grid(key_optimizer=list("abcdef"), key_optimizer__lr=RATES, key_model__hidden=[2, 4], key_data__noise=[0, 1])
    title = heat_map(study(**many), "optimizer.lr", "model.hidden").get_suptitle()
    title = " ".join(title.split())
    assert "the best of noise in each" in title and "2 more of optimizer are left out" in title


def test_each_heat_map_has_a_file_of_its_own(tmp_path: Path) -> None:
    """And a figure that doesn't fit any more makes way, but no other file."""
    own = study(**grid(key_optimizer__lr=RATES, key_model__lr=[1, 2], key_model__hidden=[2, 4]))
    names = [drawing.name for drawing in drawings(own, compare(own)) if drawing.name.startswith("heat")]
    assert len(set(names)) == len(names) == 3
    for name in ("settings.png", "mine.png"):
        (tmp_path / name).write_bytes(b"old")
    write_drawings(tmp_path, list(drawings(own, compare(own))), instead=True)
    assert not (tmp_path / "settings.png").exists() and (tmp_path / "mine.png").exists()


@pytest.mark.parametrize("decades", [200, 300])
def test_any_numbers_are_drawn(decades: int) -> None:
    swept = grid(key_optimizer__lr=RATES, key_model__hidden=[2, 4], key_seed=SEEDS)
    swept["final"] = (10.0 ** np.random.default_rng(0).uniform(-decades, decades, len(swept["final"]))).tolist()
    own = study(**swept)
    assert len(list(drawings(own, compare(own)))) == 3

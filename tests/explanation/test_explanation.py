"""What is said of a trained network is so: its weights are set by hand here, or measured some other way."""

import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import composed, script
from matplotlib.image import imread
from omegaconf import OmegaConf
from rich.console import Console
from rich.table import Table
from torch import nn

from simplenn.data import PostDataModule, SumDataModule
from simplenn.errors import ConfigError
from simplenn.evaluation import load_run
from simplenn.explanation.examples import examples
from simplenn.explanation.explain import explain, percent
from simplenn.explanation.headline import TUTORIALS_LOSS, standing_lines
from simplenn.explanation.linear import linear_map, split_error
from simplenn.explanation.narrow import fitted
from simplenn.explanation.standing import find_standing, standing
from simplenn.explanation.subject import Subject, subject_of
from simplenn.explanation.surface import surface
from simplenn.explanation.units import activity
from simplenn.network import SimpleNN
from simplenn.regressor import Regressor
from simplenn.rundir.result import Result
from simplenn.rundir.run import Run
from simplenn.sweep.results import results_of

EXACT = {"weight1": [[1, 1, 1], [-1, -1, -1], [0, 0, 0], [0, 0, 0]], "weight2": [[1, -1, 0, 0]]}


def subject_with(network: nn.Module, data: SumDataModule, *overrides: str) -> Subject:
    data.setup("fit")
    assert data.train is not None and data.extrapolation is not None
    sets = {"training": data.train.tensors, "extrapolation": data.extrapolation.tensors}
    initial = Regressor(SimpleNN(), torch.optim.SGD).state_dict()
    pairs = {name: (own[0], own[1]) for name, own in sets.items()}
    return Subject(composed(*overrides), Regressor(network, torch.optim.SGD).eval(), initial, 1, pairs, is_sum=True)


def exact_network() -> SimpleNN:
    network = SimpleNN()
    with torch.no_grad():
        network.layer1.weight.copy_(torch.tensor(EXACT["weight1"]))
        network.layer2.weight.copy_(torch.tensor(EXACT["weight2"]))
        network.layer1.bias.zero_()
        network.layer2.bias.zero_()
    return network


def said_of(subject: Subject, width: int = 80) -> str:
    return "".join(printed(piece, width) for whole in explain(subject) for piece in fitted(whole, width))


def printed(piece: str | Table, width: int) -> str:
    console = Console(width=width)
    with console.capture() as capture:
        console.print(piece, highlight=False, markup=False, soft_wrap=isinstance(piece, str))
    return capture.get()


@pytest.mark.parametrize("width", [40, 48, 63, 79])
def test_a_narrow_table_breaks_no_number(width: int) -> None:
    """Its words are all there, but for those of columns that a line names."""
    subject = subject_with(exact_network(), SumDataModule())
    wholes = [piece for piece in explain(subject) if isinstance(piece, Table)]
    for number, piece in enumerate(piece for piece in explain(subject) if isinstance(piece, Table)):
        table, *notes = fitted(piece, width)
        left_out = "".join(map(str, notes)).removesuffix(".").partition(": ")[2].split(", ")
        text = printed(table, width)
        assert max(map(len, text.splitlines())) <= width
        for column in wholes[number].columns:
            head, *words = (" ".join(str(cell).split()) for cell in (column.header, *column.cells))
            shown = set(re.split(r"[^\w+.%-]+", text))
            assert head in left_out or set(" ".join([head, *words]).split()) <= shown, text
        assert (len(notes) == 1) is (number == 0 and width < 63)


def test_the_exact_solution_is_exact_and_said_to_be() -> None:
    """relu(s) - relu(-s) is s: on all samples it is the sum, three of its units are dead there, and it has no error."""
    subject = subject_with(exact_network(), SumDataModule())
    found = linear_map(subject, subject.sets["training"][0])
    assert found.share == 1 and found.num_pieces == 1
    torch.testing.assert_close(found.weights, torch.ones(3, dtype=torch.float64))
    assert found.offset == pytest.approx(0, abs=1e-5)
    text = said_of(subject)
    assert "1 x1 + 1 x2 + 1 x3" in text and "Its weights are 0.000 from that" in text
    assert "Dead: 3 of the 4 hidden units (2, 3, 4)" in text
    assert all(example.said == pytest.approx(example.truth, abs=1e-4) for example in examples(subject))


def test_the_linear_map_is_that_of_the_piece_with_most_samples() -> None:
    """As the weights of the units that are active there make it, times their output weights."""
    torch.manual_seed(3)
    network = SimpleNN(hidden=8)
    subject = subject_with(network, SumDataModule())
    x = subject.sets["training"][0]
    active = network.layer1(x) > 0
    kinds, counts = torch.unique(active, dim=0, return_counts=True)
    most = kinds[counts.argmax()].float()
    expected = (network.layer2.weight[0] * most) @ network.layer1.weight
    found = linear_map(subject, x)
    torch.testing.assert_close(found.weights.float(), expected)
    assert found.num_pieces == len(kinds) and found.share == counts.max().item() / len(x)
    own = (active == most.bool()).all(dim=1)
    torch.testing.assert_close((x[own].double() @ found.weights + found.offset).float(), network(x[own])[:, 0])


def test_three_samples_on_a_line_fix_one_direction() -> None:
    """(1, 2, 0) sums to 3 as (1, 1, 1) does: along the line the two are one."""
    data = PostDataModule()
    data.setup("fit")
    assert data.train is not None
    rank, within, across = split_error(torch.tensor([1.0, 2.0, 0.0], dtype=torch.float64), data.train.tensors[0])
    assert rank == 1
    assert within == pytest.approx(0, abs=1e-6) and across == pytest.approx(2**0.5)
    assert "differ in one direction of 3 only" in said_of(subject_with(exact_network(), data))


def test_dead_units_are_those_that_no_sample_activates() -> None:
    network = SimpleNN()
    with torch.no_grad():
        network.layer1.bias.copy_(torch.tensor([100.0, -100.0, -100.0, -100.0]))
    subject = subject_with(network, SumDataModule())
    (shares,) = activity(subject, subject.sets["training"][0]).values()
    assert shares.tolist() == [1, 0, 0, 0]
    with torch.no_grad():
        network.layer1.bias.fill_(-100)
    text = said_of(subject)
    assert "Dead: 4 of the 4 hidden units (1, 2, 3, 4)" in text
    assert f"alike: {network.layer2.bias.item():.4f}, its output bias" in text


@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
def test_no_exact_solution_is_claimed_where_there_is_none(activation: str) -> None:
    text = said_of(subject_with(SimpleNN(activation=activation), SumDataModule(), f"model.activation={activation}"))
    assert f"No weights make a network of {activation} units exact" in text and "exact weights" not in text
    assert "On average over its 256 training samples" in text
    assert "units like these don't die" in text


def test_the_surface_has_the_losses_of_initial_and_trained_weights() -> None:
    """At (0, 0) and (1, 1), as one computes them directly; a layer that hasn't moved gets a random direction."""
    subject = subject_with(exact_network(), SumDataModule())
    found = surface(subject)
    assert found is not None and found.random == (False, False) and (found.first, found.last) == ("layer1", "layer2")
    x, y = subject.sets["training"]
    initial = SimpleNN()
    initial.load_state_dict({name.removeprefix("network."): value for name, value in subject.initial.items()})
    with torch.no_grad():
        assert found.at_start == pytest.approx((initial(x) - y).square().mean().item(), rel=1e-5)
    assert found.at_end == pytest.approx(0, abs=1e-8)
    assert found.loss.shape == (len(found.steps),) * 2 and np.isfinite(found.loss).all()
    subject.initial = subject.regressor.state_dict()
    still = surface(subject)
    assert still is not None and still.random == (True, True) and still.at_end == found.at_end
    again = surface(subject)
    assert again is not None and np.array_equal(again.loss, still.loss)


def test_no_share_is_rounded_to_all_or_none() -> None:
    assert [percent(share) for share in (0, 0.001, 0.815, 0.9999, 1)] == ["0 %", "1 %", "82 %", "99 %", "100 %"]


POST = ("experiment=post", "trainer=cpu", "progress=none")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tutorial's run, and a sweep of it over seeds, another learning rate beside."""
    root = tmp_path_factory.mktemp("trained")
    for words in (["seed=3", "name=post"], ["-m", "seed=range(20)", "optimizer.lr=0.01,0.001,1e9", "name=seeds"]):
        done = script("train.py", *words, *POST, cwd=root)
        assert done.returncode in (0, 1), done.stderr
    return root


def test_a_run_stands_among_the_seeds_of_its_setting(trained: Path) -> None:
    """Counted by hand: of its own setting alone, with a share of the sweep's runs that are worse."""
    run, sweep = Run(trained / "outputs/runs/post"), trained / "outputs/sweeps/seeds"
    subject, result = subject_of(run, "last", ()), run.result()
    assert result is not None
    found = standing(subject.cfg, result, sweep)
    assert found is not None and found.num_runs == 20
    table = results_of(sweep)
    losses = table.filter(table["optimizer.lr"] == 0.01)["train/loss"].to_numpy()
    own = result.metrics["train/loss"]
    worse = ((losses > own).sum() + (losses == own).sum() / 2) / 20
    assert found.better_than(own) == pytest.approx(worse)
    beside = find_standing(subject.cfg, result, run.directory)
    assert beside is not None and beside.sweep == sweep and np.array_equal(beside.costs, found.costs)
    (line,) = standing_lines(subject, run, None)
    printed = percent(((losses > TUTORIALS_LOSS).sum()) / 20)
    assert f"is better than {percent(worse)}" in line
    assert f"The loss that the tutorial prints, 0.1012, is better than {printed}." in line


def test_diverged_seeds_count_as_worst(trained: Path) -> None:
    run, sweep = Run(trained / "outputs/runs/post"), trained / "outputs/sweeps/seeds"
    subject, result = subject_of(run, "last", ()), run.result()
    assert result is not None
    subject.cfg.optimizer.lr = 1e9
    found = standing(subject.cfg, result, sweep)
    assert found is not None and found.num_runs == 20 and np.isinf(found.costs).sum() >= 10
    assert found.better_than(1e30) >= 0.5


def test_a_run_of_another_setting_stands_nowhere(trained: Path) -> None:
    run, sweep = Run(trained / "outputs/runs/post"), trained / "outputs/sweeps/seeds"
    subject = subject_of(run, "last", ())
    subject.cfg.optimizer.momentum = 0.5
    (line,) = standing_lines(subject, run, sweep)
    assert "has fewer than 10 runs of its setting and 100 epochs" in line
    assert list(standing_lines(subject, run, None)) == []
    with pytest.raises(ConfigError, match="must be a sweep's directory"):
        list(standing_lines(subject, run, run.directory))


@pytest.mark.parametrize(
    ("status", "message", "line"),
    [
        ("interrupted", "SIGTERM", "It was interrupted after 7 epochs (SIGTERM); resume=true goes on with it."),
        ("diverged", "diverged: the loss became nan", "It diverged: the loss became nan; these weights are of before."),
        ("failed", "no room", "It failed after 7 epochs (no room); resume=true goes on with it."),
        (None, "", "It has no result: it is still training, or was killed; resume=true goes on with it then."),
    ],
)
def test_of_a_run_that_is_not_done_its_end_is_said(
    status: str | None, message: str, line: str, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(trained / "outputs/runs/post")
    subject, result = subject_of(run, "last", ()), run.result()
    assert result is not None
    ended = None if status is None else replace(result, status=status, message=message, epoch=7)
    monkeypatch.setattr(Run, "result", lambda _: ended)
    assert list(standing_lines(subject, run, None)) == [line]
    with pytest.raises(ConfigError, match="must be done to be compared"):
        list(standing_lines(subject, run, trained / "outputs/sweeps/seeds"))


def test_the_script_explains_a_run_and_draws_it(trained: Path) -> None:
    """With the run's own numbers; the figure is where it says."""
    done = script("explain.py", "outputs/runs/post", cwd=trained)
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 125
    assert "figure: outputs/runs/post/explanation.png" in done.stdout
    regressor, _, _ = load_run(Run(trained / "outputs/runs/post"))
    said = regressor.predict(torch.tensor([[10.0, 20.0, 30.0]])).item()
    assert re.search(rf"10 20 30 .* 60 │ +{said:.2f} │ +\+?{said - 60:.2f} │", done.stdout)
    picture = imread(trained / "outputs/runs/post/explanation.png")
    assert picture.shape[1] > 1000 and len(np.unique(picture.reshape(-1, picture.shape[2]), axis=0)) > 100
    again = script("explain.py", "outputs/runs/post", "--figure", "docs/x.png", "--checkpoint=last", cwd=trained)
    assert again.returncode == 0 and (trained / "docs" / "x.png").is_file(), again.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["outputs/runs/pos"], "outputs/runs/pos is not a run's directory; did you mean post?"),
        (["outputs/runs/post", "--sweep", "outputs/runs"], "outputs/runs must be a sweep's directory"),
        (["outputs/sweeps/seeds"], "outputs/sweeps/seeds is a sweep's directory, and no run's"),
    ],
)
def test_bad_input_is_refused_in_one_line(words: list[str], message: str, trained: Path) -> None:
    done = script("explain.py", *words, cwd=trained, preloaded="hydra")
    assert done.returncode == 2 and not done.stdout
    assert message in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize(("kind", "data"), [("Convolution", "Table"), ("Scaled", "Table"), ("Factor", "Table")])
def test_of_an_own_network_it_says_what_can_be_said(
    kind: str, data: str, train_run: Callable[..., Result], tmp_path: Path
) -> None:
    from simplenn.training.train import train

    assert "shaped" in sys.modules or __import__("shaped")
    cfg = composed("quiet=true", "trainer=cpu", "trainer.max_epochs=1")
    cfg.model, cfg.data = {"_target_": f"shaped.{kind}"}, {"_target_": f"shaped.{data}"}
    (tmp_path / ".hydra").mkdir()
    OmegaConf.save(cfg, tmp_path / ".hydra" / "config.yaml", resolve=True)
    train(OmegaConf.merge(cfg, {"allow": ["shaped"]}), tmp_path)  # pyright: ignore[reportArgumentType]
    subject = subject_of(Run(tmp_path), "last", ["shaped"])
    text = said_of(subject)
    assert "What it says:" in text and "is given for sums only" in text
    landscape = surface(subject)
    if kind == "Factor":  # one number is no filter to draw a second direction by
        assert landscape is None
    else:
        assert landscape is not None

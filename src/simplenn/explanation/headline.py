"""What is said of the run as a whole: which it is, how it ended, where it stands among its setting's seeds."""

from collections.abc import Iterator
from pathlib import Path

from simplenn.errors import ConfigError
from simplenn.explanation.explain import percent
from simplenn.explanation.standing import FEWEST, Standing, find_standing, standing
from simplenn.explanation.subject import Subject
from simplenn.rundir import Result, Run, shown

TUTORIALS_LOSS = 0.1012  # of epoch 100, as "Deep Learning Basics with PyTorch, part 4" prints it
# The setting that the tutorial has, by key: where the run has it, too, the printed loss is told beside its own.
TUTORIAL = {
    "data._target_": "simplenn.data.PostDataModule",
    "model._target_": "simplenn.network.SimpleNN",
    "model.hidden": 4,
    "model.activation": "relu",
    "optimizer._target_": "torch.optim.SGD",
    "optimizer.lr": 0.01,
    "optimizer.momentum": 0,
    "optimizer.weight_decay": 0,
}
TUTORIALS_EPOCHS = 100


def headline(subject: Subject, run: Path, checkpoint: str) -> str:
    """The run in one line."""
    optimizer = subject.cfg.optimizer
    name = str(optimizer._target_).rpartition(".")[2]
    network = type(subject.network).__name__
    if subject.simple is not None:
        first = subject.simple.layer1
        network = f"{network} {first.in_features}-{first.out_features}-1, {subject.cfg.model.activation}"
    how = f"{name}, lr {optimizer.lr:g}, seed {subject.cfg.seed}"
    return f"{run}: {network}; {how}; the {checkpoint} weights, of epoch {subject.epoch}"


def standing_lines(subject: Subject, run: Run, sweep: Path | None) -> Iterator[str]:
    """How a run ended that isn't done, else where it stands: one or none; with `sweep` given, always one. Raises
    `ConfigError`."""
    result = run.result()
    if result is None or result.status != "done":
        if sweep is not None:
            raise ConfigError(f"{run.directory} must be done to be compared with others; go on with it by resume=true")
        yield _ending(result)
        return
    if sweep is not None:
        found = standing(subject.cfg, result, sweep)
        if found is None:
            yield f"{sweep} has fewer than {FEWEST} runs of its setting and {result.epoch} epochs to compare it with."
            return
    else:
        found = find_standing(subject.cfg, result, run.directory)
    if found is not None:
        yield _in_words(found, _is_the_tutorials(subject, result.epoch))


def _ending(result: Result | None) -> str:
    if result is None:
        return "It has no result: it is still training, or was killed; resume=true goes on with it then."
    if result.status == "diverged":
        return f"It {result.message}; these weights are of before."
    epochs = "1 epoch" if result.epoch == 1 else f"{result.epoch:,} epochs"
    how = "was interrupted" if result.status == "interrupted" else "failed"
    return f"It {how} after {epochs} ({result.message}); resume=true goes on with it."


def _in_words(found: Standing, is_the_tutorials: bool) -> str:
    said = (
        f"Among the {found.num_runs:,} seeds of its setting in {shown(found.sweep)}, its final {found.tag} of "
        f"{found.value:.4g} is better than {percent(found.better_than(found.value))}\n"
        f"(the median is {found.quantile(0.5):.4g}, the quartiles are {found.quantile(0.25):.4g} and "
        f"{found.quantile(0.75):.4g})."
    )
    if is_the_tutorials:
        share = found.better_than(TUTORIALS_LOSS)
        said += f" The loss that the tutorial prints, {TUTORIALS_LOSS}, is better than {percent(share)}."
    return said


def _is_the_tutorials(subject: Subject, epochs: int) -> bool:
    from simplenn.config import flat

    own = flat(subject.cfg)
    return epochs == TUTORIALS_EPOCHS and all(own.get(key) == value for key, value in TUTORIAL.items())

"""The explanation of a trained network in words and tables.

Shapes: N samples, F features, H hidden units.
"""

from collections.abc import Iterator, Sequence

import torch
from rich.table import Table
from torch import Tensor, nn

from simplenn.explanation.examples import examples
from simplenn.explanation.linear import linear_map, split_error
from simplenn.explanation.subject import Subject
from simplenn.explanation.units import activity

MOST_UNITS = 16  # rows of the table of hidden units
MOST_TERMS = 6  # of a formula
MOST_NUMBERS = 4  # in a cell
MOST_NAMED = 12


def explain(subject: Subject) -> Iterator[str | Table]:
    """Paragraphs and tables, in the order in which they are to be read."""
    x = subject.inputs
    if x is None:
        yield "Its data aren't tensors, so what it does with its samples can't be said."
        return
    if subject.is_sum:
        yield from _what_inputs_count(subject, x)
    if subject.simple is not None and subject.is_sum:
        yield from _unit_table(subject, x)
    yield from _dead_units(subject, x)
    yield from _example_table(subject)
    if not subject.is_sum:
        yield "What its weights should be isn't known: an exact solution is given for sums only (SumDataModule)."


def _what_inputs_count(subject: Subject, x: Tensor) -> Iterator[str]:
    try:
        found = linear_map(subject, x)
    except RuntimeError:  # as where an embedding looks its inputs up
        yield "What each input counts can't be said, as its output has no gradient with respect to them."
        return
    formula = _formula(found.weights, found.offset)
    if found.share is None:
        yield f"On average over its {len(x):,} training samples it computes\n  {formula}"
    elif found.num_pieces == 1:
        yield f"Over all of its {len(x):,} training samples it is one straight function:\n  {formula}"
    else:
        yield (
            f"Its {len(x):,} training samples lie on {found.num_pieces} straight pieces. On the one that has most of "
            f"them, {percent(found.share)}, it is\n  {formula}"
        )
    rank, within, across = split_error(found.weights, x)
    said = f"The exact sum is\n  {_formula(torch.ones_like(found.weights), 0.0)}\n"
    if rank < len(found.weights):
        directions = "one direction" if rank == 1 else f"{rank} directions"
        yield (
            f"{said}The training samples differ in {directions} of {len(found.weights)} only. Along it, the weights "
            f"are {within:.3f} from the exact ones;\nacross it, of which the samples say nothing, {across:.3f}."
        )
    else:
        yield f"{said}Its weights are {(within**2 + across**2) ** 0.5:.3f} from that (the length of the difference)."


def _formula(weights: Tensor, offset: float) -> str:
    terms = [f"{weight:.4g} x{number}" for number, weight in enumerate(weights.tolist(), 1)]
    if len(terms) > MOST_TERMS:
        terms = [*terms[:MOST_TERMS], "..."]
    return " + ".join([*terms, f"{offset:.4g}"]).replace("+ -", "- ")


def _unit_table(subject: Subject, x: Tensor) -> Iterator[str | Table]:
    """The learned weights beside an exact solution: relu(s) - relu(-s) is s, for the sum s of any numbers."""
    simple = subject.simple
    assert simple is not None
    inner, biases = simple.layer1.weight.detach().float().cpu(), simple.layer1.bias.detach().float().cpu()
    outer, offset = simple.layer2.weight.detach().float().cpu()[0], simple.layer2.bias.item()
    is_relu = isinstance(simple.activation, nn.ReLU)
    name = str(subject.cfg.model.activation)
    yield f"Its hidden units. Each adds {name}(weights . inputs + bias), times its output weight:"
    table = Table()
    table.add_column("unit", no_wrap=True)
    for heading in ("weights", "bias", "output", *(["active", "exact weights", "exact\noutput"] if is_relu else [])):
        table.add_column(heading, justify="right", no_wrap="weights" not in heading)
    shares = next(iter(activity(subject, x).values())) if is_relu else torch.empty(0)
    exact = _exact_solution(inner)
    for unit in range(min(len(inner), MOST_UNITS)):
        own = [_signed(inner[unit].tolist()), _signed([biases[unit].item()]), _signed([outer[unit].item()])]
        table.add_row(str(unit + 1), *own, *([_share(shares[unit].item()), *exact[unit]] if is_relu else []))
    if len(inner) > MOST_UNITS:
        table.add_row("...", f"{len(inner) - MOST_UNITS} more")
    table.add_section()
    table.add_row("", "output bias", "", _signed([offset]), *(["", "output bias", "0"] if is_relu else []))
    yield table
    if is_relu:
        yield "The exact solution is one of many: relu(s) - relu(-s) = s. One unit alone is exact for sums above 0."
    else:
        yield f"No weights make a network of {name} units exact: it can come close within a range only."


def _exact_solution(inner: Tensor) -> list[tuple[str, str]]:
    """For each unit, weights and output weight; the two that it takes stand beside the units most like them."""
    num_features = inner.shape[1]
    ones, more = (num_features, "") if num_features < MOST_NUMBERS else (MOST_NUMBERS - 2, " ...")
    sums = inner.sum(dim=1)
    plus = int(sums.argmax())
    cells = [("not needed", "0")] * len(inner)
    cells[plus] = " ".join(["+1"] * ones) + more, "+1"
    if len(inner) > 1:
        sums[plus] = torch.inf
        cells[int(sums.argmin())] = " ".join(["-1"] * ones) + more, "-1"
    return cells


def _dead_units(subject: Subject, x: Tensor) -> Iterator[str]:
    layers = activity(subject, x)
    if not layers:
        simple = subject.simple is not None
        why = "units like these don't die" if simple else "which of its units are dead can't be said"
        yield f"It has no ReLU layer{'' if simple else ' as a module'}: {why}."
        return
    others = [activity(subject, own) for name, (own, _) in subject.sets.items() if name in ("test", "extrapolation")]
    for name, shares in layers.items():
        layer = f" of {name}" if len(layers) > 1 or subject.simple is None else ""
        dead = [unit for unit, share in enumerate(shares.tolist()) if share == 0]
        if not dead:
            yield f"No hidden unit{layer} is dead: each is active at some training sample."
            continue
        which = ", ".join(str(unit + 1) for unit in dead[:MOST_NAMED]) + (", ..." if len(dead) > MOST_NAMED else "")
        said = (
            f"Dead: {len(dead)} of the {len(shares)} hidden units{layer} ({which}). At no training sample are they "
            "above 0,\nso they add nothing there, and their own weights get no gradient."
        )
        waking = [unit for unit in dead if any(own[name][unit] > 0 for own in others if name in own)]
        if waking:
            said += f" At test samples, {len(waking)} of them {'is' if len(waking) == 1 else 'are'} active."
        if len(dead) == len(shares) and len(layers) == 1 and subject.simple is not None:
            said += f"\nSo it answers every training sample alike: {subject.predict(x)[0]:.4f}, its output bias."
        yield said


def _example_table(subject: Subject) -> Iterator[str | Table]:
    found = examples(subject)
    yield (
        "What it says, inside and outside of the range of its training samples:" if subject.is_sum else "What it says:"
    )
    table = Table("inputs")
    table.add_column("range" if subject.is_sum else "samples", no_wrap=True)
    for heading in ("exact" if subject.is_sum else "target", "it says", "error"):
        table.add_column(heading, justify="right", no_wrap=True)
    previous = found[0].place if found else ""
    for example in found:
        if example.place != previous:
            table.add_section()
        previous = example.place
        error = example.said - example.truth
        row = _numbers(example.inputs), example.place, f"{example.truth:.4g}", f"{example.said:.2f}", f"{error:+.2f}"
        table.add_row(*row)
    yield table


def _signed(values: Sequence[float]) -> str:
    """With at most `MOST_NUMBERS` words, so that a table of hidden units has its place in 80 columns."""
    values = [0.0 if abs(value) < 0.005 else value for value in values]  # never -0.00
    texts = [f"{value:+.2f}" if abs(value) < 100 else f"{value:+.0e}" for value in values[:MOST_NUMBERS]]
    return " ".join(texts if len(values) < MOST_NUMBERS else [*texts[:-2], "..."])


def _numbers(values: Sequence[float]) -> str:
    shown = " ".join(f"{value:.3g}" for value in values[:MOST_NUMBERS])
    return f"{shown} ..." if len(values) > MOST_NUMBERS else shown


def _share(share: float) -> str:
    return "never" if share == 0 else "always" if share == 1 else percent(share)


def percent(share: float) -> str:
    """A share short of all, or above none, is never shown as all or none."""
    rounded = min(99.0, max(1.0, round(100 * share))) if 0 < share < 1 else 100 * share
    return f"{rounded:.0f} %"

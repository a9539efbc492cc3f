"""What the network says for a few inputs, inside and outside of the range of its training samples.

Shapes: N samples, F features.
"""

from dataclasses import dataclass

import torch

from simplenn.explanation.subject import Subject

FEW = 3
EDGE = 0.02  # of the range, by which the training samples may miss its ends
MOST_FEATURES = 8  # of which examples are made up; samples of more are taken from the data


@dataclass
class Example:
    inputs: list[float]
    place: str
    truth: float
    said: float


def examples(subject: Subject) -> list[Example]:
    """Round numbers for a sum, else a few samples of each set."""
    x = subject.inputs
    if x is None:
        return []
    if not subject.is_sum or x.shape[1] > MOST_FEATURES:
        return _of_samples(subject)
    ramp = torch.arange(1.0, x.shape[1] + 1)
    centre = (x.mean(dim=0) * 2).round() / 2
    high = x.amax().ceil()
    points = torch.stack([ramp, centre, ramp.flip(0), 0 * ramp, high + ramp, 10 * ramp, -ramp])
    if len(x) <= FEW:
        points = torch.cat([x, points])
    points = torch.stack(list({tuple(point.tolist()): point for point in points}.values()))
    margin = EDGE * (x.amax(dim=0) - x.amin(dim=0))
    inside = ((points >= x.amin(dim=0) - margin) & (points <= x.amax(dim=0) + margin)).all(dim=1)
    rows = zip(points.tolist(), inside.tolist(), subject.predict(points).tolist(), strict=True)
    found = [Example(point, "inside" if is_in else "outside", sum(point), said) for point, is_in, said in rows]
    return sorted(found, key=lambda example: example.place)


def _of_samples(subject: Subject) -> list[Example]:
    found = []
    for name, (x, y) in subject.sets.items():
        said = subject.predict(x[:FEW]).tolist()
        rows = zip(x[:FEW].flatten(1).tolist(), y[:FEW, 0].tolist(), said, strict=True)
        found += [Example(inputs, name, truth, answer) for inputs, truth, answer in rows]
    return found

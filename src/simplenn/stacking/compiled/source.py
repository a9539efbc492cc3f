"""The C++ source of a compiled epoch, from the graphs of one run's step. Knows no files.

Shapes: those of one run; B batch.
"""

from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import NamedTuple

import torch
from torch.fx import GraphModule

from simplenn.stacking.compiled.body import Body, loop
from simplenn.stacking.compiled.translation import translate
from simplenn.stacking.compiled.values import Value, in_memory
from simplenn.stacking.reasons import CannotCompile

LANES = Path(__file__).with_name("lanes.h")

TRAIN = """
extern "C" int64_t bytes() {{ return ({floats} + (GROUP - 1) * {state}) * sizeof(Float); }}

extern "C" int train(const Training* work, int64_t first, int64_t last) {{
  const OneThread one;
  const Memory memory({floats} + (GROUP - 1) * {state});
  if (memory.numbers == nullptr) return 1;
  Float *const states = memory.numbers, *const x = states + GROUP * {state}, *const y = x + {x}, *const rest = y + {y};
  static const int64_t sizes[] = {{{sizes}}};
  const int64_t num = work->num_runs;
  for (int64_t start = first; start < last; start += GROUP * LANES) {{
    load_group(states, {state}, work->state, sizes, {tensors}, start, last, num);
    for (int64_t run = start; run < last && run < start + GROUP * LANES; run += LANES) {{
      Float* const state = states + (run - start) / LANES * {state};
      const int64_t* order[LANES];
      for (int lane = 0; lane < LANES; ++lane)
        order[lane] = work->orders + work->order_of_run[run + lane < num ? run + lane : num - 1] * work->num_samples;
      Double sums[{metrics} + 1];
      for (int64_t k = 0; k < work->num_steps; ++k) {{
        Float coefficients[{coefficients} + 1];
        Double loss, metrics[{metrics} + 1];
        for (int c = 0; c < {coefficients}; ++c) {{
          const float* from = work->coefficients[k * {coefficients} + c];
          coefficients[c] = work->is_of_run[k * {coefficients} + c] ? load(from, run, num) : f(*from);
        }}
        const int64_t begin = k * {batch};
        {steps}
        store(work->losses + k * num, loss, run, num);
        add_to_sums(sums, metrics, begin, work->num_samples, {batch});
      }}
      store_means(work->metrics, sums, work->num_samples, run, num);
    }}
    store_group(states, {state}, work->new_state, sizes, {tensors}, start, last, num);
  }}
  return 0;
}}
"""
STEP = """if (work->num_samples - begin {comparison} {batch}) {{
        gather(x, work->x, order, begin, {batch}, {width_x});
        gather(y, work->y, order, begin, {batch}, {width_y});
        step_{batch}(state, x, y, coefficients, rest, loss, metrics);
      }}"""
# As `metric.Means` adds up what batches have, in the precision that each metric has.
MEANS = """
INLINE Double rounded(Double x, bool is_float) {{ return is_float ? to_double(to_float(x)) : x; }}

static const bool is_float[] = {{{is_float}}};

INLINE void add_to_sums(Double* sums, const Double* metrics, int64_t begin, int64_t num_samples, int64_t batch) {{
  const Double weight = d(num_samples - begin < batch ? num_samples - begin : batch);
  for (int m = 0; m < {metrics}; ++m) {{
    const Double weighted = rounded(metrics[m] * weight, is_float[m]);
    sums[m] = begin == 0 ? weighted : rounded(sums[m] + weighted, is_float[m]);
  }}
}}

INLINE void store_means(double* to, const Double* sums, int64_t num_samples, int64_t run, int64_t num) {{
  for (int m = 0; m < {metrics}; ++m) store(to + m * num, rounded(sums[m] / d(num_samples), is_float[m]), run, num);
}}
"""
EVALUATE = """
extern "C" int64_t bytes() {{ return (GROUP * {state} + {floats}) * sizeof(Float); }}

extern "C" int evaluate(const Evaluation* work, int64_t first, int64_t last) {{
  const OneThread one;
  const Memory memory(GROUP * {state} + {floats});
  if (memory.numbers == nullptr) return 1;
  Float *const states = memory.numbers, *const rest = states + GROUP * {state};
  static const int64_t sizes[] = {{{sizes}}};
  const int64_t num = work->num_runs;
  for (int64_t start = first; start < last; start += GROUP * LANES) {{
    load_group(states, {state}, work->state, sizes, {tensors}, start, last, num);
    for (int64_t run = start; run < last && run < start + GROUP * LANES; run += LANES) {{
      Double metrics[{metrics} + 1];
      metrics_of(states + (run - start) / LANES * {state}, work->x, work->y, rest, metrics);
      for (int m = 0; m < {metrics}; ++m) store(work->metrics + m * num, metrics[m], run, num);
    }}
  }}
  return 0;
}}
"""


MOST_TEXT = 1_000_000  # characters of a source, above which the compiler may take minutes


class Shapes(NamedTuple):
    """Of one run's tensors. The state is one array: the trained weights, the other weights, then slot by slot what the
    optimizer keeps of all trained weights."""

    trained: Sequence[tuple[int, ...]]
    others: Sequence[tuple[int, ...]]
    num_slots: int
    x: tuple[int, ...]  # of one sample
    y: tuple[int, ...]

    @property
    def weights(self) -> list[tuple[int, ...]]:
        return [*self.trained, *self.others]

    @property
    def num_trained(self) -> int:
        """How many numbers are trained."""
        return sum(map(prod, self.trained))

    @property
    def sizes(self) -> list[int]:
        """How many numbers each tensor of the state has."""
        return [*map(prod, self.weights), *(prod(shape) for _ in range(self.num_slots) for shape in self.trained)]


class Step(NamedTuple):
    """The graph of one run's step on a batch of B samples, which gives the gradients of the trained weights, the loss
    and the metrics; in an evaluation only the metrics."""

    batch: int
    graph: GraphModule


def training_source(shapes: Shapes, steps: Sequence[Step], update: GraphModule, is_mask: Sequence[bool]) -> str:
    """For batches as `steps` has them, the whole ones first and then the epoch's last; `update` is the graph of a
    weight's single number, and `is_mask` says which of the coefficients that it takes are boolean."""
    bodies, needed, types = [], 0, []
    for step in steps:
        text, floats, types = _step(shapes, step, update, is_mask)
        bodies.append(text)
        needed = max(needed, floats)
    is_float = ", ".join(str(dtype == torch.float32).lower() for dtype in types) or "false"
    means = MEANS.format(metrics=len(types), is_float=is_float)
    batch, width_x, width_y = steps[0].batch, prod(shapes.x), prod(shapes.y)
    state = sum(shapes.sizes)
    calls = [
        STEP.format(batch=step.batch, width_x=width_x, width_y=width_y, comparison=">=" if step is steps[0] else "==")
        for step in steps
    ]
    train = TRAIN.format(
        floats=state + batch * (width_x + width_y) + needed,
        state=state,
        x=batch * width_x,
        y=batch * width_y,
        sizes=", ".join(map(str, shapes.sizes)),
        tensors=len(shapes.sizes),
        coefficients=len(is_mask),
        metrics=len(types),
        batch=batch,
        steps=" else ".join(calls),
    )
    return "\n".join([LANES.read_text(), *bodies, means, train])


def evaluation_source(shapes: Shapes, step: Step) -> str:
    """The metrics on one batch of `step.batch` samples, which all runs share."""
    body, sizes = Body(), [prod(shape) for shape in shapes.weights]
    x = in_memory("x", (step.batch, *shapes.x), torch.float32, "f({}[{}])")
    y = in_memory("y", (step.batch, *shapes.y), torch.float32, "f({}[{}])")
    metrics = translate(step.graph, [*_weights(shapes), x, y], body)
    _assign_metrics(metrics, body)
    temporaries, floats = body.memory()
    head = "static void metrics_of(Float* state, const float* x, const float* y, Float* memory, Double* metrics) {"
    function = _function(head, [*_places(shapes), *temporaries, *body.statements])
    evaluate = EVALUATE.format(
        state=sum(sizes), floats=floats, sizes=", ".join(map(str, sizes)), tensors=len(sizes), metrics=len(metrics)
    )
    return "\n".join([LANES.read_text(), function, evaluate])


def _step(
    shapes: Shapes, step: Step, update: GraphModule, is_mask: Sequence[bool]
) -> tuple[str, int, list[torch.dtype]]:
    """The function of a step, how many `Float`s of memory it needs, and the types of its metrics."""
    body = Body()
    x, y = (in_memory(name, (step.batch, *shape), torch.float32) for name, shape in (("x", shapes.x), ("y", shapes.y)))
    results = translate(step.graph, [*_weights(shapes), x, y], body)
    num_trained = len(shapes.trained)
    # All gradients are there before a weight changes.
    grads, start = body.temporary((shapes.num_trained,), torch.float32), 0
    for grad in results[:num_trained]:
        body.store(grad.as_type(torch.float32), f"({grads.array} + {start})")
        start += grad.num
    loss, *metrics = results[num_trained:]
    body.assign(loss.as_type(torch.float64).reshaped(()), lambda _: "loss")
    _assign_metrics(metrics, body)
    _update(shapes, update, is_mask, grads, body)
    temporaries, floats = body.memory()
    head = (
        f"static void step_{step.batch}(Float* state, const Float* x, const Float* y, const Float* coefficients, "
        "Float* memory, Double& loss, Double* metrics) {"
    )
    types = [metric.dtype for metric in metrics]
    return _function(head, [*_places(shapes), *temporaries, *body.statements]), floats, types


def _assign_metrics(metrics: Sequence[Value], body: Body) -> None:
    for number, metric in enumerate(metrics):
        body.assign(metric.as_type(torch.float64).reshaped(()), lambda _, number=number: f"metrics[{number}]")


def _update(shapes: Shapes, graph: GraphModule, is_mask: Sequence[bool], grads: Value, body: Body) -> None:
    """Takes the trained weights and their slots, one array each, a step further in place."""
    arrays = ["w0", *(f"s{slot}" for slot in range(shapes.num_slots))]
    weights, *slots = (in_memory(array, grads.shape, torch.float32) for array in arrays)
    coefficients = [in_memory("coefficients", (), torch.float32, f"{{}}[{c}]") for c in range(len(is_mask))]
    given = [c.as_type(torch.bool) if mask else c for c, mask in zip(coefficients, is_mask, strict=True)]
    results = translate(graph, [weights, grads, *slots, *given], body, grads.shape)
    # All of a place's new numbers are there before one of the old ones is written over.
    new = [f"const Float new{i} = {value.broadcast(grads.shape).at(['i'])};" for i, value in enumerate(results)]
    written = [f"{array}[i] = new{i};" for i, array in enumerate(arrays)]
    body.statements.append(" ".join([loop("i", grads.num), "{", *new, *written, "}"]))


def _weights(shapes: Shapes) -> list[Value]:
    return [in_memory(f"w{i}", shape, torch.float32) for i, shape in enumerate(shapes.weights)]


def _places(shapes: Shapes) -> list[str]:
    """The declarations of the weights w0, w1, ... and of the slots s0, s1, ..., as places of the state."""
    sizes = [prod(shape) for shape in shapes.weights]
    starts = {f"w{i}": sum(sizes[:i]) for i in range(len(sizes))}
    starts |= {f"s{slot}": sum(sizes) + slot * shapes.num_trained for slot in range(shapes.num_slots)}
    return [f"[[maybe_unused]] Float* const {name} = state + {start};" for name, start in starts.items()]


def _function(head: str, statements: Sequence[str]) -> str:
    if sum(map(len, statements)) > MOST_TEXT:
        raise CannotCompile("the step is too long to be compiled")
    return "\n  ".join([head, *statements]) + "\n}"

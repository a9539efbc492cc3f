"""Carries one run's computation over to R runs, with the runs' axis last in memory. Knows nothing of training.

`torch.func.vmap` puts the runs' axis first, whatever `in_dims` says, so that a loop over the runs jumps through memory.
Here a graph of one run is interpreted with tensors that have one more axis at their end, of length R or 1.

Shapes: `*` is that axis.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.func import vmap
from torch.fx import GraphModule, Interpreter

from simplenn.stacking.compiled.torch_internals import flatten, is_operation, unflatten

aten = torch.ops.aten


class RunsLast(Interpreter):
    """`graph` consists of core ATen operations; where it has a tensor [...], `run` takes and returns [..., *].

    `in_rules` says whether each of its operations keeps the runs' axis last, none by way of `vmap`. `run` raises
    `NotImplementedError` for an operation that has not been tried.
    """

    def __init__(self, graph: GraphModule) -> None:
        super().__init__(graph, garbage_collect_values=False)
        targets = {node.target for node in graph.graph.nodes if node.op == "call_function"}
        self.in_rules = targets.isdisjoint(BY_VMAP)

    def get_attr(self, target: Any, args: tuple, kwargs: dict) -> Any:
        raise NotImplementedError("the network holds a tensor that is not a parameter")

    def call_function(self, target: Any, args: tuple, kwargs: dict) -> Any:
        if not is_operation(target):
            return target(*args, **kwargs)  # operator.getitem: one of several results
        if target in CONSTANT:
            return target(*args, **kwargs).unsqueeze(-1)  # the same for all runs
        if target in OPERATIONS:
            return OPERATIONS[target](*args, **kwargs)
        if torch.Tag.pointwise in target.tags or target in LIKE:
            return target(*args, **kwargs)  # broadcasting goes by the last axes: R meets R or 1
        if target in BY_VMAP:
            return _by_vmap(target, args, kwargs)
        raise NotImplementedError(f"{target} has not been tried for many runs")


def _by_vmap(target: Any, args: tuple, kwargs: dict) -> Any:
    """`target(*args, **kwargs)` for every run by `torch.func.vmap`: correct, but not fast."""
    shape: list[Any] = []
    leaves, spec = flatten((args, kwargs))
    num_runs = max(leaf.shape[-1] for leaf in leaves if isinstance(leaf, Tensor))
    runs = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
    where = [i for i, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]

    def one(*tensors: Tensor) -> Any:
        filled = list(leaves)
        for i, tensor in zip(where, tensors, strict=True):
            filled[i] = tensor
        args, kwargs = unflatten(filled, spec)
        results, structure = flatten(target(*args, **kwargs))
        shape[:] = [structure, [result is not None for result in results]]
        return tuple(result for result in results if result is not None)

    # Copied so that the runs are first and whole, as in an eager stack: some kernels and inductor expect such strides.
    first = [tensor.expand(*tensor.shape[:-1], num_runs).movedim(-1, 0).contiguous() for tensor in runs]
    given = iter(vmap(one, out_dims=-1)(*first))
    structure, there = shape
    return unflatten([next(given) if here else None for here in there], structure)


def _reduced(reduce: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A reduction over axes of one run, by default over all of them."""

    def reduced(x: Tensor, dims: Any = None, keepdim: bool = False, **kwargs: Any) -> Tensor:
        kept = _dims(x, [dims] if isinstance(dims, int) else dims or range(x.dim() - 1))
        return reduce(x, kept, keepdim, **kwargs) if kept else x

    return reduced


def _dims(x: Tensor, dims: Any) -> list[int]:
    """Axes of one run's tensor, all counted from the front: counted from the back, they would count the runs' axis."""
    return [dim % (x.dim() - 1) for dim in dims]


def _product(a: Tensor, b: Tensor) -> Tensor:
    """[I, J, *] @ [J, K, *] -> [I, K, *], as elementwise operations, which inductor vectorises along the runs' axis and
    fuses with what is around them."""
    return (a.unsqueeze(2) * b.unsqueeze(0)).sum(1)


def _biased_product(c: Tensor, a: Tensor, b: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    return c * beta + _product(a, b) * alpha if (beta, alpha) != (1, 1) else c + _product(a, b)


# Operations that make a tensor without taking one: the same for all runs.
CONSTANT = (aten.full.default, aten.arange.start_step, aten.scalar_tensor.default, aten.empty_permuted.default)
# Operations that take whatever shape their input has.
LIKE = (aten.full_like.default, aten.ones_like.default, aten.zeros_like.default, aten.clone.default)
# How other operations are done with the runs' axis at the end.
OPERATIONS: dict[Any, Callable[..., Any]] = {
    aten.mm.default: _product,
    aten.addmm.default: _biased_product,
    aten.sum.default: _reduced(aten.sum.dim_IntList),
    aten.sum.dim_IntList: _reduced(aten.sum.dim_IntList),
    aten.mean.default: _reduced(aten.mean.dim),
    aten.mean.dim: _reduced(aten.mean.dim),
    aten.view.default: lambda x, shape: x.reshape(*shape, x.shape[-1]),
    aten.expand.default: lambda x, shape: x.expand(*shape, x.shape[-1]),
    aten.permute.default: lambda x, dims: x.permute(*_dims(x, dims), -1),
    aten.unsqueeze.default: lambda x, dim: x.unsqueeze(dim % x.dim()),
    aten.squeeze.dim: lambda x, dim: x.squeeze(_dims(x, [dim])),
    aten.squeeze.dims: lambda x, dims: x.squeeze(_dims(x, dims)),
    aten.detach.default: lambda x: x,
    aten.alias.default: lambda x: x,
}
# Operations that have been tried by way of `vmap`, and gave what they give for a run by itself.
BY_VMAP = frozenset(
    (
        *(aten.bmm.default, aten._softmax.default, aten._log_softmax.default, aten.native_layer_norm.default),
        *(aten.native_group_norm.default, aten.linalg_vector_norm.default, aten.var.correction),
        *(aten.convolution.default, aten.convolution_backward.default, aten.constant_pad_nd.default),
        *(aten.avg_pool2d.default, aten.avg_pool2d_backward.default),
        *(aten.max_pool2d_with_indices.default, aten.max_pool2d_with_indices_backward.default),
        *(aten.max.dim, aten.max.default, aten.min.dim, aten.amax.default, aten.amin.default),
        *(aten.argmax.default, aten.median.dim, aten.any.dim, aten.prod.dim_int),
        *(aten.cumsum.default, aten.cumprod.default, aten.sort.default, aten.topk.default),
        *(aten.cat.default, aten.slice.Tensor, aten.slice_scatter.default, aten.select.int, aten.flip.default),
        *(aten.split_with_sizes.default, aten.repeat.default, aten.diagonal.default, aten.diagonal_scatter.default),
        *(aten.embedding.default, aten.index.Tensor, aten.index_put.default, aten.index_select.default),
        *(aten.gather.default, aten.scatter.src, aten.scatter_add.default, aten._to_copy.default),
    )
)

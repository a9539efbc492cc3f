"""What is handed to compiled code, laid out as `lanes.h` and `orders.cpp` have it, and the threads that carry it out.
Knows no graphs.

Shapes: R runs.
"""

import ctypes
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import torch
from torch import Tensor

PIECE = 256  # runs that a thread trains at a time, at least: fewer are not worth a call
PIECES = 4  # for each thread, so that one that is held up doesn't hold up all


class TrainingWork(ctypes.Structure):
    """`Training` in lanes.h."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("num_runs", "num_steps", "num_samples")),
        *((name, ctypes.POINTER(ctypes.c_void_p)) for name in ("state", "new_state")),
        *((name, ctypes.c_void_p) for name in ("x", "y", "orders", "order_of_run")),
        ("coefficients", ctypes.POINTER(ctypes.c_void_p)),
        ("is_of_run", ctypes.POINTER(ctypes.c_int64)),
        *((name, ctypes.c_void_p) for name in ("losses", "metrics")),
    ]


class EvaluationWork(ctypes.Structure):
    """`Evaluation` in lanes.h."""

    _fields_ = [
        ("num_runs", ctypes.c_int64),
        ("state", ctypes.POINTER(ctypes.c_void_p)),
        *((name, ctypes.c_void_p) for name in ("x", "y", "metrics")),
    ]


class DrawingWork(ctypes.Structure):
    """`Drawing` in orders.cpp."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("num_seeds", "num_samples")),
        *((name, ctypes.c_void_p) for name in ("seeds", "orders")),
    ]


def addresses(tensors: Sequence[Tensor]) -> Any:
    """Of the first number of each."""
    assert all(tensor.is_contiguous() for tensor in tensors)
    return (ctypes.c_void_p * len(tensors))(*(tensor.data_ptr() for tensor in tensors))


class Threads:
    """As many as torch uses, this one among them."""

    def __init__(self) -> None:
        self._num = torch.get_num_threads()
        self._others = ThreadPoolExecutor(max(1, self._num - 1))

    def call(self, function: Callable[..., Any], work: ctypes.Structure, num_runs: int) -> None:
        """Calls the function for all runs, piece by piece. Python's lock is released meanwhile."""
        size = max(PIECE, -(-num_runs // (self._num * PIECES) // PIECE) * PIECE)
        pieces = iter(range(0, num_runs, size))  # the next one is had under Python's lock

        def take() -> None:
            for start in pieces:
                end = min(start + size, num_runs)
                if function(ctypes.byref(work), ctypes.c_int64(start), ctypes.c_int64(end)):
                    raise MemoryError("not enough memory for compiled code")

        others = []
        try:
            for _ in range(min(self._num, -(-num_runs // size)) - 1):
                others.append(self._others.submit(take))
            take()
        finally:  # of a signal too: what the others write to must outlive them
            _end(pieces, others)
        for other in others:
            other.result()


def _end(pieces: Iterator[int], others: Sequence[Future[None]]) -> None:
    """Lets nobody begin another piece, and waits for all, whatever is raised here meanwhile; that is raised then."""
    raised: BaseException | None = None
    while True:
        try:
            for _ in pieces:
                pass
            wait(others)
            break
        except BaseException as error:
            raised = error
    if raised is not None:
        raise raised

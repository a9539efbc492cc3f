"""Which of a run's processes this one is, by the environment, as Lightning reads it. Imports nothing of Lightning's.

Lightning starts the further processes of one node; on several nodes the user starts one on each; torchrun and srun
start all of them.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from simplenn.errors import ConfigError
from simplenn.scripts import script_command

Settings = Mapping[Any, Any]  # those of the group `trainer`

PR_SET_PDEATHSIG = 1  # of Linux's prctl: the signal that a process gets when its parent ends
RANKS = {"torchrun": ["RANK"], "srun": ["SLURM_PROCID"], "Lightning": ["NODE_RANK", "GROUP_RANK", "LOCAL_RANK"]}
MEETING_POINT = ("NODE_RANK", "MASTER_ADDR", "MASTER_PORT")

_watched: set[int] = set()


def is_main_process(trainer: Settings) -> bool:
    """Whether this is the one that writes: the only one, or that of global rank 0."""
    return not _several(trainer) or all(os.environ.get(name, "0") == "0" for name in RANKS[_starter()])


def started_by_user(trainer: Settings) -> bool:
    """Whether the run has several processes that the user, torchrun or srun starts, each by the whole command."""
    starts_all = _starter() != "Lightning" or "LOCAL_RANK" in os.environ
    return _has_nodes(trainer) or (_several(trainer) and starts_all)


def refuse_other_number(trainer: Settings, awaited: int) -> None:
    """Raises `ConfigError` where the processes that are started aren't those that the Trainer waits for."""
    nodes = trainer.get("num_nodes", 1)
    starter = _starter()
    started = {"torchrun": "WORLD_SIZE", "srun": "SLURM_NTASKS"}.get(starter)
    if started and (starter == "torchrun" or _several(trainer)) and int(os.environ[started]) != awaited:
        raise ConfigError(
            f"trainer.devices times trainer.num_nodes must be the {os.environ[started]} processes that {starter} "
            f"starts, got {awaited}; try trainer.devices=<processes a node> trainer.num_nodes=<nodes>"
        )
    if starter == "Lightning" and nodes > 1 and (missing := [name for name in MEETING_POINT if name not in os.environ]):
        raise ConfigError(
            f"trainer.num_nodes={nodes} needs {', '.join(MEETING_POINT)} in the environment of each node's command, "
            f"got no {missing[0]}; try NODE_RANK=0 MASTER_ADDR=<first node> MASTER_PORT=29500 "
            f"{script_command('train.py')}"
        )
    node = os.environ.get("NODE_RANK", "0")
    if starter == "Lightning" and _several(trainer) and node not in map(str, range(nodes)):
        raise ConfigError(
            f"NODE_RANK must be a number below trainer.num_nodes={nodes}, got {node!r}; try another trainer.num_nodes"
        )


def end_with_parent(parent: int) -> None:
    """Lets this process outlive the one of that id, which has started it, by no more than a second.

    On Linux the kernel sees to it; elsewhere, and beside it, a thread does. Ends at once where the parent is dead.
    """
    _let_the_kernel_end_it()
    if os.getppid() != parent:
        os._exit(1)
    _watch(parent)


def end_with_starter(parent: int) -> None:
    """The same for a process that may have been started by another one: then it does nothing.

    The kernel isn't asked, as what it watches is the thread that has started this process, which may end before.
    """
    if os.getppid() == parent:
        _watch(parent)


def _watch(parent: int) -> None:
    if parent in _watched:
        return
    _watched.add(parent)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="end-with-parent").start()


def _let_the_kernel_end_it() -> None:
    if sys.platform != "linux":
        return
    import ctypes

    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _starter() -> str:
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return "torchrun"
    interactive = os.environ.get("SLURM_JOB_NAME") in ("bash", "interactive")
    return "srun" if "SLURM_NTASKS" in os.environ and not interactive else "Lightning"


def _several(trainer: Settings) -> bool:
    return str(trainer.get("devices", 1)) != "1" or _has_nodes(trainer)


def _has_nodes(trainer: Settings) -> bool:
    return str(trainer.get("num_nodes", 1)) != "1"

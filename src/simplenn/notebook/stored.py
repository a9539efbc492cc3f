"""The trained network of a run that has no directory, read from the sweep's part that holds it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from simplenn.config import check_config
from simplenn.errors import ConfigError
from simplenn.evaluation import has_none, warn_if_diverged
from simplenn.groups.columns import config_of
from simplenn.notebook.arguments import known_checkpoint
from simplenn.notebook.network import TrainedNetwork, load_run
from simplenn.setup import build_run
from simplenn.sweep.parts import find_parts, read_group


def load_stored(sweep: Path, run: Mapping[str, Any], which: str, allow: Sequence[str]) -> TrainedNetwork:
    """The network of the run in this row of `all_runs`; from its directory where no part has it.

    Raises `ConfigError`, and `Damaged`.
    """
    if run["part"] is None:
        return load_run(sweep / run["subdir"], which, allow)
    part = next(part for part in find_parts(sweep) if part.number == run["part"])
    group = read_group(part, [run["row"]])
    snapshot = group.ended.last if known_checkpoint(which) == "last" else group.ended.best
    epoch = int(snapshot.epoch[0])
    if epoch < 0:
        why = has_none(group.ended.status[0], group.ended.message[0])
        raise ConfigError(f"{run['run']} must have a {which} state, and {why}; try checkpoint='last'")
    cfg = check_config(config_of(group.cfg, group.columns, 0))
    cfg.allow = list(allow)
    regressor, data = build_run(cfg)
    try:
        regressor.load_state_dict({name: tensor[0] for name, tensor in snapshot.weights.items()}, assign=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{run['run']} of {part.path} has weights that its network doesn't take: {reason}") from error
    warn_if_diverged(f"{run['run']} of {sweep}", group.ended.status[0], group.ended.message[0], epoch)
    return TrainedNetwork(regressor, data, name=f"{run['run']} of {sweep}", epoch=epoch, cfg=cfg)

"""A job's configuration: what `.hydra` in its directory holds, and one in the place of another."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from simplenn.config import check_config, identity, values_to_save
from simplenn.rundir import Run

if TYPE_CHECKING:
    from simplenn.command.resume import Resumed


def save(config: DictConfig, resumed: "Resumed | None") -> None:
    """Writes the job's configuration as Hydra would. Of a resumed run, the overrides and choices of all sessions.

    Raises `Unwritable`.
    """
    node: Any = OmegaConf.to_container(HydraConfig.instance().cfg, resolve=False, enum_to_str=True)
    if resumed is not None:
        node["hydra"]["overrides"]["task"] = resumed.overrides
        node["hydra"]["runtime"]["choices"] |= resumed.choices
    files = {
        "config.yaml": values_to_save(config),
        "hydra.yaml": node,
        "overrides.yaml": node["hydra"]["overrides"]["task"],
    }
    texts = {name: OmegaConf.to_yaml(OmegaConf.create(values)).encode() for name, values in files.items()}
    values: Any = OmegaConf.create(files["config.yaml"])
    own = identity(check_config(values))
    Run(Path(config.hydra.runtime.output_dir)).write_hydra_folder(texts, own)


def put_in(config: DictConfig, job: DictConfig) -> None:
    """Puts a job's configuration in the place of all but the node `hydra`."""
    with read_write(config), open_dict(config):
        for key in [key for key in config if key != "hydra" and key not in job]:
            del config[key]
        values: Any = OmegaConf.to_container(job, resolve=False)
        for key, value in values.items():
            config[key] = value

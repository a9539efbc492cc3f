"""A sweep's directory that is a stranger's runs no code of theirs, writes nothing outside of it, and looks nothing up.

Its checksums are as they should be: whoever writes the file writes them too.
"""

import json
import shutil
from collections.abc import Callable
from hashlib import sha256
from os import environ
from pathlib import Path
from typing import Any

import pytest
from commands import script
from omegaconf import OmegaConf

from simplenn.sweep.multirun import write_multirun
from simplenn.sweep.parts import digest_of

NAME = Path("outputs") / "sweeps" / "theirs"
GRID = ("experiment=post", "trainer=cpu", "trainer.max_epochs=3", "seed=1,2", "progress=none")
SECRET = "the reader's own secret"


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cwd = tmp_path_factory.mktemp("theirs")
    done = script("train.py", "-m", "name=theirs", *GRID, "run_dirs=none", cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr
    return cwd / NAME


@pytest.fixture
def place(theirs: Path, tmp_path: Path) -> Path:
    shutil.copytree(theirs, tmp_path / NAME)
    return tmp_path


def told(place: Path, change: Callable[[Any], None]) -> None:
    """Changes what the sweep's `multirun.yaml` says, and its checksum."""
    config: Any = OmegaConf.load(place / NAME / "multirun.yaml")
    OmegaConf.set_struct(config, False)
    change(config)
    write_multirun(place / NAME, config, 2, ["seed"], {})


def described(place: Path, key: str, change: Callable[[Any], Any]) -> None:
    """Changes what the part says of its runs, and its checksum."""
    file = next((place / NAME).glob("stacks/*/structure.json"))
    content = json.loads(file.read_text())
    found = OmegaConf.create(content[key])
    change(found)
    content[key] = OmegaConf.to_yaml(found) if isinstance(content[key], str) else OmegaConf.to_container(found)
    content.pop("digest")
    file.write_text(json.dumps({**content, "digest": digest_of(content)}))


def outside(place: Path) -> set[str]:
    """What lies beside the sweep."""
    return {path.name for folder in (place, place / "outputs", place / "outputs/sweeps") for path in folder.iterdir()}


def read(place: Path, *words: str) -> tuple[int, str]:
    """The exit status of a command, and what it says."""
    done = script(*words, cwd=place, environment=environ | {"SECRET": SECRET})
    assert "Traceback" not in done.stderr, done.stderr
    assert SECRET not in done.stdout + done.stderr
    for path in place.rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path
    return done.returncode, done.stdout + done.stderr


OVERRIDES = [
    "hydra.job_logging.handlers.file.filename=prey",
    "+hydra.callbacks.own={_target_:pathlib.Path.touch,self:prey}",
    "hydra/launcher=joblib",
    "hydra.launcher._target_=pathlib.Path.touch",
    "hydra.sweeper._target_=hydra._internal.core_plugins.basic_sweeper.BasicSweeper",
    "+hydra={job:{name:prey}}",
    "optimizer@hydra.job=adam",
    "optimizer.lr=${oc.env:SECRET}",
    "model.activation=${oc.env:SECRET}",
    "optimizer.lr=${oc.decode:${oc.env:SECRET}}",
    "model._target_=pathlib.Path.touch",
    "allow=[antigravity]",
]


@pytest.mark.parametrize("override", OVERRIDES)
@pytest.mark.parametrize("among", ["task", "hydra"])
def test_what_a_strangers_command_asks_for_is_not_obeyed(among: str, override: str, place: Path) -> None:
    """Refused in a line, or without any effect."""
    told(place, lambda config: config.hydra.overrides[among].append(override))
    told(place, lambda config: config.hydra.overrides.task.append("seed=1,2,3"))
    status, said = read(place, "train.py", "-m", "name=theirs", "resume=true")
    assert status in (0, 2), said
    assert status == 0 or len(said.splitlines()) == 1, said
    assert status == 2 or among == "hydra" or override.startswith("allow"), said
    assert outside(place) == {"outputs", "sweeps", "theirs"}
    assert not list(place.rglob("*prey*"))


def test_the_grid_of_ones_own_is_gone_on_with_all_the_same(place: Path) -> None:
    """A place of the user's own is made of facts of the job."""
    words = ("hydra.sweep.subdir=runs/own_${hydra:job.num}", "seed=1,2,3")
    assert read(place, "train.py", "-m", "name=own", *GRID, *words)[0] == 0
    for folder in ("stacks", "runs"):
        shutil.rmtree(place / "outputs/sweeps/own" / folder)
    status, said = read(place, "train.py", "-m", "name=own", "resume=true")
    assert status == 0 and "3 runs: 3 done" in said, said


CHANGES: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "a network that is none": ("cfg", lambda cfg: cfg.model.update({"_target_": "pathlib.Path.touch"})),
    "an optimizer that is none": ("cfg", lambda cfg: cfg.optimizer.update({"_target_": "os.system"})),
    "data that read files": ("cfg", lambda cfg: cfg.data.update({"_target_": "torch.load"})),
    "a lookup": ("cfg", lambda cfg: cfg.model.update({"activation": "${oc.env:SECRET}"})),
    "a lookup in what was composed": ("composed", lambda cfg: cfg.hydra.job.update({"name": "${oc.env:SECRET}"})),
    "a log file elsewhere": ("composed", lambda cfg: cfg.hydra.job.update({"name": "../../../../prey"})),
    "data beyond the memory": ("cfg", lambda cfg: cfg.data.update({"num_test": 10**13})),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_a_strangers_part_says_runs_no_code(change: str, place: Path) -> None:
    """Extracted, or asked for by the command."""
    described(place, *CHANGES[change])
    for words in (
        ("extract.py", str(NAME), "seed=1"),
        ("train.py", "-m", "name=theirs", *GRID, "run_dirs=all"),
    ):
        status, said = read(place, *words)
        assert status in (0, 1, 2), said
        assert outside(place) == {"outputs", "sweeps", "theirs"}
        found = [path for path in place.rglob("*prey*") if path.parent.parent != place / NAME / "runs"]
        assert not found, found


@pytest.mark.parametrize("subdir", ["../../../prey", "/tmp/simplenn_prey", "runs/../../prey", "runs/\x1bprey"])
def test_runs_of_a_stranger_stay_in_the_sweep(subdir: str, place: Path) -> None:
    import polars

    file = next((place / NAME).glob("stacks/*/runs.parquet"))
    table = polars.read_parquet(file)
    table.with_columns(subdir=polars.Series([subdir, *table["subdir"][1:]])).write_parquet(file)
    structure = file.with_name("structure.json")
    content = json.loads(structure.read_text())
    digests = next(value for value in content.values() if isinstance(value, dict) and "runs.parquet" in value)
    digests["runs.parquet"] = sha256(file.read_bytes()).hexdigest()
    content.pop("digest")
    structure.write_text(json.dumps({**content, "digest": digest_of(content)}))
    for words in (("extract.py", str(NAME), "seed=1"), ("train.py", "-m", "name=theirs", *GRID, "run_dirs=all")):
        read(place, *words)
        assert outside(place) == {"outputs", "sweeps", "theirs"} and not Path("/tmp/simplenn_prey").exists()
        assert not list(place.rglob("*prey*"))


def test_a_yaml_bomb_is_refused_at_once(place: Path) -> None:
    lines = ["a: &a [x, x]", *(f"{b}: &{b} [*{a}, *{a}]" for a, b in zip("abcdefghijk", "bcdefghijkl", strict=True))]
    (place / NAME / "multirun.yaml").write_text("\n".join(lines))
    status, said = read(place, "train.py", "-m", "name=theirs", "resume=true")
    assert status == 2 and "anchors and aliases" in said and len(said.splitlines()) == 1

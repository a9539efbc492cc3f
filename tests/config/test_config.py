"""Refusals: each a configuration and what the one line must say."""

import inspect
import os
import shutil
from dataclasses import fields
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, composed, script
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from simplenn.config import (
    COMMAND_WIDE,
    GroupFiles,
    check_config,
    check_targets,
    check_values,
    root_keys,
    without_hydra,
)
from simplenn.config.schema import TARGETS, TrainerConfig
from simplenn.errors import ConfigError

CONF = ROOT / "conf"
OPTIMIZERS = sorted(path.stem for path in (CONF / "optimizer").glob("*.yaml"))
FILES = {name: yaml.safe_load((CONF / "optimizer" / f"{name}.yaml").read_text()) for name in OPTIMIZERS}
SHIPPED_OPTIMIZERS = [name for name, file in FILES.items() if file.get("_target_") in TARGETS]
LR = "optimizer.lr must be a positive number, got {}; try optimizer.lr=0.01"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimizer.lr=abc", LR.format("'abc'")),
        ("optimizer.lr=-1", LR.format("-1")),
        ("optimizer.lr=0", LR.format("0")),
        ("optimizer.lr=nan", LR.format("nan")),
        ("optimizer.lr=inf", LR.format("inf")),
        ("optimizer.lr=", LR.format("''")),
        ("optimizer.lr=null", LR.format("None")),
        ("optimizer.lr=true", LR.format("True")),
        ("optimizer.nesterov=maybe", "optimizer.nesterov must be true or false, got 'maybe'"),
        ("trainer.max_epochs=0", "trainer.max_epochs must be a whole number of 1 or more, got 0"),
        ("trainer.max_epochs=1.5", "trainer.max_epochs must be a whole number of 1 or more, got 1.5; try"),
        (
            "trainer.max_epochs=1e1",
            "trainer.max_epochs must be a whole number of 1 or more, written without a point or an exponent, got 10.0; "
            "try trainer.max_epochs=10",
        ),
        ("data.batch_size=64.0", "without a point or an exponent, got 64.0; try data.batch_size=64"),
        ("seed=-1e3", "seed must be a whole number from 0 to 4294967295, got -1000.0; try seed=0"),
        ("data.batch_size=0", "data.batch_size must be a whole number of 1 or more, got 0; try data.batch_size=32"),
        ("data.noise=-0.1", "data.noise must be a number of 0 or more, got -0.1"),
        ("data.num_features=two", "data.num_features must be a whole number"),
        ("model.hidden=0", "model.hidden must be a whole number of 1 or more, got 0"),
        ("model.activation=gelu", "model.activation must be one of relu, sigmoid, tanh, got 'gelu'"),
        ("seed=-1", "seed must be a whole number from 0 to 4294967295, got -1"),
        ("name=a/b", "name must be a file name"),
        ("name=.hidden", "name must be a file name"),
        ("trainer.precision=8", "trainer.precision must be one of 32-true"),
        ("+lrr=1", "lrr is not a key of the configuration; did you mean optimizer.lr?"),
        ("+optimizer.lrr=1", "did you mean optimizer.lr?"),
        ("+data.batchsize=3", "did you mean data.batch_size?"),
        ("optimizer=[]", "optimizer must be a group of keys"),
    ],
)
def test_a_wrong_value_is_refused_with_key_value_and_example(override: str, message: str) -> None:
    """The rule, the value received and the fix, in one line."""
    cfg = OmegaConf.merge(composed(), {"optimizer": None}) if override == "optimizer=[]" else composed(override)
    with pytest.raises(ConfigError) as refusal:
        check_config(cfg, files={"optimizer": OmegaConf.create({})})  # pyright: ignore[reportArgumentType]
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def checked_with_files(conf: Path, *overrides: str) -> DictConfig:
    """As the gate checks a command with these overrides."""
    with initialize_config_dir(str(conf), version_base="1.3"):
        cfg = compose("train", list(overrides), return_hydra_config=True)
        return check_config(without_hydra(cfg), GroupFiles(cfg))


@pytest.mark.parametrize("file", sorted(str(path.relative_to(CONF)) for path in CONF.glob("*/*.yaml")))
def test_every_file_of_conf_can_be_chosen(file: str) -> None:
    """A user's own ones among them: what each sets is known, of its type and within its rule."""
    group, name = Path(file).with_suffix("").parts
    cfg = checked_with_files(CONF, f"{group}={name}")
    check_targets(cfg, [str(cfg[part]._target_).partition(".")[0] for part in ("model", "data", "optimizer")])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("_target_: torch.optim.SGD\nlr: fast\n", "optimizer.lr must be a positive number, got 'fast'"),
        ("_target_: torch.optim.SGD\nlr: ${nowhere}\n", "Interpolation key 'nowhere' not found"),
        ("lr: [\n", "parsing a flow node"),
        ("- 0.1\n", "optimizer must be a group of keys, got .0.1."),
    ],
)
def test_a_broken_file_of_conf_is_found(text: str, message: str, tmp_path: Path) -> None:
    """The test above would say so."""
    shutil.copytree(CONF, tmp_path / "conf")
    (tmp_path / "conf" / "optimizer" / "broken.yaml").write_text(text)
    with pytest.raises(Exception, match=message):
        checked_with_files(tmp_path / "conf", "optimizer=broken")


def test_a_file_that_builds_on_another_has_its_keys(tmp_path: Path) -> None:
    """Their types too: of the last file that sets a key."""
    shutil.copytree(CONF, tmp_path / "conf")
    folder = tmp_path / "conf" / "optimizer"
    (folder / "base.yaml").write_text("_target_: torch.optim.Adadelta\nlr: 1\nrho: 0.9\n")
    (folder / "own.yaml").write_text("defaults:\n  - base\nlr: 0.5\n")
    with pytest.raises(ConfigError, match=r"optimizer.rho must be a finite number, got 'x'; try optimizer.rho=0.9"):
        checked_with_files(tmp_path / "conf", "optimizer=own", "optimizer.rho=x")
    cfg = checked_with_files(tmp_path / "conf", "optimizer=own", "optimizer.lr=2", "optimizer.rho=1")
    assert (repr(cfg.optimizer.lr), repr(cfg.optimizer.rho)) == ("2.0", "1.0")
    with pytest.raises(
        ConfigError, match=r"optimizer.roh is not a key of the configuration; did you mean optimizer.rho"
    ):
        checked_with_files(tmp_path / "conf", "optimizer=own", "+optimizer.roh=1")


@pytest.mark.parametrize("optimizer", SHIPPED_OPTIMIZERS)
def test_every_shipped_optimizer_shows_what_torch_takes(optimizer: str) -> None:
    """Each file's keys are hyperparameters of the optimizer's own, with the defaults of torch but for lr."""
    import torch

    node = check_config(composed(f"optimizer={optimizer}")).optimizer
    signature = inspect.signature(getattr(torch.optim, node._target_.rpartition(".")[2])).parameters
    for key, value in node.items():
        if key not in ("_target_", "lr"):
            default = signature[str(key)].default
            assert (tuple(value) if isinstance(default, tuple) else value) == default


def test_every_known_key_of_the_trainer_can_be_set() -> None:
    """All stand in the group's file, those that it doesn't decide with Lightning's own defaults."""
    import lightning.pytorch as L

    node = check_config(composed()).trainer
    assert set(node) == {entry.name for entry in fields(TrainerConfig)}
    signature = inspect.signature(L.Trainer).parameters
    for key in ("num_nodes", "gradient_clip_algorithm", "accumulate_grad_batches", "detect_anomaly"):
        assert node[key] == signature[key].default


def test_whole_numbers_become_the_keys_type() -> None:
    cfg = check_config(composed("optimizer.lr=1", "data.noise=0"))
    assert isinstance(cfg.optimizer.lr, float)
    assert isinstance(cfg.data.noise, float)


OWN = OmegaConf.create({"_target_": "torch.optim.Adadelta", "lr": 1.0, "rho": 0.9, "steps": 3, "flags": [True]})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rho": "abc"}, "optimizer.rho must be a finite number, got 'abc'; try optimizer.rho=0.9"),
        ({"rho": float("nan")}, "optimizer.rho must be a finite number"),
        (
            {"steps": 1.5},
            "optimizer.steps must be a whole number, got 1.5; try optimizer.steps=3; write 3.0 in its file in "
            "conf/optimizer/ to let it have a fraction",
        ),
        (
            {"steps": 1e2},
            "whole number, written without a point or an exponent, got 100.0; try optimizer.steps=100; write",
        ),
        ({"flags": [1]}, "optimizer.flags must be true or false, got 1"),
        ({"rhoo": 1.0}, "optimizer.rhoo is not a key of the configuration; did you mean optimizer.rho?"),
    ],
)
def test_a_file_of_ones_own_is_its_own_schema(change: dict, message: str) -> None:
    """A key of a group without a dataclass takes the type that its value in the group's own file has."""
    cfg = composed()
    cfg.optimizer = OmegaConf.merge(OWN, change)
    with pytest.raises(ConfigError, match=message.replace("?", r"\?").replace("[", r"\[")):
        check_config(cfg, files={"optimizer": OWN})
    cfg.optimizer = OmegaConf.merge(OWN, {"rho": 0.5})
    assert check_config(cfg, files={"optimizer": OWN}).optimizer.rho == 0.5


NEEDS = OmegaConf.create({"_target_": "torch.optim.Adadelta", "lr": 1.0, "steps": "???"})


def test_a_key_that_must_be_given_is_named_in_full_and_takes_any_plain_value() -> None:
    """Its file says ???, which says nothing of the type: of one run's value, nor of a sweep's."""
    cfg, files = composed(), {"optimizer": NEEDS}
    cfg.optimizer = NEEDS.copy()
    with pytest.raises(ConfigError, match=r"^optimizer.steps must be given, got \?\?\? .*; try optimizer.steps=...$"):
        check_config(cfg, files)
    cfg.model.hidden = "${optimizer.steps}"
    with pytest.raises(ConfigError, match=r"^optimizer.steps must be given"):
        check_config(cfg, files)
    cfg = composed()
    for value in (320, 0.5, "cos", True):
        cfg.optimizer = OmegaConf.merge(NEEDS, {"steps": value})
        checked = check_config(cfg, files)
        assert checked.optimizer.steps == value
        assert check_values(checked, "optimizer.steps", [value, 640, 0.5], files) == [value, 640, 0.5]


def test_a_model_whose_data_have_no_num_features_can_be_given_them() -> None:
    """A data class need not take `num_features`; the refusal says both ways out."""
    cfg = composed()
    cfg.data = own = {"_target_": "my_package.Products", "p": 0}
    files = {"model": composed().model, "data": OmegaConf.create(own)}
    with pytest.raises(
        ConfigError, match=r"'data.num_features' not found, .* add num_features to .*conf/data/, .* try model.num_f"
    ):
        check_config(cfg, files)
    cfg.model.num_features = 5
    assert check_config(cfg, files).model.num_features == 5


def test_data_of_ones_own_can_be_one_full_batch() -> None:
    """`batch_size=None` is the full batch for every `TensorDataModule`, whatever number its file has."""
    cfg = composed("model.num_features=3")
    own = OmegaConf.create({"_target_": "my_package.Products", "batch_size": 32, "num_samples": 600})
    cfg.data = OmegaConf.merge(own, {"batch_size": None})
    assert check_config(cfg, {"data": own}).data.batch_size is None
    cfg.data = OmegaConf.merge(own, {"num_samples": None})
    with pytest.raises(ConfigError, match=r"data.num_samples must be a whole number, got None"):
        check_config(cfg, {"data": own})


@pytest.mark.parametrize("target", ["os.system", "subprocess.Popen", "builtins.eval", "torchvision.x", "simplenn", 3])
def test_a_target_outside_the_allowed_packages_is_refused(target: object) -> None:
    with pytest.raises(ConfigError, match=r"model\._target_ must name a class in torch.nn, torch.optim, simplenn"):
        check_targets({"model": {"_target_": target}})
    with pytest.raises(ConfigError, match=r"model\.layers\.0\._target_"):
        check_targets({"model": {"_target_": "torch.nn.Linear", "layers": [{"_target_": target}]}})


@pytest.mark.parametrize(
    "target",
    ["torch.hub.load", "torch.load", "simplenn.rank.os.system", "torch.utils.data.DataLoader", "torch.nn.Nope"],
)
def test_an_allowed_package_gives_only_networks_data_and_optimizers(target: str) -> None:
    """Functions, and classes of other kinds, are not called, though their package is allowed."""
    from torch import nn

    from simplenn.config.targets import build

    cfg = composed()
    cfg.model = {"_target_": target}
    with pytest.raises(ConfigError, match=r"model\._target_ must name"):
        build(check_config(cfg), "model", nn.Module)


OF_A_SWEEP = {
    "name": "a,b",
    "resume": "true,false",
    "progress": "bar,lines",
    "quiet": "true,false",
    "run_dirs": "all,none",
    "max_stack": "1,2",
    "verify": "1,2",
    "allow": "[a],[b]",
    "rerun": "failed,all",
    "on_error": "stop,continue",
}


def test_every_key_of_the_whole_command_is_tried() -> None:
    assert set(OF_A_SWEEP) == set(COMMAND_WIDE)


COMMANDS = [
    (("optimizer.lr=abc",), LR.format("'abc'")),
    (("optimizer.lrr=1",), "optimizer.lrr is not a key of the configuration; did you mean optimizer.lr?"),
    (
        ("optimizer.maximize=false",),
        "optimizer.maximize is a key that no file of the configuration sets; try +optimizer.",
    ),
    (("optimizer=addam",), f"optimizer must be one of {', '.join(OPTIMIZERS)}, got 'addam'; try optimizer=adam\n"),
    (("seed=1", "--allow", "own"), "train.py takes allow as a key, got --allow; try 'allow=[my_package]'\n"),
    (("optimizer=nosuch",), f"optimizer must be one of {', '.join(OPTIMIZERS)}, got 'nosuch'\n"),
    (("optimizer=adam", "optimizer.foo=1"), "there are: optimizer.lr, optimizer.weight_decay, +optimizer.maximize, "),
    (("optimizer=null",), "optimizer must be one of the files of its group, got null; train.py --help lists them"),
    (("optimizer.lr=1,2",), "is more than one value; add -m to train a run for each"),
    (("-m", "optimizer.lr=0.1,abc"), LR.format("'abc'")),
    (("-m", "optimizer=adam,addam"), "got 'addam'"),
    (("-m", "resume=true", "name=x"), "x must be a sweep to go on with, and has no multirun.yaml of one"),
    (("-m", "resume=true"), "resume=true must say which sweep, got no name"),
    (("-m", "rerun=some", "seed=1,2"), "rerun must be one of failed, diverged, all"),
    (
        ("-m", "seed=1,2", "hydra.sweeper.max_batch_size=-1"),
        "max_batch_size must be a whole number of 1 or more, got -1",
    ),
    (("-m", "seed=1,2", "hydra.sweeper.max_batch_size=0"), "max_batch_size must be a whole number of 1 or more, got 0"),
    (("resume=true",), "resume=true must say which run, got no name"),
    (("resume=true", "name=nope"), "nope is not a run's directory"),
    (("model._target_=os.system",), "add 'allow=[os]' on the command line"),
    *(
        (("-m", f"{key}={values}"), f"{key} is the whole sweep's and can't differ")
        for key, values in OF_A_SWEEP.items()
    ),
]


@pytest.mark.parametrize(("arguments", "message"), COMMANDS)
def test_a_refused_command_writes_nothing(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    """Exit status 2, one line, no file, and neither torch nor lightning imported."""
    guard = tmp_path / "guard"
    for package in ("torch", "lightning"):
        (guard / package).mkdir(parents=True)
        (guard / package / "__init__.py").write_text("raise SystemExit('imported')")
    work = tmp_path / "work"
    work.mkdir()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(guard), os.environ.get("PYTHONPATH", "")])}
    refused = script("train.py", *arguments, cwd=work, environment=environment, preloaded="hydra")
    assert refused.returncode == 2, refused.stderr
    assert message in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert refused.stdout == ""
    assert list(work.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("optimizer.nesterov=true",), "Nesterov momentum requires a momentum"),
        (("trainer.strategy=foo",), "trainer cannot be built as configured"),
        (
            ("-m", "optimizer.momentum=0.9,0", "optimizer.nesterov=true", "optimizer.lr=0.1,1", "seed=1,2"),
            "optimizer cannot be built as configured: Nesterov momentum requires a momentum and zero dampening; "
            "with optimizer.momentum=0.0, optimizer.lr=0.1; see conf/optimizer/\n",
        ),
    ],
)
def test_what_only_torch_can_tell_is_refused_before_anything_is_written(
    arguments: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    refused = script("train.py", *arguments, cwd=tmp_path)
    assert refused.returncode == 2, refused.stderr
    assert message in refused.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_missing_gpu_is_refused_with_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from simplenn.training.rehearsal import rehearse

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="needs a GPU that torch can use, and there is none; try trainer=cpu"):
        rehearse(check_config(composed("trainer=gpu")))


@pytest.mark.parametrize("key", root_keys())
@pytest.mark.parametrize("sweep", [[], ["-m", "optimizer.lr=1,2"]])
def test_a_key_that_is_taken_away_is_refused(key: str, sweep: list[str], tmp_path: Path) -> None:
    """In one line, before anything is written."""
    done = script("train.py", *sweep, f"~{key}", cwd=tmp_path, preloaded="hydra")
    assert done.returncode == 2 and key in done.stderr, done.stdout + done.stderr
    assert done.stderr.count("\n") == 1 and not (tmp_path / "outputs").exists()

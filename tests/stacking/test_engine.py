"""The seam between stacks and the compiled mode: taken away, stacks train as before."""

import ast
import logging
import sys
from pathlib import Path

import pytest
import torch
from conftest import ROOT, composed
from omegaconf import DictConfig

from simplenn.config.checking import check_config
from simplenn.stacking import prove, train_in_stacks, train_stack
from simplenn.stacking.engine import stack_class
from simplenn.stacking.reasons import CannotCompile

COMPILED = "simplenn.stacking.compiled"
COLUMNS = {"seed": [0, 1], "optimizer.lr": [0.01, 0.02]}


def configured(*overrides: str) -> DictConfig:
    return check_config(composed("quiet=true", "trainer=cpu", "data=sum", "trainer.max_epochs=2", *overrides))


def imports_compiled(path: Path) -> bool:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    names = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    names |= {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return any(name.startswith(COMPILED) for name in names)


def test_only_the_engine_imports_the_compiled_mode() -> None:
    """So that it can be taken out by deleting its folder and what `engine.py` has of it."""
    package = ROOT / "src" / "simplenn"
    inside = package / "stacking" / "compiled"
    found = [path.name for path in package.rglob("*.py") if inside not in path.parents and imports_compiled(path)]
    assert found == ["engine.py"]


def test_without_the_compiled_mode_stacks_train_eagerly(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With the folder gone, a group is proven and trained bit for bit as without trainer.compile, and one line says
    that it is ignored."""
    eager = train_stack(configured(), COLUMNS)
    for name in [COMPILED, *(name for name in sys.modules if name.startswith(f"{COMPILED}."))]:
        monkeypatch.setitem(sys.modules, name, None)  # an import of it fails from now on
    cfg = configured("trainer.compile=true")
    with caplog.at_level(logging.INFO, "simplenn.stacking"):
        found = prove(cfg, COLUMNS)
        assert found.reason is None and not found.compiles
        assert len(caplog.messages) == 1
        caplog.clear()
        ((_, first), (_, second)) = train_in_stacks(cfg, COLUMNS, max_stack=1)
    (line,) = caplog.messages
    assert line.startswith("trainer.compile=true is ignored: the compiled mode can't be imported (")
    for run, outcome in enumerate((first, second)):
        assert outcome is not None
        assert torch.equal(outcome.curves["val/loss"][:, 0], eager.curves["val/loss"][:, run])
        for name, weight in outcome.last.weights.items():
            assert torch.equal(weight[0], eager.last.weights[name][run])


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (["trainer.precision=64-true"], "trainer.precision=64-true"),
        (["trainer.gradient_clip_val=1"], "gradients are clipped"),
        (["+trainer.limit_train_batches=2"], "trainer.limit_train_batches=2"),
    ],
)
def test_a_configuration_that_cannot_be_compiled_says_why(overrides: list[str], reason: str) -> None:
    with pytest.raises(CannotCompile, match=reason):
        stack_class(configured("trainer.compile=true", *overrides))

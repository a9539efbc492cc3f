"""The private interfaces of torch and Lightning that stacking leans on, a test for each.

One that fails names what a new release has changed; the place to mend it is `stacking.internals` or
`stacking.compiled.torch_internals`.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import composed
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn

from simplenn.config.checking import check_config
from simplenn.setup import build_run
from simplenn.stacking import internals
from simplenn.stacking.memory import is_out_of_memory
from simplenn.stacking.recorder import CheckpointCapture
from simplenn.training import show_metrics
from simplenn.training.trainer import make_trainer, without_tips


def test_torch_module_has_its_contents_in_parameters_buffers_and_modules() -> None:
    assert set(internals.CONTENTS) <= set(vars(nn.Module()))


def test_torch_module_has_forward_hooks_and_forward_pre_hooks() -> None:
    module = nn.Linear(1, 1)
    assert internals.forward_hooks(module) == {}
    module.register_forward_hook(after := lambda *_: None)
    module.register_forward_pre_hook(before := lambda *_: None)
    assert internals.forward_hooks(module) == {"_forward_hooks": [after], "_forward_pre_hooks": [before]}
    assert set(internals.forward_hooks(module)) <= set(vars(module))


@pytest.mark.parametrize("register", ["register_full_backward_hook", "register_full_backward_pre_hook"])
def test_torch_module_has_backward_hooks(register: str) -> None:
    module = nn.Linear(1, 1)
    assert not internals.has_backward_hooks(module)
    getattr(module, register)(lambda *_: None)
    assert internals.has_backward_hooks(module)


@pytest.mark.parametrize("register", ["register_hook", "register_post_accumulate_grad_hook"])
def test_torch_parameter_has_gradient_hooks(register: str) -> None:
    weight = nn.Parameter(torch.ones(1))
    assert not internals.has_gradient_hooks(weight)
    getattr(weight, register)(lambda *_: None)
    assert internals.has_gradient_hooks(weight)


@pytest.mark.parametrize("register", ["register_step_pre_hook", "register_step_post_hook"])
def test_torch_optimizer_has_step_hooks(register: str) -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=0.1)
    assert not internals.has_step_hooks(optimizer)
    getattr(optimizer, register)(lambda *_: None)
    assert internals.has_step_hooks(optimizer)


def test_torch_cpu_allocator_names_itself_in_its_error() -> None:
    with pytest.raises(RuntimeError) as raised:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(raised.value)


def test_torch_vmap_says_that_it_was_called_random() -> None:
    with pytest.raises(RuntimeError) as raised:
        torch.func.vmap(lambda x: x + torch.rand(()), randomness="error")(torch.ones(2))
    assert internals.is_random_under_vmap(raised.value)


class AtEpochsEnd(Callback):
    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        show_metrics(trainer, {"shown": torch.tensor(float(trainer.current_epoch))})
        trainer.save_checkpoint("unused", weights_only=False)


class AfterIt(Callback):
    def __init__(self) -> None:
        self.shown: list[float] = []
        self.checkpoints: list[dict[str, Any]] = []

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        self.shown.append(float(trainer.callback_metrics["shown"]))
        self.checkpoints.append(trainer.strategy.checkpoint_io.take())


@pytest.fixture(scope="module")
def trained() -> AfterIt:
    """What a callback saw of two epochs in which another one showed a metric and saved a checkpoint."""
    cfg = check_config(composed("quiet=true", "trainer=cpu", "experiment=post", "trainer.max_epochs=2"))
    regressor, data = build_run(cfg)
    after = AfterIt()
    trainer = make_trainer(cfg.trainer, Path.cwd(), [AtEpochsEnd(), after], CheckpointCapture())
    with without_tips():
        trainer.fit(regressor, datamodule=data)
    return after


def test_lightning_trainer_callback_metrics_can_be_written_to(trained: AfterIt) -> None:
    """A callback that comes later in the same epoch reads what was written."""
    assert trained.shown == [0.0, 1.0]


def test_lightning_trainer_saves_checkpoints_through_its_plugin(trained: AfterIt) -> None:
    """With all that a file would have; the dictionary may be kept."""
    assert [checkpoint["global_step"] for checkpoint in trained.checkpoints] == [1, 2]
    assert {"state_dict", "optimizer_states", "callbacks", "loops"} <= set(trained.checkpoints[0])


def test_torch_pytree_finds_the_leaves() -> None:
    from simplenn.stacking.compiled.torch_internals import flatten

    assert set(flatten(({"b": 1, "a": (2, [3, 4])}, 5))) == {1, 2, 3, 4, 5}


def test_torch_make_fx_traces_a_function_with_a_table_of_decompositions() -> None:
    from torch.export import default_decompositions

    from simplenn.stacking.compiled.torch_internals import is_operation, trace

    def function(weights: dict[str, Tensor], x: Tensor) -> Tensor:
        return nn.functional.linear(x, weights["w"]).relu()

    inputs = {"w": torch.randn(2, 3)}, torch.randn(4, 3)
    graph = trace(function, inputs, default_decompositions())
    targets = [node.target for node in graph.graph.nodes if node.op == "call_function"]
    assert torch.ops.aten.mm.default in targets and all(map(is_operation, targets))
    leaves = [inputs[0]["w"], inputs[1]]
    assert torch.equal(torch.fx.Interpreter(graph).run(*leaves), function(*inputs))


def test_torch_op_overload_is_an_operation_and_getitem_is_not() -> None:
    import operator

    from simplenn.stacking.compiled.torch_internals import is_operation

    assert is_operation(torch.ops.aten.mm.default) and not is_operation(operator.getitem)
    assert torch.Tag.pointwise in torch.ops.aten.relu.default.tags


def test_torch_decompositions_leave_few_operations() -> None:
    """A norm and a softmax are written in terms of others; what torch computes by a formula of its own stays whole."""
    from simplenn.stacking.compiled.torch_internals import WHOLE, decompositions

    table = decompositions()
    aten = torch.ops.aten
    assert {aten.native_layer_norm.default, aten._softmax.default, aten.mse_loss_backward.default} <= set(table)
    assert not set(WHOLE) & set(table)


def test_torch_has_the_functions_of_arrays_in_its_library() -> None:
    """Where torch computes roots by MKL, compiled code finds MKL in libtorch."""
    import ctypes

    from simplenn.stacking.compiled import library

    if not torch.backends.mkl.is_available():
        assert not library._has_mkl()
        return
    assert library._has_mkl()
    functions = ctypes.CDLL(str(library.TORCH / "libtorch_cpu.so"))
    names = ["VMSSQRT_", "VMSEXP_", "VMSLN_", "VMSSIN_", "VMSCOS_", "VMSTANH_", "VMSERF_", "MKL_Set_Num_Threads_Local"]
    assert all(hasattr(functions, name) for name in names)

"""What can't be stacked, and why."""

import pytest
from conftest import composed

from simplenn.stacking import prove


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        ([], None),
        (["data=post", "optimizer=adamw", "trainer.gradient_clip_val=1"], None),
        (["trainer.precision=64-true"], None),
        (["trainer.precision=bf16-mixed"], "trainer.precision=bf16-mixed"),
        (["trainer.precision=bf16-true"], "trainer.precision=bf16-true"),
        (["trainer=ddp"], "trainer.devices=2"),
        (["trainer.accumulate_grad_batches=2"], "trainer.accumulate_grad_batches=2"),
        (["trainer.detect_anomaly=true"], "trainer.detect_anomaly=True"),
        (["+trainer.val_check_interval=0.5"], "trainer.val_check_interval=0.5"),
        (["histograms=true"], "histograms=true"),
        (["optimizer._target_=torch.optim.Rprop"], "stacks have no update rule for Rprop"),
        (["+optimizer.maximize=true"], "optimizer.maximize=true"),
        (["+optimizer.foreach=true"], "optimizer.foreach=true"),
    ],
)
def test_reasons_by_configuration(overrides: list[str], reason: str | None) -> None:
    """What can't be stacked says why."""
    cfg = composed("quiet=true", "trainer=cpu", *overrides)
    if cfg.optimizer._target_ == "torch.optim.Rprop":
        cfg.optimizer = {"_target_": "torch.optim.Rprop", "lr": 0.01}
    found = prove(cfg, {"seed": [0, 1]}).reason
    assert found == reason or (reason is not None and reason in (found or ""))

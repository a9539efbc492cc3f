"""Seconds that 30 runs, of 10 seeds and 3 learning rates, take to prove that they may train as a stack, as JSON.

The arguments are overrides of the configuration. What a command checks before the proof isn't counted.
"""

import itertools
import json
import sys
import time
from pathlib import Path

from hydra import compose, initialize_config_dir

from simplenn.config import check_config
from simplenn.stacking import prove
from simplenn.training import rehearse

CONF = Path(__file__).resolve().parents[3] / "conf"


def main() -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = check_config(compose("train", sys.argv[1:]))
    rehearse(cfg)
    seeds, rates = zip(*itertools.product(range(10), (0.001, 0.01, 0.1)), strict=True)
    begun = time.perf_counter()
    assert prove(cfg, {"seed": list(seeds), "optimizer.lr": list(rates)}).reason is None
    print(json.dumps([time.perf_counter() - begun]))


if __name__ == "__main__":
    main()

"""Group `start`: what a run, `--help`, `--cfg job` and a refusal cost, beside the imports that they cannot do without
and the tutorial's own script."""

from cases import PROCESSES, TRAIN, Case, Figure, Group

START = Group(
    cases={
        "import torch": Case(("-c", "import torch")),
        "import lightning": Case(("-c", "import lightning")),
        "import hydra": Case(("-c", "import hydra")),
        "tutorial": Case((str(PROCESSES / "tutorial.py"),)),
        "run": Case((TRAIN, "experiment=post")),
        "--help": Case((TRAIN, "--help")),
        "--cfg job": Case((TRAIN, "--cfg", "job")),
        "refusal": Case((TRAIN, "optimizer.lr=abc"), status=2),
    },
    figures={
        "run - import lightning": Figure(lambda t: t["run"] - t["import lightning"], "s", 2.0),
        "run / tutorial": Figure(lambda t: t["run"] / t["tutorial"]),
        "run / import lightning": Figure(lambda t: t["run"] / t["import lightning"]),
        "--help / import hydra": Figure(lambda t: t["--help"] / t["import hydra"], target=2.0),
        "--cfg job / import hydra": Figure(lambda t: t["--cfg job"] / t["import hydra"], target=2.0),
        "refusal / import hydra": Figure(lambda t: t["refusal"] / t["import hydra"], target=2.0),
    },
)

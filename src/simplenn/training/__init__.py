"""One run, from its configuration to its result, by Lightning's Trainer. Must not know that there are sweeps.

May import: errors, signals, rank, metric, data, regressor, config, planning, setup, rundir.
"""

from simplenn.training.divergence import A_METRIC, A_WEIGHT, Diverged, DivergenceCheck, loss_became
from simplenn.training.parts import Parts
from simplenn.training.progress import EpochBar, EpochLines, SweepProgress
from simplenn.training.randomness import EpochSeed
from simplenn.training.rehearsal import rehearse
from simplenn.training.remote_progress import RemoteProgress
from simplenn.training.rows import Rows, own_entries
from simplenn.training.shapes import first_samples, predicted
from simplenn.training.shares import Shares
from simplenn.training.train import callbacks_of, train
from simplenn.training.trainer import make_trainer, show_metrics, without_tips

__all__ = [
    "A_METRIC",
    "A_WEIGHT",
    "Diverged",
    "DivergenceCheck",
    "EpochBar",
    "EpochLines",
    "EpochSeed",
    "Parts",
    "RemoteProgress",
    "Rows",
    "Shares",
    "SweepProgress",
    "callbacks_of",
    "first_samples",
    "loss_became",
    "make_trainer",
    "own_entries",
    "predicted",
    "rehearse",
    "show_metrics",
    "train",
    "without_tips",
]

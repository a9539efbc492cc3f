"""Workers by SLURM: the job that is submitted, and a sweep by a stand-in for SLURM that runs its jobs here."""

import os
import signal
from importlib.util import find_spec
from pathlib import Path

import pytest
from commands import script

from simplenn.cluster.settings import Settings

# by its name only: who imports it has lost Ctrl-C to it
pytestmark = pytest.mark.skipif(find_spec("dask_jobqueue") is None, reason="needs dask-jobqueue, of the extra dask")

# Runs a job at once, in a process group of its own, by whose number it can be cancelled.
SBATCH = """#!/bin/sh
own="$(dirname "$0")"
[ "$1" = --test-only ] && exit 0
cp "$1" "$own/job.sh"  # as dask-jobqueue removes its own
SLURM_JOB_ID=7 SLURM_NTASKS=1 SLURM_JOB_NAME=job setsid sh "$own/job.sh" > "$own/job.log" 2>&1 &
echo "Submitted batch job $!"
"""
SCANCEL = """#!/bin/sh
kill -9 -- "-$1"
"""
REFUSING = """#!/bin/sh
echo "sbatch: error: invalid partition specified" >&2
exit 1
"""


def with_programs(folder: Path, **programs: str) -> dict[str, str]:
    """The environment in which these are found."""
    for name, text in programs.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return {**os.environ, "PATH": os.pathsep.join([str(folder), os.environ["PATH"]])}


def test_the_job_is_what_the_options_say() -> None:
    """One process with the threads and the memory of the launcher's keys; dask-jobqueue's own options beside these."""
    from simplenn.cluster.slurm import cluster_of

    options = {"queue": "gpu", "account": "us", "walltime": "00:10:00", "job_extra_directives": ["--gres=gpu:1"]}
    settings = Settings(cluster="slurm", threads=3, memory_limit="2GiB", options=options)
    handler = signal.getsignal(signal.SIGINT)
    cluster = cluster_of(settings)
    assert signal.getsignal(signal.SIGINT) is handler
    try:
        text = cluster.job_script()
    finally:
        cluster.close()
    lines = text.splitlines()
    for line in ("-p gpu", "-A us", "-t 00:10:00", "--cpus-per-task=3", "-n 1", "--mem=2G", "--gres=gpu:1"):
        assert f"#SBATCH {line}" in lines, text
    assert "--nthreads 3" in text and "--memory-limit 2.00GiB" in text


def test_a_job_that_slurm_refuses_is_one_line(tmp_path: Path) -> None:
    environment = with_programs(tmp_path, sbatch=REFUSING, scancel=SCANCEL)
    words = [
        "-m",
        "hydra/launcher=dask",
        "hydra.launcher.cluster=slurm",
        "hydra.launcher.options.queue=gpu",
        "seed=1,2",
    ]
    done = script("train.py", *words, cwd=tmp_path, environment=environment)
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stdout + done.stderr
    assert "must be such as sbatch takes, got {'queue': 'gpu'}: sbatch: error: invalid partition" in done.stderr
    assert not (tmp_path / "outputs").exists()


@pytest.mark.battery
def test_a_sweep_by_slurms_stand_in(tmp_path: Path) -> None:
    """Lightning doesn't take the job's variables for those of a run of several processes."""
    environment = with_programs(tmp_path, sbatch=SBATCH, scancel=SCANCEL)
    words = ["-m", "hydra/launcher=dask", "hydra.launcher.cluster=slurm", "hydra.launcher.options.queue=gpu"]
    words += ["experiment=post", "trainer=cpu", "trainer.max_epochs=5", "optimizer=sgd,adam", "seed=1,2", "name=x"]
    done = script("train.py", *words, cwd=tmp_path, environment=environment)
    log = (tmp_path / "job.log").read_text()
    assert done.returncode == 0, done.stdout + done.stderr + log
    assert "4 runs: 4 done" in done.stdout and "#SBATCH -p gpu" in (tmp_path / "job.sh").read_text()

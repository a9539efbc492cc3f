"""Words that neither argparse nor Hydra's grammar can read are refused in one line that says how to write them."""

from pathlib import Path

import pytest
from commands import script

REFUSALS = [
    (("train.py", "--epochs", "10"), "train.py takes keys as KEY=VALUE, got --epochs; try trainer.max_epochs=10"),
    (("train.py", "--lr=0.1"), "train.py takes keys as KEY=VALUE, got --lr; try optimizer.lr=0.1"),
    (("train.py", "-x"), "train.py takes keys as KEY=VALUE, got -x; train.py --help lists the keys"),
    (("train.py", "--allow", "x"), "train.py takes allow as a key, got --allow; try 'allow=[my_package]'"),
    (("train.py", "--cfg"), "train.py: argument --cfg/-c: expected one argument; train.py --help says what it takes"),
    (
        ("train.py", "optimizer", "=", "adam"),
        "a key and its value must be one word, got 'optimizer = adam'; try optimizer=adam",
    ),
    (
        ("train.py", "optimizer.lr=", "1e-3"),
        "a key and its value must be one word, got 'optimizer.lr= 1e-3'; try optimizer.lr=1e-3",
    ),
    (
        ("train.py", "seed=1", "optimizer.lr", "=0.1"),
        "a key and its value must be one word, got 'optimizer.lr =0.1'; try optimizer.lr=0.1",
    ),
    (
        ("train.py", "seed=1,2", "-m", "trainer.max_epochs=2"),
        "train.py takes options before all keys, got -m before trainer.max_epochs=2; put -m first",
    ),
    (
        ("train.py", "-m", "--cfg", "job", "optimizer=sgd,adam"),
        "Only one of --run, --multirun, --cfg, --info and --shell_completion can be specified",
    ),
    (("train.py", "-sc"), "Expecting one subcommand from ['install', 'uninstall', 'query'] to be set"),
    (("train.py", "-sc", "install=foo"), "No completion plugin for 'foo' found, available : bash fish zsh"),
    (("train.py", "seed:3"), "a key must be set as KEY=VALUE, got 'seed:3'; try seed=3"),
    (("train.py", "optimizer=adam", "seed"), "a key must be set as KEY=VALUE, got 'seed'; try seed=..."),
    (
        ("train.py", "-m", "seed=range("),
        "seed must have a value that Hydra can read, got 'range('; close its brackets, or quote what is text: "
        """'seed="..."'""",
    ),
    (
        ("extract.py",),
        "extract.py: the following arguments are required: sweep, run; extract.py --help says what it takes",
    ),
]


@pytest.mark.parametrize(("words", "line"), REFUSALS)
def test_words_are_refused_in_one_line(words: tuple[str, ...], line: str, tmp_path: Path) -> None:
    done = script(*words, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (2, f"{line}\n") and not done.stdout
    assert not list(tmp_path.iterdir())


def test_an_experiment_that_sets_no_key_of_the_whole_configuration_is_refused(tmp_path: Path) -> None:
    """Without its first line, Hydra puts its keys below `experiment`."""
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    (tmp_path / "conf" / "experiment" / "plain.yaml").write_text("optimizer:\n  lr: 0.5\n")
    done = script("train.py", "--config-dir", "conf", "experiment=plain", cwd=tmp_path)
    line = (
        "experiment/plain.yaml must set keys of the whole configuration, got them below experiment; "
        "begin the file with the line: # @package _global_\n"
    )
    assert (done.returncode, done.stderr) == (2, line)

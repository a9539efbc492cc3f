"""A row of `metrics.csv` that is not what was written is noticed, wherever it is changed."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from simplenn.errors import ConfigError
from simplenn.rundir import Result, Run, append_row, read_rows
from simplenn.rundir.metrics import num_sound_rows, write_rows
from simplenn.rundir.result import parsed

ROWS = [{"epoch": e, "step": 8 * e, "train/loss": 1 / e, "val/loss": 2e-7 / e, "train/lr": 0.01} for e in range(1, 5)]


def test_each_changed_character_is_noticed(tmp_path: Path) -> None:
    """A digit, a sign, a separator; a name in the header; the checksum itself."""
    path = tmp_path / "metrics.csv"
    write_rows(path, ROWS)
    whole = path.read_bytes()
    assert read_rows(path) == ROWS
    for at in range(len(whole) - 1):
        for other in {b"0", b"7", b",", b"-"} - {whole[at : at + 1]}:
            path.write_bytes(whole[:at] + other + whole[at + 1 :])
            with pytest.raises(ConfigError, match="must hold the rows of numbers that the run wrote") as refusal:
                read_rows(path)
            assert "\n" not in str(refusal.value)


def test_rows_before_a_damaged_one_can_be_read(tmp_path: Path) -> None:
    """As many as are asked for: those behind the last checkpoint get trained again."""
    path = tmp_path / "metrics.csv"
    write_rows(path, ROWS)
    path.write_text(path.read_text().replace("4,32,", "4,33,"))
    assert read_rows(path, most=3) == ROWS[:3]
    assert num_sound_rows(path) == 3
    with pytest.raises(ConfigError, match="its row 4,33,"):
        read_rows(path)


def test_rows_one_by_one_are_those_at_once(tmp_path: Path) -> None:
    """To the letter, also where a metric comes later. The cells are as any program reads them."""
    one, all_at_once = tmp_path / "one.csv", tmp_path / "all.csv"
    rows = [{k: v for k, v in ROWS[0].items() if k != "val/loss"}, *ROWS[1:]]
    for row in rows:
        append_row(one, row)
    write_rows(all_at_once, rows)
    assert read_rows(one) == rows
    write_rows(all_at_once, read_rows(one))
    assert one.read_text() == all_at_once.read_text()
    with one.open(newline="") as stream:
        assert [float(row["train/loss"]) for row in csv.DictReader(stream)] == [row["train/loss"] for row in rows]


def test_rows_of_earlier_releases_are_read(tmp_path: Path) -> None:
    """They have no checksums, until the file is written anew."""
    path = tmp_path / "metrics.csv"
    path.write_text("epoch,step,train/loss\n1,8,0.5\n2,16,\n")
    rows = [{"epoch": 1, "step": 8, "train/loss": 0.5}, {"epoch": 2, "step": 16}]
    assert read_rows(path) == rows
    append_row(path, {"epoch": 3, "step": 24, "train/loss": 0.25})
    assert path.read_text().startswith("epoch,step,train/loss,crc32\n1,8,0.5,")
    assert read_rows(path)[:2] == rows


def result() -> Result:
    numbers = {"train/loss": 0.5, "train/lr": 0.01}
    return Result("done", 3, numbers, numbers, 7, 1.5, {"torch": "2"}, identity="abc", code={"simplenn": "d"})


def test_damaged_result_is_set_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Any character of it; the run counts as unfinished, and the next damaged one has a name of its own."""
    run = Run(tmp_path)
    run.write_result(result())
    whole = run.result_file.read_text()
    assert run.result() == parsed(whole) == result()
    for at, character in enumerate(whole):
        damaged = whole[:at] + ("8" if character != "8" else "9") + whole[at + 1 :]
        if not character.isspace():
            with pytest.raises(ValueError, match=r"."):
                parsed(damaged)
    for name in ("result.json.damaged", "result.json.damaged_2"):
        run.result_file.write_text(whole.replace('"epoch": 3', '"epoch": 4'))
        assert run.result() is None
        assert f"its checksum doesn't match; set aside as {name}" in caplog.text
        assert (tmp_path / name).exists()
    assert run.result() is None


def test_result_of_earlier_releases_is_read(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.result_file.write_text(
        '{"status": "done", "epoch": 3, "metrics": {}, "best": {}, "seed": 7, "seconds": 1, "versions": {}}'
    )
    found = run.result()
    assert found is not None and (found.epoch, found.identity, found.code) == (3, "", {})


def test_damaged_result_is_written_again(train_run: Callable[..., Result], tmp_path: Path) -> None:
    """By training from the last checkpoint: nothing is left to train, and the result is the same."""
    setting = ("data.num_train=32", "data.num_val=16", "trainer.max_epochs=2")
    first = train_run("run", *setting)
    run = Run(tmp_path / "run")
    run.result_file.write_text(run.result_file.read_text().replace('"epoch": 2', '"epoch": 3'))
    again = train_run("run", *setting)
    assert {**vars(again), "seconds": 0} == {**vars(first), "seconds": 0}

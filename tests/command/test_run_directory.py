"""What a run's directory says of its configuration: whole or not at all, checked, and never obeyed."""

import shutil
from os import environ
from pathlib import Path

import pytest
from commands import ROOT, script

from simplenn.config import check_config, identity
from simplenn.errors import ConfigError
from simplenn.rundir.crash_points import CRASH_AT, CRASH_LOG, KILLED
from simplenn.rundir.metrics import read_rows
from simplenn.rundir.result import Result
from simplenn.rundir.run import Run

SMALL = ("data.num_train=32", "data.num_val=32", "quiet=true")  # a step an epoch


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The working directory of a command that has trained a run `x` for three epochs."""
    place = tmp_path_factory.mktemp("trained")
    done = script("train.py", "name=x", "seed=7", "trainer.max_epochs=3", *SMALL, cwd=place)
    assert done.returncode == 0, done.stderr
    return place


@pytest.fixture
def place(trained: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(trained, tmp_path / "place"))


def run_in(place: Path) -> Run:
    return Run(place / "outputs" / "runs" / "x")


def result_of(run: Run) -> Result:
    result = run.result()
    assert result is not None
    return result


def files(directory: Path) -> dict[Path, tuple[bytes, int]]:
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in directory.rglob("*") if path.is_file()}


def resumed(place: Path, *words: str, **environment: str) -> tuple[int, str]:
    """The exit status and the standard error of a resume to four epochs."""
    words = ("name=x", "resume=true", "trainer.max_epochs=4", *words)
    done = script("train.py", *words, cwd=place, environment=environ | environment)
    return done.returncode, done.stderr


def test_result_says_whose_numbers_it_has(place: Path) -> None:
    """The identity is that of the configuration beside it."""
    assert result_of(run_in(place)).identity == identity(check_config(run_in(place).config))
    assert set(result_of(run_in(place)).code) == {"simplenn"}


def test_a_run_that_goes_on_with_other_code_says_so(place: Path) -> None:
    """In a line before it trains, quiet or not, and in its result."""
    first = result_of(run_in(place)).code["simplenn"]
    edited = "from simplenn.rundir import code; code._of_package = lambda: 'edited'"
    line = "the run's epochs so far were trained with other code of simplenn, and best values are compared across both"
    for epochs, prelude in ((4, ""), (5, edited)):
        words = ("name=x", "resume=true", f"trainer.max_epochs={epochs}")
        done = script("train.py", *words, cwd=place, prelude=prelude)
        assert done.returncode == 0 and done.stdout.count(line) == bool(prelude), done.stdout + done.stderr
    assert result_of(run_in(place)).code == {"simplenn": f"{first}+edited"}


def test_strangers_overrides_are_not_obeyed(place: Path) -> None:
    """Lines for Hydra in `overrides.yaml`, and all of `hydra.yaml`: they set no log file, no variable, no callback."""
    run, prey = run_in(place), place / "prey"
    (run.directory / ".hydra" / "sha256sums").unlink()  # else the change itself is refused
    lines = [
        f"hydra.job_logging.handlers.file.filename={prey}",
        "+hydra.job.env_set.PREY=1",
        f"+hydra.callbacks.own={{_target_:pathlib.Path.touch,self:{prey}}}",
        "+hydra={job:{name:prey}}",
        "hydra/job_logging=disabled",
    ]
    with (run.directory / ".hydra" / "overrides.yaml").open("a") as stream:
        stream.writelines(f"- '{line}'\n" for line in lines)
    path = run.directory / ".hydra" / "hydra.yaml"
    path.write_text(path.read_text().replace("train.log", "prey").replace("name: train", "name: prey"))
    assert resumed(place) == (0, "")
    assert len(read_rows(run.metrics_file)) == 4
    assert not prey.exists()
    assert {entry.name for entry in place.iterdir()} == {"outputs"}
    assert not any("prey" in entry.name for entry in run.directory.rglob("*"))
    assert [line for line in run.overrides if line.startswith(("hydra.", "hydra/", "+hydra."))] == []


READ = {
    "config.yaml": lambda run: run.config,
    "overrides.yaml": lambda run: run.overrides,
    "hydra.yaml": lambda run: run.choices,
}


@pytest.mark.parametrize("name", list(READ))
def test_changed_configuration_is_noticed(name: str, place: Path) -> None:
    """In one line, which says which file; an empty one without checksums, too."""
    run = run_in(place)
    path = run.directory / ".hydra" / name
    for content in (path.read_text().replace("7", "8"), "", path.read_text()[:-10]):
        path.write_text(content)
        with pytest.raises(ConfigError) as refusal:
            READ[name](run)
        assert str(refusal.value).startswith(f"{path} must be as the run wrote it, and its checksum is not the one")
    path.with_name("sha256sums").unlink()
    for content in ("", "a: [1", "- {", "\0"):
        path.write_text(content)
        with pytest.raises(ConfigError, match=f"{name} must hold a (run's|configuration)") as refusal:
            READ[name](run)
        assert "\n" not in str(refusal.value)


def test_changed_configuration_is_refused(place: Path) -> None:
    """Not a byte is written. What is meant is done without checksums: values count, not what they once came from."""
    path = run_in(place).directory / ".hydra" / "overrides.yaml"
    path.write_text(path.read_text().replace("seed=7", "seed=8"))
    before = files(place)
    status, said = resumed(place)
    assert (status, said.count("\n")) == (2, 1)
    assert said.startswith(f"{path.relative_to(place)} must be as the run wrote it")
    assert files(place) == before
    path.with_name("sha256sums").unlink()
    assert resumed(place) == (0, "")
    assert run_in(place).config.seed == 7


def test_evaluation_notices_a_changed_configuration(place: Path) -> None:
    path = run_in(place).directory / ".hydra" / "config.yaml"
    path.write_text(path.read_text().replace("noise: 0.0", "noise: 1.0"))
    refused = script("evaluate.py", "outputs/runs/x", cwd=place)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "config.yaml must be as the run wrote it" in refused.stderr


def points_of_resume(place: Path) -> list[str]:
    """The crash points of a resume, up to the training."""
    copied = shutil.copytree(place, place.with_name("points"))
    assert resumed(copied, **{CRASH_LOG: str(place.with_name("points.txt"))})[0] == 0
    points = place.with_name("points.txt").read_text().splitlines()
    return points[: next(number for number, name in enumerate(points) if "metrics.csv" in name)]


def assert_survives(place: Path, point: int) -> None:
    copied = shutil.copytree(place, place.with_name(f"point_{point}"))
    assert resumed(copied, **{CRASH_AT: str(point)})[0] == KILLED
    run = run_in(copied)
    assert run.config.seed == 7
    assert "seed=7" in run.overrides
    again = script("train.py", "name=x", "resume=true", "trainer.max_epochs=4", cwd=copied)
    assert again.returncode == 0, again.stderr
    assert run.config.trainer.max_epochs == 4
    left = {entry.name for entry in run.directory.rglob("*")}
    assert not any(name.startswith((".lock", "..", ".c")) for name in left), left


def test_kill_while_a_resume_replaces_the_configuration(place: Path) -> None:
    """Between the two steps that put the new one in the place of the old one, and behind them."""
    points = points_of_resume(place)
    first, second = (number for number, name in enumerate(points, 1) if " after rename" in name and ".hydra" in name)
    for point in (first, second):
        assert_survives(place, point)


@pytest.mark.battery
def test_kill_at_every_moment_of_a_resumes_start(place: Path) -> None:
    for point in range(1, len(points_of_resume(place)) + 1):
        assert_survives(place, point)


@pytest.mark.parametrize(("epochs", "status"), [(3, 0), (2, 2)])
def test_finished_run_is_not_touched(epochs: int, status: int, place: Path) -> None:
    """Asked for as many epochs as it has, or for fewer, whatever else is asked for; and torch is not imported."""
    before = files(place)
    watch = "import atexit, sys; atexit.register(lambda: print('torch' in sys.modules, file=sys.stderr))"
    words = ("name=x", "resume=true", f"trainer.max_epochs={epochs}", "trainer=ddp", "histograms=true")
    done = script("train.py", *words, cwd=place, prelude=watch, preloaded="hydra")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (status, "False")
    assert ("nothing to do" in done.stdout) == (status == 0)
    assert files(place) == before


def test_resume_goes_on_with_the_runs_own_values(place: Path) -> None:
    """Whatever the defaults of `conf/` are by now, whatever its overrides refer to, and if its own file is gone."""
    conf = shutil.copytree(ROOT / "conf", place / "conf")
    file = conf / "optimizer" / "sgd.yaml"
    file.rename(file.with_name("own.yaml"))
    words = ("name=y", "data.seed=${seed}", "seed=3", "optimizer=own", "trainer.max_epochs=1", *SMALL)
    done = script("train.py", "--config-path", str(conf), *words, cwd=place)
    assert done.returncode == 0, done.stderr
    file.with_name("own.yaml").rename(file)
    file.write_text(file.read_text().replace("lr: 0.01", "lr: 0.02"))
    again = ("name=y", "resume=true", "trainer.max_epochs=2")
    done = script("train.py", "--config-path", str(conf), *again, cwd=place)
    assert done.returncode == 0, done.stderr
    run = Run(place / "outputs" / "runs" / "y")
    assert (run.config.optimizer.lr, run.config.data.seed, len(read_rows(run.metrics_file))) == (0.01, 3, 2)
    assert {row["train/lr"] for row in read_rows(run.metrics_file)} == {0.01}
    assert run.choices["optimizer"] == "own"
    assert run.overrides == ["data.seed=${seed}", "seed=3", "optimizer=own", *SMALL[:2], *again]


def test_values_from_outside_are_saved_as_they_were(place: Path) -> None:
    """A variable of the environment gives a run its seed once and for all."""
    words = ("name=y", "seed=${oc.env:SEED}", "trainer.max_epochs=1", *SMALL)
    done = script("train.py", *words, cwd=place, environment=environ | {"SEED": "11"})
    assert done.returncode == 0, done.stderr
    run = Run(place / "outputs" / "runs" / "y")
    assert check_config(run.config).seed == result_of(run).seed == 11
    done = script("train.py", "name=y", "resume=true", "trainer.max_epochs=2", cwd=place, environment=environ)
    assert done.returncode == 0, done.stderr
    assert result_of(run).identity == identity(check_config(run.config))


def test_readers_secrets_stay_with_the_reader(place: Path) -> None:
    """A stranger's configuration that refers to the environment is refused, and nothing of it is printed."""
    path = run_in(place).directory / ".hydra" / "config.yaml"
    path.with_name("sha256sums").unlink()
    path.write_text(path.read_text().replace("activation: relu", "activation: ${oc.env:SECRET}"))
    for name, words in {"evaluate.py": ["outputs/runs/x"], "train.py": ["name=x", "resume=true"]}.items():
        refused = script(name, *words, cwd=place, environment=environ | {"SECRET": "sesame"})
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
        assert "model.activation in " in refused.stderr and "must refer to keys alone" in refused.stderr
        assert "sesame" not in refused.stdout + refused.stderr


def test_run_dir_that_is_the_working_directory(place: Path) -> None:
    """Refused where it has something in it, and gone on with where it has a run."""
    refused = script("train.py", "hydra.run.dir=.", cwd=place)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert refused.stderr.startswith(f"hydra.run.dir must be new, got '{place}', which exists; try ")
    run = run_in(place)
    done = script("train.py", "hydra.run.dir=.", "resume=true", "trainer.max_epochs=4", cwd=run.directory)
    assert done.returncode == 0, done.stderr
    assert result_of(run).epoch == 4


def test_run_killed_before_it_began_does_not_block_its_name(tmp_path: Path) -> None:
    """Nor one for whose configuration there was no room; a directory with anything of value does."""
    words = ("name=x", "trainer.max_epochs=1", *SMALL)
    run = run_in(tmp_path)
    assert script("train.py", *words, cwd=tmp_path, environment=environ | {CRASH_AT: "7"}).returncode == KILLED
    left = {entry.name for entry in run.directory.iterdir()}
    assert {".lock", "train.log"} < left and not run.result()
    refused = script("train.py", "name=x", "resume=true", cwd=tmp_path)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "has nothing of a run yet, as it was ended before it began; start it without resume=true" in refused.stderr
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))"
    full = script("train.py", *words, cwd=tmp_path, prelude=limit)
    assert (full.returncode, full.stderr.count("\n")) == (1, 1), full.stderr
    assert "/.hydra can't be written: File too large" in full.stderr
    done = script("train.py", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert not any(entry.name.startswith((".lock", "..")) for entry in run.directory.iterdir())
    assert "must be new" in script("train.py", *words, cwd=tmp_path).stderr
    shutil.rmtree(run.directory / ".hydra")
    assert "must be new" in script("train.py", *words, cwd=tmp_path).stderr


def test_hydras_own_folder_is_written_where_it_is_asked_for(tmp_path: Path) -> None:
    words = ("name=x", "trainer.max_epochs=1", "hydra.output_subdir=own", *SMALL)
    assert script("train.py", *words, cwd=tmp_path).returncode == 0
    run = run_in(tmp_path)
    for name in ("config", "hydra", "overrides"):
        text = (run.directory / "own" / f"{name}.yaml").read_text()
        assert (run.directory / ".hydra" / f"{name}.yaml").read_text() == text

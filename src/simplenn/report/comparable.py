"""Whether the runs of a study can be compared: by which metric, and what a reader has to know before comparing the
numbers. Imports no torch.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from simplenn.config import Kind, kind_of
from simplenn.errors import ConfigError
from simplenn.metric import objective_tags
from simplenn.report.configurations import Configurations

if TYPE_CHECKING:
    import polars

UNSURE = ("experiment", "sweep", "trainer")  # groups whose options may differ in nothing that makes a setting
OF_TRAINING = ("batch_size", "num_train")  # of the data's keys, those that leave what is validated as it is


def objective_of_all(runs: "polars.DataFrame") -> tuple[str, list[str]]:
    """The tag by which all runs can be compared: that over validation data, where each run that is done has it."""
    import polars

    trained, validated = objective_tags()
    done = runs.filter(polars.col("status") == "done")
    counts = {
        tag: len(done) - done[f"final/{tag}"].null_count() if f"final/{tag}" in runs.columns else 0
        for tag in (trained, validated)
    }
    if f"final/{validated}" in runs.columns and (counts[validated] == len(done) or counts[validated] > counts[trained]):
        num_without = len(done) - counts[validated]
        note = f"{num_without:,} of {len(done):,} runs that are done have no {validated}, and don't count."
        return validated, [note] if num_without else []
    if f"final/{trained}" not in runs.columns and not len(done):
        return trained, []  # as where all runs have failed
    if f"final/{trained}" not in runs.columns:
        raise ConfigError(f"a sweep's runs must have {validated} or {trained} to be compared, and have neither yet")
    if not counts[validated]:
        return trained, []
    number = f"{len(done) - counts[validated]:,} of {len(done):,}"
    return trained, [f"{number} runs have no {validated}, so all are compared by {trained}."]


def different_data(configurations: Configurations, runs: "polars.DataFrame") -> list[str]:
    """A note where not all runs have the same data: by what was swept, or by what an experiment's file says."""
    told = [name.removeprefix("key/") for name in runs.columns if name.startswith("key/")]
    names = [key for key in told if _is_of_data(key) and runs[f"key/{key}"].n_unique() > 1]
    if not names:
        by = ["sweep", *(name for name in runs.columns if name == "key/experiment")]
        rows = runs.select("subdir", "part", *by).unique(by, keep="first", maintain_order=True)
        values = configurations.of_each(rows) if len(rows) > 1 else []
        known = sorted({name for own in values for name in own if _is_of_data(name)})
        names = [name for name in known if len({repr(own.get(name)) for own in values}) > 1]
    if not names:
        return []
    return [f"settings differ in their data ({', '.join(names)}): losses over other data are not of the same task."]


def immaterial(configurations: Configurations, runs: "polars.DataFrame", keys: Sequence[str]) -> set[str]:
    """The groups among the keys whose options make no other setting, as `trainer=cpu` and `trainer=auto` don't: what
    they share with the other keys' groups is the same for each combination of these, and the rest for all runs."""
    found: set[str] = set()
    for key in keys:
        if key not in UNSURE:
            continue
        others = [name for name in keys if name != key and name not in found]
        texts = [name for name in others if not runs[f"key/{name}"].dtype.is_numeric()]
        by = [f"key/{name}" for name in (key, *texts)]
        rows = runs.select("sweep", "subdir", "part", "cfg", *by)
        rows = rows.unique([*by, "cfg"], keep="first", maintain_order=True)
        values = configurations.of_each(rows)
        if len(values) < len(rows):
            continue
        own = [{name: repr(value) for name, value in one.items() if name not in others} for one in values]
        groups = tuple(f"{name}." for name in texts)
        apart = [{name: text for name, text in one.items() if not name.startswith(groups)} for one in own]
        together: dict[tuple, list[dict[str, str]]] = {}
        for (_, *combination), one in zip(rows.select(by).iter_rows(), own, strict=True):
            together.setdefault(tuple(combination), []).append(one)
        if _is_one(apart) and all(map(_is_one, together.values())):
            found.add(key)
    return found


def _is_one(values: Sequence[dict[str, str]]) -> bool:
    return all(own == values[0] for own in values)


def _is_of_data(key: str) -> bool:
    return key == "data" or (key.startswith("data.") and key.rpartition(".")[2] not in OF_TRAINING)


def different_lengths(runs: "polars.DataFrame", keys: Sequence[str]) -> list[str]:
    """A note where runs that are done have different numbers of epochs, though these are not swept."""
    epochs = runs.filter(runs["status"] == "done")["epoch"]
    if not len(epochs) or epochs.min() == epochs.max() or any(kind_of(key) is Kind.LENGTH for key in keys):
        return []
    return [f"runs that are done have from {epochs.min():,} to {epochs.max():,} epochs, and are compared as they are."]


def different_code(runs: "polars.DataFrame") -> list[str]:
    """A note where runs went on with other code than they had begun with, by which the loss may be another one."""
    changed = runs["changed_code"].drop_nulls()
    changed = changed.filter(changed != "")
    if not len(changed):
        return []
    names = sorted({name for names in changed.unique() for name in names.split(", ")})
    return [
        f"{len(changed):,} of {len(runs):,} runs went on with other code of {', '.join(names)} than they had begun "
        "with, and their best values are compared across both."
    ]


def different_untold(configurations: Configurations, runs: "polars.DataFrame") -> list[str]:
    """Notes on runs that count as of one setting by what their commands said, and aren't: another value in a file of
    conf/, which was edited between two commands."""
    import polars

    keys = [name for name in runs.columns if name.startswith("key/")]
    keys = [name for name in keys if kind_of(name.removeprefix("key/")) is not Kind.SEED]
    own = runs.filter(polars.col("part").is_not_null())
    kinds = own.group_by("cfg", *keys, maintain_order=True).agg(polars.col("sweep", "subdir", "part").first())
    together = kinds.group_by(keys or polars.lit(0)).agg("cfg")["cfg"]
    several = {tuple(sorted(codes)) for codes in together.to_list() if len(codes) > 1}
    if not several:
        return []
    first = kinds.unique("cfg").filter(polars.col("cfg").is_in([code for codes in several for code in codes]))
    values = dict(zip(first["cfg"], configurations.of_each(first), strict=True))
    told = {name.removeprefix("key/") for name in keys}
    found: set[str] = set()
    for codes in several:
        names = {name for code in codes for name in values[code]} - told
        found |= {name for name in names if len({repr(values[code].get(name)) for code in codes}) > 1}
    if not found:
        return []
    return [f"runs of one setting differ in {', '.join(sorted(found))}, as files of conf/ changed between commands."]

"""Which code and files a run's numbers come from, by digests."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from simplenn.rundir import changed_code, code_of, code_of_both, other_code


def test_a_module_of_the_users_is_told_from_its_edited_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And it is not imported for that."""
    package = tmp_path / "their_code"
    package.mkdir()
    (package / "__init__.py").touch()
    module = package / "nets.py"
    module.write_text("raise SystemExit('imported')\n")
    monkeypatch.syspath_prepend(tmp_path)
    cfg = OmegaConf.create({"model": {"_target_": "their_code.nets.Net"}, "optimizer": {"_target_": "torch.optim.SGD"}})
    before = code_of(cfg)
    assert set(before) == {"simplenn", "their_code.nets"}
    assert code_of(cfg) == before
    module.write_text("raise SystemExit('imported, edited')\n")
    after = code_of(cfg)
    assert after["their_code.nets"] != before["their_code.nets"] and after["simplenn"] == before["simplenn"]


def test_a_file_that_the_configuration_names_counts(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("1,2\n")
    cfg = OmegaConf.create({"data": {"files": [str(table), "no such file"]}})
    before = code_of(cfg)
    table.write_text("1,3\n")
    assert set(before) == {"simplenn", str(table)} and code_of(cfg)[str(table)] != before[str(table)]


def test_a_run_that_goes_on_has_the_digests_of_all_versions_in_their_order() -> None:
    """As long as the code is the same, and where it isn't known what there was, that of now alone."""
    one, other = {"simplenn": "a", "nets": "x"}, {"simplenn": "b", "nets": "x"}
    assert code_of_both(one, one) == code_of_both({}, one) == one and not changed_code(one)
    assert not other_code(one, one) and not other_code({}, one)
    both = code_of_both(code_of_both(one, other), other)
    assert both == {"simplenn": "a+b", "nets": "x"} and changed_code(both) == ["simplenn"]
    assert code_of_both(both, one)["simplenn"] == "a+b+a"
    assert other_code(one, other) == other_code(both, one) == ["other code of simplenn"]
    assert other_code({"/a\x1b[2J": "a"}, {}) == ["another '/a\\x1b[2J'"]

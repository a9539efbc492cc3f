"""The README says what is so."""

import re

import pytest
from conftest import ROOT

README = (ROOT / "README.md").read_text()
LINKS = re.findall(r"\]\(([\w./-]+?)(?:#L(\d+))?\)", README)


def test_links_lead_to_files_and_pictures() -> None:
    assert len(LINKS) >= 8
    for path, _ in LINKS:
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize(
    ("idea", "word"),
    [
        ("Forward pass", "def forward"),
        ("Activation", "ACTIVATIONS"),
        ("Loss", "mse_loss"),
        ("Backpropagation", "def training_step"),
        ("Optimizer", "def configure_optimizers"),
        ("Learning rate", "lr:"),
        ("Epochs", "max_epochs"),
    ],
)
def test_each_idea_of_the_tutorial_leads_to_its_line(idea: str, word: str) -> None:
    """The table's link names the line that does it."""
    (row,) = [line for line in README.splitlines() if re.match(rf"\|\s*{idea}\b", line, re.IGNORECASE)]
    path, line = re.findall(r"\]\(([\w./-]+?)#L(\d+)\)", row)[0]
    assert word in (ROOT / path).read_text().splitlines()[int(line) - 1]


def test_ci_runs_the_readmes_test_command() -> None:
    assert "pip install -c constraints.txt -e '.[dev]' && pytest" in README

"""kexp in a real Jupyter kernel: progress stands in one place, and results show themselves."""

from __future__ import annotations

from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

CELLS = (
    "import kexp",
    "result = kexp.run(['data=iris', 'trainer=compiled', 'trainer.epochs=300', 'tracking=none', 'save=none'])",
    "result",
    "swept = kexp.sweep(['data=iris', 'optimizer=sgd,adam', 'seed=range(40)', 'trainer.epochs=3', 'tracking=none'])",
    "swept",
    "swept.comparison",
    "import tqdm.auto",  # as Optuna and MLflow do
)


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> list[list[Any]]:
    """What stands beneath each cell, after all updates."""
    place = tmp_path_factory.mktemp("notebook")
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    NotebookClient(book, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(place)}}).execute()
    return [cell.outputs for cell in book.cells]


def shown(found: list[Any], kind: str) -> list[str]:
    return [output["data"]["text/plain"] for output in found if output["output_type"] == kind]


def written(found: list[Any]) -> str:
    return "".join(output["text"] for output in found if output["output_type"] == "stream")


def test_a_run_has_one_line_that_changes_in_place(outputs: list[list[Any]]) -> None:
    [line] = shown(outputs[1], "display_data")
    assert line.startswith("epoch 300/300  loss ")
    assert "epoch" not in written(outputs[1]) and "\x1b" not in written(outputs[1])


def test_a_sweep_has_one_table_that_changes_in_place_and_its_closing_lines(outputs: list[list[Any]]) -> None:
    [standing] = shown(outputs[3], "display_data")
    assert standing.splitlines()[-1].startswith("80/80 trials  best val_loss ")
    told = written(outputs[3])
    assert "FINISHED" not in told and "\x1b" not in told and len(told.splitlines()) < 30
    assert "2 choices, by val_loss" in told


def test_no_progress_bar_of_another_library_asks_for_widgets(outputs: list[list[Any]]) -> None:
    """kexp shows progress by itself, and uses no bar of theirs."""
    assert outputs[6] == []


@pytest.mark.parametrize(("cell", "holds"), [(2, "val_loss"), (4, "80 finished"), (5, "adam")])
def test_results_show_themselves_as_small_tables(outputs: list[list[Any]], cell: int, holds: str) -> None:
    [output] = outputs[cell]
    page = output["data"]["text/html"]
    assert "<table>" in page and holds in page and "<script" not in page and len(page) < 5000
    assert len(output["data"]["text/plain"]) < 1500

"""The report in a real browser: it draws, answers the pointer, filters, and asks the network for nothing."""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Iterator
from typing import Any

import pytest

from kexp.sweeps.compare.results import TrialResult
from kexp.sweeps.compare_sweeps import compare_trials
from kexp.sweeps.report import write_report

pytestmark = pytest.mark.browser
TRIALS = 1000


def thousand() -> tuple[list[TrialResult], dict[str, Any]]:
    """A search of one seed: sgd and adam, some diverged."""
    chance = random.Random(0)
    trials, histories = [], {}
    for number in range(TRIALS):
        rate, name = 10 ** chance.uniform(-4, 0), chance.choice(["sgd", "adam"])
        end = abs(chance.gauss(0.2, 0.05)) + 0.1 * (name == "sgd") if rate < 0.5 else 1e12
        params = {
            "optimizer.name": name,
            "optimizer.learning_rate": rate,
            "model.dropout": chance.random() / 2,
            "seed": 0,
        }
        points = [(epoch, end + 1 / epoch) for epoch in range(1, 21)]
        trials.append(TrialResult(f"{number:032x}", f"s-{number}", "FINISHED", params, {"val_loss": points[-1][1]}))
        histories[trials[-1].run_id] = {"val_loss": points, "loss": points}
    return trials, histories


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from browser import browser

    trials, histories = thousand()
    folder = tmp_path_factory.mktemp("page")
    compare_trials(trials[:10])  # imports are not the report's
    began = time.monotonic()
    file = write_report(folder, compare_trials(trials, title="thousand"), lambda _: histories)
    made_s = time.monotonic() - began
    with browser(tmp_path_factory.mktemp("profile")) as found:
        began = time.monotonic()
        found.open(file.as_uri())
        found.wait("document.querySelectorAll('#table tbody tr').length === 20")
        opened_s = time.monotonic() - began
        found.place("#parallel")  # drawn once it is seen
        found.wait("document.querySelector('#parallel .parcoords')")
        drawn_s = time.monotonic() - began - opened_s
        print(f"made in {made_s:.1f} s, {file.stat().st_size / 1e6:.1f} MB; opened in {opened_s:.1f} s")
        print(f"parallel coordinates in {drawn_s:.1f} s more")
        assert file.stat().st_size < 6e6
        yield found


def counted(page: Any) -> str:
    text: str = page.js("document.querySelector('#table .bar span').textContent")
    return text


def test_it_fetches_nothing_and_no_script_fails(page: Any) -> None:
    for figure in ("parallel", "curves", "history", "importance"):
        page.place(f"#{figure}")
        page.wait(f"document.querySelector('#{figure} .main-svg')")
    assert [address for address in page.fetched() if not address.startswith("file:")] == []
    assert page.js("performance.getEntriesByType('resource').length") == 0
    assert page.complaints() == []
    assert (
        page.js("document.querySelector('[data-title*=hare], [data-title*=loud]')") is None
    )  # nothing can be sent away


def test_the_table_is_paged_sorted_and_filtered(page: Any) -> None:
    assert counted(page) == "1 to 20 of 1,000"
    page.js("[...document.querySelectorAll('#table .bar button')].find((b) => b.textContent.includes('next')).click()")
    assert counted(page) == "21 to 40 of 1,000"
    head = "[...document.querySelectorAll('#table th button')].find((b) => b.textContent === 'learning_rate')"
    page.js(f"{head}.click()")
    page.js(
        "[...document.querySelectorAll('#table .bar button')].find((b) => b.textContent.includes('before')).click()"
    )
    cells = "[...document.querySelectorAll('#table tbody tr')].map((row) => parseFloat(row.cells[4].textContent))"
    rates = page.js(cells)
    assert rates == sorted(rates) and rates[0] < 2e-4
    page.js("document.querySelector('#table input').focus()")
    page.type("adam dropout<0.1")
    shown = counted(page)
    assert shown.startswith("1 to 20 of ") and shown.endswith(" chosen of 1,000")
    trials, _ = thousand()
    meets = [
        t for t in trials if t.params["optimizer.name"] == "adam" and float(f"{t.params['model.dropout']:.4g}") < 0.1
    ]
    assert f" of {len(meets)} " in shown
    page.js("[...document.querySelectorAll('#table .bar button')].find((b) => b.textContent === 'show all').click()")
    assert counted(page) == "1 to 20 of 1,000"


def test_brushing_an_axis_chooses_rows_of_the_table(page: Any) -> None:
    page.js("state.sorted = null; showTable()")
    page.place("#parallel")
    boxes = "[...document.querySelectorAll('#parallel .axis-brush .background')].map((e) => e.getBoundingClientRect())"
    axes = page.js(f"{boxes}.map((r) => [r.x + r.width / 2, r.y, r.height])")
    x, y, height = axes[-1]  # of the objective: the best stand on top
    page.drag((x, y + 0.02 * height), (x, y + 0.6 * height))
    page.wait("document.querySelector('#table .bar span').textContent.includes('chosen of')")
    ranges = page.js(
        "JSON.stringify(document.getElementById('parallel').data[0].dimensions.map((d) => d.constraintrange))"
    )
    (low, high), axis = next((each, place) for place, each in enumerate(json.loads(ranges)) if each is not None)
    assert sum(each is not None for each in json.loads(ranges)) == 1
    named = page.js(f"document.getElementById('parallel').data[0].dimensions[{axis}].label")
    values = [trial.metrics["val_loss"] for trial in thousand()[0]]
    places = [math.log10(value) if named.endswith("(log)") else value for value in values]
    within = sum(low <= float(f"{place:.6g}") <= high for place in places)
    assert f" of {within} chosen of 1,000" in counted(page), "those that are not drawn as well"
    assert within > 250
    assert page.js("document.getElementById('parallel').data[0].dimensions[0].values.length") == 400
    ranks = page.js(
        "[...document.querySelectorAll('#table tbody tr')].map((row) => parseFloat(row.cells[0].textContent))"
    )
    assert len(ranks) == 20 and ranks == sorted(ranks)
    page.js("[...document.querySelectorAll('#table .bar button')].find((b) => b.textContent === 'show all').click()")
    page.wait("!document.querySelector('#table .bar span').textContent.includes('chosen')")
    assert page.js("document.getElementById('parallel').data[0].dimensions.every((d) => !d.constraintrange)")


def test_pointing_at_a_line_of_the_parallel_coordinates_tells_its_row(page: Any) -> None:
    left, top, width, height = page.place("#parallel")
    for step in range(20, 60):
        page.move(left + 0.47 * width, top + height * step / 80)
        if told := page.js("document.getElementById('tip')?.textContent"):
            break
    assert told.startswith("rank ") and "learning_rate " in told and "val_loss " in told
    page.move(left + width / 2, top - 20)
    page.wait("document.getElementById('tip').hidden")


def test_pointing_tells_and_clicking_marks_a_row(page: Any) -> None:
    page.place("#history")
    page.wait("document.querySelector('#history .scatterlayer .point')")
    left, top, width, height = page.place("#history .scatterlayer .point")
    page.move(left + width / 2, top + height / 2)
    told = page.wait("document.querySelector('#history .hoverlayer .hovertext')?.textContent")
    assert "s-" in told and "learning_rate=" in told
    page.click(left + width / 2, top + height / 2)
    page.wait("state.marked.size === 1")
    page.js("state.marked.clear(); showTable()")


def test_a_row_of_the_table_marks_its_curve_and_the_legend_hides_one(page: Any) -> None:
    page.js("state.sorted = null; showTable()")
    page.place("#curves")
    page.wait("document.querySelector('#curves .legendtoggle')")
    left, top, width, height = page.place('#table tr[data-row="1"]')
    page.click(left + width / 2, top + height / 2)
    assert page.wait("document.querySelector('#table tr.marked').dataset.row") == "1"
    line = "document.getElementById('parallel').data[0].line"
    page.wait(f"{line}.color.at(-1) === {line}.cmax")  # on top of the others
    page.js("mark(701)")
    page.wait(f"{line}.color.length === 401")  # one that was not drawn
    page.js("mark(701)")
    page.wait(f"{line}.color.length === 400")
    points = "document.getElementById('history').data[0]"
    page.place("#history")
    page.wait(f"{points}.selectedpoints?.map((place) => {points}.customdata[place]).join() === '1'")
    widths = "document.getElementById('curves').data.filter((t) => t.meta === 1).map((t) => t.line.width)"
    page.wait(f"JSON.stringify({widths}) === '[4,4]'")
    page.place("#curves")
    left, top, width, height = page.place("#curves .legendtoggle")
    page.click(left + width / 2, top + height / 2)
    page.wait("document.getElementById('curves').data.some((t) => t.visible === 'legendonly')")

"""The report: whole, offline, small, and never broken by what runs are called."""

from __future__ import annotations

import csv
import random
import re
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from kexp.sweeps.compare import compare_trials
from kexp.sweeps.comparison import Comparison
from kexp.sweeps.report import report_page, text_table, write_report
from kexp.sweeps.report.importance import parameter_importance
from kexp.sweeps.report.numbers import column_format, show_p, tidy
from kexp.sweeps.report.svg import axis_scale, ticks
from kexp.sweeps.results import History, TrialResult


def made(
    choices: list[Mapping[str, Any]], seeds: int = 3, epochs: int = 5
) -> tuple[list[TrialResult], dict[str, History]]:
    """Trials whose val_loss grows with their place among the choices."""
    trials, histories = [], {}
    for place, choice in enumerate(choices):
        for seed in range(seeds):
            run_id = f"{len(trials):032x}"
            end = 0.1 + 0.01 * place + random.gauss(0, 0.002)
            points = [(epoch, end + 1 / epoch**2) for epoch in range(1, epochs + 1)]
            histories[run_id] = {"loss": points, "val_loss": points}
            metrics = {"loss": points[-1][1], "val_loss": points[-1][1]}
            trials.append(TrialResult(run_id, f"t{len(trials)}", "FINISHED", {**choice, "seed": seed}, metrics))
    return trials, histories


class Page(HTMLParser):
    """Tags that are open at the end, addresses that a browser would fetch, and texts."""

    VOID = ("meta",)

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.fetched += [str(value) for key, value in attrs if key in ("src", "href", "action", "data")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def three() -> tuple[Comparison, dict[str, History]]:
    trials, histories = made(
        [{"optimizer.learning_rate": rate, "optimizer.name": "adam"} for rate in (1e-2, 1e-3, 1e-4)]
    )
    trials.append(TrialResult("f" * 32, "broken", "FAILED", {**trials[0].params, "seed": 9}, {}, "OSError: x"))
    return compare_trials(trials, title="rates"), histories


def test_report_is_three_whole_files(tmp_path: Path) -> None:
    comparison, histories = three()
    page = write_report(tmp_path / "rates", comparison, histories)
    assert sorted(file.name for file in page.parent.iterdir()) == ["report.html", "report.md", "trials.csv"]
    with (page.parent / "trials.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 10
    assert rows[-1]["state"] == "FAILED" and rows[-1]["reason"] == "OSError: x"
    assert {row["rank"] for row in rows[:3]} == {"1"}
    assert float(rows[0]["metrics.val_loss"]) == comparison.trials[0].metrics["val_loss"]
    markdown = (page.parent / "report.md").read_text()
    assert re.search(r"^\| 1 \| 0\.01 \|", markdown, re.MULTILINE)
    assert "OSError: x" in markdown


def test_page_is_well_formed_and_fetches_nothing() -> None:
    text = report_page(*three())
    page = Page(text)
    assert page.open == []
    assert page.fetched == []
    assert "http" not in text and "@import" not in text and "url(" not in text
    assert page.tags.count("polygon") >= 3 and page.tags.count("polyline") >= 6
    assert "learning_rate (log)" in text
    assert "broken" in text and "OSError: x" in text


def test_page_survives_hostile_names() -> None:
    hostile = '"><script>alert(1)</script>'
    trials, histories = made([{f"model.{hostile}": f"{hostile}{place}", "x": place} for place in range(6)])
    trials.append(TrialResult("e" * 32, hostile, "FAILED", {"x": 1, "seed": 1}, {}, hostile))
    text = report_page(compare_trials(trials, title=hostile), histories)
    assert "<script>alert" not in text
    assert Page(text).tags.count("script") == 1


def test_histories_are_asked_for_what_is_drawn_alone() -> None:
    trials, histories = made([{"x": place} for place in range(100)], seeds=2)
    asked: list[str] = []

    def read(run_ids: Any) -> dict[str, History]:
        asked.extend(run_ids)
        return {run_id: histories[run_id] for run_id in run_ids}

    text = report_page(compare_trials(trials), read)
    assert len(asked) == 120
    assert "The best 60 of 100 choices are drawn." in text


def test_page_of_thousands_of_choices_stays_small_and_says_what_is_left_out() -> None:
    choices = [{"a": place % 7, "b": 10.0 ** -(place % 11), "c": f"choice {place}"} for place in range(3000)]
    trials, histories = made(choices, seeds=1)
    text = report_page(compare_trials(trials), histories)
    assert len(text) < 1_000_000
    assert "The best 500 of 3,000" in text
    assert "Of 3,000 choices the best 200 and an even sample of 200 others are drawn." in text


@pytest.mark.parametrize("choices", [1, 2])
def test_few_trials_still_make_a_page(choices: int) -> None:
    trials, histories = made([{"x": place} for place in range(choices)], seeds=1, epochs=1)
    page = Page(report_page(compare_trials(trials), histories))
    assert page.open == []


def test_importance_finds_the_parameter_that_matters() -> None:
    trials = []
    for n in range(80):
        params = {"matters": n % 4, "idle": "ab"[n % 2], "noise": random.random(), "seed": n}
        value = 1 + (n % 4) + random.gauss(0, 0.01)
        trials.append(TrialResult(str(n), "", "FINISHED", params, {"val_loss": value}))
    found = parameter_importance(compare_trials(trials))
    assert found is not None
    assert next(iter(found.shares)) == "matters"
    assert found.shares["matters"] > 0.6
    assert sum(found.shares.values()) == pytest.approx(1)
    assert found.explained > 0.8
    assert parameter_importance(compare_trials(trials[:5])) is None
    alone = [TrialResult(str(n), "", "FINISHED", {"x": n, "seed": 0}, {"val_loss": n / 7}) for n in range(20)]
    assert parameter_importance(compare_trials(alone)) is None


def test_text_table_is_aligned_and_says_what_it_leaves_out() -> None:
    long = {"data.name": "my_company.datasets.very_long_module_name:Reader"}
    trials, _ = made(
        [{**long, "data.name": long["data.name"] + str(n), "optimizer.momentum": n / 10} for n in range(50)]
    )
    lines = text_table(compare_trials(trials, title="long")).splitlines()
    ruler = next(place for place, line in enumerate(lines) if line.startswith("----"))
    table = lines[ruler - 1 : ruler + 41]
    assert max(map(len, table)) <= 100
    starts = [match.start() for match in re.finditer(r"-+", table[1])]
    assert all(line[start - 1] == " " for line in table for start in starts[1:] if len(line) >= start)
    assert lines[ruler + 41] == "... and 10 more rows (--limit 0 shows all)"


def test_numbers_of_a_column_share_their_decimals() -> None:
    assert tidy(0.12345, column_format([0.12345, 0.9])) == "0.1235"
    assert tidy(1234.5, column_format([1234.5])) == "1234"
    assert tidy(1.5e-7, column_format([1.5e-7])) == "1.500e-07"
    assert tidy(float("nan"), ".3f") == "-"
    assert [show_p(p) for p in (1e-9, 0.0123, 0.5)] == ["<0.001", "0.012", "0.50"]


def test_axes_are_logarithmic_where_values_span_decades() -> None:
    scale = axis_scale([1e-5, 1e-3, 1e-1], 0, 100)
    assert scale.log
    assert scale(1e-3) == pytest.approx(50)
    assert ticks(scale) == pytest.approx([1e-5, 1e-4, 1e-3, 1e-2, 1e-1])
    linear = axis_scale([-1.0, 0.0, 9.0], 100, 0)
    assert not linear.log
    assert linear(-1.0) > linear(9.0)
    assert axis_scale([], 0, 1)(3.0) == 1
    assert len(ticks(axis_scale([5.0], 0, 1))) > 1

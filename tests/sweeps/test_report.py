"""The report: whole, offline, small, and never broken by what runs are called."""

from __future__ import annotations

import csv
import json
import math
import random
import re
from collections.abc import Mapping, Sequence
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from kexp.sweeps.compare.comparison import Comparison
from kexp.sweeps.compare.grouping import ABSENT
from kexp.sweeps.compare.results import History, TrialResult
from kexp.sweeps.compare_sweeps import compare_trials
from kexp.sweeps.objective import Objective
from kexp.sweeps.report import markdown_report, report_page, text_table, write_report
from kexp.sweeps.report.figures.axes import extent, parameter_axis
from kexp.sweeps.report.figures.curves import curves_figure
from kexp.sweeps.report.figures.importance import parameter_importance
from kexp.sweeps.report.numbers import number_format, show_p, tidy


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
    """Tags that are open at the end, addresses that a browser would fetch, and what the script is given."""

    VOID = ("meta",)

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.tags: list[str] = []
        self.feed(text)
        self.content = json.loads(text.partition('id="content">')[2].partition("</script>")[0])

    def traces(self, figure: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.content["figures"][figure]["data"]
        return found

    def headings(self) -> list[str]:
        return [column["heading"] for column in self.content["table"]["columns"]]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.fetched += [str(value) for key, value in attrs if key in ("src", "href", "action", "data")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def page_of(comparison: Comparison, histories: Mapping[str, History], objectives: Sequence[Objective] = ()) -> str:
    return report_page(comparison, lambda _: histories, objectives)


def three() -> tuple[Comparison, dict[str, History]]:
    trials, histories = made(
        [{"optimizer.learning_rate": rate, "optimizer.name": "adam"} for rate in (1e-2, 1e-3, 1e-4)]
    )
    trials.append(TrialResult("f" * 32, "broken", "FAILED", {**trials[0].params, "seed": 9}, {}, "OSError: x"))
    return compare_trials(trials, title="rates"), histories


def test_report_is_three_whole_files(tmp_path: Path) -> None:
    comparison, histories = three()
    page = write_report(tmp_path / "rates", comparison, lambda _: histories)
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
    text = page_of(*three())
    page = Page(text)
    assert page.open == []
    assert page.fetched == []
    assert "http" not in text and "@import" not in text and "url(" not in text
    lines = page.traces("curves")
    assert sum(trace.get("fill") == "toself" for trace in lines) == 6 and sum("meta" in trace for trace in lines) == 6
    assert page.traces("parallel")[0]["dimensions"][0]["label"] == "learning_rate (log)"
    assert {"n", "verdict", "p"} <= set(page.headings())
    assert "broken" in text and "OSError: x" in text


def test_page_survives_hostile_names() -> None:
    hostile = '"><script>alert(1)</script><b>'
    trials, histories = made([{f"model.{hostile}": f"{hostile}{place}", "x": place} for place in range(6)])
    trials.append(TrialResult("e" * 32, hostile, "FAILED", {"x": 1, "seed": 1}, {}, hostile))
    text = page_of(compare_trials(trials, title=hostile), histories)
    assert "<script>alert" not in text
    page = Page(text)
    assert page.tags.count("script") == 3
    figures = json.dumps(page.content["figures"])
    assert "&lt;script" in figures and "<" not in re.sub("</?extra>|<br>", "", figures)


def test_one_seed_has_no_verdicts_and_one_line_that_says_so() -> None:
    trials, histories = made([{"x": place} for place in range(40)], seeds=1)
    comparison = compare_trials(trials)
    page, markdown = page_of(comparison, histories), markdown_report(comparison)
    for text in (page, markdown, text_table(comparison)):
        assert text.count("One seed cannot tell a difference from chance") == 1
        assert "indistinguishable" not in text.replace(".v-indistinguishable", "") and "t-test" not in text
    assert Page(page).headings() == ["rank", "trial", "x", "val_loss"]


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
    text = page_of(compare_trials(trials), histories)
    assert len(text) < 6_000_000
    assert len(Page(text).content["table"]["columns"][0]["cells"]) == 3000
    assert "Of 3,000 choices the best 200, an even sample of 200 others, and those that you mark are drawn" in text


@pytest.mark.parametrize("choices", [1, 2])
def test_few_trials_still_make_a_page(choices: int) -> None:
    trials, histories = made([{"x": place} for place in range(choices)], seeds=1, epochs=1)
    page = Page(page_of(compare_trials(trials), histories))
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


def test_numbers_have_four_digits_and_parameters_as_many_as_tell_them_apart() -> None:
    assert [tidy(value, number_format(value)) for value in (0.123456, 0.0089012, 1234.5678, 1.5e-7, 3.25e9, 0.0)] == [
        "0.1235", "0.008901", "1235", "1.500e-07", "3.250e+09", "0.0000",
    ]  # fmt: skip
    assert tidy(float("nan"), ".3f") == "-"
    assert [show_p(p) for p in (1e-9, 0.0123, 0.5)] == ["<0.001", "0.012", "0.50"]
    trials, _ = made([{"rate": rate} for rate in (0.012345678, 0.5)], seeds=1)
    assert compare_trials(trials).label(compare_trials(trials).rows[0]) == "rate=0.01235"
    trials, _ = made([{"rate": rate} for rate in (0.500001, 0.500002)], seeds=1)
    assert compare_trials(trials).label(compare_trials(trials).rows[0]) == "rate=0.500001"


def test_diverged_trials_do_not_flatten_a_picture_and_are_counted() -> None:
    good = [0.1 + place / 100 for place in range(90)]
    shown = extent([*good, 1e8, 3e30, math.inf, math.nan])
    assert (shown.low, shown.high) == (min(good), max(good))
    most = extent([0.1, 0.2, 0.3, *(10.0**power for power in range(20))])
    assert most.low == 0.1 and most.high == 1e5 and most.log
    assert extent([-1e9, *good], minimize=False) == extent(good, minimize=False)
    trials, histories = made([{"x": place} for place in range(30)], seeds=1)
    trials += [
        TrialResult(f"d{n}", f"t{30 + n}", "FINISHED", {"x": n, "seed": 7}, {"val_loss": 1e20}) for n in range(2)
    ]
    text = page_of(compare_trials(trials), histories)
    assert (
        "2 of 32 trials stand at the edge, because their val_loss is far from the others' (as far as 1e+20)."
        in unescape(text)
    )
    edge = next(trace for trace in Page(text).traces("history") if trace["name"] == "outside the picture")
    assert len(edge["x"]) == 2 and max(edge["y"]) < 1


def test_curves_of_the_best_are_within_the_picture_down_to_their_best_epoch() -> None:
    """One that overfits from an early epoch on has its lowest value there, below all beginnings and all ends."""
    curves = {"a": [0.6, 0.41, 0.47], "b": [0.66, 0.6, 0.52], "c": [0.7, 0.69, 0.69]}
    trials = [
        TrialResult(name, name, "FINISHED", {"x": name, "seed": 1}, {"val_loss": curve[-1]})
        for name, curve in curves.items()
    ]
    histories = {name: {"val_loss": [*enumerate(curve, 1)]} for name, curve in curves.items()}
    figure = curves_figure(compare_trials(trials), histories)
    assert figure is not None
    low, high = figure["layout"]["yaxis"]["range"]
    assert low < 0.41
    assert high > 0.7


@pytest.mark.parametrize(
    ("values", "name", "ticks"),
    [
        ([1e-5, 1e-3, 1e-1], "x (log)", ["1e-05", "0.001", "0.1"]),
        ([0.0, 1e-5, 1e-3, 1e-1], "x", ["0", "1e-05", "0.001", "0.1"]),
        (["sgd", "adam", ABSENT], "x", ["adam", "sgd", "-"]),
        ([True, 1, None], "x", ["1", "null", "true"]),
        ([0.1, 0.5, 0.9, ABSENT], "x", ["-", "0.1", "0.5", "0.9"]),
    ],
)
def test_an_axis_of_parameters_has_a_place_for_each_value(values: list[Any], name: str, ticks: list[str]) -> None:
    axis = parameter_axis("x", values)
    assert axis["label"] == name and axis["ticktext"] == ticks
    assert len(set(axis["values"])) == len(values)
    assert sorted(axis["values"]) == pytest.approx(sorted(axis["tickvals"]))
    assert all(axis["range"][0] <= place <= axis["range"][1] for place in axis["values"])


def test_the_front_of_two_objectives_is_drawn_from_the_rows() -> None:
    trials = [
        TrialResult(str(n), f"t-{n}", "FINISHED", {"x": n, "seed": 0}, {"val_loss": loss, "val_accuracy": accuracy})
        for n, (loss, accuracy) in enumerate([(0.1, 0.5), (0.2, 0.9), (0.3, 0.8), (0.4, 0.95)])
    ]
    objectives = [Objective("val_loss", "minimize"), Objective("val_accuracy", "maximize")]
    comparison = compare_trials(trials, objective="val_loss", metrics=["val_accuracy"])
    others, front = Page(page_of(comparison, {}, objectives)).traces("front")
    assert (front["x"], front["y"]) == ([0.1, 0.2, 0.4], [0.5, 0.9, 0.95])
    assert others["x"] == [0.3]
    axes = Page(page_of(comparison, {}, objectives)).traces("parallel")[0]["dimensions"]
    assert [axis["label"] for axis in axes] == ["x", "val_loss", "val_accuracy"]


def test_a_notebook_shows_a_comparison_as_a_small_table() -> None:
    comparison, _ = three()
    page = comparison._repr_html_()
    assert page.count("<tr>") == 4 and "0.01" in page and comparison.conclusion()[:20] in page
    assert "<script" not in page and len(page) < 5000

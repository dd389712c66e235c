"""The contract suite over components that are installed, with an outcome that a person reads."""

from __future__ import annotations

import contextlib
import io
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from kexp.errors import ConfigError
from kexp.registry import Component
from kexp.testing.contract import ComponentContract
from kexp.testing.staging import example_parameters

__all__ = ["TestInstalled", "check"]


class TestInstalled(ComponentContract):
    """The contract; pytest hands in each component by the parameters that `check` makes."""


@dataclass
class _Outcome:
    """What the tests of each component said.

    Attributes:
        chosen: title -> (group, name, parameters).
        passed: title -> number of checks that passed.
        failed: title -> (check, sentence) of each that did not.
    """

    chosen: dict[str, tuple[str, str, dict[str, Any]]]
    passed: dict[str, int] = field(default_factory=dict)
    failed: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        metafunc.parametrize("component", list(self.chosen.values()), ids=list(self.chosen), scope="class")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        title = next(each for each in self.chosen if f"[{each}" in report.nodeid or f"-{each}]" in report.nodeid)
        check = report.nodeid.rpartition("::")[2].partition("[")[0].removeprefix("test_").replace("_", " ")
        if report.failed:
            self.failed.setdefault(title, []).append((check, _sentence(report)))
        elif report.when == "call":
            self.passed[title] = self.passed.get(title, 0) + 1


def check(components: Sequence[Component]) -> int:
    """Runs the contract on each component and prints a line for each, with what failed below it.

    Required parameters get values by their annotations; a component with one that has none is not checked.

    Returns:
        1 where a component breaks the contract or could not be checked, else 0.
    """
    chosen: dict[str, tuple[str, str, dict[str, Any]]] = {}
    broken: dict[str, str] = {}
    skipped: dict[str, str] = {}
    for component in components:
        title = f"{component.group}={component.name}"
        problem = component.problem() or _clash(component)
        if problem:
            broken[title] = problem
            continue
        try:
            chosen[title] = component.group, component.name, example_parameters(component)
        except ConfigError as error:
            skipped[title] = str(error)
    outcome = _Outcome(chosen)
    if chosen:
        _run(outcome)
    skipped |= {title: "no check reached it" for title in chosen if title not in outcome.passed | outcome.failed}
    width = max(len(f"{each.group}={each.name}") for each in components)
    for component in components:
        title = f"{component.group}={component.name}"
        failed = outcome.failed.get(title, []) + ([("loads", broken[title])] if title in broken else [])
        said = (
            "FAILED" if failed else "not checked" if title in skipped else f"ok, {outcome.passed.get(title, 0)} checks"
        )
        print(f"{title:<{width}}  {component.origin}  {said}")
        for name, sentence in failed:
            print(f"    {name}: {sentence}")
        if title in skipped:
            print(f"    {skipped[title]}")
    return 1 if outcome.failed or broken or skipped else 0


def _run(outcome: _Outcome) -> None:
    """pytest in this process, its own reports kept from the terminal."""
    with tempfile.TemporaryDirectory(prefix="kexp-check-") as scratch, contextlib.redirect_stdout(io.StringIO()):
        base = str(Path(scratch, "files"))
        arguments = ["-q", "-c", "/dev/null", "--rootdir", scratch, "-p", "no:cacheprovider", "-W", "ignore"]
        pytest.main([__file__, *arguments, "--basetemp", base], plugins=[outcome])


def _clash(component: Component) -> str | None:
    if component.claimants:
        return f"the name is also claimed by {', '.join(component.claimants)}"
    return None


def _sentence(report: pytest.TestReport) -> str:
    """The error's message on one line, without its type's module."""
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash is not None else str(report.longrepr)
    text = " ".join(text.split())
    text = re.sub(
        r"^(?:[\w.]+\.)?(AssertionError|Failed|KexpError|ConfigError|SaveError|ComponentError|BuildError): ", "", text
    )
    return re.sub(r" assert .*$", "", text) if not text.startswith("assert") else text

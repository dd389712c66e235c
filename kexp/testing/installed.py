"""Runs the contract suite on installed components and prints a readable summary."""

from __future__ import annotations

import contextlib
import io
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from kexp.errors import ConfigError
from kexp.registry import Component
from kexp.registry.groups import GROUPS
from kexp.testing.contract import LONG, ComponentContract
from kexp.testing.naming import typing_problem
from kexp.testing.seams import check_seam
from kexp.testing.staging import example_parameters

__all__ = ["TestInstalled", "check"]

_NOT_INSTALLED = "; install with: "


class TestInstalled(ComponentContract):
    """The contract; `_Outcome` parametrizes it with the components to check."""


@dataclass
class _Outcome:
    """The results of the tests, by component.

    Attributes:
        chosen: title -> (group, name, parameters).
        passed: title -> number of checks that passed.
        failed: title -> (check, sentence) for each that failed.
        blocked: title -> the message about a package that the check needs.
    """

    chosen: dict[str, tuple[str, str, dict[str, Any]]]
    passed: dict[str, int] = field(default_factory=dict)
    failed: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    blocked: dict[str, str] = field(default_factory=dict)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        numbers = [f"number{index}" for index in range(len(self.chosen))]  # a title may have any character
        metafunc.parametrize("component", list(self.chosen.values()), ids=numbers, scope="class")

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Skips the long checks of a component that has failed a quick one: they would fail for the same reason."""
        if getattr(item, "originalname", None) in LONG and self._title(item.nodeid) in self.failed:
            pytest.skip("it has failed a quick check")

    def _title(self, node: str) -> str:
        return list(self.chosen)[int(re.findall(r"\bnumber(\d+)\b", node)[-1])]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        title = self._title(report.nodeid)
        check = report.nodeid.rpartition("::")[2].partition("[")[0].removeprefix("test_").replace("_", " ")
        sentence = _sentence(report) if report.failed else ""
        if _NOT_INSTALLED in sentence:
            self.blocked[title] = sentence
        elif report.failed:
            if not any(sentence == known for _, known in self.failed.get(title, ())):  # one fault fails several checks
                self.failed.setdefault(title, []).append((check, sentence))
        elif report.when == "call" and report.passed:
            self.passed[title] = self.passed.get(title, 0) + 1


def check(components: Sequence[Component], given: Mapping[str, Any] | None = None) -> int:
    """Runs the contract on each component and prints a line for each, followed by its failed checks.

    Required parameters get values from their annotations. A component with a required parameter without a usable
    annotation is not checked.

    Args:
        components: components of the groups, launchers, sweepers and engines.
        given: values of parameters, for a single component.

    Returns:
        1 if a component breaks the contract or could not be checked, else 0.
    """
    with tempfile.TemporaryDirectory(prefix="kexp-check-") as scratch:
        return _checked(components, given, Path(scratch))


def _checked(components: Sequence[Component], given: Mapping[str, Any] | None, scratch: Path) -> int:
    chosen: dict[str, tuple[str, str, dict[str, Any]]] = {}
    broken: dict[str, str] = {}
    skipped: dict[str, str] = {}
    seams: list[Component] = []
    for component in components:
        title = _title(component)
        problem = _clash(component) or _unreadable(component)
        if problem:
            broken[title] = problem
        elif component.group not in GROUPS:
            seams.append(component)
        else:
            try:
                chosen[title] = component.group, component.name, example_parameters(component, scratch, given)
            except ConfigError as error:
                skipped[title] = str(error)
    outcome = _Outcome(chosen)
    if chosen:
        _run(outcome, scratch)
    for component in seams:
        outcome.passed[_title(component)], failed = check_seam(component)
        outcome.failed |= {_title(component): failed} if failed else {}
    skipped |= outcome.blocked
    skipped |= {title: "no check reached it" for title in chosen if title not in outcome.passed | outcome.failed}
    width = max(len(_title(each)) for each in components)
    for component in components:
        title = _title(component)
        failed = outcome.failed.get(title, []) + ([("loads", broken[title])] if title in broken else [])
        result = (
            "FAILED" if failed else "not checked" if title in skipped else f"ok, {outcome.passed.get(title, 0)} checks"
        )
        print(f"{title:<{width}}  {component.origin}  {result}")
        for name, sentence in failed:
            print(f"    {name}: {sentence}")
        if title in skipped:
            print(f"    {skipped[title]}")
    return 1 if outcome.failed or broken or skipped else 0


def _title(component: Component) -> str:
    return f"{component.group}={component.name}"


def _unreadable(component: Component) -> str | None:
    """Returns why a component cannot be checked (its name, or its import fails); None if it can."""
    problem = None if component.distribution == "reference" else typing_problem(component.name)
    if problem is None and component.group in GROUPS:
        problem = component.problem()
    return problem


def _run(outcome: _Outcome, scratch: Path) -> None:
    """Runs pytest in this process, without its output."""
    with contextlib.redirect_stdout(io.StringIO()):
        arguments = ["-q", "-c", "/dev/null", "--rootdir", str(scratch), "-p", "no:cacheprovider", "-W", "ignore"]
        pytest.main([__file__, *arguments, "--basetemp", str(scratch / "files")], plugins=[outcome])


def _clash(component: Component) -> str | None:
    if component.claimants:
        return f"the name is also claimed by {', '.join(component.claimants)}"
    return None


def _sentence(report: pytest.TestReport) -> str:
    """Returns the error's message on one line, without the exception's type."""
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash is not None else str(report.longrepr)
    text = " ".join(text.split())
    text = re.sub(r"^(?:kexp\.errors\.\w+|AssertionError|Failed): (?=[a-z])", "", text)
    return re.sub(r" assert .*$", "", text) if not text.startswith("assert") else text

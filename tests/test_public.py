"""What is public: it is there, it is documented, and kexp's own plugins import nothing else.

A name that is missing here, or goes, is a change that plugins see: see the end of docs/plugins.md.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from pathlib import Path

import pytest

from kexp.registry import PARTS
from kexp.registry.groups import GROUPS

ROOT = Path(__file__).parent.parent
PUBLIC = {
    "kexp": "compare declare errors initial_values load_model losses registry run sweep",
    "kexp.errors": """BuildError ComponentError ConfigError DataError KexpError LoadError SaveError StoreError
        TrainingError UnknownNameError first_line in_a_line""",
    "kexp.rules": "Count Fraction NonNegative Positive Range Whole",
    "kexp.data": "Data arrays",
    "kexp.model": "ModelSpec",
    "kexp.persistence": "Format Predictor set_weights",
    "kexp.experiment": "Engine Prepared Trained",
    "kexp.launching": """Batch Events Feed Fused FusedLauncher HydraLauncher LaneEngine LaneGroup LaneRunner NoEvents
        Outcome ProcessesLauncher RunRecord SerialLauncher Sweep Task Trial Verified WorkerError forget_model
        has_foreign_code import_engine import_keras logged own_process run_trial too_long""",
    "kexp.testing": "ComponentContract",
}
# How each is called: a parameter that goes, or comes without a default, breaks whoever calls it.
SIGNATURES = {
    "kexp.launching:run_trial": "(task, on_epoch)",
    "kexp.launching:HydraLauncher.setup": "(self, *, hydra_context, task_function, config)",
    "kexp.launching:SerialLauncher.run_tasks": "(self, tasks, events)",
    "kexp.launching:ProcessesLauncher.run_tasks": "(self, tasks, events)",
    "kexp.launching:FusedLauncher.run_on": "(self, engine_for, run_others, feed, events)",
    "kexp.launching:Events.on_start": "(self, number)",
    "kexp.launching:Events.on_epoch": "(self, number, epoch, metrics)",
    "kexp.launching:Events.on_end": "(self, outcome)",
    "kexp.launching:LaneRunner": "(events, fused, groups)",
    "kexp.launching:LaneRunner.receive": "(self, message, tasks)",
    "kexp.launching:LaneEngine": "(channel)",
    "kexp.launching:import_engine": "(threads=None)",
    "kexp.launching:Feed": "(tasks=(), more=None, most=0, last=None)",
}
TASK = "number config overrides folder name parent_run_id tags ask checkpoint state saves ordinary"
OUTCOME = "number state reason metrics duration_s record repeatable notices"


def page() -> str:
    return (ROOT / "docs" / "plugins.md").read_text().partition("## What is public")[2]


@pytest.mark.parametrize("module", PUBLIC)
def test_every_public_name_is_there_and_has_a_docstring(module: str) -> None:
    home = importlib.import_module(module)
    names = PUBLIC[module].split()
    assert set(names) <= set(home.__all__)
    for name in names:
        member = getattr(home, name)
        own = inspect.isclass(member) or inspect.isfunction(member)
        assert not own or inspect.getdoc(member), f"{module}.{name}"


@pytest.mark.parametrize("module", ["kexp.launching", "kexp.testing"])
def test_a_module_that_is_there_for_plugins_is_public_as_a_whole(module: str) -> None:
    assert importlib.import_module(module).__all__ == PUBLIC[module].split()


def test_the_page_lists_what_is_public() -> None:
    rows = dict(re.findall(r"^\| `(kexp[\w.]*)` \| (.*) \|$", page(), re.MULTILINE))
    assert {module: re.findall(r"`(\w+)`", names) for module, names in rows.items()} == {
        module: names.split() for module, names in PUBLIC.items()
    }
    groups = re.search(r"Its entry points are in these groups: (.*?)\.\n", page(), re.DOTALL)
    assert groups is not None
    assert re.findall(r"`kexp\.(\w+)`", groups[1]) == [*GROUPS, *PARTS, "exports"]


@pytest.mark.parametrize("where", SIGNATURES)
def test_what_plugins_call_keeps_its_parameters(where: str) -> None:
    module, _, path = where.partition(":")
    member = importlib.import_module(module)
    for name in path.split("."):
        member = getattr(member, name)
    signature = inspect.signature(member)
    bare = [each.replace(annotation=inspect.Parameter.empty) for each in signature.parameters.values()]
    assert str(inspect.Signature(bare)) == SIGNATURES[where]


def test_tasks_and_outcomes_keep_their_fields() -> None:
    launching = importlib.import_module("kexp.launching")
    assert set(TASK.split()) <= set(launching.Task.__dataclass_fields__)
    assert list(launching.Outcome.__dataclass_fields__) == OUTCOME.split()


def imports(file: Path) -> list[tuple[str, str]]:
    """Module and name of each import of kexp's in a file."""
    found = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "kexp":
            found += [(str(node.module), each.name) for each in node.names]
        elif isinstance(node, ast.Import):
            found += [(each.name, "") for each in node.names if each.name.split(".")[0] == "kexp"]
    return found


def test_our_plugins_import_public_names_alone() -> None:
    files = [*ROOT.glob("plugins/*/src/**/*.py")]
    used = {(module, name) for file in files for module, name in imports(file)}
    assert ("kexp.launching", "run_trial") in used
    private = [
        f"{module}:{name}"
        for module, name in used
        if not (module in PUBLIC if not name else name in PUBLIC.get(module, "").split())
    ]
    assert private == []

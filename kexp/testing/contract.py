"""The contract of every component, as a test class that a plugin inherits."""

from __future__ import annotations

import contextlib
import copy
import inspect
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from kexp import registry
from kexp.errors import ConfigError, UnknownNameError
from kexp.registry import Component
from kexp.schema import Experiment, Node, component_node
from kexp.schema.settings import DEFAULT_FORMATS
from kexp.signatures import REQUIRED, UNREADABLE, of_source
from kexp.testing.naming import typing_problem
from kexp.testing.promises import check_promises, values_of
from kexp.testing.sameness import described, first_difference
from kexp.testing.staging import available_backends, current_backend, node_of, stage
from kexp.testing.training import Trained, train
from kexp.testing.values import outside
from kexp.testing.worker import PREDICTED, PROBE, Worker

__all__ = ["LONG", "ComponentContract", "build_staged"]

Chosen = tuple[str, str, dict[str, Any]]
# Checks that train or save take seconds; the others take milliseconds.
LONG = (
    "test_trains_alike_from_numpy_and_tfdata",
    "test_saves_and_loads",
    "test_works_in_a_new_process_on_another_backend",
)
_KEPT = 32  # trained models kept in memory; one class may check many components
_trained: dict[str, Trained] = {}


class ComponentContract:
    """The contract of one component. A subclass, whose name begins with Test, overrides the fixture `component`.

    Each test stages an experiment around the component: a loss or a metric on suitable data, a layer in front of an
    output layer, an initializer in a dense layer, and so on. To change the experiment, override `overrides`.
    """

    @pytest.fixture
    def component(self) -> Chosen:
        """The group, the registered name and the parameters to check with, including all required ones."""
        raise NotImplementedError("override the fixture `component`: return (group, name, parameters)")

    @pytest.fixture
    def overrides(self) -> Sequence[str]:
        """Overrides of the experiment around the component, as on the command line: `["data=diabetes"]`."""
        return []

    @pytest.fixture
    def found(self, component: Chosen) -> Component:
        """The registered component."""
        return registry.find(component[0], component[1])

    @pytest.fixture
    def experiment(self, component: Chosen, overrides: Sequence[str]) -> Experiment:
        """The experiment around the component."""
        return stage(*component, tuple(overrides))

    @pytest.fixture
    def trained(self, experiment: Experiment) -> Trained:
        """The experiment after an epoch; trained once for all tests of the component."""
        key = repr(experiment)
        if key not in _trained:
            if len(_trained) >= _KEPT:
                _trained.clear()
            _trained[key] = train(experiment, ("numpy", "tfdata"))
        return _trained[key]

    def test_name_can_be_typed(self, found: Component) -> None:
        """Hydra's grammar reads the name as an option and as a key. References are exempt: kexp reads them itself."""
        problem = None if found.distribution == "reference" else typing_problem(found.name)
        assert problem is None, problem

    def test_signature_and_help_are_there(self, found: Component) -> None:
        """Defaults are plain values and a docstring describes the component; `kexp show` prints both."""
        signature = found.signature()
        if found.distribution != "reference":  # a user's own code needs no docstring
            assert signature.summary, f"{found.target} has no docstring; its first paragraph is the component's help"
        if not found.exported:
            odd = [p.name for p in signature.parameters if p.default is UNREADABLE]
            assert not odd, f"{found.target}: defaults must be numbers, text, lists, mappings or null: {', '.join(odd)}"

    def test_config_round_trips(self, component: Chosen, found: Component) -> None:
        """Defaults and parameters pass the checks, and the checked node passes them again unchanged."""
        group, _, parameters = component
        first = component_node(group, node_of(found, parameters), group)
        assert component_node(group, first.as_dict(), group) == first
        for key, value in parameters.items():
            if not isinstance(value, (dict, list, tuple)):  # components inside a value are completed
                assert {**first.common, **first.parameters}[key] == value

    def test_an_unknown_parameter_is_refused(
        self, component: Chosen, found: Component, overrides: Sequence[str]
    ) -> None:
        """An unknown parameter is refused by a sentence that names it; at the latest by what `**kwargs` reach."""
        group, name, parameters = component
        given = {**parameters, "no_such_parameter": 1}
        if not found.signature().open or found.exported:
            with pytest.raises(UnknownNameError, match="no_such_parameter"):
                component_node(group, node_of(found, given), group)
            return
        with contextlib.suppress(ConfigError):
            _built(group, stage(group, name, given, tuple(overrides)), seed=0)
            pytest.fail(f"{found.target} takes **kwargs and ignores them, so a mistyped parameter would go unnoticed")

    def test_values_against_the_rules_are_refused(self, component: Chosen, found: Component) -> None:
        """Each annotated parameter refuses a value of another type and a value out of its range."""
        group, _, parameters = component
        for parameter in found.signature().parameters:
            for value in outside(parameter, found.named_as_keras):
                with pytest.raises(ConfigError, match=rf"^{group}\.{parameter.name}"):
                    component_node(group, {**node_of(found, parameters), parameter.name: value}, group)

    def test_builds_what_its_group_promises(self, experiment: Experiment, component: Chosen) -> None:
        """The factory returns an object of its group's kind that keeps the group's promises.

        A loss returns one value per row. Data returns as many rows as its length says, the same ones in any order. An
        initializer returns the same values for the same seed.
        """
        check_promises(component[0], _built(component[0], experiment, seed=0), experiment)

    def test_makes_the_same_each_time(self, experiment: Experiment, component: Chosen) -> None:
        """Two builds of one config have the same settings and compute the same, under different global seeds."""
        group = component[0]
        first, second = (_settings_of(group, _built(group, experiment, seed), experiment) for seed in (0, 1))
        different = first_difference(first, second)
        assert not different, f"makes a different object at each call from the same parameters: {different}"

    def test_leaves_its_parameters_alone(self, component: Chosen, overrides: Sequence[str], found: Component) -> None:
        """The component changes neither a default nor a value of the config, such as a list, since others share it."""
        experiment = stage(*component, tuple(overrides))
        written, config = _written_defaults(found), copy.deepcopy(experiment.as_dict())
        _built(component[0], experiment, seed=0)
        _call_with_defaults(found, component)
        changed = first_difference(written, _defaults(found)) or first_difference(config, experiment.as_dict())
        assert not changed, f"changes a shared list or mapping among its arguments or defaults: {changed}"

    def test_trains_alike_from_numpy_and_tfdata(self, trained: Trained) -> None:
        """An epoch on real data has finite metrics, and the same ones with either feed."""
        import numpy as np

        first, second = (trained.histories[kind] for kind in ("numpy", "tfdata"))
        assert first.get("loss"), "an epoch must have a loss"
        for name, values in first.items():
            assert np.isfinite(values).all(), f"{name} is {values}"
        different = first_difference(first, second)
        assert not different, f"an epoch must give the same metrics from NumPy and from tf.data: {different}"

    def test_saves_and_loads(self, experiment: Experiment, trained: Trained, tmp_path: Path) -> None:
        """A model that is saved and loaded predicts the same, in each default format and in the format under test."""
        import numpy as np

        from kexp.build import build_format
        from kexp.persistence import carries, load_model
        from kexp.persistence.verify import predict_once

        formats = _formats(experiment)
        _save(trained, formats, tmp_path)
        for name in formats:
            fmt = build_format(name)
            if carries(fmt) != "architecture":
                got = predict_once(load_model(tmp_path, name, fmt), trained.probe)
                expected = predict_once(trained.model, trained.probe)
                np.testing.assert_allclose(got, expected, rtol=0, atol=1e-4 * max(1.0, float(np.abs(expected).max())))

    @pytest.mark.parametrize("backend", [name for name in available_backends() if name != current_backend()])
    def test_works_in_a_new_process_on_another_backend(
        self, experiment: Experiment, trained: Trained, tmp_path: Path, backend: str
    ) -> None:
        """The component trains on another backend, and a model that is saved here loads and predicts the same there."""
        formats = [name for name in _formats(experiment) if _works_on(name, backend)]
        _save(trained, formats, tmp_path)
        problem = Worker.on(backend).try_out(experiment.as_dict(), tmp_path, formats, sys.path)
        assert not problem, problem


def build_staged(group: str, experiment: Experiment) -> Any:
    """Builds the component of a group as the experiment does.

    Args:
        group: the component's group.
        experiment: a staged experiment.

    Returns:
        The built object; the whole model for groups inside the model, such as layers.
    """
    from kexp import build
    from kexp.experiment import prepare

    makers: dict[str, Callable[[], Any]] = {
        "loss": lambda: build.build_loss(_required(experiment.loss)),
        "metrics": lambda: build.build_metrics(experiment.metrics),
        "callbacks": lambda: build.build_callbacks(experiment.callbacks),
        "data": lambda: build.build_data(experiment.data),
        "format": lambda: build.build_format(experiment.save.files[0]),
        "activation": lambda: build.build_activation(experiment.activation),
    }
    if group in ("optimizer", "schedule"):
        return build.build_optimizer(experiment.optimizer, total_steps=10)
    if group in makers:
        return makers[group]()
    return build.build_model(experiment.model, prepare(experiment).spec)  # the component is inside the model


def _required(loss: Node | None) -> Node:
    assert loss is not None
    return loss


def _built(group: str, experiment: Experiment, seed: int) -> Any:
    """Builds the component with the global generators seeded by `seed`."""
    from kexp.training import prepare_backend, seed_everything

    prepare_backend(experiment.backend)
    seed_everything(seed)
    return build_staged(group, experiment)


def _settings_of(group: str, built: Any, experiment: Experiment) -> dict[str, Any]:
    """Returns the comparable properties of a built object: its settings and its results."""
    parts = built if isinstance(built, list) else [built]
    settings = {} if group in ("data", "activation") else {str(key): described(each) for key, each in enumerate(parts)}
    return settings | values_of(group, built, experiment)


def _defaults(found: Component) -> dict[str, Any]:
    """Returns the defaults that every call shares: parameter -> list, mapping or set."""
    if found.exported:
        return {}
    try:
        parameters = inspect.signature(found.load()).parameters.values()
    except (TypeError, ValueError):  # without a signature there are no defaults
        return {}
    return {each.name: each.default for each in parameters if isinstance(each.default, (list, dict, set))}


def _written_defaults(found: Component) -> dict[str, Any]:
    """Returns the shared defaults as written in the source; their current values if the source cannot be read."""
    now = copy.deepcopy(_defaults(found))
    try:
        written = {p.name: p.default for p in of_source(found.target).parameters} if now else {}
    except (LookupError, ModuleNotFoundError, SyntaxError, ValueError):
        written = {}
    return {key: written[key] if isinstance(written.get(key), type(value)) else value for key, value in now.items()}


def _call_with_defaults(found: Component, component: Chosen) -> None:
    """Calls a factory with shared defaults as Python code would, without arguments for them."""
    if not _defaults(found) or found.reading().kind != "made" or found.group == "model":
        return
    required = {p.name for p in found.signature().parameters if p.default is REQUIRED}
    found.load()(**{key: value for key, value in component[2].items() if key in required})


def _formats(experiment: Experiment) -> list[str]:
    return list(dict.fromkeys([*DEFAULT_FORMATS, *experiment.save.files]))


def _works_on(name: str, backend: str) -> bool:
    from kexp.build import build_format

    return backend in (getattr(build_format(name), "requires_backend", None) or (backend,))


def _save(trained: Trained, formats: Sequence[str], folder: Path) -> None:
    """Saves the model in each format, with probe inputs and their predictions beside the files."""
    import numpy as np

    from kexp.build import build_format
    from kexp.persistence import check_formats, save_model
    from kexp.persistence.verify import predict_once

    made = {name: build_format(name) for name in formats}
    check_formats(made, current_backend())
    save_model(trained.model, folder, made, trained.probe)
    np.save(folder / PROBE, trained.probe)
    np.save(folder / PREDICTED, predict_once(trained.model, trained.probe))

"""How an object becomes a part: the one rule, over all the forms that people write functions in."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kexp.errors import ComponentError, ConfigError, UnknownNameError
from kexp.registry.groups import GROUPS
from kexp.registry.reading import group_of, read_object
from kexp.schema import component_node


class Rows:
    """Methods of every kind."""

    def __call__(self, a: Any, b: Any) -> Any: ...
    def bound(self, a: Any, b: Any, margin: Any = 1.0) -> Any: ...
    @classmethod
    def of_class(cls, a: Any, b: Any) -> Any: ...
    @staticmethod
    def static(a: Any, b: Any) -> Any: ...


def two(t: Any, p: Any, power: Any = 2.0) -> Any: ...
def two_and_a_key(t: Any, p: Any, *, power: Any) -> Any: ...
def factory(alpha: Any = 0.25, gamma: Any = 2.0) -> Any: ...
def asks_for_one(alpha: Any, gamma: Any = 2.0) -> Any: ...
def annotated(alpha: float, gamma: float) -> Any: ...


def closure(alpha: Any, gamma: Any) -> Any:
    """Defines the loss."""
    if gamma is None:
        gamma = 2.0

    def loss(y_true: Any, y_pred: Any) -> Any:
        return alpha * (y_true - y_pred) ** gamma

    loss.__name__ = "focal"
    return loss


def named_lambda(alpha: Any, gamma: Any) -> Any:
    weigh = lambda t, p: alpha * (t - p) ** gamma  # noqa: E731
    return weigh


def partly(alpha: Any, gamma: Any) -> Any:
    return functools.partial(two, power=alpha * gamma)


def of_a_class(alpha: Any, gamma: Any) -> Any:
    import keras

    class Mine(keras.losses.Loss):
        def call(self, y_true: Any, y_pred: Any) -> Any:
            return alpha * (y_true - y_pred) ** gamma

    return Mine()


def uses_a_function(t: Any, p: Any) -> Any:
    def weigh(value: Any) -> Any:
        return lambda: value

    return weigh(t - p)()


def undressed(function: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(*values: Any, **more: Any) -> Any:
        return function(*values, **more)

    return wrapper


def dressed(function: Callable[..., Any]) -> Callable[..., Any]:
    return functools.wraps(function)(undressed(function))


@pytest.mark.parametrize(
    ("made", "kind", "taken", "parameters"),
    [
        (two, "itself", ("t", "p"), ["power"]),
        (lambda t, p: t, "itself", ("t", "p"), []),
        (functools.partial(two, power=3.0), "itself", ("t", "p"), ["power"]),
        (two_and_a_key, "itself", ("t", "p"), ["power"]),
        (Rows(), "itself", ("a", "b"), []),
        (Rows().bound, "itself", ("a", "b"), ["margin"]),
        (Rows.of_class, "itself", ("a", "b"), []),
        (Rows.static, "itself", ("a", "b"), []),
        (dressed(two), "itself", ("t", "p"), ["power"]),
        (undressed(two), "itself", (), []),
        (factory, "made", (), ["alpha", "gamma"]),
        (asks_for_one, "made", (), ["alpha", "gamma"]),
        (annotated, "made", (), ["alpha", "gamma"]),
        (Rows, "made", (), []),
        (closure, "made", (), ["alpha", "gamma"]),
        (dressed(closure), "made", (), ["alpha", "gamma"]),
        (named_lambda, "made", (), ["alpha", "gamma"]),
        (lambda alpha, gamma: lambda t, p: alpha * (t - p) ** gamma, "made", (), ["alpha", "gamma"]),
        (partly, "made", (), ["alpha", "gamma"]),
        (of_a_class, "made", (), ["alpha", "gamma"]),
        (uses_a_function, "itself", ("t", "p"), []),
    ],
)
def test_a_loss_is_read_by_what_it_takes(made: Any, kind: str, taken: tuple[str, ...], parameters: list[str]) -> None:
    reading = read_object(GROUPS["loss"], made, "mine")
    assert (reading.kind, reading.signature.taken) == (kind, taken)
    assert [p.name for p in reading.signature.parameters] == parameters


@pytest.mark.parametrize(
    ("group", "made", "taken", "parameters"),
    [
        ("activation", lambda z, slope=0.1: z, ("z",), ["slope"]),
        ("regularizer", lambda weights, factor=0.1: weights, ("weights",), ["factor"]),
        ("constraint", lambda weights: weights, ("weights",), []),
        ("schedule", lambda t, rate=0.1: t, ("t",), ["rate"]),
        ("initializer", lambda shape, dtype=None: shape, ("shape", "dtype"), []),
        ("initializer", lambda s, d: s, ("s", "d"), []),
        ("initializer", lambda shape: shape, ("shape",), []),
        ("initializer", lambda shape, scale=1.0, dtype=None: shape, ("shape", "dtype"), ["scale"]),
        ("initializer", lambda shape, **more: shape, ("shape", "dtype"), []),
    ],
)
def test_each_group_has_what_keras_calls_it_with(
    group: str, made: Any, taken: tuple[str, ...], parameters: list[str]
) -> None:
    reading = read_object(GROUPS[group], made, "mine")
    assert (reading.kind, reading.signature.taken) == ("itself", taken)
    assert [p.name for p in reading.signature.parameters] == parameters


@pytest.mark.parametrize("group", ["optimizer", "callbacks", "layer", "model"])
def test_where_keras_calls_nothing_a_function_makes_the_part(group: str) -> None:
    assert read_object(GROUPS[group], two, "mine").kind == "made"


def test_a_function_that_can_be_read_in_two_ways_is_refused_with_both() -> None:
    def unclear(a: Any, b: Any, c: Any) -> Any: ...

    with pytest.raises(ComponentError, match=r"^mine can be read in two ways: as a loss itself, .* give c a default"):
        read_object(GROUPS["loss"], unclear, "mine")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("lossy.focal", "lossy:focal"),
        ("lossy.py:focal", "lossy:focal"),
        ("./lossy.py:focal", "lossy:focal"),
        ("inner/parts.py:Focal.call", "inner.parts:Focal.call"),
        ("inner.parts.Focal.call", "inner.parts:Focal.call"),
        ("lossy.py", "lossy:NAME"),
        ("lossy", "lossy:NAME"),
        ("lossy:focal", None),
        ("nothing.focal", None),
        ("random", None),
        ("adam", None),
    ],
)
def test_a_name_that_was_meant_for_a_reference_is_told_as_one(
    name: str, meant: str | None, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kexp import registry
    from kexp.registry.own_code import meant_reference

    monkeypatch.syspath_prepend(str(workplace))
    (workplace / "inner").mkdir()
    for file in ("lossy.py", "inner/__init__.py", "inner/parts.py"):
        (workplace / file).write_text("")
    assert meant_reference(name) == meant
    if meant is not None and ":" in name:
        absolute = f"{workplace}/{name.removeprefix('./')}"
        for written in (name, absolute):
            with pytest.raises(ComponentError, match=f"a reference reads module:attribute, {meant}, got "):
                registry.find("loss", written)
    elif meant is not None:
        with pytest.raises(UnknownNameError, match=f"there is no loss {name!r}; by reference it is {meant}"):
            registry.find("loss", name)


def test_a_class_is_described_by_its_own_words_or_by_none() -> None:
    from kexp.signatures import of_callable

    class Silent:
        def __init__(self, gamma: float = 2.0) -> None: ...

    class Telling:
        def __init__(self) -> None:
            """Begins."""

    class Same(Telling):
        pass

    class Silenced(Telling):
        def __init__(self, gamma: float = 2.0) -> None: ...

    assert [of_callable(each).help for each in (Silent, Telling, Same, Silenced)] == ["", "Begins.", "Begins.", ""]


def test_the_group_of_an_object_is_told_where_it_is_plain() -> None:
    import keras

    assert group_of(two) == "loss"
    assert group_of(keras.losses.Huber) == "loss"
    assert group_of(keras.callbacks.EarlyStopping()) == "callbacks"
    assert group_of(keras.Sequential()) == "model"
    assert group_of(lambda x: x) is None
    assert group_of(closure) is None


def test_a_function_of_one_argument_that_gives_an_object_of_a_keras_class_makes_it() -> None:
    import keras

    def penalty(factor: Any) -> Any:
        return keras.regularizers.L2(factor)

    def decaying(rate: Any) -> Any:
        from keras.optimizers.schedules import ExponentialDecay

        schedule = ExponentialDecay(rate, 10, 0.9)
        return schedule

    for group, made in (("regularizer", penalty), ("schedule", decaying)):
        assert read_object(GROUPS[group], made, "mine").kind == "made"
    assert group_of(penalty) == "regularizer"


def test_an_enum_is_chosen_by_the_text_of_its_members(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(workplace))
    (workplace / "own_enums.py").write_text(
        "import enum\n\n\nclass Kind(str, enum.Enum):\n    SOFT = 'soft'\n    HARD = 'hard'\n\n\n"
        "class Size(enum.Enum):\n    S = 1\n    L = 2\n\n\n"
        "def loss(t, p, kind=Kind.SOFT, size: 'Size | None' = None):\n    return kind, size\n"
    )
    node = component_node("loss", "own_enums:loss", "loss")
    assert node.parameters == {"kind": "soft", "size": None}
    node = component_node("loss", {"name": "own_enums:loss", "kind": "hard", "size": "L"}, "loss")
    signature = node.component.signature()
    own = node.component.load().__globals__
    assert signature.with_members(node.parameters) == {"kind": own["Kind"].HARD, "size": own["Size"].L}
    with pytest.raises(ConfigError, match=r"^loss.size: must be S or L or null, got 'XL'$"):
        component_node("loss", {"name": "own_enums:loss", "size": "XL"}, "loss")


def test_a_name_means_what_it_means_in_keras_in_keras_alone(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(workplace))
    (workplace / "own_names.py").write_text(
        "def loss(t, p, k=0.001, rate=0.5, mode='all', delta=-1.0):\n    return t\n"
    )
    given = {"name": "own_names:loss", "k": 0.5, "rate": 2, "mode": "some", "delta": -2}
    assert component_node("loss", given, "loss").parameters == {"k": 0.5, "rate": 2.0, "mode": "some", "delta": -2.0}
    with pytest.raises(ConfigError, match=r"^loss.rate: must be a number, got 'high'$"):
        component_node("loss", given | {"rate": "high"}, "loss")
    with pytest.raises(ConfigError, match=r"^loss.delta: must be greater than 0, got -2"):
        component_node("loss", {"name": "huber", "delta": -2.0}, "loss")

"""The registry: what exists, found by metadata alone; clashes and broken packages cost nobody else anything."""

from __future__ import annotations

from pathlib import Path

import pytest
from distributions import installed

from kexp import registry
from kexp.errors import ComponentError, UnknownNameError


@pytest.mark.parametrize(
    ("group", "names"),
    [
        ("optimizer", {"sgd", "rmsprop", "adagrad", "adadelta", "adam", "adamax", "nadam", "adamw", "lion"}),
        ("loss", {"mean_squared_error", "huber_loss", "huber", "cosine_proximity", "binary_focal_crossentropy"}),
        ("metrics", {"accuracy", "auc", "top_k_categorical_accuracy", "f1_score"}),
        ("activation", {"relu", "selu", "hard_sigmoid", "softmax", "gelu", "swish"}),
        ("layer", {"Dense", "Conv2D", "LSTM", "Dropout", "Normalization"}),
        ("callbacks", {"early_stopping", "reduce_lr_on_plateau", "terminate_on_nan", "tensorboard"}),
        ("schedule", {"cosine_decay", "exponential_decay", "piecewise_constant_decay"}),
        ("regularizer", {"l1", "l2", "l1_l2"}),
        ("initializer", {"he_normal", "glorot_uniform", "zeros"}),
        ("constraint", {"max_norm", "unit_norm", "non_neg"}),
    ],
)
def test_names_offers_keras_exports_by_their_keras_names(group: str, names: set[str]) -> None:
    assert names <= set(registry.names(group))


def test_names_leaves_out_base_classes_and_helpers() -> None:
    offered = {name for group in ("optimizer", "loss", "layer", "callbacks") for name in registry.names(group)}
    assert not offered & {"optimizer", "loss", "Layer", "callback", "history", "get", "serialize", "deserialize"}


def test_find_of_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"^optimizer: there is no optimizer 'adm'; did you mean 'adam'\?$"):
        registry.find("optimizer", "adm")


def test_find_of_a_second_name_gives_the_same_component() -> None:
    assert registry.find("loss", "huber") == registry.find("loss", "huber_loss")
    assert registry.find("loss", "huber").name == "huber_loss"


def test_signature_of_an_export_has_keras_parameters_and_defaults() -> None:
    import inspect

    import keras

    for name, kind in (("adam", keras.optimizers.Adam), ("rmsprop", keras.optimizers.RMSprop)):
        read = {p.name: p.default for p in registry.find("optimizer", name).signature().parameters}
        live = {k: p.default for k, p in inspect.signature(kind).parameters.items() if k not in ("name", "kwargs")}
        assert read == live


def test_every_export_has_a_signature() -> None:
    problems = {
        name: component.problem()
        for group in ("optimizer", "loss", "metrics", "activation", "layer", "callbacks", "schedule", "initializer")
        for name, component in registry.components(group)
        if component.problem()
    }
    assert problems == {}


def test_an_installed_package_adds_a_component(tmp_path: Path) -> None:
    source = "def lookahead(k: int = 5):\n    'Looks ahead.'\n"
    entries = {"kexp.optimizer": {"look_far": "their_optim:lookahead"}}
    with installed(tmp_path / "site", "their-optim", {"their_optim": source}, entries):
        found = registry.find("optimizer", "look_far")
        assert found.origin == "their-optim 1.0"
        assert [(p.name, p.default) for p in found.signature().parameters] == [("k", 5)]
    with pytest.raises(UnknownNameError):
        registry.find("optimizer", "look_far")


def test_a_package_can_register_a_whole_module_of_exports(tmp_path: Path) -> None:
    modules = {
        "their_api": "from their_layers import Gate as Gate\n",
        "their_layers": "class Gate:\n    'Opens.'\n    def __init__(self, width=3): ...\n",
    }
    package = tmp_path / "site" / "their_pkg"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from their_pkg.gate import Gate as Gate\n")
    (package / "gate.py").write_text(modules["their_layers"])
    with installed(tmp_path / "site", "their-layers", {}, {"kexp.exports": {"layer": "their_pkg"}}):
        gate = registry.find("layer", "Gate")
        assert [(p.name, p.default) for p in gate.signature().parameters] == [("width", 3)]
        assert gate.signature().summary == "Opens."


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import not_there_at_all\n", "ModuleNotFoundError"),
        ("def broken(:\n", "SyntaxError"),
        ("raise SystemExit(3)\n", r"its module calls sys\.exit\(3\)"),
        ("other = 1\n", "AttributeError"),
        ("def thin(t, p):\n    return t\n", "has no attribute 'thing'; did you mean 'thin'?"),
        ("thing = 3\n", "must be callable, got int"),
    ],
)
def test_a_broken_package_is_an_error_when_chosen_and_costs_nothing_else(
    tmp_path: Path, source: str, reason: str
) -> None:
    entries = {"kexp.loss": {"theirs": "their_loss:thing"}}
    with installed(tmp_path / "site", "their-loss", {"their_loss": source}, entries):
        assert "theirs" in registry.names("loss")
        assert registry.find("loss", "huber_loss").problem() is None
        chosen = registry.find("loss", "theirs")
        with pytest.raises(ComponentError, match=reason) as caught:
            chosen.load()
        assert "their-loss 1.0" in str(caught.value)


def test_two_packages_that_claim_a_name_are_an_error_that_names_both(tmp_path: Path) -> None:
    source = "def f(): ...\n"
    with (
        installed(tmp_path / "a", "first-pkg", {"first_m": source}, {"kexp.loss": {"mine": "first_m:f"}}),
        installed(tmp_path / "b", "second-pkg", {"second_m": source}, {"kexp.loss": {"mine": "second_m:f"}}),
    ):
        with pytest.raises(ComponentError, match=r"claimed by both first-pkg 1\.0 and second-pkg 1\.0"):
            registry.find("loss", "mine")
        assert registry.find("loss", "huber_loss").problem() is None


def test_a_built_in_is_never_displaced(tmp_path: Path) -> None:
    with installed(tmp_path / "a", "bold-pkg", {"bold": "def f(): ...\n"}, {"kexp.optimizer": {"adam": "bold:f"}}):
        found = registry.find("optimizer", "adam")
        assert found.distribution == "kexp"
        assert found.claimants == ("bold-pkg 1.0",)


def test_a_reference_needs_no_registration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_losses.py").write_text("def mine(y_true, y_pred, delta: float = 2.0): ...\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = registry.find("loss", "my_losses:mine")
    assert [(p.name, p.default) for p in found.signature().parameters] == [("delta", 2.0)]
    before = found.version
    (tmp_path / "my_losses.py").write_text("def mine(y_true, y_pred, delta: float = 3.0): ...\n")
    assert registry.find("loss", "my_losses:mine").version != before


@pytest.mark.parametrize(
    ("source", "offered"),
    [
        ("class Gate:\n    'Opens.'\n    def __init__(self, width=3): ...\nclass _Hidden: ...\n", {"Gate"}),
        ("from typing import Any\nclass Gate: ...\nclass Other: ...\n__all__ = ['Gate']\n", {"Gate"}),
        ("from collections import OrderedDict\nclass Gate: ...\n", {"Gate"}),
    ],
    ids=["definitions", "__all__", "plain imports are no exports"],
)
def test_a_module_of_exports_offers_what_it_defines(tmp_path: Path, source: str, offered: set[str]) -> None:
    """One file is enough; what it imports for itself is not on offer."""
    before = set(registry.names("layer"))
    with installed(tmp_path / "site", "one-file", {"one_file": source}, {"kexp.exports": {"layer": "one_file"}}):
        assert set(registry.names("layer")) - before == offered
        assert registry.find("layer", "Gate").load().__name__ == "Gate"
        assert registry.find("layer", "Gate").problem() is None


def test_a_module_of_exports_may_import_relatively(tmp_path: Path) -> None:
    package = tmp_path / "site" / "their_gates"
    (package / "inner").mkdir(parents=True)
    (package / "__init__.py").write_text("from .inner import Gate as Gate\n")
    (package / "inner" / "__init__.py").write_text("from .gate import Gate\n\n__all__ = ['Gate']\n")
    (package / "inner" / "gate.py").write_text("class Gate:\n    'Opens.'\n    def __init__(self, width=3): ...\n")
    with installed(tmp_path / "site", "their-gates", {}, {"kexp.exports": {"layer": "their_gates"}}):
        assert [p.name for p in registry.find("layer", "Gate").signature().parameters] == ["width"]

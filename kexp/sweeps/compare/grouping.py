"""Groups the trials that differ only in seed or fold, and finds the parameters in which the groups differ."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kexp.config import key_of
from kexp.fingerprint import IRRELEVANT
from kexp.sweeps.compare.folds import FOLD, Fold
from kexp.sweeps.compare.results import TrialResult, parameter_value

__all__ = [
    "ABSENT",
    "SEED",
    "Group",
    "full_key",
    "group_trials",
    "is_number",
    "mark_bool",
    "short_names",
    "show_value",
    "significant_digits",
]

SEED = "seed"

_CHOOSE = ("backend", "trainer", "trainer.engine", "experiment")  # overrides that may choose a backend or an engine
_LAUNCHERS = ("backend", "trainer.engine")  # keys that a launcher sets unless the user does
_FIRST = ("data", "model", "activation", "optimizer", "loss", "metrics", "callbacks", "trainer")


class _Absent:
    """A parameter that a trial does not have: `optimizer.momentum` of Adam."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT = _Absent()


@dataclass(frozen=True)
class Group:
    """Trials that differ only in the seed or fold.

    Attributes:
        params: the parameters that they share, without the seed, the fold and keys that follow the seed.
        trials: seed or `Fold` -> its trials, oldest first. A trial without a seed has a key of its own.
    """

    params: Mapping[str, Any]
    trials: Mapping[Any, Sequence[TrialResult]]


def group_trials(trials: Iterable[TrialResult]) -> tuple[list[Group], list[str]]:
    """Groups trials, and finds the parameters in which the groups differ.

    A key that ends in `seed` and equals the trial's own seed (`data.split_seed: ${seed}`) follows the seed, and does
    not separate groups. Nor do the backend and the engine if a launcher chose them: a trial that ran as a single run
    belongs to the same group as lanes with its parameters. A parameter that depends only on a component's name (the
    default learning rate of each optimizer) is not listed; the name is.

    Returns:
        The groups, in order of first appearance, and the columns in the order of the config.
    """
    listed = list(trials)
    keys = _differing_keys(listed)
    seeds_too = [key for key in keys if _is_seed(key)]
    plain = [key for key in keys if not _is_seed(key)]
    by_choice: dict[tuple[Any, ...], list[TrialResult]] = {}
    for trial in listed:
        by_choice.setdefault(tuple(_value_of(trial, key) for key in plain), []).append(trial)
    groups: dict[tuple[Any, ...], tuple[dict[str, Any], dict[Any, list[TrialResult]]]] = {}
    for choice, members in by_choice.items():
        own = [
            key
            for key in seeds_too
            if any(_value_of(trial, key) not in (ABSENT, _value_of(trial, SEED)) for trial in members)
        ]
        for trial in members:
            extra = {key: _value_of(trial, key) for key in own}
            identity = (*choice, *((key, mark_bool(value)) for key, value in extra.items()))
            _, by_seed = groups.setdefault(identity, (dict(zip(plain, choice, strict=True)) | extra, {}))
            by_seed.setdefault(_draw(trial), []).append(trial)
    made = [
        Group({key: _unmark_bool(value) for key, value in params.items()}, by_seed)
        for params, by_seed in groups.values()
    ]
    return made, _columns([group.params for group in made])


def _draw(trial: TrialResult) -> Any:
    """Returns the trial's seed or fold."""
    seed, fold, count = (_value_of(trial, key) for key in (SEED, FOLD, "data.folds"))
    if seed is ABSENT:
        return "no seed", trial.run_id
    if fold in (ABSENT, None) or count in (ABSENT, None):
        return seed
    return Fold(seed, _value_of(trial, "data.split_seed"), int(fold), int(count))


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """Shortens each key to its shortest unique ending: `optimizer.name` to `optimizer`, `model.units` to `units`."""
    parts = {key: key.removesuffix(".name").split(".") for key in keys}
    short = {}
    for key, own in parts.items():
        for count in range(1, len(own) + 1):
            ending = own[-count:]
            if sum(other[-count:] == ending for other in parts.values()) == 1:
                break
        short[key] = ".".join(ending)
    return short


def full_key(name: str, keys: Collection[str]) -> str | None:
    """Returns the key that a name means: the name, or `optimizer.name` for `optimizer`; None if there is none."""
    return next((key for key in (name, f"{name}.name") if key in keys), None)


def is_number(value: Any) -> bool:
    """Returns whether a parameter's value is a number, which a boolean is not."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def show_value(value: Any, digits: int = 4) -> str:
    """Formats a parameter's value: `0.001`, `true`, `adam`; `-` if it is absent."""
    if value is ABSENT:
        return "-"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def significant_digits(values: Iterable[Any]) -> int:
    """Returns how many significant digits to show: at least 4, and enough to keep 95% of the values distinct."""
    distinct = {value for value in values if isinstance(value, float)}
    enough = 0.95 * len(distinct)
    return next((digits for digits in range(4, 17) if len({f"{v:.{digits}g}" for v in distinct}) >= enough), 17)


def _differing_keys(trials: Sequence[TrialResult]) -> list[str]:
    """Returns the keys whose values differ, except irrelevant keys and the keys of whole nodes (`schedule: null`)."""
    keys = dict.fromkeys(key for trial in trials for key in trial.params)
    nodes = {key[:place] for key in keys for place, letter in enumerate(key) if letter == "."}
    differing = []
    by_launcher = _LAUNCHERS if _left_to_launcher(trials) else ()
    for key in keys:
        irrelevant = key in IRRELEVANT or key.split(".")[0] in IRRELEVANT or key in by_launcher
        if key in (SEED, FOLD) or key in nodes or irrelevant:
            continue
        values = [trial.params.get(key, ABSENT) for trial in trials]
        if all(value == values[0] for value in values) and len(set(map(type, values))) == 1:
            continue  # most keys, found without parsing their values
        if len({_value_of(trial, key) for trial in trials}) > 1:
            differing.append(key)
    return sorted(differing, key=_config_order)


def _left_to_launcher(trials: Sequence[TrialResult]) -> bool:
    """Returns whether the launcher chose the backend and the engine: no override of a trial may have chosen them."""
    chosen = {
        tuple(each for each in trial.overrides if key_of(each) in _CHOOSE or each.startswith("+"))
        for trial in trials
        if trial.overrides
    }
    backends = {_value_of(trial, "backend") for trial in trials}
    return len(chosen) == 1 and backends <= {"tensorflow", "jax"}


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    keys = sorted(dict.fromkeys(key for row in rows for key in row), key=_config_order)
    columns = []
    for key in keys:
        owners = [
            name for name in keys if name != key and name.endswith(".name") and key.startswith(name[: -len("name")])
        ]
        values_of: dict[tuple[Any, ...], set[Any]] = {}
        for row in rows:
            names = tuple(row.get(name, ABSENT) for name in owners)
            values_of.setdefault(names, set()).add(mark_bool(row.get(key, ABSENT)))
        if any(len(values) > 1 for values in values_of.values()):
            columns.append(key)
    return columns


def _is_seed(key: str) -> bool:
    last = key.rpartition(".")[2]
    return last == SEED or last.endswith("_seed")


def _config_order(key: str) -> tuple[int, str, bool, str]:
    first, _, rest = key.partition(".")
    node = key.rpartition(".")[0]
    return _FIRST.index(first) if first in _FIRST else len(_FIRST), node, rest != "name", key


def _value_of(trial: TrialResult, key: str) -> Any:
    """Returns a trial's value of a parameter, in a form that can be compared; ABSENT if it has none."""
    return mark_bool(parameter_value(trial.params[key])) if key in trial.params else ABSENT


def mark_bool(value: Any) -> Any:
    """Marks a boolean, because True equals 1 in Python but not in a config."""
    return ("bool", value) if isinstance(value, bool) else value


def _unmark_bool(value: Any) -> Any:
    return value[1] if isinstance(value, tuple) and len(value) == 2 and value[0] == "bool" else value

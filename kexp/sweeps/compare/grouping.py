"""Which trials are the same choice with other seeds, and which parameters tell the choices apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kexp.fingerprint import IRRELEVANT
from kexp.sweeps.compare.folds import FOLD, Fold
from kexp.sweeps.compare.results import TrialResult, parameter_value
from kexp.tracking.values import shorten

__all__ = ["ABSENT", "SEED", "Group", "digits_of", "group_trials", "short_names", "shorten", "show_value"]

SEED = "seed"

_FIRST = ("data", "model", "activation", "optimizer", "loss", "metrics", "callbacks", "trainer")


class _Absent:
    """A parameter that a trial does not have: `optimizer.momentum` of Adam."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT = _Absent()


@dataclass(frozen=True)
class Group:
    """Trials that differ in the seed alone, or in the fold.

    Attributes:
        params: what they share, without the seed, the fold and what follows them.
        trials: by seed, or by `Fold`; of a seed that ran several times, each time, oldest first.
            A trial without a seed has a key
            of its own.
    """

    params: Mapping[str, Any]
    trials: Mapping[Any, Sequence[TrialResult]]


def group_trials(trials: Iterable[TrialResult]) -> tuple[list[Group], list[str]]:
    """Groups of trials, and the parameters that tell the groups apart.

    A key that ends in `seed` and has the trial's own seed (`data.split_seed: ${seed}`) follows it, and does not tell
    groups apart. A parameter that a component's name alone decides (the default learning rate of each optimizer) is
    not listed: the name is.

    Returns:
        The groups, in order of first appearance, and the columns in the order of the config.
    """
    listed = list(trials)
    keys = _telling_keys(listed)
    seeds_too = [key for key in keys if _is_seed(key)]
    plain = [key for key in keys if not _is_seed(key)]
    by_choice: dict[tuple[Any, ...], list[TrialResult]] = {}
    for trial in listed:
        by_choice.setdefault(tuple(_get(trial, key) for key in plain), []).append(trial)
    groups: dict[tuple[Any, ...], tuple[dict[str, Any], dict[Any, list[TrialResult]]]] = {}
    for choice, members in by_choice.items():
        own = [
            key for key in seeds_too if any(_get(trial, key) not in (ABSENT, _get(trial, SEED)) for trial in members)
        ]
        for trial in members:
            extra = {key: _get(trial, key) for key in own}
            identity = (*choice, *((key, _typed(value)) for key, value in extra.items()))
            _, by_seed = groups.setdefault(identity, (dict(zip(plain, choice, strict=True)) | extra, {}))
            by_seed.setdefault(_draw(trial), []).append(trial)
    made = [Group({key: _bare(value) for key, value in params.items()}, by_seed) for params, by_seed in groups.values()]
    return made, _columns([group.params for group in made])


def _draw(trial: TrialResult) -> Any:
    """What a trial is one draw of: its seed, or its fold."""
    seed, fold, count = (_get(trial, key) for key in (SEED, FOLD, "data.folds"))
    if seed is ABSENT:
        return "no seed", trial.run_id
    if fold in (ABSENT, None) or count in (ABSENT, None):
        return seed
    return Fold(seed, _get(trial, "data.split_seed"), int(fold), int(count))


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """Each key by its shortest ending that no other has: `optimizer.name` is `optimizer`, `model.units` is `units`."""
    parts = {key: key.removesuffix(".name").split(".") for key in keys}
    short = {}
    for key, own in parts.items():
        for count in range(1, len(own) + 1):
            ending = own[-count:]
            if sum(other[-count:] == ending for other in parts.values()) == 1:
                break
        short[key] = ".".join(ending)
    return short


def show_value(value: Any, digits: int = 4) -> str:
    """A parameter's value for a person: `0.001`, `true`, `adam`; `-` where there is none."""
    if value is ABSENT:
        return "-"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def digits_of(values: Iterable[Any]) -> int:
    """How many digits of a parameter to show: four, or as many more as tell nearly all of its values apart."""
    known = {value for value in values if isinstance(value, float)}
    apart = 0.95 * len(known)
    return next((digits for digits in range(4, 17) if len({f"{v:.{digits}g}" for v in known}) >= apart), 17)


def _telling_keys(trials: Sequence[TrialResult]) -> list[str]:
    """Keys whose values differ, less what cannot change a result and the mere presence of a node (`schedule: null`)."""
    keys = dict.fromkeys(key for trial in trials for key in trial.params)
    nodes = {key[:place] for key in keys for place, letter in enumerate(key) if letter == "."}
    telling = []
    for key in keys:
        irrelevant = key in IRRELEVANT or key.split(".")[0] in IRRELEVANT
        if key in (SEED, FOLD) or key in nodes or irrelevant:
            continue
        if len({_get(trial, key) for trial in trials}) > 1:
            telling.append(key)
    return sorted(telling, key=_config_order)


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    keys = sorted(dict.fromkeys(key for row in rows for key in row), key=_config_order)
    columns = []
    for key in keys:
        owners = [
            name for name in keys if name != key and name.endswith(".name") and key.startswith(name[: -len("name")])
        ]
        decided: dict[tuple[Any, ...], set[Any]] = {}
        for row in rows:
            names = tuple(row.get(name, ABSENT) for name in owners)
            decided.setdefault(names, set()).add(_typed(row.get(key, ABSENT)))
        if any(len(values) > 1 for values in decided.values()):
            columns.append(key)
    return columns


def _is_seed(key: str) -> bool:
    last = key.rpartition(".")[2]
    return last == SEED or last.endswith("_seed")


def _config_order(key: str) -> tuple[int, str, bool, str]:
    first, _, rest = key.partition(".")
    node = key.rpartition(".")[0]
    return _FIRST.index(first) if first in _FIRST else len(_FIRST), node, rest != "name", key


def _get(trial: TrialResult, key: str) -> Any:
    return _typed(parameter_value(trial.params[key])) if key in trial.params else ABSENT


def _typed(value: Any) -> Any:
    """Python holds True and 1 for equal; a config does not."""
    return ("bool", value) if isinstance(value, bool) else value


def _bare(value: Any) -> Any:
    return value[1] if isinstance(value, tuple) and len(value) == 2 and value[0] == "bool" else value

"""Parameters that only some choices have: `optimizer=sgd,adam optimizer.momentum=0,0.9` makes three trials.

If a trial's choices lack a parameter that other trials of the sweep have, the trial runs once, without that parameter.
The same holds for the activation, if a trial's model takes none and other models do. A parameter that no trial has is
kept, so that the check of the trial reports it as unknown.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any

from kexp.config import key_of
from kexp.traits import WITHOUT_ACTIVATION

__all__ = ["drop_inapplicable"]


def drop_inapplicable(combinations: Sequence[Sequence[str]], composer: Any) -> tuple[list[tuple[str, ...]], list[str]]:
    """Removes from each combination the overrides that its choices do not have.

    Args:
        combinations: the overrides of each trial.
        composer: composes the config of a set of choices; see `Composer`.

    Returns:
        The combinations, less those that become equal by the removal, and one line for each parameter that was removed.
    """
    combinations, lines = _drop_activation(combinations, composer)
    bases = {choices: composer.base(choices) for choices in dict.fromkeys(map(composer.choices, combinations))}
    if len(bases) < 2:
        return combinations, lines
    keys = dict.fromkeys(key_of(each) for combination in combinations for each in composer.values(combination))
    lacking = {key: [choices for choices, base in bases.items() if base and not has_key(base, key)] for key in keys}
    having = {key: [choices for choices, base in bases.items() if base and has_key(base, key)] for key in keys}
    partly = {key: set(lacking[key]) for key in keys if lacking[key] and having[key]}
    kept, removed = [], set()
    for combination in combinations:
        choices, values = composer.choices(combination), set(composer.values(combination))
        without = {each for each in values if choices in partly.get(key_of(each), ())}
        kept.append([each for each in combination if each not in without])
        removed |= {key_of(each) for each in without}
    named = [key for key in partly if key in removed]
    return _once(combinations, kept), [*lines, *(_line(key, lacking[key], having[key]) for key in named)]


def _drop_activation(combinations: Sequence[Sequence[str]], composer: Any) -> tuple[list[tuple[str, ...]], list[str]]:
    """Removes the activation from trials whose model takes none, if other models of the sweep do."""
    models = [_model_of(composer.base(composer.choices(each))) for each in combinations]
    given = [any(_is_activation(override) for override in each) for each in combinations]
    without = [model in WITHOUT_ACTIVATION for model in models]
    if not any(map(operator.and_, given, without)) or all(without):
        return [tuple(each) for each in combinations], []
    kept = [
        [override for override in each if not (lacks and _is_activation(override))]
        for each, lacks in zip(combinations, without, strict=True)
    ]
    names = ", ".join(dict.fromkeys(f"model={model}" for model in models if model in WITHOUT_ACTIVATION))
    return _once(combinations, kept), [f"activation has no effect with {names}; those trials run without it"]


def _is_activation(override: str) -> bool:
    return key_of(override).partition(".")[0] == "activation"


def _model_of(base: Mapping[str, Any] | None) -> str:
    return str(((base or {}).get("model") or {}).get("name"))


def _once(given: Sequence[Sequence[str]], kept: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    """Returns the kept combinations, less those that became equal to an earlier one by the removal."""
    whole, found = [], set()
    for before, after in zip(given, map(tuple, kept), strict=True):
        if after == tuple(before) or after not in found:
            whole.append(after)
        found.add(after)
    return whole


def has_key(config: Mapping[str, Any], key: str) -> bool:
    """Returns whether the config has the dotted key."""
    node: Any = config
    for part in key.split("."):
        if not isinstance(node, Mapping) or part not in node:
            return False
        node = node[part]
    return True


def _line(key: str, lacking: Sequence[tuple[str, ...]], having: Sequence[tuple[str, ...]]) -> str:
    with_it = {each for choices in having for each in choices}
    without = dict.fromkeys(each for choices in lacking for each in choices if each not in with_it)
    named = ", ".join(without) or "some choices"
    return f"{key} is no parameter of {named}; those trials run without it"

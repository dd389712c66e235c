"""Parameters that only some choices have: `optimizer=sgd,adam optimizer.momentum=0,0.9` makes three trials.

If a trial's choices lack a parameter that other trials of the sweep have, the trial runs once, without that parameter.
A parameter that no trial has is kept, so that checking the trial reports it as unknown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kexp.config import key_of

__all__ = ["drop_inapplicable"]


def drop_inapplicable(combinations: Sequence[Sequence[str]], composer: Any) -> tuple[list[tuple[str, ...]], list[str]]:
    """Remove from each combination the overrides that its choices do not have.

    Args:
        combinations: the overrides of each trial.
        composer: composes the config of a set of choices; see `Composer`.

    Returns:
        The combinations, less those that become equal by the removal, and one line for each parameter that was removed.
    """
    bases = {choices: composer.base(choices) for choices in dict.fromkeys(map(composer.choices, combinations))}
    if len(bases) < 2:
        return [tuple(each) for each in combinations], []
    keys = dict.fromkeys(key_of(each) for combination in combinations for each in composer.values(combination))
    lacking = {key: [choices for choices, base in bases.items() if base and not has(base, key)] for key in keys}
    having = {key: [choices for choices, base in bases.items() if base and has(base, key)] for key in keys}
    partly = {key: set(lacking[key]) for key in keys if lacking[key] and having[key]}
    found: dict[tuple[str, ...], None] = {}
    whole: list[tuple[str, ...]] = []
    for combination in combinations:
        choices = composer.choices(combination)
        values = set(composer.values(combination))
        kept = tuple(each for each in combination if each not in values or choices not in partly.get(key_of(each), ()))
        if kept == tuple(combination) or kept not in found:
            whole.append(kept)
        found[kept] = None
    return whole, [_line(key, lacking[key], having[key]) for key in partly]


def has(config: Mapping[str, Any], key: str) -> bool:
    """Return whether the config has the dotted key."""
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

"""Filter expressions of `--where`: `optimizer.name=adam and (optimizer.learning_rate<0.01 or val_loss<=0.2)`."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from kexp.errors import ConfigError, UnknownNameError
from kexp.sweeps.compare.grouping import full_key, is_number
from kexp.sweeps.compare.results import TrialResult, parameter_value

__all__ = ["Condition", "parse_filter"]

Condition = Callable[[TrialResult], bool]

_TOKEN = re.compile(
    r"""\s*(?: (?P<paren>[()])
             | (?P<op>==|!=|<=|>=|=|<|>)
             | (?P<quoted>'[^']*'|"[^"]*")
             | (?P<word>(?:\[[^\]]*\]|[^\s()=!<>'"\[\]])+) )""",
    re.VERBOSE,
)
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_TRIAL_FIELDS = ("name", "state", "run_id")
_MISSING = object()


def parse_filter(text: str, trials: Iterable[TrialResult]) -> Condition:
    """Parses a filter expression.

    A comparison is KEY OP VALUE, where OP is =, !=, <, <=, > or >=. Comparisons are combined with `and`, `or`, `not`
    and parentheses. KEY is a parameter (`optimizer=adam` is short for `optimizer.name=adam`), a metric (its last
    value), or a trial's `name`, `state` or `run_id`. A trial that lacks KEY satisfies `!=` only.

    Args:
        text: the expression.
        trials: the trials to filter, which define the valid keys.

    Returns:
        A predicate over trials.

    Raises:
        UnknownNameError: no trial has the key.
        ConfigError: the expression cannot be parsed.
    """
    tokens = _tokens(text)
    if not tokens:
        raise ConfigError(f"where: must be an expression such as optimizer.name=adam, got {text!r}")
    keys = {name for trial in trials for names in (trial.params, trial.metrics) for name in names}
    parser = _Parser(tokens, keys, text)
    condition = parser.alternatives()
    parser.finish()
    return condition


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens, position = [], 0
    while text[position:].strip():
        match = _TOKEN.match(text, position)
        if match is None:
            raise ConfigError(f"where: cannot be read from {text[position:].strip()!r} on")
        kind = match.lastgroup or ""
        tokens.append((kind, match.group(kind)))
        position = match.end()
    return tokens


class _Parser:
    """A recursive descent parser with one method for each rule: or, and, not, comparison."""

    def __init__(self, tokens: Sequence[tuple[str, str]], keys: set[str], text: str) -> None:
        self.tokens, self.keys, self.text, self.at = tokens, keys, text, 0

    def alternatives(self) -> Condition:
        conditions = [self.conjunction()]
        while self._word("or"):
            conditions.append(self.conjunction())
        return lambda trial: any(condition(trial) for condition in conditions)

    def conjunction(self) -> Condition:
        conditions = [self.negation()]
        while self._word("and"):
            conditions.append(self.negation())
        return lambda trial: all(condition(trial) for condition in conditions)

    def negation(self) -> Condition:
        if self._word("not"):
            condition = self.negation()
            return lambda trial: not condition(trial)
        if self._take("paren", "("):
            condition = self.alternatives()
            if not self._take("paren", ")"):
                raise ConfigError(f"where: a parenthesis is not closed in {self.text!r}")
            return condition
        return self.comparison()

    def comparison(self) -> Condition:
        kind, name = self._next()
        sign_kind, sign = self._next()
        value_kind, value = self._next()
        if kind not in ("word", "quoted") or sign_kind != "op" or value_kind not in ("word", "quoted"):
            raise ConfigError(
                f"where: must be comparisons such as optimizer=adam, joined by and, or, not; got {self.text!r}"
            )
        name = self._full_key(name.strip("'\""))
        wanted = value[1:-1] if value_kind == "quoted" else parameter_value(value)
        compare = _OPERATORS[sign]
        if sign[0] in "<>" and not is_number(wanted):
            raise ConfigError(f"where: {name}{sign} must be followed by a number, got {value!r}")

        def condition(trial: TrialResult) -> bool:
            found = _value(trial, name)
            if sign[0] in "<>":
                return is_number(found) and compare(found, wanted)
            if is_number(found) != is_number(wanted):  # 1 does not equal true, and a quoted "1" is text
                return compare(None, 1) if sign == "!=" else False
            return compare(found, wanted)

        return condition

    def finish(self) -> None:
        if self.at < len(self.tokens):
            rest = " ".join(token for _, token in self.tokens[self.at :])
            raise ConfigError(f"where: comparisons must be joined by and or or, got {rest!r} after the end")

    def _full_key(self, name: str) -> str:
        key = full_key(name, self.keys) or full_key(name, _TRIAL_FIELDS)
        if key is None:
            raise UnknownNameError("where", "parameter or metric", name, self.keys | set(_TRIAL_FIELDS))
        return key

    def _next(self) -> tuple[str, str]:
        token = self.tokens[self.at] if self.at < len(self.tokens) else ("end", "")
        self.at += 1
        return token

    def _take(self, kind: str, text: str) -> bool:
        found = self.at < len(self.tokens) and self.tokens[self.at] == (kind, text)
        self.at += found
        return found

    def _word(self, word: str) -> bool:
        # A key may be called `not` or `and`: before an operator, the word is a key.
        if self.at + 1 < len(self.tokens) and self.tokens[self.at + 1][0] == "op":
            return False
        return self._take("word", word)


def _value(trial: TrialResult, name: str) -> Any:
    if name in trial.params:
        return parameter_value(trial.params[name])
    if name in trial.metrics:
        return trial.metrics[name]
    return getattr(trial, name) if name in _TRIAL_FIELDS else _MISSING

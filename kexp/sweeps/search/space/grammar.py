"""Parses a search space from Hydra's sweep grammar, on the command line or in YAML (`hydra.sweeper.space`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kexp.config import as_choice
from kexp.errors import ConfigError
from kexp.registry.groups import GROUPS
from kexp.sweeps.plan.axes import parse
from kexp.sweeps.search.space.axes import Axis, Choice, Domain, Interval, Steps

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

__all__ = ["Request", "domain_of", "read_request", "to_grammar"]

SPACE = "hydra.sweeper.space"
_Condition = tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True)
class Request:
    """A parsed search space, not yet checked against any config.

    Attributes:
        axes: the axes; choices of components come before axes that may depend on them.
        fixed: overrides with one value.
        seeds: the seeds that each suggestion runs with; empty for the seed of the config.
    """

    axes: tuple[Axis, ...]
    fixed: tuple[str, ...]
    seeds: tuple[int, ...] = ()


def read_request(
    arguments: Sequence[str],
    space: Mapping[str, Any] | None = None,
    *,
    is_group: Callable[[str], bool] = GROUPS.__contains__,
    config_loader: Any = None,
) -> Request:
    """Reads the axes and fixed overrides from a command line and a mapping.

    Args:
        arguments: overrides in Hydra's grammar; they take precedence over `space`.
        space: key -> domain. A domain is text in Hydra's grammar, a list of values, or a mapping from each option to
            the domains of that option's parameters.
        is_group: returns whether a key is a config group.
        config_loader: Hydra's config loader, for globs over a group's options.

    Raises:
        ConfigError: an axis cannot be parsed, or has no values.
    """
    overrides = parse(arguments, config_loader)
    given = {override.key_or_group for override in overrides}
    axes = [
        axis
        for key, described in (space or {}).items()
        if str(key) not in given
        for axis in _described(str(key), str(key), described, is_group, config_loader)
    ]
    fixed: list[str] = []
    seeds: tuple[int, ...] = ()
    for override in overrides:
        domain = _domain(override)
        element = override.get_key_element()
        if override.key_or_group == "seed" and domain is not None:
            seeds = _seeds(domain)
        elif domain is not None:
            axes.append(Axis(override.key_or_group, element, domain))
        else:
            fixed.append(element if override.is_delete() else f"{element}={override.get_value_element_as_str()}")
    parents = {name for axis in axes for name, _ in axis.when}
    axes.sort(key=lambda axis: not (axis.name in parents or is_group(axis.key)))  # stable: parents stay before children
    return Request(tuple(axes), tuple(fixed), seeds)


def _described(
    name: str,
    key: str,
    described: Any,
    is_group: Callable[[str], bool],
    loader: Any,
    when: _Condition = (),
    inside: str = "",
) -> Iterator[Axis]:
    """Yields the axes of one entry of the mapping."""
    if not isinstance(described, Mapping):
        yield Axis(name, key, domain_of(key, described, loader), when, inside=inside)
        return
    if not described:
        raise ConfigError(f"{SPACE}: {name} has no options")
    node = not is_group(key)
    if node and inside:
        raise ConfigError(f"{SPACE}: {name} may not list options of its own inside {inside}")
    yield Axis(name, key, Choice(tuple(to_grammar(option) for option in described)), when, node)
    for option, parameters in described.items():
        if parameters is not None and not isinstance(parameters, Mapping):
            raise ConfigError.at(
                f"{SPACE}.{name}.{option}", "must be parameters with their values, or null", parameters
            )
        for parameter, value in (parameters or {}).items():
            yield from _described(
                f"{name}.{option}.{parameter}",
                f"{GROUPS[key].node(str(option)) if key in GROUPS else key}.{parameter}",
                value,
                is_group,
                loader,
                (*when, (name, (to_grammar(option),))),
                name if node else "",
            )


def domain_of(key: str, values: Any, loader: Any = None) -> Domain:
    """Parses the domain of a key from text in Hydra's grammar or a list of values.

    Args:
        key: the config key.
        values: the text, or the list.
        loader: Hydra's config loader, for globs over a group's options.

    Raises:
        ConfigError: the domain cannot be parsed, or has no values.
    """
    if isinstance(values, (list, tuple)):
        if not values:
            raise ConfigError(f"{SPACE}: {key} has no values")
        return Choice(tuple(dict.fromkeys(as_choice(f"{key}={to_grammar(each)}").partition("=")[2] for each in values)))
    override = parse([f"{key}={to_grammar(values)}"], loader)[0]
    return _domain(override) or Choice((str(override.get_value_element_as_str()),))


def _domain(override: Override) -> Domain | None:
    """Returns the domain of an override, or None if it has one value."""
    from hydra.core.override_parser.types import IntervalSweep, RangeSweep

    if not override.is_sweep_override():
        return None
    key, value = override.key_or_group, override.value()
    tags = set(getattr(value, "tags", None) or ())
    if tags - {"log"}:
        raise ConfigError.at(key, "a tag must be log", ", ".join(sorted(tags - {"log"})))
    if isinstance(value, IntervalSweep):
        return _interval(key, value.start, value.end, "log" in tags)
    if isinstance(value, RangeSweep):
        return _steps(key, list(value.range()), "log" in tags)
    values = tuple(dict.fromkeys(str(each) for each in override.sweep_string_iterator()))
    if not values:
        raise ConfigError(f"{key}: the sweep over it has no values")
    return Choice(values)


def _interval(key: str, low: Any, high: Any, log: bool) -> Interval:
    whole = isinstance(low, int) and isinstance(high, int)
    if low > high:
        raise ConfigError(f"{key}: an interval must begin below its end, got interval({low:g},{high:g})")
    if log and low <= 0:
        raise ConfigError(f"{key}: an interval with tag log must begin above 0, got interval({low:g},{high:g})")
    return Interval(low, high, log, whole)


def _steps(key: str, values: list[Any], log: bool) -> Steps:
    if not values:
        raise ConfigError(f"{key}: the sweep over it has no values")
    low, high = min(values), max(values)
    step = abs(values[1] - values[0]) if len(values) > 1 else 1
    if log and not (step == 1 and isinstance(low, int) and low > 0):
        raise ConfigError(f"{key}: a range with tag log must be of whole numbers above 0 in steps of 1")
    return Steps(low, high, step, log)


def _seeds(domain: Domain) -> tuple[int, ...]:
    if isinstance(domain, Interval):
        raise ConfigError("seed: a search runs each suggestion with every seed, so list them: seed=range(5)")
    values = domain.values if isinstance(domain, Choice) else domain.values()
    try:
        return tuple(int(each) for each in values)
    except ValueError:
        raise ConfigError.at("seed", "must be whole numbers", list(values)) from None


def to_grammar(value: Any) -> str:
    """Writes a YAML value in Hydra's grammar."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(to_grammar(each) for each in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{to_grammar(each)}" for key, each in value.items()) + "}"
    return str(value)

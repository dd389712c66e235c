"""Hydra: config sources, composition, the command line, and clear messages for its errors."""

from kexp.config.compose import compose, compose_head, is_sweep, overrides_of, plain, refuse_several
from kexp.config.hooks import Hooks, hooks_of
from kexp.config.job import check_job, configure_logging, refuse_sweeps_settings, run_as_job
from kexp.config.opening import open_hydra
from kexp.config.options import as_choice, as_overrides, as_typed
from kexp.config.overrides.explain import explain, explain_grammar
from kexp.config.overrides.prepare import prepare_overrides
from kexp.config.overrides.quoting import quote_text
from kexp.config.overrides.suggestions import suggest_override
from kexp.config.overrides.typed import compose_typed
from kexp.config.source import register
from kexp.config.unset import is_set, name_default_optimizer
from kexp.registry.groups import key_of

__all__ = [
    "Hooks",
    "as_choice",
    "as_overrides",
    "as_typed",
    "check_job",
    "compose",
    "compose_head",
    "compose_typed",
    "configure_logging",
    "explain",
    "explain_grammar",
    "hooks_of",
    "is_set",
    "is_sweep",
    "key_of",
    "name_default_optimizer",
    "open_hydra",
    "overrides_of",
    "plain",
    "prepare_overrides",
    "quote_text",
    "refuse_several",
    "refuse_sweeps_settings",
    "register",
    "run_as_job",
    "suggest_override",
]

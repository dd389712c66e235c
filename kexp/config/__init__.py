"""Hydra, and nothing but Hydra: where options come from and how a config is composed."""

from kexp.config.compose import compose, compose_head, is_sweep, overrides_of, plain, refuse_several
from kexp.config.explain import explain, explain_grammar, prepare_overrides
from kexp.config.hooks import Hooks, hooks_of
from kexp.config.job import check_job, run_as_job, show_logs
from kexp.config.left_open import is_set, name_what_is_set
from kexp.config.meant import word_meant
from kexp.config.opened import opened
from kexp.config.options import as_choice, as_typed, key_of
from kexp.config.source import register
from kexp.config.text import readable
from kexp.config.typed import compose_typed

__all__ = [
    "Hooks",
    "as_choice",
    "as_typed",
    "check_job",
    "compose",
    "compose_head",
    "compose_typed",
    "explain",
    "explain_grammar",
    "hooks_of",
    "is_set",
    "is_sweep",
    "key_of",
    "name_what_is_set",
    "opened",
    "overrides_of",
    "plain",
    "prepare_overrides",
    "readable",
    "refuse_several",
    "register",
    "run_as_job",
    "show_logs",
    "word_meant",
]

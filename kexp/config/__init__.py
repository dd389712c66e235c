"""Hydra, and nothing but Hydra: where options come from and how a config is composed."""

from kexp.config.compose import compose, compose_head, is_sweep, key_of, overrides_of, plain, refuse_several
from kexp.config.explain import check_overrides, explain, explain_grammar
from kexp.config.hooks import Hooks, hooks_of
from kexp.config.job import check_job, run_as_job, show_logs
from kexp.config.opened import conf_folder, opened
from kexp.config.source import register
from kexp.config.text import readable

__all__ = [
    "Hooks",
    "check_job",
    "check_overrides",
    "compose",
    "compose_head",
    "conf_folder",
    "explain",
    "explain_grammar",
    "hooks_of",
    "is_sweep",
    "key_of",
    "opened",
    "overrides_of",
    "plain",
    "readable",
    "refuse_several",
    "register",
    "run_as_job",
    "show_logs",
]

"""Hydra, and nothing but Hydra: where options come from and how a config is composed."""

from kexp.config.compose import compose, conf_folder, key_of, plain
from kexp.config.explain import check_overrides, explain, explain_grammar
from kexp.config.source import register

__all__ = ["check_overrides", "compose", "conf_folder", "explain", "explain_grammar", "key_of", "plain", "register"]

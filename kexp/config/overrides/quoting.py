"""Quotes values that Hydra's grammar cannot read: `data.path=my file (1).csv`, `data.delimiter=;`.

Outside quotes, Hydra reads ASCII letters and a few other characters. Other values are quoted here one by one: a comma
separates the values of a sweep, and the elements within brackets.
"""

from __future__ import annotations

import difflib
import re
import shlex
from functools import lru_cache

from hydra.core.override_parser import overrides_parser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException

from kexp.config.functions import add_functions
from kexp.errors import ConfigError

__all__ = ["in_shell", "quote_text"]

_CLOSING = {"[": "]", "{": "}", "(": ")"}
_PLAIN = re.compile(r"[A-Za-z0-9_.+/-]*")  # values that the grammar certainly reads
_CALL = re.compile(r"([A-Za-z_]\w*)\s*\((.*)\)", re.DOTALL)
_QUOTED = re.compile(r"""(["'])(.*)\1""")
_LIKE_A_NUMBER = re.compile(r"\d+e\d+|0\d+")  # the beginning of a run's id, which Hydra would read as a number
_NEAR = 0.75  # a name this similar to a function's is taken for a typing error, not for text


class _NotPlainError(Exception):
    """Why a value cannot be taken as one text."""


def quote_text(override: str) -> str:
    """Quotes the value of an override so that Hydra's grammar reads it.

    Args:
        override: as on the command line.

    Returns:
        The override; unchanged if Hydra reads it, or if quoting its value would not help.

    Raises:
        ConfigError: a bracket or a quote is not closed, or a value beside a comma is empty.
    """
    key, given, value = override.partition("=")
    if key.lstrip("+") == "model.run" and _LIKE_A_NUMBER.fullmatch(value):
        return f"{key}={_quoted(value)}"
    if not given or _PLAIN.fullmatch(value) or _parses(override) or not _parses(f"{key}=1"):
        return override
    try:
        return f"{key}={','.join(_element(each) for each in _split(value))}"
    except _NotPlainError as error:
        plain = key.lstrip("+~")
        raise ConfigError(
            f"{plain}: {error}, got {value}; as one text, in quotes: {_typed(f'{key}={_quoted(value)}')}"
        ) from None


def _element(written: str) -> str:
    """Returns one value, quoted if Hydra cannot read it."""
    text = written.strip()
    if not text:
        raise _NotPlainError("a value beside a comma is empty")
    if _parses(f"k={text}"):
        return text
    if text[0] == "[" and _closes(text):
        return f"[{','.join(map(_element, _split(text[1:-1])))}]"
    if text[0] == "{" and _closes(text):
        return "{" + ",".join(map(_pair, _split(text[1:-1]))) + "}"
    call = _CALL.fullmatch(text)
    if call is not None and _closes(text[call.start(2) - 1 :]):
        known = _functions()
        if call[1] in known:
            return f"{call[1]}({','.join(map(_element, _split(call[2])))})"
        if difflib.get_close_matches(call[1], known, n=1, cutoff=_NEAR):
            return text
    return _quoted(text)


def _pair(written: str) -> str:
    key, colon, value = written.partition(":")
    if not colon:
        raise _NotPlainError("a mapping is written {KEY: VALUE}")
    quoted = _QUOTED.fullmatch(key.strip())  # as in JSON
    key = quoted[2] if quoted else key
    if not _parses(f"k={{{key}:1}}"):
        raise _NotPlainError(f"{key.strip()} cannot be the key of a mapping here")
    return f"{key}:{_element(value)}"


def _split(text: str) -> list[str]:
    """Splits a text at the commas outside brackets and quotes."""
    parts, start, open_, quote = [], 0, "", ""
    for place, character in enumerate(text):
        if place and text[place - 1] == "\\":
            continue
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            if not (text[place - 1 : place].isalnum() and text[place + 1 : place + 2].isalnum()):  # an apostrophe
                quote = character
        elif character in _CLOSING:
            open_ += character
        elif character in _CLOSING.values():
            if not open_ or _CLOSING[open_[-1]] != character:
                raise _NotPlainError(f"the bracket {character} was not opened")
            open_ = open_[:-1]
        elif character == "," and not open_:
            parts.append(text[start:place])
            start = place + 1
    if quote:
        raise _NotPlainError(f"the quote {quote} is not closed")
    if open_:
        raise _NotPlainError(f"the bracket {open_[-1]} is not closed")
    return [*parts, text[start:]]


def _closes(text: str) -> bool:
    """Returns whether the bracket that opens the text closes at its end."""
    depth = 0
    for place, character in enumerate(text):
        depth += (character in _CLOSING) - (character in _CLOSING.values())
        if not depth:
            return place == len(text) - 1
    return False


def _quoted(text: str) -> str:
    quote = Quote.double if "'" in text and '"' not in text else Quote.single
    return QuotedString(text, quote).with_quotes()


def _typed(override: str) -> str:
    """Quotes an override for a shell."""
    return shlex.quote(override) if set(override) & set('"$`\\') else f'"{override}"'


def in_shell(override: str) -> str:
    """Quotes an override for a shell if it needs quotes; brackets alone need none, as people type them."""
    return shlex.quote(override) if re.search(r"[^\w@%+=:,./\[\]~-]", override, re.ASCII) else override


@lru_cache(maxsize=4096)
def _parses(override: str) -> bool:
    add_functions()
    try:
        overrides_parser.OverridesParser.create().parse_rule(override, "override")
    except (HydraException, ValueError, TypeError):
        return False
    return True


def _functions() -> list[str]:
    add_functions()
    return list(overrides_parser.create_functions().functions)

"""Turns texts into numbers of words, as Keras' TextVectorization does, without TensorFlow."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["tokens", "words_of"]

UNKNOWN = 1  # 0 pads shorter texts
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_PUNCTUATION = re.compile(r"[!\"#$%&()*+,\-./:;<=>?@\[\\\]^_`{|}~']")
_SPACE = re.compile(r"[ \t\n\r\f\v]+")


def words_of(text: str) -> list[str]:
    """Returns the words of a text, in lower case, without punctuation."""
    return [word for word in _SPACE.split(_PUNCTUATION.sub("", text.translate(_LOWER))) if word]


def tokens(texts: Sequence[str], known: Sequence[str], length: int) -> NDArray[np.float32]:
    """Returns the numbers of each text's words, padded or cut to a length.

    Args:
        texts: the texts.
        known: the vocabulary; its first word has the number 2.
        length: how many words of a text to return.

    Returns:
        Shape (texts, length): 0 after the end of a text, 1 for unknown words.
    """
    number = {word: place for place, word in enumerate(known, start=2)}
    found: NDArray[Any] = np.zeros((len(texts), length), dtype=np.float32)
    for row, text in enumerate(texts):
        here = [number.get(word, UNKNOWN) for word in words_of(text)[:length]]
        found[row, : len(here)] = here
    return found

"""`data=text`: the component."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from kexp.data.source import Data

__all__ = ["text"]


def text(
    path: str,
    target: str | None = None,
    *,
    text: str | None = None,
    words: int = 10000,
    length: int = 200,
    task: Literal["auto", "classification", "regression"] = "auto",
    classes: list[str] | None = None,
) -> Data:
    """Texts as numbers of words, for `model=text`: a column of a table, or a folder of .txt files for each class.

    The vocabulary is that of the training rows, words found and numbered as by Keras' TextVectorization; it is kept
    with the run, and `kexp predict` takes texts.

    Args:
        path: a table, as of `data=table`, or a folder with a folder of .txt files for each class.
        target: column to predict; of folders their names are the classes.
        text: column of the texts; the column of the longest texts unless given.
        words: most words that have a number; the most frequent have one, and all others one together.
        length: words of a text: of longer ones the first, shorter ones are filled with 0.
        task: what the targets are; auto takes text, and whole numbers of at most 20 kinds, for classes.
        classes: order of the class names; sorted by default.
    """
    from kexp.data.text import Plan, text_data

    return text_data(path, Plan(target, text, words, length, task, classes))

"""The component `data=text`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from kexp.data.source import Data

__all__ = ["text"]


def text(
    path: str,
    target: str | float | list[str | float] | None = None,
    *,
    text: str | float | None = None,
    words: int = 10000,
    length: int = 200,
    task: Literal["auto", "classification", "regression", "labels"] = "auto",
    classes: list[str | float] | None = None,
    encoding: str | None = None,
) -> Data:
    """Texts as word indices, for `model=text`: a column of a table, or .txt files in one folder for each class.

    The vocabulary is learned from the training rows, with words split and numbered as in Keras' TextVectorization. It
    is stored with the run, and `kexp predict` takes texts.

    Args:
        path: a table, as for `data=table`, or a folder with one folder of .txt files for each class, or with folders
            train, validation and test that have those.
        target: column to predict, or several: columns of 0 and 1 are labels. For folders, their names are the classes.
        text: column of the texts; the column with the longest texts unless given.
        words: size of the vocabulary: the most frequent words; all others share one index.
        length: words of a text: the first words of longer ones; shorter ones are padded with 0.
        task: the task; auto treats text, and whole numbers with at most 20 distinct values, as classes.
        classes: order of the class names; sorted by default.
        encoding: encoding of a CSV file or of .txt files, for example latin-1; detected by default.
    """
    from kexp.data.sequences.text import Plan, text_data
    from kexp.data.table.options import listed, named

    return text_data(path, Plan(listed(target) or (), named(text), words, length, task, listed(classes), encoding))

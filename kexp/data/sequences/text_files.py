"""Texts that are files of their own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kexp.data.table.files.matching import TableFile
from kexp.data.table.files.plain_text import encoding_of
from kexp.errors import DataError
from kexp.system.wording import counted

__all__ = ["read_texts"]


def read_texts(files: Sequence[Path], encoding: str | None, key: str) -> tuple[list[str], list[str]]:
    """Read text files.

    Args:
        files: the files.
        encoding: their encoding; None to detect that of each file.
        key: the config key, for messages.

    Returns:
        The texts, and notices for the user.

    Raises:
        DataError: a file cannot be read, or is not text in the encoding.
    """
    texts, guessed = [], []
    for file in files:
        try:
            found, guess = encoding_of(TableFile(str(file), key, "csv"), encoding)
            texts.append(file.read_text(encoding=found))
        except OSError as error:
            raise DataError(f"{key}: {file.name} cannot be read: {error.strerror}") from None
        if guess:
            guessed.append(found)
    if not guessed:
        return texts, []
    count = counted(len(guessed), "file")
    return texts, [f"{count} read as {guessed[0]}, not being UTF-8 (data.encoding says otherwise)"]

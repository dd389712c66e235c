"""Real runs that ended, made once, and kexp's own command line called on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kexp.cli import main

if TYPE_CHECKING:
    from kexp.experiment import Result

FORMATS = ["h5", "weights", "json", "yaml", "keras", "tf_checkpoint", "saved_model"]
Kexp = Callable[..., int]


@dataclass(frozen=True)
class Finished:
    """Two runs in the store of one folder: digits, and a table with categories and gaps, which is the latest."""

    folder: Path
    digits: Result
    table: Result
    table_file: Path


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Finished]:
    import kexp

    folder = tmp_path_factory.mktemp("finished")
    table = folder / "flowers.csv"
    lines = ["length,colour,kind"]
    for row in range(60):
        length = "" if row % 13 == 0 else f"{row % 7 + (3 if row % 2 else 0)}.5"
        lines.append(f"{length},{('red', 'blue', 'white')[row % 3]},{('daisy', 'rose')[row % 2]}")
    table.write_text("\n".join(lines) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        small = ["trainer.epochs=2", "trainer.verbose=0", "model.hidden=[16]", "tracking.figures=false"]
        digits = kexp.run([*small, f"save.formats=[{','.join(FORMATS)}]", "save.model=false"], folder="outputs/digits")
        rows = kexp.run(
            [
                *small,
                "data=csv",
                "data.path=flowers.csv",
                "data.target=kind",
                "trainer.batch_size=8",
                "save.model=false",
            ],
            folder="outputs/table",
        )
        yield Finished(folder, digits, rows, table)


@pytest.fixture
def there(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> Finished:
    """The finished runs, with the working directory in their folder."""
    monkeypatch.chdir(finished.folder)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return finished


@pytest.fixture
def kexp_command() -> Kexp:
    """Calls the command line in this process; gives its exit code."""

    def call(*arguments: object) -> int:
        with pytest.raises(SystemExit) as end:
            main([str(each) for each in arguments])
        return int(end.value.code or 0)

    return call

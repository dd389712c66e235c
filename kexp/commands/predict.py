"""`kexp predict RUN INPUT OUTPUT`: applies a run's saved model to the rows of a file."""

from __future__ import annotations

import contextlib
import csv
import itertools
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kexp.commands.support.options import find_run_argument, hide_warnings, model_parser
from kexp.errors import ConfigError
from kexp.system.wording import counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kexp.stored.predictions import NamedOutputs

__all__ = ["main"]

Labels = Mapping[str, Sequence[str]]


def main(arguments: Sequence[str]) -> int:
    """Writes the prediction for each row of INPUT to OUTPUT, atomically; returns the exit code."""
    parser = model_parser(
        "predict",
        "Predict the rows of an .npz file or a table with a run's saved model. For classification the output has the "
        "predicted class and the probability of each class.",
    )
    parser.add_argument("input", metavar="INPUT", type=Path, help=".npz, or a table with the columns of the run's data")
    parser.add_argument("output", metavar="OUTPUT", type=Path, help=".csv or .npz")
    parser.add_argument("--array", metavar="NAME", help="the array of features in an .npz; default x, or the only one")
    parser.add_argument("--batch-size", type=int, default=1024, metavar="N", help="rows at a time; default 1024")
    args = parser.parse_args(arguments)
    if args.batch_size < 1:
        raise ConfigError.at("--batch-size", "must be a positive integer", args.batch_size)
    _check_paths(args.input, args.output)
    hide_warnings()
    from kexp import stored
    from kexp.stored.inputs import read_inputs
    from kexp.stored.predictions import NamedOutputs

    run = find_run_argument(args)
    experiment = stored.load_experiment(run)
    run_data = stored.describe(run, experiment)
    labels, batches = read_inputs(args.input, experiment, run_data, args.batch_size, args.array, _note)
    first = next(batches)  # reports errors of the file before the backend is loaded
    stored.use_backend(experiment.backend)
    model = stored.open_model(run, experiment, run_data, args.format)
    predicted = (_outputs(model, batch) for batch in itertools.chain([first], batches))
    write = _write_csv if args.output.suffix.lower() == ".csv" else _write_npz
    with _atomically(args.output) as temporary:
        rows = write(temporary, NamedOutputs.of(experiment, run_data), predicted, labels)
    print(f"{counted(rows, 'row')} predicted by {run.view.name} ({run.view.run_id[:8]}) in {args.output}")
    return 0


def _note(text: str) -> None:
    print(f"note: {text}", file=sys.stderr)


def _check_paths(source: Path, target: Path) -> None:
    from kexp.data.files import existing
    from kexp.stored.inputs import ending

    ending(target, "OUTPUT")
    if not source.is_dir():
        existing(str(source), "INPUT")
    if not target.absolute().parent.is_dir():
        raise ConfigError.at("OUTPUT", "there is no such folder", str(target.parent))
    if target.is_dir():
        raise ConfigError.at("OUTPUT", "must be a file, not a folder", str(target))
    if target.exists() and target.samefile(source):
        raise ConfigError.at("OUTPUT", "must be another file than INPUT", str(target))


def _outputs(model: Any, x: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    return np.asarray(model.predict_on_batch(x) if hasattr(model, "predict_on_batch") else model(x))


def _write_csv(path: Path, named: NamedOutputs, predicted: Iterable[NDArray[Any]], labels: Labels) -> int:
    """Writes one line per row, batch by batch, with the identifying columns first; returns the number of rows."""
    rows = 0
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        for batch in predicted:
            columns = named.columns(batch)
            if not rows:
                writer.writerow([*labels, *columns])
            # NumPy's text has the digits of float32; as a Python float it would have nine digits of noise.
            own = [values[rows : rows + len(batch)] for values in labels.values()]
            writer.writerows(zip(*own, *(column.astype(str).tolist() for column in columns.values()), strict=True))
            rows += len(batch)
    return rows


def _write_npz(path: Path, named: NamedOutputs, predicted: Iterable[NDArray[Any]], labels: Labels) -> int:
    """Writes `class`, `probabilities` (or `scores`) and `classes`, or for a regression `prediction`."""
    import numpy as np

    outputs = np.concatenate(list(predicted))
    if named.task == "labels":
        arrays: dict[str, Any] = named.columns(outputs)
    elif named.classes is None:
        arrays = {"prediction": outputs}
    else:
        index, scores = named.decided(outputs)
        names = np.asarray(named.classes)
        kind = "probabilities" if named.probable else "scores"
        arrays = {"class": names[index], kind: scores, "classes": names}
    arrays |= {name: np.asarray(values) for name, values in labels.items()}
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)
    return len(outputs)


@contextlib.contextmanager
def _atomically(target: Path) -> Iterator[Path]:
    """Yields a temporary file that replaces the target when the block ends without an error."""
    from kexp.persistence.atomic import publish, remove, sync_tree, temporary_path

    temporary = temporary_path(target.absolute())
    try:
        yield temporary
        sync_tree(temporary)
        publish(temporary, target)
    except OSError as error:
        raise ConfigError(f"OUTPUT: cannot write {target}: {os.strerror(error.errno or 0)}") from error
    finally:
        remove(temporary)

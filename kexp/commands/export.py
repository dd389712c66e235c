"""`kexp export RUN --format NAME DIR`: a run's model in further formats."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kexp.commands.options import find_stored, quiet, run_parser
from kexp.errors import ConfigError, LoadError

__all__ = ["main"]

_PROBE_ROWS, _PROBE_STEPS = 32, 8


def main(arguments: Sequence[str]) -> int:
    """Writes a run's model to DIR in each format, read back and compared before it counts."""
    parser = run_parser("export", "Write a run's model in other formats; each file is read back and compared first.")
    parser.add_argument("folder", metavar="DIR", type=Path, help="where the files go; made where it is missing")
    parser.add_argument(
        "--format",
        required=True,
        action="append",
        metavar="NAME",
        help="a format of `kexp components format`: onnx, saved_model, h5, ...; several by repeating it",
    )
    parser.add_argument("--from", dest="source", metavar="NAME", help="the saved file to start from; the best there is")
    given = parser.parse_args(arguments)
    from kexp import registry

    found = {name: registry.find("format", name, "--format") for name in given.format}
    if given.folder.exists() and not given.folder.is_dir():
        raise ConfigError.at("DIR", "must be a folder", str(given.folder))
    quiet()
    from kexp import persistence, stored

    formats: dict[str, Any] = {name: component.load()() for name, component in found.items()}
    run = find_stored(given)
    experiment = stored.load_experiment(run)
    persistence.check_formats(formats, experiment.backend, "--format")
    stored.use_backend(experiment.backend)
    model = stored.open_model(run, experiment, stored.describe(run, experiment), given.source)
    if not hasattr(model, "layers"):
        raise LoadError(f"{run.label} saved its predictions alone, of which no other format can be made")
    for path in persistence.save_model(model, given.folder, formats, _probe(model)):
        print(path)
    return 0


def _probe(model: Any) -> Any:
    """Inputs to compare predictions on: numbers in [0, 1), which an embedding can look up too."""
    import numpy as np

    shape = [_PROBE_STEPS if size is None else size for size in model.input_shape[1:]]
    return np.random.default_rng(0).random((_PROBE_ROWS, *shape)).astype("float32")

"""`kexp export RUN --format NAME DIR`: writes a run's model in other formats."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kexp.commands.support.options import find_run_argument, hide_warnings, run_parser
from kexp.errors import ConfigError, LoadError

__all__ = ["main"]

_PROBE_ROWS, _PROBE_STEPS = 32, 8


def main(arguments: Sequence[str]) -> int:
    """Writes a run's model to DIR in each format, then reads each file back and compares; returns the exit code."""
    parser = run_parser("export", "Write a run's model in other formats; each file is read back and compared first.")
    parser.add_argument("folder", metavar="DIR", type=Path, help="the folder for the files; created if missing")
    parser.add_argument(
        "--format",
        required=True,
        action="append",
        metavar="NAME",
        help="a format of `kexp components format`: onnx, saved_model, h5, ...; several by repeating it",
    )
    parser.add_argument("--from", dest="source", metavar="NAME", help="the saved format to load; by default the best")
    args = parser.parse_args(arguments)
    from kexp import registry

    found = {name: registry.find("format", name, "--format") for name in args.format}
    if args.folder.exists() and not args.folder.is_dir():
        raise ConfigError.at("DIR", "must be a folder", str(args.folder))
    hide_warnings()
    from kexp import persistence, stored

    formats: dict[str, Any] = {name: component.load()() for name, component in found.items()}
    run = find_run_argument(args)
    experiment = stored.load_experiment(run)
    persistence.check_formats(formats, experiment.backend, "--format")
    run_data = stored.describe(run, experiment)
    formats, notices = stored.serving_formats(formats, experiment, run_data)
    for notice in notices:
        print(f"note: {notice}", file=sys.stderr)
    stored.use_backend(experiment.backend)
    model = stored.open_model(run, experiment, run_data, args.source)
    if not hasattr(model, "layers"):
        raise LoadError(f"{run.label} saved its predictions alone, which cannot be converted to another format")
    for path in persistence.save_model(model, args.folder, formats, _probe(model)):
        print(path)
    return 0


def _probe(model: Any) -> Any:
    """Returns inputs to compare predictions on: numbers in [0, 1), which are valid for an embedding too."""
    import numpy as np

    shape = [_PROBE_STEPS if size is None else size for size in model.input_shape[1:]]
    return np.random.default_rng(0).random((_PROBE_ROWS, *shape)).astype("float32")

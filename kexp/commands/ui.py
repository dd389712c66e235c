"""`kexp ui`: MLflow's page on this store."""

from __future__ import annotations

from collections.abc import Sequence

from kexp.commands.options import quiet, store_parser

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Serves MLflow's page until Ctrl-C."""
    parser = store_parser("ui", "Show the runs in MLflow's page, on this machine, until Ctrl-C.")
    parser.add_argument("--port", type=int, help="the first free one from 5000 on unless given")
    given = parser.parse_args(arguments)
    quiet()
    from kexp.tracking import StoreSettings
    from kexp.tracking.server import serve

    serve(StoreSettings(uri=given.tracking_uri), given.port, say=lambda sentence: print(sentence, flush=True))
    return 0

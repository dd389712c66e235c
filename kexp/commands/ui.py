"""`kexp ui`: serves MLflow's web page on this store."""

from __future__ import annotations

from collections.abc import Sequence

from kexp.commands.support.options import hide_warnings, store_parser

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Serves MLflow's page until Ctrl-C; returns the exit code."""
    parser = store_parser("ui", "Show the runs in MLflow's web page, served on this machine until Ctrl-C.")
    parser.add_argument("--port", type=int, help="by default the first free one from 5000 on")
    args = parser.parse_args(arguments)
    hide_warnings()
    from kexp.tracking import StoreSettings
    from kexp.tracking.server import serve

    serve(StoreSettings(uri=args.tracking_uri), args.port, print_line=lambda sentence: print(sentence, flush=True))
    return 0

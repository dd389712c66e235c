"""kexp's sweeps on a Ray cluster."""

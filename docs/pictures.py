"""Draw the pictures of these pages: the layers of the package, the steps of a run and of a sweep, and real output.

python docs/pictures.py            # draws docs/pictures/*.svg
python docs/pictures.py --output   # runs kexp in a temporary folder, and draws its output; with Chromium, its pages
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

FOLDER = Path(__file__).parent / "pictures"
LAYERS = (  # names and descriptions; the highest first
    (("cli, commands", "the command line"),),
    (("sweeps", "many trials: planned, launched, recorded, compared"),),
    (("fused", "trials as lanes of one compiled JAX program"),),
    (("stored", "finished runs: loaded, evaluated, exported, promoted"),),
    (("experiment", "one run: prepared, trained, recorded"),),
    (("training", "Keras' fit, reproducible to the bit"), ("build", "builds objects from the config")),
    (
        ("config", "Hydra"),
        ("data", "rows"),
        ("model", "layers"),
        ("components", "kexp's own"),
        ("persistence", "files"),
        ("tracking", "MLflow"),
    ),
    (("serving", "the code of an MLflow model: raw rows in, named answers out"),),
    (("schema, registry, rules", "valid configs, and the components to choose from"),),
)
RUN = (  # a box, its description, and its further results
    ("overrides", "", ""),
    ("config", "Hydra composes,\nthe schema checks", "an error is one\nsentence, before Keras\nis imported"),
    ("data", "read, split,\nencoded", ""),
    ("model", "built and\ncompiled", ""),
    ("training", "epoch by epoch", "rows on disk, which\na helper process\nsends to MLflow"),
    ("saved files", "read back\nand compared", "a model in MLflow"),
)
SWEEP = (
    ("axes", "", ""),
    ("trials", "each composed\nand checked", "invalid trials are\nlisted with reasons"),
    ("missing trials", "trials in the store\nare skipped", ""),
    ("launcher", "lanes, or worker\nprocesses", "a trial whose process\ndied is tried again"),
    ("rows on disk", "sent to MLflow,\nmany at a time", "models of the\nbest trials"),
    ("comparison", "grouped over\nseeds, tested", "table and report"),
)
TERMINAL = {
    "run": ["optimizer=adam", "loss=huber_loss", "trainer.epochs=20"],
    "error": ["optimizer.lerning_rate=0.1"],
    "sweep": ["-m", "optimizer=sgd,adam", "optimizer.learning_rate=1e-3,1e-2", "seed=range(5)", "trainer.epochs=5"],
}
EDGE, FILL = "#4a5568", "#e8eef7"


def main() -> None:
    """Draw the pictures that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", action="store_true")
    FOLDER.mkdir(exist_ok=True)
    draw_layers(FOLDER / "layers.svg")
    draw_way(RUN, FOLDER / "run.svg")
    draw_way(SWEEP, FOLDER / "sweep.svg")
    if parser.parse_args().output:
        with tempfile.TemporaryDirectory() as folder:
            show_output(Path(folder))


def draw_layers(file: Path) -> None:
    """Draw one row for each layer, the highest on top."""
    figure, axes = _canvas(9, 5.2)
    height = 1 / len(LAYERS)
    for place, row in enumerate(LAYERS):
        width = 1 / len(row)
        for column, (name, what) in enumerate(row):
            _box(axes, column * width, 1 - (place + 1) * height, width, height, name, what)
    _save(figure, file)


def draw_way(steps: Sequence[tuple[str, str, str]], file: Path) -> None:
    """Draw boxes from left to right, with further results below them."""
    figure, axes = _canvas(11, 2.3)
    width = 1 / len(steps)
    for column, (name, what, beside) in enumerate(steps):
        _box(axes, column * width, 0.45, width * 0.87, 0.55, name, what)
        axes.text((column + 0.43) * width, 0.38, beside, ha="center", va="top", fontsize=8.5, color=EDGE)
        if column:
            ends = (column * width, 0.72), ((column - 0.13) * width, 0.72)
            axes.annotate("", *ends, arrowprops={"arrowstyle": "->", "color": EDGE})
    _save(figure, file)


def _canvas(width: float, height: float):  # type: ignore[no-untyped-def]
    import matplotlib

    matplotlib.use("agg")
    matplotlib.rcParams["svg.hashsalt"] = "kexp"  # the same picture gives the same file
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(width, height), layout="constrained")
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.axis("off")
    return figure, axes


def _box(axes, x: float, y: float, width: float, height: float, name: str, what: str) -> None:  # type: ignore[no-untyped-def]
    from matplotlib.patches import Rectangle

    axes.add_patch(
        Rectangle((x, y + 0.01), width - 0.005, height - 0.02, facecolor=FILL, edgecolor=EDGE, linewidth=0.8)
    )
    middle, lines = (x + width / 2, y + height / 2), what.count("\n") + 1 if what else 0
    placed = {"xycoords": "data", "textcoords": "offset points", "ha": "center"}
    above = 5.5 * lines  # points; a line of the description takes 11
    axes.annotate(name, middle, (0, above), va="center", fontsize=10, weight="bold", **placed)
    axes.annotate(what, middle, (0, above - 7), va="top", fontsize=8.5, color=EDGE, **placed)


def _save(figure, file: Path) -> None:  # type: ignore[no-untyped-def]
    figure.savefig(file, metadata={"Date": None}, transparent=False)


def show_output(folder: Path) -> None:
    """Draw kexp's output in a terminal, and a sweep's report and MLflow's page in Chromium."""
    for name, words in TERMINAL.items():
        _terminal(name, words, folder)
    report = next(folder.glob("multirun/*/report.html"))
    _page("report", report.as_uri(), 2200)


def _terminal(name: str, words: Sequence[str], folder: Path) -> None:
    from rich.console import Console
    from rich.text import Text

    environment = {**os.environ, "COLUMNS": "110"}
    done = subprocess.run(
        [sys.executable, "-m", "kexp", *words],
        cwd=folder,
        env=environment,
        text=True,
        check=False,
        capture_output=True,
    )
    console = Console(record=True, width=110, file=io.StringIO())
    quoted = [f"'{word}'" if set(word) & set("()[]{} ") else word for word in words]
    console.print(Text(f"$ kexp {' '.join(quoted)}", style="bold"))
    console.print(Text((done.stdout or done.stderr).rstrip()))
    (FOLDER / f"{name}-output.svg").write_text(console.export_svg(title="kexp", unique_id="kexp"))


def _page(name: str, address: str, height: int) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        print(f"no Chromium here: docs/pictures/{name}.png stays as it is")
        return
    subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--screenshot={FOLDER / f'{name}.png'}",
         f"--window-size=1400,{height}", "--virtual-time-budget=8000", address],
        check=True, capture_output=True,
    )  # fmt: skip


if __name__ == "__main__":
    main()

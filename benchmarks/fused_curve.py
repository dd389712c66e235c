"""When fusing helps: measures it, and draws docs/fused.svg and docs/fused-gpu.svg from what was measured.

    python benchmarks/fused_curve.py --measure   # minutes; writes benchmarks/fused_curve.json, then draws
    python benchmarks/fused_curve.py             # draws what was measured before

Times come from benchmarks/fused.py: the engine in a process of its own, with a warm compile cache, untracked, and the
hand-written loop on TensorFlow; 20 epochs, and 5 where a step is long. The figures of the GPU in
benchmarks/gpu_curve.json are what benchmarks/gpu.sh printed.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import fused

HERE = Path(__file__).parent
MEASURED = HERE / "fused_curve.json"
PICTURE = HERE.parent / "docs" / "fused.svg"
GPU_MEASURED = HERE / "gpu_curve.json"
GPU_PICTURE = HERE.parent / "docs" / "fused-gpu.svg"
EPOCHS = 20
# model, its name in the picture, trials, epochs, millions of floating-point operations a training step
MODELS = (
    ("mlp", "MLP 64-32-10\nbatch 32", 64, EPOCHS, 0.5),
    ("inputs", "MLP 784-32-10\nbatch 32", 32, 5, 4.9),
    ("lstm", "LSTM 32\nbatch 32", 32, EPOCHS, 8.4),
    ("cnn", "CNN 16, 32 filters\n8 x 8, batch 32", 16, EPOCHS, 17.0),
    ("wide", "MLP 784-256-10\nbatch 128", 16, EPOCHS, 156.0),
    ("wider", "MLP 784-1024-10\nbatch 256", 16, 5, 1250.0),
    ("images", "CNN 32, 64 filters\n32 x 32, batch 64", 8, 5, 1930.0),
)
COUNTS = (1, 4, 16, 64, 256, 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--png", help="draw to this file as well")
    given = parser.parse_args()
    if given.measure:
        MEASURED.write_text(json.dumps(measure(), indent=1) + "\n")
    draw(json.loads(MEASURED.read_text()), [PICTURE, *([given.png] if given.png else [])])
    draw_gpu(json.loads(GPU_MEASURED.read_text()), GPU_PICTURE)


def measure() -> dict[str, Any]:
    models = []
    for model, name, trials, epochs, operations in MODELS:
        options = ["--loop-trials=2", f"--loop-epochs={epochs}"]
        loop_s = fused.process(["--loop", model, *options], "tensorflow", {})["trial_s"]
        lane_s = fused.process(["--one", f"{model}:{trials}:{epochs}"], "jax", {})["steady_trial_s"]
        models.append({"name": name, "mflop": operations, "loop_s": loop_s, "lane_s": lane_s})
        print(
            f"{model:>8}  loop {loop_s:6.2f} s  lane {1e3 * lane_s:8.1f} ms  {loop_s / lane_s:6.1f} times", flush=True
        )
    counts = []
    for trials in COUNTS:
        started = time.perf_counter()
        fused.process(["--one", f"mlp:{trials}:{EPOCHS}"], "jax", {})
        counts.append({"trials": trials, "seconds": time.perf_counter() - started})
        print(f"{trials:>8}  {counts[-1]['seconds']:6.1f} s", flush=True)
    return {"models": models, "counts": counts, "machine": fused.machine()}


def draw(measured: dict[str, Any], files: list[Any]) -> None:
    figure, (left, right) = plots().subplots(1, 2, figsize=(11, 4.4), layout="constrained")
    for each in measured["models"]:
        times = each["loop_s"] / each["lane_s"]
        color = {"CNN": "tab:orange", "LST": "tab:green"}.get(each["name"][:3], "tab:blue")
        left.plot(each["mflop"], times, "o", color=color)
        name = each["name"]
        place = (7, -18) if name.startswith("LSTM") else (7, 3)
        left.annotate(name, (each["mflop"], times), textcoords="offset points", xytext=place, fontsize=7.5, color=color)
    left.axhline(1, color="grey", linestyle="--", linewidth=1)
    left.text(0.3, 0.92, "below: slower", fontsize=7.5, color="grey", va="top")
    left.set(xscale="log", yscale="log", xlim=(0.25, 40000), ylim=(0.1, 1500))
    left.set(xlabel="million floating-point operations a training step", ylabel="times faster a trial than Keras' fit")
    left.set_title("The shorter the steps, the more fusing gains", fontsize=10)
    first = measured["models"][0]
    counts = [each["trials"] for each in measured["counts"]]
    right.plot(
        counts, [each["seconds"] / each["trials"] for each in measured["counts"]], "o-", label="fused, whole process"
    )
    right.axhline(first["loop_s"], color="tab:red", linestyle="--", label="Keras' fit, without start and imports")
    right.axhline(first["lane_s"], color="grey", linestyle=":", label="a lane, once compiled")
    right.set(xscale="log", yscale="log", xlabel="trials of the sweep", ylabel="seconds a trial")
    right.set_xticks(counts, [f"{count:,}" for count in counts])
    right.set_title("MLP 64-32-10: starting and compiling is shared by all trials", fontsize=10)
    right.legend(fontsize=8, frameon=False, loc="center right")
    for file in files:
        save(figure, (left, right), file)


def draw_gpu(measured: dict[str, Any], file: Path) -> None:
    """The time a trial by the lanes of a program, on a GPU."""
    figure, axes = plots().subplots(figsize=(6.4, 4.2), layout="constrained")
    rows = measured["lanes"]
    lanes = [each["lanes"] for each in rows]
    whole = [1e3 * each["process_s"] / each["trials"] for each in rows]
    axes.axhline(measured["fit_ms"], color="tab:red", linestyle="--", label="Keras' fit on the same GPU")
    axes.plot(lanes, whole, "o-", label="fused, whole process, nothing compiled before")
    axes.plot(lanes, [each["steady_ms"] for each in rows], "o:", color="grey", label="a lane, once compiled")
    axes.set(xscale="log", yscale="log", xlabel="lanes of the program", ylabel="milliseconds a trial")
    axes.set_xticks(lanes, [f"{each:,}" for each in lanes], fontsize=8)
    axes.minorticks_off()
    axes.set_title(f"MLP 64-32-10, 5 epochs, {measured['device']}", fontsize=10)
    axes.legend(fontsize=8, frameon=False, loc="upper right", bbox_to_anchor=(1, 0.92))
    save(figure, (axes,), file)


def plots() -> Any:
    import matplotlib

    matplotlib.use("agg")
    matplotlib.rcParams["svg.hashsalt"] = "kexp"  # the same figures give the same file
    from matplotlib import pyplot

    return pyplot


def save(figure: Any, panels: Iterable[Any], file: Any) -> None:
    for axes in panels:
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, metadata={"Date": None} if str(file).endswith(".svg") else None, dpi=110)


if __name__ == "__main__":
    main()

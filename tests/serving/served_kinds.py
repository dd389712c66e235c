"""Runs of each kind of data, made once, and what their MLflow models answer in a process without kexp."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

SMALL = ["trainer.epochs=1", "trainer.verbose=0", "tracking.figures=false", "save.formats=[h5,keras]"]


@dataclass
class Kind:
    """A run, the place of its MLflow model, and what was answered to which requests."""

    run_id: str
    model: str
    requests: list[Any]
    told: dict[str, Any]

    @property
    def answers(self) -> list[Any]:
        found: list[Any] = self.told["answers"]
        return found


def people(rows: int = 120) -> pd.DataFrame:
    """Each kind of column; whole numbers, truths and dates as pandas makes them of the file."""
    random = np.random.default_rng(4)
    age = random.integers(18, 80, rows).astype(float)
    age[::9] = np.nan
    frame = pd.DataFrame(
        {
            "age": age,
            "fare": random.gamma(2, 20, rows).round(2),
            "children": random.integers(0, 4, rows),
            "city": random.choice(["Berlin", "Paris", "Roma", None], rows),
            "member": random.choice([True, False], rows),
            "since": pd.Timestamp("2015-01-01") + pd.to_timedelta(random.integers(0, 3000, rows), unit="D"),
            "price": random.choice(["$1,250", "$980", "$12,400"], rows),
            "bought": np.where(random.random(rows) < 0.5, "yes", "no"),
            "income": random.normal(3000, 500, rows).round(1),
            "tall": random.integers(0, 2, rows),
            "calm": random.integers(0, 2, rows),
        }
    )
    clock = pd.Timestamp("2020-01-01") + pd.to_timedelta(random.integers(0, 86400, rows), unit="s")
    frame.insert(7, "woke", clock.strftime("%H:%M:%S"))
    frame.insert(8, "warmth", np.where(random.random(rows) < 0.2, -999, random.normal(15, 5, rows).round(1)))
    return frame.assign(spent=random.gamma(2, 300, rows).round())


def shops() -> pd.DataFrame:
    """Three series, a row a day."""
    days = pd.date_range("2024-01-01", periods=20).strftime("%Y-%m-%d")
    frames = [
        pd.DataFrame({"day": days, "shop": shop, "open": [day % 7 != 0 for day in range(20)], "sales": sold})
        for shop, sold in zip("bac", np.random.default_rng(5).normal(size=(3, 20)).cumsum(axis=1), strict=True)
    ]
    return pd.concat(frames)


OWN = '''
import keras

class Twice(keras.layers.Layer):
    """A layer of the user's own."""

    def call(self, inputs):
        return inputs * 2


def bent(x):
    return keras.ops.tanh(x) * 1.5


def far(y_true, y_pred):
    return keras.ops.mean(keras.ops.abs(y_true - y_pred) ** 1.5, axis=-1)
'''


def brought(folder: Path) -> dict[str, tuple[list[str], list[Any], Path | None]]:
    """The overrides of each run, requests to its model, and a file with the first one's rows for `kexp predict`."""
    frame = people()
    frame.to_csv(folder / "people.csv", index=False)
    targets = ["bought", "income", "tall", "calm", "spent"]
    raw = pd.read_csv(folder / "people.csv").drop(columns=targets)
    odd = raw.copy()
    odd.loc[0, "children"], odd.loc[1, "city"], odd.loc[2, "age"] = np.nan, "Atlantis", np.nan
    odd = odd[odd.columns[::-1]]
    odd.to_csv(folder / "odd.csv", index=False)
    requests = [
        odd,
        raw,
        raw.assign(since=pd.to_datetime(raw["since"]), extra=1),
        raw.iloc[0].to_dict(),
        raw.head(3).to_dict("records"),
        raw.head(3).to_numpy(),
        raw.drop(columns=["age", "city"]),
        raw.drop(columns="fare"),
        raw.assign(fare="cheap"),
        raw.assign(since="soon"),
        raw.assign(fare=np.inf),
        raw.head(0),
    ]
    table = ["data=csv", "data.path=people.csv"]
    others = "[{}]".format
    made: dict[str, tuple[list[str], list[Any], Path | None]] = {
        "table": (
            [*table, "data.target=bought", f"data.drop={others('income,tall,calm,spent')}"],
            requests,
            Path("odd.csv"),
        ),
        "regression": (
            [
                *table,
                "data.target=[income,spent]",
                f"data.drop={others('bought,tall,calm')}",
                "data.na_values=['-999']",
            ],
            [odd],
            Path("odd.csv"),
        ),
        "labels": (
            [*table, "data.target=[tall,calm]", f"data.drop={others('bought,income,spent')}"],
            [odd],
            Path("odd.csv"),
        ),
        "own": (
            [
                *table,
                "data.target=income",
                f"data.drop={others('bought,tall,calm,spent')}",
                "model=sequential",
                "model.layers=[{name: Dense, units: 4, activation: served_parts:bent}, {name: 'served_parts:Twice'}]",
                "loss=served_parts:far",
            ],
            [odd],
            Path("odd.csv"),
        ),
    }
    (folder / "served_parts.py").write_text(OWN)
    from sklearn.datasets import load_iris

    iris = load_iris()
    named = pd.DataFrame(iris.data[:40], columns=list(iris.feature_names))
    named.to_csv(folder / "iris.csv", index=False)
    by_name = [
        named[named.columns[::-1]],
        iris.data[:40],
        named.to_dict("records"),
        named.drop(columns=named.columns[1]),
    ]
    made["iris"] = (["data=iris"], by_name, Path("iris.csv"))
    x = np.random.default_rng(1).normal(size=(90, 4, 3)).astype("float32")
    np.savez(folder / "steps.npz", x=x, y=np.cumsum(x, axis=1)[:, :2, 0])
    np.savez(folder / "some.npz", x=x[:20])
    made["array"] = (
        ["data=npz", "data.path=steps.npz", "model=lstm"],
        [x[:20], x[:20].tolist(), x[:20, :2]],
        Path("some.npz"),
    )
    made |= {"images": images(folder), "text": texts(folder)}
    rows = shops()
    rows.to_csv(folder / "shops.csv", index=False)
    shuffled = rows.sample(frac=1, random_state=0)
    plan = ["data.time=day", "data.group=shop", "data.window=5", "data.horizon=2", "data.target=sales"]
    series = [shuffled, rows.assign(day=pd.to_datetime(rows["day"])), rows.head(3), rows.drop(columns="day")]
    made["series"] = (["data=series", "data.path=shops.csv", *plan, "model=lstm"], series, Path("shops.csv"))
    return made


def images(folder: Path) -> tuple[list[str], list[Any], Path | None]:
    import base64

    from PIL import Image

    random = np.random.default_rng(2)
    for kind, level in (("dark", 40), ("light", 200)):
        (folder / "pictures" / kind).mkdir(parents=True)
        for number in range(12):
            pixels = (random.random((16, 16, 3)) * 30 + level).astype("uint8")
            Image.fromarray(pixels).save(folder / "pictures" / kind / f"{number:02}.png")
    files = [file.read_bytes() for file in sorted((folder / "pictures").rglob("*.png"))]
    pixels = np.stack([np.asarray(Image.open(file)) for file in sorted((folder / "pictures").rglob("*.png"))])
    encoded = [base64.b64encode(file).decode() for file in files]
    frame = pd.DataFrame({"image": encoded})
    requests = [files, pixels, pixels / 255, encoded, frame, {"image": files}, pixels[:, :8], [b"none"], list(pixels)]
    overrides = ["data=image_folder", "data.path=pictures", "data.image_size=16", "model=cnn"]
    return overrides, requests, Path("pictures")


def texts(folder: Path) -> tuple[list[str], list[Any], Path | None]:
    random = np.random.default_rng(3)
    good, bad = "fine great lovely warm".split(), "poor cold dull grim".split()
    said = [" ".join(random.choice(good if row % 2 else bad, 5)) + ", so it was!" for row in range(80)]
    frame = pd.DataFrame({"said": said, "stars": ["five" if row % 2 else "one" for row in range(80)]})
    frame.to_csv(folder / "said.csv", index=False)
    requests = [frame, said, frame[["said"]], pd.Series(said), {"said": said}, said[0], [3, 4]]
    overrides = ["data=text", "data.path=said.csv", "data.target=stars", "model=text"]
    return overrides, requests, Path("said.csv")


def answers_of(asked: list[tuple[str, list[Any]]], folder: Path) -> list[dict[str, Any]]:
    """What models answer in a process that has no kexp and stands in an empty folder."""
    (folder / "requests.pickle").write_bytes(pickle.dumps(asked))
    child = Path(__file__).parent / "without_kexp.py"
    environment = {key: value for key, value in os.environ.items() if key not in ("KERAS_BACKEND", "PYTHONPATH")}
    done = subprocess.run(
        [sys.executable, str(child), str(folder)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = pickle.loads((folder / "answers.pickle").read_bytes())
    return found

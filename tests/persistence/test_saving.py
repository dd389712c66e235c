"""What is saved is verified, and a failure of any kind leaves the last good file."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from kexp.errors import LoadError, SaveError
from kexp.persistence import load_model, save_model, set_weights
from kexp.persistence.formats.h5 import h5
from kexp.persistence.manifest import MANIFEST

ROOT = Path(__file__).parents[2]


class Altered:
    """A format that gives back a model with `change` made to it."""

    filename = "altered.h5"

    def __init__(self, change):
        self._inner, self._change = h5(), change

    def save(self, model, path):
        self._inner.save(model, path)

    def load(self, path, *, architecture):
        model = self._inner.load(path, architecture=architecture)
        self._change(model)
        return model


class Failing:
    filename = "model.bad"

    def save(self, model, path):
        path.write_bytes(b"half of it")
        raise OSError(28, "No space left on device")

    def load(self, path, *, architecture):
        raise AssertionError("never reached")


def test_manifest_lists_the_digest_of_every_file(model, formats, probe, tmp_path):
    save_model(model, tmp_path, formats, probe)
    files = json.loads((tmp_path / MANIFEST).read_text())["files"]
    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()} - {MANIFEST}
    assert set(files) == found
    assert "checkpoint/model.index" in found
    for name, entry in files.items():
        content = (tmp_path / name).read_bytes()
        assert entry == {"sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content)}


def test_saving_again_replaces_files_and_folders(model, formats, probe, tmp_path):
    save_model(model, tmp_path, formats, probe)
    before = json.loads((tmp_path / MANIFEST).read_text())["files"]
    changed = load_model(tmp_path, "h5", formats["h5"])
    changed.set_weights([weight + 1 if weight.shape == (3,) else weight for weight in changed.get_weights()])
    save_model(changed, tmp_path, formats, probe)
    after = json.loads((tmp_path / MANIFEST).read_text())["files"]
    assert set(before) == set(after)
    assert before["checkpoint/model.data-00000-of-00001"] != after["checkpoint/model.data-00000-of-00001"]
    loaded = load_model(tmp_path, "tf_checkpoint", formats["tf_checkpoint"])
    assert all(np.array_equal(*pair) for pair in zip(loaded.get_weights(), changed.get_weights(), strict=True))


def test_saving_one_format_keeps_the_others_listed(model, formats, probe, saved):
    save_model(model, saved, {"h5": formats["h5"]}, probe)
    assert load_model(saved, "keras", formats["keras"])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda model: model.layers[-1].bias.assign(model.layers[-1].bias + 1e-6), "another value of net/.*bias"),
        (lambda model: model.pop(), "reads back with 9 weights instead of 11"),
        (lambda model: setattr(model.layers[1], "activation", None), "predicts differently once read back"),
    ],
)
def test_what_does_not_read_back_identically_is_an_error(change, reason, model, probe, saved):
    before = _contents(saved)
    with pytest.raises(SaveError, match=rf"save\.formats: altered could not be saved .*{reason}"):
        save_model(model, saved, {"h5": h5(), "altered": Altered(change)}, probe)
    assert _contents(saved) == before


def test_failed_format_leaves_every_file_as_it_was(model, formats, probe, saved):
    before = _contents(saved)
    with pytest.raises(SaveError, match=r"save\.formats: bad could not be saved .*No space left on device"):
        save_model(model, saved, {**formats, "bad": Failing()}, probe)
    assert _contents(saved) == before


def test_lambda_layer_is_an_error_when_saved_not_when_needed(tmp_path, formats, probe):
    """Reading it back would run code from the file, so it does not count as saved."""
    import keras

    model = keras.Sequential([keras.layers.Input((5,)), keras.layers.Lambda(lambda x: 2 * x)])
    with pytest.raises(SaveError, match=r"save\.formats: keras"):
        save_model(model, tmp_path, {"keras": formats["keras"]}, probe)
    assert _contents(tmp_path) == {}


def test_strays_of_dead_processes_are_swept_and_others_kept(model, formats, probe, tmp_path):
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    stray = tmp_path / f".tmp-{int(dead.stdout)}-0123abcd-model.h5"
    stray_folder = tmp_path / f".tmp-{int(dead.stdout)}-0123abcd-checkpoint"
    running, old = (
        tmp_path / f".tmp-{os.getpid()}-0123abcd-model.h5",
        tmp_path / f".tmp-{os.getpid()}-0123abcd-model.keras",
    )
    for path in (stray, running, old, tmp_path / ".tmp-notes"):
        path.write_bytes(b"part")
    stray_folder.mkdir()
    (stray_folder / "model.index").write_bytes(b"part")
    os.utime(old, (time.time() - 2 * 24 * 3600,) * 2)
    save_model(model, tmp_path, {"json": formats["json"]}, probe)
    assert {path.name for path in tmp_path.iterdir()} == {running.name, ".tmp-notes", "model.json", MANIFEST}


def test_changed_file_is_not_loaded_and_both_digests_are_named(saved, formats):
    path = saved / "model.h5"
    content = bytearray(path.read_bytes())
    good = hashlib.sha256(content).hexdigest()
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(LoadError, match=rf"model\.h5 has changed .*{good}.*{hashlib.sha256(content).hexdigest()}"):
        load_model(saved, "h5", formats["h5"])


def test_changed_architecture_beside_weights_is_not_used(saved, formats):
    (saved / "model.json").write_text((saved / "model.json").read_text().replace("relu", "tanh"))
    with pytest.raises(LoadError, match=r"model\.json has changed"):
        load_model(saved, "weights", formats["weights"])


def test_missing_and_unlisted_files_are_named(saved, formats, tmp_path):
    with pytest.raises(LoadError, match=r"checkpoint does not exist: the model was not saved as tf_checkpoint"):
        load_model(saved, "tf_checkpoint", formats["tf_checkpoint"])
    manifest = json.loads((saved / MANIFEST).read_text())
    del manifest["files"]["model.keras"]
    (saved / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(LoadError, match=r"model\.keras is not listed in manifest\.json"):
        load_model(saved, "keras", formats["keras"])
    (saved / MANIFEST).write_text("{")
    with pytest.raises(LoadError, match=r"manifest\.json cannot be read"):
        load_model(saved, "h5", formats["h5"])


def test_weights_without_an_architecture_say_what_is_missing(model, formats, probe, tmp_path):
    save_model(model, tmp_path, {"weights": formats["weights"]}, probe)
    with pytest.raises(LoadError, match=r"neither model\.json nor model\.yaml"):
        load_model(tmp_path, "weights", formats["weights"])


def test_manifest_of_a_save_killed_between_two_files_accepts_either(model, formats, probe, tmp_path):
    """While files change places the manifest lists both versions: each file verifies at every moment."""
    one, other, middle = tmp_path / "one", tmp_path / "other", tmp_path / "middle"
    chosen = {name: formats[name] for name in ("h5", "weights", "json")}
    save_model(model, one, chosen, probe)
    changed = load_model(one, "h5", formats["h5"])
    set_weights(changed, [2 * weight for weight in changed.get_weights()])
    save_model(changed, other, chosen, probe)
    middle.mkdir()
    manifests = [json.loads((folder / MANIFEST).read_text())["files"] for folder in (one, other)]
    (middle / MANIFEST).write_text(json.dumps({"files": manifests[0], "pending": manifests[1]}))
    for name, folder in (("model.h5", other), ("model.weights.h5", one), ("model.json", one)):
        (middle / name).write_bytes((folder / name).read_bytes())
    loaded = {name: load_model(middle, name, formats[name]).get_weights() for name in ("h5", "weights")}
    assert np.array_equal(loaded["h5"][-1], 2 * loaded["weights"][-1])


KILLED = """
    import os, random, signal, sys, time
    from pathlib import Path
    import keras, numpy as np
    from kexp.persistence import load_model, save_model
    from kexp.persistence.formats.h5 import h5
    from kexp.persistence.formats.keras_format import keras_format
    from kexp.persistence.formats.weights import weights
    from kexp.persistence.formats.json_format import json_format

    folder, probe = Path(sys.argv[1]), np.ones((2, 64), "float32")
    formats = {"h5": h5(), "weights": weights(), "keras": keras_format(), "json": json_format()}
    model = keras.Sequential([keras.layers.Input((64,)), keras.layers.Dense(256), keras.layers.Dense(256)])

    def save(value):
        model.set_weights([np.full_like(weight, value) for weight in model.get_weights()])
        save_model(model, folder, formats, probe)

    save(0.0)
    for kill in range(4):
        child = os.fork()
        if child == 0:
            for value in range(1, 100_000):
                save(value / 1e5)
            os._exit(0)
        time.sleep(0.15 + random.random() * 0.4)
        os.kill(child, signal.SIGKILL)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL
        for name, fmt in formats.items():
            values = load_model(folder, name, fmt).get_weights()
            if name != "json":
                assert len({float(value) for weight in values for value in np.unique(weight)}) == 1, name
        save(0.0)
        assert not [path for path in folder.iterdir() if path.name.startswith(".tmp-")]
        assert sorted(path.name for path in folder.iterdir()) == sorted(
            ["manifest.json", "model.h5", "model.weights.h5", "model.keras", "model.json"])
        print("survived")
"""


def test_kill_at_any_moment_leaves_readable_files(tmp_path):
    """A real process is killed in a loop of saves; each format then loads, and is of one save, not of two."""
    assert _run(KILLED, tmp_path).splitlines() == ["survived"] * 4


FULL = """
    import resource, sys
    from pathlib import Path
    import keras, numpy as np
    from kexp.errors import SaveError
    from kexp.persistence import load_model, save_model
    from kexp.persistence.formats.h5 import h5
    from kexp.persistence.formats.keras_format import keras_format
    from kexp.persistence.formats.weights import weights

    folder, probe = Path(sys.argv[1]), np.ones((2, 64), "float32")
    model = keras.Sequential([keras.layers.Input((64,)), keras.layers.Dense(256)])
    formats = {"h5": h5(), "weights": weights(), "keras": keras_format()}
    save_model(model, folder, formats, probe)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    good = model.get_weights()
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    model.set_weights([weight + 1 for weight in good])
    for name, fmt in formats.items():
        try:
            save_model(model, folder, {name: fmt}, probe)
        except SaveError as error:
            print(error)
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
        if name != "weights":
            assert all(map(np.array_equal, load_model(folder, name, fmt).get_weights(), good))
    assert "tensorflow" not in sys.modules, "another backend pays for the import"
"""


def test_full_disk_leaves_the_good_file_and_the_interpreter(tmp_path):
    """A file that cannot be written to its end is an error that names the format; the process then ends normally."""
    lines = _run(FULL, tmp_path).splitlines()
    assert [line.split()[1] for line in lines] == ["h5", "weights", "keras"]
    assert all(line.startswith("save.formats: ") and "File too large" in line for line in lines)


def test_folder_that_cannot_be_made_is_a_save_error(model, formats, probe, tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(SaveError, match="taken"):
        save_model(model, tmp_path / "taken", {"json": formats["json"]}, probe)


def _run(code: str, folder: Path) -> str:
    """Standard output of a process of its own, on the backend that starts fastest and has no threads to fork."""
    environment = {**os.environ, "KERAS_BACKEND": "numpy", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", textwrap.dedent(code), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

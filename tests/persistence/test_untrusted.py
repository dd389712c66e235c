"""Files that anybody may have made: loaded exactly, or refused with a reason, within limits."""

from __future__ import annotations

import json
import os
import shutil
import time
import zipfile

import h5py
import numpy as np
import pytest

from kexp.errors import LoadError
from kexp.persistence import UNTRUSTED_FORMATS, load_model, load_untrusted, save_model

FILES = {name: filename for filename, name in UNTRUSTED_FORMATS.items()}
KERNEL = {
    "h5": "model_weights/first/net/first/kernel",
    "weights": "layers/dense/vars/0",
}


@pytest.mark.parametrize("name", ["h5", "weights", "keras", "json"])
def test_good_file_loads_as_it_does_with_trust(name, saved, model, formats, probe):
    loaded = load_model(saved, name, formats[name], trusted=False)
    assert [weight.shape for weight in loaded.weights] == [weight.shape for weight in model.weights]
    if name != "json":
        assert np.array_equal(np.asarray(loaded(probe)), np.asarray(model(probe)))


def test_programs_are_never_loaded_without_trust(model, formats, probe, tmp_path):
    save_model(model, tmp_path, {"saved_model": formats["saved_model"]}, probe)
    with pytest.raises(LoadError, match="such a file is a program"):
        load_model(tmp_path, "saved_model", formats["saved_model"], trusted=False)


def _extra_layer(file, root):
    file[f"{root}extra/vars/0"] = np.ones(3, "float32")


def _no_kernel(file, root):
    del file[KERNEL["h5" if root else "weights"]]


def _replaced(value):
    def change(file, root):
        path = KERNEL["h5" if root else "weights"]
        old = file[path][()]
        del file[path]
        file[path] = value(old)

    return change


def _linked(link):
    def change(file, root):
        path = KERNEL["h5" if root else "weights"]
        del file[path]
        file[path] = link

    return change


def _virtual(file, root):
    path = KERNEL["h5" if root else "weights"]
    layout = h5py.VirtualLayout(shape=file[path].shape, dtype="float32")
    layout[:] = h5py.VirtualSource("/etc/hostname.h5", "x", shape=file[path].shape)
    del file[path]
    file.create_virtual_dataset(path, layout)


def _outside(file, root):
    path = KERNEL["h5" if root else "weights"]
    shape = file[path].shape
    del file[path]
    file.create_dataset(path, shape, "float32", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)])


def _bomb(file, root):
    path = KERNEL["h5" if root else "weights"]
    del file[path]
    file.create_dataset(path, (200_000, 200_000), "float32", chunks=(1000, 1000), compression="gzip")


def _cycle(file, root):
    file[f"{root}loop/again"] = file["/"]


DAMAGE = {
    "a layer too many": (_extra_layer, "which the model does not|weights|layers"),
    "a weight too few": (_no_kernel, "could not be loaded|which the file does not"),
    "another shape": (_replaced(lambda old: old[:, :-1]), "could not be loaded|shape"),
    "another type": (_replaced(lambda old: old.astype("float64")), "float64"),
    "not a number": (_replaced(lambda old: np.where(old == old.max(), np.nan, old)), "not finite"),
    "text": (_replaced(lambda old: "words"), "not an array of numbers"),
    "soft link": (_linked(h5py.SoftLink("/")), "is a link"),
    "external link": (_linked(h5py.ExternalLink("/etc/hostname.h5", "/x")), "is a link"),
    "virtual dataset": (_virtual, "another file"),
    "external storage": (_outside, "another file"),
    "shape bomb": (_bomb, "too large"),
    "cycle": (_cycle, "reached twice"),
}


@pytest.mark.parametrize("case", sorted(DAMAGE))
def test_damaged_hdf5_is_refused_with_the_reason(case, saved):
    damage, message = DAMAGE[case]
    name = "weights" if len(case) % 2 else "h5"  # either is read by the same code: half of the cases each
    with h5py.File(saved / FILES[name], "a") as file:
        damage(file, "model_weights/" if name == "h5" else "")
    with pytest.raises(LoadError, match=message):
        load_untrusted(saved / FILES[name], name)


def test_config_in_a_file_is_checked_before_keras_sees_it(saved):
    with h5py.File(saved / "model.h5", "a") as file:
        config = json.loads(file.attrs["model_config"])
        config["config"]["layers"][2]["config"]["units"] = 10**10
        file.attrs["model_config"] = json.dumps(config)
    with pytest.raises(LoadError, match=r"model\.h5: model\.layers\[2\]\.config|units: must be at most 65536"):
        load_untrusted(saved / "model.h5", "h5")
    config = json.loads((saved / "model.json").read_text())
    config["class_name"] = "Functional"
    (saved / "model.json").write_text(json.dumps(config))
    for path, name in ((saved / "model.json", "json"), (saved / "model.weights.h5", "weights")):
        with pytest.raises(LoadError, match="only a flat Sequential"):
            load_untrusted(path, name)


def test_zip_bomb_is_refused(saved):
    with zipfile.ZipFile(saved / "model.keras") as archive:
        config = archive.read("config.json")
    with zipfile.ZipFile(saved / "model.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", config)
        archive.writestr("model.weights.h5", bytes(40 << 20))
    with pytest.raises(LoadError, match=r"model\.weights\.h5 in it is larger than 20000000 bytes"):
        load_untrusted(saved / "model.keras", "keras", max_bytes=20_000_000)


def test_yaml_that_expands_is_stopped(saved):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]" for level in range(1, 12)]
    (saved / "model.yaml").write_text("\n".join(lines))
    began = time.monotonic()
    with pytest.raises(LoadError, match=r"memory|within|ended the process"):
        load_untrusted(saved / "model.yaml", "yaml", timeout_s=3, memory_bytes=300 << 20)
    assert time.monotonic() - began < 15


def test_python_tags_in_yaml_are_not_executed(saved, tmp_path):
    (saved / "model.yaml").write_text(f"!!python/object/apply:os.mkdir ['{tmp_path / 'made'}']")
    with pytest.raises(LoadError, match="could not be read"):
        load_untrusted(saved / "model.yaml", "yaml")
    assert not (tmp_path / "made").exists()


def test_time_limit_holds(saved):
    with pytest.raises(LoadError, match=r"could not be read within 0\.01 s"):
        load_untrusted(saved / "model.h5", "h5", timeout_s=0.01)


@pytest.mark.parametrize("kind", ["folder", "pipe", "missing", "large", "device"])
def test_only_a_regular_file_of_bounded_size_is_read(kind, saved, tmp_path):
    path, message = tmp_path / "model.h5", "not a regular file|Is a directory"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "missing":
        message = "No such file"
    elif kind == "large":
        shutil.copy(saved / "model.h5", path)
        message = "larger than 1000 bytes"
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(LoadError, match=message):
        load_untrusted(path, "h5", max_bytes=1000)


def test_layer_of_the_caller_is_used_and_its_module_is_not_imported(tmp_path, formats, probe):
    import keras

    class Doubled(keras.layers.Layer):
        def call(self, inputs):
            return 2 * inputs

    model = keras.Sequential([keras.layers.Input((5,)), Doubled(), keras.layers.Dense(2)])
    save_model(model, tmp_path, {"keras": formats["keras"]}, probe)
    with pytest.raises(LoadError, match="'Doubled'"):
        load_untrusted(tmp_path / "model.keras", "keras")
    loaded = load_untrusted(tmp_path / "model.keras", "keras", custom_objects={"Doubled": Doubled})
    assert np.array_equal(np.asarray(loaded(probe)), np.asarray(model(probe)))


@pytest.mark.parametrize("name", ["h5", "weights"])
def test_mutated_file_is_equal_or_refused_or_finite_and_never_hangs(name, saved, model, formats):
    """Byte flips and truncations. With the manifest none of them loads; without it no wrong shape and no NaN does."""
    path = saved / FILES[name]
    good = path.read_bytes()
    rng = np.random.default_rng(20240229)
    refused = 0
    for _ in range(12):
        content = bytearray(good)
        for position in rng.integers(0, min(len(content), 6000), rng.integers(1, 40)):
            content[position] ^= int(rng.integers(1, 256))
        if rng.random() < 0.25:
            content = content[: int(rng.integers(1, len(content)))]
        path.write_bytes(content)
        with pytest.raises(LoadError, match="has changed since it was saved"):
            load_model(saved, name, formats[name])
        began = time.monotonic()
        try:
            loaded = load_untrusted(path, name, timeout_s=10)
        except LoadError:
            refused += 1
        else:
            assert [weight.shape for weight in loaded.weights] == [weight.shape for weight in model.weights]
            assert all(np.isfinite(weight).all() for weight in loaded.get_weights())
        assert time.monotonic() - began < 20
    assert refused > 0

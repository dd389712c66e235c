"""Images in folders, decoded by rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kexp.data import split
from kexp.data.sources.image_folder import Images, image_files, image_folder
from kexp.errors import DataError


def _fill(folder: Path, count: int, random: np.random.Generator, size: tuple[int, int] = (6, 8)) -> list[np.ndarray]:
    folder.mkdir(parents=True)
    pixels = [random.integers(0, 256, (*size, 3)).astype(np.uint8) for _ in range(count)]
    for place, each in enumerate(pixels):
        Image.fromarray(each).save(folder / f"{place}.png")
    return pixels


def test_images_are_those_of_the_files_whatever_rows_are_asked_for(tmp_path: Path, random: np.random.Generator) -> None:
    ash, birch = _fill(tmp_path / "a" / "ash", 5, random), _fill(tmp_path / "a" / "birch", 4, random)
    data = image_folder(str(tmp_path / "a"), image_size=[6, 8])
    assert data.spec.feature_shape == data.spec.image_shape == (6, 8, 3) and data.spec.classes == ("ash", "birch")
    x, y = data.source.read(np.array([7, 0, 3]))
    assert np.array_equal(x, np.stack([birch[2], ash[0], ash[3]]).astype(np.float32) / 255)
    assert y.tolist() == [1, 0, 0]
    grey = image_folder(str(tmp_path / "a"), image_size=4, color="grey")
    expected = Image.fromarray(ash[1]).convert("L").resize((4, 4), Image.Resampling.BILINEAR)
    assert np.array_equal(grey.source.read(np.array([1]))[0][0, ..., 0], np.asarray(expected, np.float32) / 255)
    assert grey.digest != data.digest


def test_folders_of_parts_are_the_parts(tmp_path: Path, random: np.random.Generator) -> None:
    for part, count in (("train", 6), ("val", 3), ("test", 2)):
        for name in ("ash", "birch"):
            _fill(tmp_path / "given" / part / name, count, random)
    splits = split(image_folder(str(tmp_path / "given")))
    assert splits.validation is not None and splits.test is not None
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (12, 6, 4)


def test_a_set_that_is_large_is_not_held(tmp_path: Path, random: np.random.Generator) -> None:
    _fill(tmp_path / "ash", 1, random)
    files = image_files(tmp_path, "INPUT")
    assert not Images(files, np.zeros(1), (64, 64), "rgb").is_large
    assert Images(files * 100000, np.zeros(100000), (64, 64), "rgb").is_large


def test_what_is_no_image_folder_is_told_in_a_sentence(tmp_path: Path, random: np.random.Generator) -> None:
    root = tmp_path / "leaves"
    _fill(root / "ash", 3, random)
    with pytest.raises(DataError, match=r"data.path: must hold a folder for each of two classes at least, got ash in"):
        image_folder(str(root))
    (root / "birch").mkdir()
    with pytest.raises(DataError, match=r"data.path: the folder of class 'birch' holds no file \(\.jpg"):
        image_folder(str(root))
    (root / "birch" / "broken.png").write_text("no image")
    with pytest.raises(DataError, match=r"data.path: .*broken\.png is not a readable image"):
        image_folder(str(root))
    whole = (root / "ash" / "0.png").read_bytes()
    (root / "birch" / "broken.png").write_bytes(whole[: len(whole) // 2])  # begins as an image does
    with pytest.raises(DataError, match=r"data.path: .*broken\.png is not a readable image"):
        image_folder(str(root), image_size=4).source.read(np.array([3]))
    for size in (0, [4], [4, 0]):
        with pytest.raises(DataError, match=r"data.image_size: must be a positive integer, or height and width, got"):
            image_folder(str(root), image_size=size)
    with pytest.raises(DataError, match=r"data.path: must be a folder with a folder for each class, got 'nowhere'"):
        image_folder("nowhere")

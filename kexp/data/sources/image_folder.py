"""`data=image_folder`: images in one folder for each class, decoded when they are read."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kexp.data.source import Data

__all__ = ["Images", "image_files", "image_folder"]

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
Color = Literal["grey", "rgb"]
LARGE_BYTES = 1 << 30


class Images:
    """Image files by position; a Source.

    Args:
        files: the files.
        targets: class index of each file, shape (files,).
        size: height and width, in pixels, that images are scaled to.
        color: "grey" for one channel, "rgb" for three.
    """

    def __init__(self, files: Sequence[Path], targets: NDArray[Any], size: Sequence[int], color: Color) -> None:
        self.files, self.targets, self.size, self.color = files, targets, tuple(size), color

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels)."""
        return self.size[0], self.size[1], 1 if self.color == "grey" else 3

    @property
    def is_large(self) -> bool:
        """Whether the decoded images are too large to keep in memory."""
        return len(self.files) * math.prod(self.shape) * 4 > LARGE_BYTES

    def __len__(self) -> int:
        return len(self.files)

    def read(self, rows: NDArray[np.intp]) -> tuple[NDArray[Any], NDArray[Any]]:
        """See `Source.read`. Features are float32 in [0, 1]."""
        import numpy as np

        x = np.empty((len(rows), *self.shape), dtype=np.float32)
        for place, row in enumerate(rows.tolist()):
            np.divide(self._pixels(self.files[row]), np.float32(255), out=x[place])
        return x, self.targets[rows]

    def _pixels(self, file: Path) -> NDArray[Any]:
        from kexp.errors import DataError
        from kexp.serving.images import pixels

        try:
            with file.open("rb") as content:
                return pixels(content, self.shape)
        except (OSError, ValueError):
            raise DataError(f"data.path: {file} is not a readable image") from None


def image_folder(
    path: str,
    *,
    image_size: int | list[int] = 64,
    color: Literal["grey", "rgb"] = "rgb",
    classes: list[str] | None = None,
) -> Data:
    """Images in a folder with one folder for each class, or with folders train, validation and test that have those.

    Images are decoded when they are read. If the decoded images take more than a gigabyte, or with `data.feed=tfdata`,
    they are decoded again in each epoch, so they may be larger than memory.

    Args:
        path: the folder.
        image_size: height and width, in pixels, that images are scaled to: one number, or both.
        color: grey for one channel, rgb for three; values in [0, 1].
        classes: order of the class names; sorted by default.
    """
    import numpy as np

    from kexp.data.class_folders import class_files
    from kexp.data.source import ContentHash, Data, check_classes
    from kexp.data.targets import index_targets
    from kexp.errors import DataError

    size = [image_size, image_size] if isinstance(image_size, int) else list(image_size)
    if len(size) != 2 or min(size) < 1:
        raise DataError(f"data.image_size: must be a positive integer, or height and width, got {image_size!r}")
    files, names, splits = class_files(path, ENDINGS, "data.path")
    digests = [_checked(file) for file in files]
    targets = index_targets(np.array(names), "classification", classes, "data")
    source = Images(files, targets.values, size, color)
    spec = targets.spec(source.shape, image_shape=source.shape)
    check_classes(targets.values, spec, "data.path")
    hashed = ContentHash()
    hashed.add("features", np.frombuffer(b"".join(digests), dtype=np.uint8))
    hashed.add("size", np.array(source.shape))
    hashed.add("targets", targets.values)
    return Data(source, spec, hashed.digest("classification", splits), targets.values, splits)


def image_files(path: Path, key: str) -> list[Path]:
    """List the images of a folder and its subfolders, sorted by name; or return a single image file.

    Args:
        path: a folder or an image file.
        key: the config key, for messages.

    Raises:
        DataError: the folder has no image, or the file does not exist.
    """
    from kexp.errors import DataError

    found = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.suffix.lower() in ENDINGS)
    if not found:
        raise DataError(f"{key}: the folder {str(path)!r} holds no image")
    return found


def images_like(files: Sequence[Path], shape: Sequence[int]) -> Images:
    """Return image files without targets as a source of images of a shape (height, width, channels)."""
    import numpy as np

    return Images(files, np.zeros(len(files), dtype=np.int64), shape[:2], "grey" if shape[2] == 1 else "rgb")


def _checked(file: Path) -> bytes:
    """Return the digest of an image file, after checking its first bytes."""
    from PIL import Image

    from kexp.errors import DataError

    try:
        with Image.open(file):
            pass
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").digest()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise DataError(f"data.path: {file} is not a readable image") from None

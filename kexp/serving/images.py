"""Reads images as numbers from 0 to 1: decodes and scales files, and checks arrays of pixels."""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from .cells import RequestError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["decoded", "images_of", "pixels"]


def decoded(file: IO[bytes], shape: Sequence[int]) -> NDArray[np.float32]:
    """Decodes an image file as float32 from 0 to 1, upright, scaled to a shape (height, width, channels).

    Raises:
        ValueError: it is not a readable image.
    """
    return pixels(file, shape).astype(np.float32) / np.float32(255)


def pixels(file: IO[bytes], shape: Sequence[int]) -> NDArray[np.uint8]:
    """Decodes an image file as `decoded` does, but as integers from 0 to 255.

    Raises:
        ValueError: the file is not a readable image.
    """
    from PIL import Image, ImageOps

    height, width, channels = shape
    mode = "L" if channels == 1 else "RGB"
    try:
        with Image.open(file) as image:
            ImageOps.exif_transpose(image, in_place=True)
            upright = image if image.mode == mode else image.convert(mode)
            if upright.size != (width, height):
                upright = upright.resize((width, height), Image.Resampling.BILINEAR)
            return np.asarray(upright).reshape(height, width, channels)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise ValueError("is not a readable image") from None


def images_of(given: Any, shape: Sequence[int]) -> NDArray[np.float32]:
    """Reads the images of a request, shape (images, height, width, channels).

    Args:
        given: the images, each an array of pixels, the bytes of a file, or these bytes in base64; or one array of all
            images. Integers are from 0 to 255. Other numbers are from 0 to 1, or to 255 if one of them is above 1.
        shape: the height, width and channels of the model's inputs.

    Raises:
        RequestError: an array has another size, or an item is not an image.
    """
    shape = tuple(shape)
    if isinstance(given, np.ndarray) and given.dtype.kind in "biuf":
        given = given[None] if given.shape in (shape, shape[:2]) else given
    if isinstance(given, (bytes, bytearray, str)):
        given = [given]
    images = [_image(each, shape, row) for row, each in enumerate(given, start=1)]
    return np.stack(images) if images else np.zeros((0, *shape), dtype=np.float32)


def _image(given: Any, shape: tuple[int, ...], row: int) -> NDArray[np.float32]:
    """Reads an image of a request as pixels from 0 to 1: a file in base64, the bytes of a file, or an array of pixels.

    Raises:
        RequestError: it is none of these, or has another size.
    """
    which = f"image {row}"
    if isinstance(given, str):
        try:
            given = base64.b64decode(given, validate=True)
        except (binascii.Error, ValueError):
            raise RequestError(f"{which} must be the bytes of a file in base64, or an array of pixels") from None
    if isinstance(given, (bytes, bytearray)):
        try:
            return decoded(io.BytesIO(given), shape)
        except ValueError as error:
            raise RequestError(f"{which} {error}") from None
    try:
        pixels = np.asarray(given)
    except ValueError:
        raise RequestError(f"{which} must be an array of pixels, got rows of several lengths") from None
    if pixels.dtype.kind not in "biuf":
        raise RequestError(f"{which} must be the bytes of a file or an array of numbers, got {type(given).__name__}")
    if shape[2] == 1 and pixels.shape == shape[:2]:
        pixels = pixels[..., None]
    if pixels.shape != shape:
        raise RequestError(
            f"{which} must be of the size {_size(shape)}, got {_size(pixels.shape)}; a file may have any"
        )
    whole = pixels.dtype.kind in "iu"
    if not np.isfinite(pixels).all() or pixels.min() < 0 or pixels.max() > 255:
        raise RequestError(f"{which} must have pixels from 0 to 255 or from 0 to 1, got others")
    scaled = whole or pixels.max() > 1
    return pixels.astype(np.float32) / np.float32(255) if scaled else pixels.astype(np.float32)


def _size(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape)) or "one number"

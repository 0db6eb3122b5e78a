"""Reading of pictures and sounds; whatever is wrong with a file becomes a `DataError` with a reason."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from bench.contract import DataError
from bench.encoders.contract import Sound

if TYPE_CHECKING:
    from PIL import Image

_FORMATS: Final = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""Formats that are decoded in this process; others, such as EPS, would start programs."""

_LARGEST: Final = 1 << 29  # bytes of a file
_MOST_PIXELS: Final = 1 << 26
_HIGHEST_RATE: Final = 768_000
_LONGEST: Final = 3600.0  # seconds
_LOUDEST: Final = 1e6  # 1 is full scale; larger still would overflow in a spectrum


def read_picture(path: Path) -> Image.Image:
    """Return a picture as RGB, transparent parts on white.

    Raises:
        DataError: if the file is missing, damaged, no picture, or far too large.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged metadata
            with Image.open(io.BytesIO(_content(path)), formats=_FORMATS) as picture:
                width, height = picture.size
                if width * height > _MOST_PIXELS:
                    raise DataError(f"{width} x {height} pixels; at most {_MOST_PIXELS} are read")
                if picture.mode in ("I", "F") or picture.mode.startswith("I;"):
                    raise DataError(f"pixels of type {picture.mode}; only 8-bit pictures are read")
                if "A" not in picture.getbands() and "transparency" not in picture.info:
                    return picture.convert("RGB")
                rgba = picture.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    except DataError:
        raise
    except Exception as error:  # decoders raise errors of many types for damaged files
        reason = "no picture of a known format" if isinstance(error, UnidentifiedImageError) else error
        raise DataError(f"{reason}") from error


def read_sound(path: Path) -> Sound:
    """Return a recording with its channels averaged: WAV, and what `soundfile` reads where it is installed.

    Raises:
        DataError: if the file is missing, damaged or empty, or its format needs the package soundfile.
    """
    content = io.BytesIO(_content(path))
    try:
        if content.getvalue()[:4] in (b"RIFF", b"RIFX", b"RF64"):
            from scipy.io import wavfile

            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                rate, values = wavfile.read(content)
            samples = np.asarray(values, dtype=np.float32)
            if values.dtype.kind in "iu":
                middle = 128.0 if values.dtype.kind == "u" else 0.0
                samples = (samples - np.float32(middle)) / np.float32(2.0 ** (8 * values.itemsize - 1))
        else:
            import soundfile

            samples, rate = soundfile.read(content, dtype="float32")
    except ImportError as error:
        raise DataError("no WAV file; install the package soundfile to read other formats") from error
    except Exception as error:  # as above
        raise DataError(f"no sound that can be read ({error})") from error
    if not 0 < rate <= _HIGHEST_RATE or samples.ndim not in (1, 2) or not samples.size:
        raise DataError(f"no sound: {samples.shape} samples at {rate} Hz")
    if len(samples) > _LONGEST * rate:
        raise DataError(f"a sound of {len(samples) / rate:.0f} s; at most {_LONGEST:.0f} s are read: cut it")
    if not (np.abs(samples) <= _LOUDEST).all():
        raise DataError("samples that are not finite, or far too large")
    return Sound(samples if samples.ndim == 1 else samples.mean(axis=1, dtype=np.float32), int(rate))


def _content(path: Path) -> bytes:
    """Return the bytes of a file; raises DataError if it is missing or too large."""
    if not path.is_file():
        raise DataError("no such file")
    if path.stat().st_size > _LARGEST:
        raise DataError(f"a file of {path.stat().st_size} bytes; at most {_LARGEST} are read")
    return path.read_bytes()

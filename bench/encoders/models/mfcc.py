"""MFCC statistics: mean and deviation of the cepstral coefficients of a sound and of their changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bench.contract import UsageError
from bench.encoders.contract import Encoder, EncoderCard, Features, Sound

RATE: Final = 16_000
_FRAME: Final = 400  # 25 ms
_STEP: Final = 160  # 10 ms
_BINS: Final = 512
_BANDS: Final = 40
_QUIET: Final = 1e-10
_BLOCK: Final = 1 << 14  # frames at a time, for the memory


@dataclass(frozen=True)
class MfccSettings:
    """Size of the features.

    Attributes:
        coefficients: of the cepstrum that are kept.
        segments: equal parts in time, each with its statistics.
    """

    coefficients: int = 20
    segments: int = 1


class Mfcc(Encoder[Sound]):
    """Mean and deviation of the mel-frequency cepstral coefficients and of their changes."""

    card = EncoderCard(
        name="mfcc",
        kind="audio",
        title="MFCC: mean and standard deviation of the coefficients and of their differences",
        weights="none",
        licence="none needed",
        preprocessing="one channel, 16 kHz, frames of 25 ms every 10 ms, 40 mel bands, log energy, DCT",
    )
    Settings = MfccSettings

    def __init__(self, settings: Any = None, device: str = "cpu") -> None:
        super().__init__(settings, device)
        if not (2 <= self.settings.coefficients <= _BANDS and 1 <= self.settings.segments <= 100):
            raise UsageError(f"mfcc: coefficients must be 2 to {_BANDS}, and segments 1 to 100")

    def encode(self, batch: Sequence[Sound]) -> Features:
        """Return the features ``(n, 4 * coefficients * segments)`` of sounds."""
        return np.stack([self._statistics(sound) for sound in batch]).astype(np.float32)

    def _statistics(self, sound: Sound) -> NDArray[np.float64]:
        """Return mean and deviation of coefficients and changes, by segment."""
        values = cepstrum(sound, self.settings.coefficients)
        changes = np.gradient(values, axis=0) if len(values) > 1 else np.zeros_like(values)
        both = np.concatenate([values, changes], axis=1)
        parts = np.array_split(both, min(self.settings.segments, len(both)))
        parts += [parts[-1]] * (self.settings.segments - len(parts))
        return np.concatenate([statistic for part in parts for statistic in (part.mean(0), part.std(0))])


def cepstrum(sound: Sound, coefficients: int) -> NDArray[np.float64]:
    """Return the mel-frequency cepstral coefficients ``(frames, coefficients)`` of a sound."""
    from scipy.fft import dct
    from scipy.signal import resample_poly

    samples = np.asarray(sound.samples, dtype=np.float64)
    if sound.rate != RATE:
        divisor = int(np.gcd(sound.rate, RATE))
        samples = resample_poly(samples, RATE // divisor, sound.rate // divisor)
    samples = np.pad(samples, (0, max(0, _FRAME - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(samples, _FRAME)[::_STEP]
    blocks = []
    for start in range(0, len(frames), _BLOCK):
        power = np.abs(np.fft.rfft(frames[start : start + _BLOCK] * np.hanning(_FRAME), _BINS)) ** 2
        energy = np.log(np.maximum(power @ _mel_bands().T, _QUIET))
        blocks.append(dct(energy, norm="ortho")[:, :coefficients])
    return np.asarray(np.concatenate(blocks), dtype=np.float64)


def _mel_bands() -> NDArray[np.float64]:
    """Return triangular weights ``(bands, bins)``, equally wide in mel = 2595 log10(1 + f / 700)."""
    highest = 2595.0 * np.log10(1.0 + RATE / 2 / 700.0)
    edges = 700.0 * (10.0 ** (np.linspace(0.0, highest, _BANDS + 2) / 2595.0) - 1.0)
    at = np.fft.rfftfreq(_BINS, 1.0 / RATE)
    rising = (at - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - at) / np.diff(edges)[1:, None]
    return np.maximum(0.0, np.minimum(rising, falling))

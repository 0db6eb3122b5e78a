"""Settings that all deep methods share, and values that differ between modalities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

from bench.contract import UsageError, setting
from bench.data.scaling import Scaling

T = TypeVar("T", int, float)

PerModality = float | Mapping[str, float]
"""One value for all modalities, or modality -> value, where ``default`` holds for all others."""

Selection = Literal["card", "map", "loss"]
"""What `best` is chosen by: the criterion of the method's card, mean validation mAP, or each track's loss."""

FaithfulTo = Literal["paper", "release"]
"""Follow the publication, or the released code where it differs."""


@dataclass(frozen=True, kw_only=True)
class DeepSettings:
    """Settings that every deep method has.

    Methods add fields, with these names if applicable: ``epochs``, ``batch_size``, ``hidden`` (widths of
    hidden layers), ``dim`` (width of the embedding), ``lr``.
    """

    scaling: Scaling = setting("none", "what is done to the features first; the releases do nothing")
    patience: int | None = setting(
        None, "epochs without a better validation value after which training ends; None for never"
    )
    select: Selection = setting(
        "card",
        "what the best state is chosen by: map is mean validation mAP over directions, loss each modality's "
        "validation loss (for methods that have one), card what the method's card says",
    )

    def __post_init__(self) -> None:
        """Refuse counts and widths below 1, under the names that methods share."""
        for name in ("epochs", "batch_size", "dim", "patience"):
            value = getattr(self, name, None)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")
        if any(width < 1 for width in getattr(self, "hidden", ())):
            raise ValueError(f"hidden must hold widths of at least 1, not {getattr(self, 'hidden', ())}")


def per_modality(value: T | Mapping[str, T], name: str) -> T:
    """Return the value for the modality ``name``.

    Raises:
        UsageError: if a mapping has neither the modality nor ``default``.
    """
    if not isinstance(value, Mapping):
        return value
    if name in value:
        return value[name]
    if "default" in value:
        return value["default"]
    raise UsageError(
        f"no value for modality {name!r} among {dict(value)}; add it, or a 'default' for the rest"
    )

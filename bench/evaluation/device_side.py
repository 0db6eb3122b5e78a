"""Embeddings on a torch device, in canonical order and in the form in which they are compared.

The same rules as `bench.evaluation.similarity` and `bench.evaluation.order`, for rows that stay there:
scaling by powers of two is exact, rows with equal content take part in a product once, and the order of rows
follows from labels and content alone. Which of two contents comes first differs from the CPU's order; nothing
depends on it but the rounding of products.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from bench.contract import Similarity
from bench.evaluation.inputs import Indices, LabelSets, check_embeddings, to_array
from bench.evaluation.scale import Scale
from bench.evaluation.similarity import Side, lift_for

_STEP_NUMBERS = 1 << 24
"""Numbers that are scaled or hashed at a time; a float64 copy of them takes 128 MB."""

_EXPONENT_BIAS, _MANTISSA_BITS = 1023, 52  # of float64

_ZEROS_REFUSED = 2
"""Embeddings are refused if more than one row in so many is zero."""


@dataclass(frozen=True, eq=False)
class DeviceSide:
    """Queries or gallery on a device: items in canonical order, each distinct row once."""

    labels: LabelSets  # distinct label sets, on the host
    codes: Tensor  # ``(n,)`` label set at each position
    order: Tensor  # ``(n,)`` the caller's row at each position
    # ``(n,)`` which distinct row is at each position; None where position i holds row i
    member: Tensor | None
    rows: Tensor  # ``(m, d)`` the distinct rows, scaled
    squares: Tensor  # ``(m,)`` as `Scale.squares`
    similarity: Similarity  # how rows are compared
    ids: Tensor | None = None  # ``(n,)`` ids by position; None where they are not known

    def __len__(self) -> int:
        return len(self.order)

    @classmethod
    def of_side(cls, side: Side, device: str | torch.device) -> DeviceSide:
        """Bring a side that was prepared on the host to a device.

        Raises:
            ValueError: for raw features, whose similarity a method has learned.
        """
        if side.similarity is None:
            raise ValueError("raw features are compared by their method")
        order, ids, there = side.order, side.ids, partial(torch.as_tensor, device=device)
        return cls(
            order.labels,
            there(order.labels.codes[order.order]),
            there(order.order),
            None if order.member is None else there(order.member),
            there(side.rows),
            there(side.squares),
            side.similarity,
            None if ids is None else there(ids[order.order].astype(np.int64)),
        )

    @classmethod
    def of_rows(cls, rows: Tensor, labels: LabelSets, scale: Scale) -> DeviceSide:
        """Put embeddings ``(n, d)`` of any floating type in canonical order, in float32, on their device."""
        scaled = rows.new_empty(rows.shape, dtype=torch.float32)
        squares = rows.new_empty(len(rows), dtype=torch.float32)
        for part in _parts(rows):
            wide = rows[part].to(torch.float64, copy=True)
            largest = wide.abs().amax(dim=1)
            scaled[part] = _scaled(wide, largest, scale).float().add_(0.0)  # see `embedded_side`
            if scale.similarity in ("dot", "hamming"):
                squares[part] = 0
            else:
                norms = scaled[part].double().square().sum(dim=1)
                squares[part] = norms + (largest == 0) if scale.similarity == "cosine" else norms / 2
        codes = torch.as_tensor(labels.codes, device=rows.device)
        by_content, content = _contents(scaled)
        order = by_content[codes[by_content].argsort(stable=True)]
        codes = codes[order]
        if int(content.max()) + 1 == len(content):
            return cls(labels, codes, order, None, scaled[order], squares[order], scale.similarity)
        fresh = torch.ones_like(content, dtype=torch.bool)
        fresh[1:] = content[by_content][1:] != content[by_content][:-1]
        chosen = by_content[fresh]
        return cls(labels, codes, order, content[order], scaled[chosen], squares[chosen], scale.similarity)


def scale_of(similarity: Similarity, sides: list[Tensor]) -> Scale:
    """Return `Scale.of` embeddings on a device; only the ranges of their columns leave it.

    Raises:
        RefusedEmbeddings: as `Scale.of`.
    """
    if similarity == "cosine":
        return Scale.of(similarity, [])
    if similarity == "hamming":  # one number of each kind that occurs represents all
        binary = all(bool(((side == 0) | (side == 1)).all()) for side in sides)
        signs = binary or all(bool((side.abs() == 1).all()) for side in sides)
        return Scale.of(similarity, [np.array([[0.0 if binary else -1.0 if signs else 0.5, 1.0]])])
    ranges = [torch.stack([side.double().amin(dim=0), side.double().amax(dim=0)]) for side in sides]
    return Scale.of(similarity, [to_array(part) for part in ranges])


def check_on_device(modality: str, rows: Tensor, similarity: Similarity) -> None:
    """Refuse embeddings ``(n, d)`` that cannot be ranked; only one number leaves the device for that.

    Raises:
        RefusedEmbeddings: as `check_embeddings`.
    """
    if rows.ndim == 2 and rows.shape[1] and rows.is_floating_point():
        directed = rows.any(dim=1)
        first = rows[directed.to(torch.uint8).argmax()] if similarity == "cosine" else rows[0]
        alike = (rows == first).all(dim=1)
        if similarity == "cosine":
            alike |= ~directed
        collapsed = alike.all() & (directed.sum() > 1 if similarity == "cosine" else len(rows) > 1)
        zeros = (~directed).sum() * _ZEROS_REFUSED > len(rows)
        bad = ~torch.isfinite(rows).all() | collapsed | (zeros if similarity == "cosine" else False)
        if not bool(bad):
            return
    check_embeddings(modality, rows, len(rows), similarity)  # raises the error with the reason


def similarities(queries: DeviceSide, gallery: DeviceSide) -> Callable[[Tensor | Indices], Tensor]:
    """Return similarities ``(b, n)`` of query positions ``(b,)`` with all gallery positions.

    They are those of `bench.evaluation.similarity.compared`: higher is nearer, equal ones are tied.
    """
    lift = lift_for(queries.rows.shape[1]) if gallery.similarity == "cosine" else 1.0

    def block(positions: Tensor | Indices) -> Tensor:
        chosen = torch.as_tensor(positions, device=queries.rows.device)
        rows = chosen if queries.member is None else queries.member[chosen]
        precision = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("highest")  # whatever a method trains with
        try:
            values = queries.rows[rows] * lift @ gallery.rows.T
        finally:
            torch.set_float32_matmul_precision(precision)
        if gallery.similarity == "cosine":
            values = values.mul_(values.abs()).div_(gallery.squares)
        elif gallery.similarity == "euclidean":
            values = values.sub_(gallery.squares)
        return values if gallery.member is None else values[:, gallery.member]

    return block


def _parts(rows: Tensor) -> list[slice]:
    step = max(1, _STEP_NUMBERS // max(rows.shape[1], 1))
    return [slice(start, start + step) for start in range(0, len(rows), step)]


def _scaled(rows: Tensor, largest: Tensor, scale: Scale) -> Tensor:
    """Return float64 rows as `Scale.scaled` does, in place."""
    if scale.binary:
        rows.mul_(2.0).sub_(1.0)
    if scale.centre is not None:
        rows.sub_(torch.as_tensor(scale.centre, device=rows.device))
    if scale.similarity == "cosine":
        exponent = torch.frexp(largest).exponent[:, None]
    else:
        exponent = torch.full((1, 1), scale.exponent, dtype=torch.int32, device=rows.device)
    half = (-exponent).div(2, rounding_mode="floor")
    return rows.mul_(_power_of_two(half)).mul_(_power_of_two(-exponent - half))


def _power_of_two(exponent: Tensor) -> Tensor:
    """Return ``2**exponent`` in float64, exactly, by its bits."""
    return ((exponent.long() + _EXPONENT_BIAS) << _MANTISSA_BITS).view(torch.float64)


def _contents(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return an order ``(n,)`` of float32 rows by their content, and the number of each row's content.

    Rows are sorted by a hash of their bits. Neighbours with one hash are compared in full; if they differ,
    all rows are sorted by their entries instead.
    """
    keys = _hashes(rows)
    order = keys.argsort(stable=True)
    again = keys[order][1:] == keys[order][:-1]
    before, after = order[:-1][again], order[1:][again]
    if not bool((rows[before] == rows[after]).all()):
        content = torch.unique(rows, dim=0, return_inverse=True)[1]
        return content.argsort(stable=True), content
    content = torch.empty_like(order)
    content[order[:1]] = 0
    content[order[1:]] = (~again).cumsum(dim=0)
    return order, content


def _hashes(rows: Tensor) -> Tensor:
    """Return a number per float32 row ``(n,)``: its bits times fixed odd weights, summed modulo 2**64."""
    drawn = np.random.default_rng(rows.shape[1]).integers(0, 1 << 63, rows.shape[1]) | 1
    weights = torch.as_tensor(drawn, device=rows.device)
    return torch.cat([(rows[part].view(torch.int32).long() * weights).sum(dim=1) for part in _parts(rows)])

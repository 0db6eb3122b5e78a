"""Two-sided randomization test of paired differences: could the signs as well have been dealt by chance?

If two methods do not differ, each query's difference is as likely to be found with the other sign. The test
deals all signs anew many times and counts how often the mean ends up at least as far from zero.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

PERMUTATIONS: Final = 10_000
"""Deals of signs; the smallest p-value is 1 / (PERMUTATIONS + 1)."""

_SEED: Final = 20_250_601
_BLOCK: Final = 2_000_000
"""Signs drawn at once; another number would draw others."""

_CHUNK: Final = 500_000
"""Signs used at once: 4 MB as doubles, near to what a processor keeps at hand."""

_ROUNDING: Final = 1e-12
"""Sums that differ by less than this share of the largest possible one are the same sum."""

Array = NDArray[np.float64]


def is_exact(queries: int, permutations: int = PERMUTATIONS) -> bool:
    """Return whether all deals of signs are fewer than ``permutations``, so that all of them are counted."""
    return queries < permutations.bit_length() and 2**queries <= permutations


def sign_flip_p(differences: Array, permutations: int = PERMUTATIONS, seed: int = _SEED) -> Array:
    """Return the two-sided p-value of every comparison ``(comparisons,)``.

    With b deals of m at least as extreme as what was found, p = (b + 1) / (m + 1); where all deals are few
    enough to be counted (`is_exact`), p is their exact share. All comparisons share the deals, which makes
    the work one matrix product; each p-value is valid by itself.

    Args:
        differences: ``(queries, comparisons)``, one method's value minus the other's.
        permutations: m.
        seed: of the deals; the same seed gives the same p-values.

    Raises:
        ValueError: if there are no queries.
    """
    queries, _ = differences.shape
    if not queries:
        raise ValueError("a randomization test needs at least one query")
    # `abs` of a sum of negated numbers is the same double: which method comes first cannot matter.
    found = np.abs(differences.sum(axis=0))
    limit = found - _ROUNDING * np.abs(differences).sum(axis=0)
    exact = is_exact(queries, permutations)
    extreme = np.zeros(differences.shape[1], dtype=np.int64)
    for signs in _all_signs(queries) if exact else _drawn_signs(queries, permutations, seed):
        extreme += (np.abs(signs @ differences) >= limit).sum(axis=0)
    shares = extreme / 2**queries if exact else (extreme + 1) / (permutations + 1)
    return np.asarray(shares, dtype=np.float64)


def holm(p_values: Array) -> Array:
    """Return p-values adjusted after Holm (1979): at most a share alpha of families has a false one below.

    Args:
        p_values: of one family, ``(tests,)``.
    """
    count = len(p_values)
    order = np.argsort(p_values, kind="stable")
    scaled = p_values[order] * np.arange(count, 0, -1)
    adjusted = np.empty(count)
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return adjusted


def _all_signs(queries: int) -> Iterator[Array]:
    numbers = np.arange(2**queries, dtype=np.int64)[:, None]
    yield _signs((numbers >> np.arange(queries)) & 1)


def _drawn_signs(queries: int, permutations: int, seed: int) -> Iterator[Array]:
    """Yield chunks of ``(deals, queries)`` signs, one random bit each."""
    random = np.random.default_rng(seed)
    rows, step = max(1, _BLOCK // queries), max(1, _CHUNK // queries)
    width = -(-queries // 8)
    for start in range(0, permutations, rows):
        count = min(rows, permutations - start)
        packed = np.frombuffer(random.bytes(count * width), dtype=np.uint8).reshape(count, width)
        for first in range(0, count, step):
            yield _signs(np.unpackbits(packed[first : first + step], axis=1, count=queries))


def _signs(bits: NDArray[np.integer]) -> Array:
    signs = bits.astype(np.float64)
    signs *= -2.0
    signs += 1.0
    return signs

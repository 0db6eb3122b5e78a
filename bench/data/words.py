"""Vocabulary of keys: words for splits, modalities and labels, and how a key is split into words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Final, Literal, TypeVar

What = Literal["features", "labels", "ids", "missing", "present", "rows"]
"""What an array holds; ``rows``: numbers of rows, or a mask of them, that are the rows of a part."""

PARTS: Final = {
    "train": "train tr trn training trainval restval",
    "validation": "validation valid val dev eval",
    "test": "test te tst testing query queries qry",
    "gallery": "gallery database db retrieval retrieve ret",
}
MODALITIES: Final = {
    "image": "image images img imgs im ims i visual vision picture pictures pic",
    "text": "text texts txt txts t tag tags caption captions cap caps sentence sentences textual language",
    "audio": "audio audios aud sound sounds speech",
    "video": "video videos vid",
    "3d": "3d",
}
_WHAT: Final[Mapping[What, str]] = {
    "labels": "labels label labs lab lbl l targets target class classes category categories cat cats cls gnd "
    "gt truth truelabel truelabels groundtruth",
    "ids": "ids id",
    "missing": "missing",
    "present": "present has available",
    "rows": "idx index indexes indices ind inds mask is split splits",
}
SUFFIXES: Final[Mapping[str, What]] = {
    "labels": "labels", "label": "labels", "ids": "ids", "missing": "missing", "present": "present",
}  # fmt: skip
GENERIC: Final = frozenset(
    word for stem in ("feature", "embedding", "emb", "embed", "feat", "vec") for word in (stem, f"{stem}s")
) | {"fea", "data", "x", "all"}
_LETTERS: Final = frozenset("itlxy")
"""Words of one letter that begin a key without a sign behind them: ``Itrain``."""
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


_T = TypeVar("_T", bound=str)


def _by_word(words: Mapping[_T, str]) -> dict[str, _T]:
    """Return the name of each word in lists of words by name."""
    return {word: name for name, listed in words.items() for word in listed.split()}


PART_OF, MODALITY_OF, WHAT_OF = _by_word(PARTS), _by_word(MODALITIES), _by_word(_WHAT)
KNOWN: Final = frozenset({*PART_OF, *MODALITY_OF, *WHAT_OF, *GENERIC})


def part_named(word: str) -> str:
    """Return the part that a word means; empty if none."""
    return PART_OF.get(word.strip().lower(), "")


def part_of(words: Iterable[str], parts: Mapping[str, str]) -> str:
    """Return the part that a key's words name, empty if none; ``test/gallery`` is the gallery."""
    named = [parts[word] for word in words if word in parts]
    return "gallery" if "gallery" in named else next(iter(named), "")


def has_known_word(key: str) -> bool:
    """Return whether a key has a word for a part, a modality, or what its array is."""
    return any(word in PART_OF or word in MODALITY_OF or word in WHAT_OF for word in words_of(key))


def without_parts(words: Iterable[str], parts: Mapping[str, str]) -> tuple[str, ...]:
    """Return the words of a key without that of its part."""
    return tuple(word for word in words if word not in parts)


def words_of(key: str) -> list[str]:
    """Cut a key into words, in lower case."""
    pieces = [piece.lower() for word in re.split(r"[\W_]+", key) for piece in _CAMEL.split(word) if piece]
    words: list[str] = []
    for piece in pieces:
        if words and words[-1] + piece == "database":
            words[-1] = "database"
        elif piece in KNOWN or len(piece) > 40:
            words.append(piece)
        elif piece[0] in _LETTERS and (piece[1:] in PART_OF or piece[1:] == "all"):
            words += [piece[0], piece[1:]]
        else:
            words += _segmented(piece) or [piece]
    return words


@cache
def _segmented(word: str) -> list[str] | None:
    """Cut ``imgtrain`` into known words, longest first; None where that does not go."""
    if not word:
        return []
    for length in range(len(word), 1, -1):
        if word[:length] in KNOWN:
            rest = _segmented(word[length:])
            if rest is not None:
                return [word[:length], *rest]
    return None

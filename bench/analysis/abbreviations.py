"""Short names of modalities for the heads of wide tables, as papers write them: I, T, A, 3D, V."""

from __future__ import annotations

from collections.abc import Sequence


def abbreviations(modalities: Sequence[str]) -> dict[str, str]:
    """Return a short name for each modality: its first characters in capitals, as many as are needed.

    It has at least one letter and is unlike any other's; names that cannot be told apart so stay as they are.
    """
    short = {name: _short(name, [other for other in modalities if other != name]) for name in modalities}
    return short if len(set(short.values())) == len(short) else {name: name for name in modalities}


def _short(name: str, others: Sequence[str]) -> str:
    for length in range(1, len(name)):
        start = name[:length].upper()
        has_letter = any(character.isalpha() for character in start)
        if has_letter and not any(other.upper().startswith(start) for other in others):
            return start
    return name.upper()

"""From what a user types to names: groups, globs, plain names and feature bundles."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from bench import registry
from bench.contract import MethodCard, UsageError

_METHOD_GROUPS: dict[str, Callable[[MethodCard], bool]] = {
    "all": lambda card: card.role != "extra",
    "roster": lambda card: card.role in ("proposed", "baseline"),
    "baselines": lambda card: card.role == "baseline",
    "references": lambda card: card.role == "reference",
    "extras": lambda card: card.role == "extra",
    "linear": lambda card: card.role in ("proposed", "baseline") and not card.deep,
    "deep": lambda card: card.role in ("proposed", "baseline") and card.deep,
}
METHOD_GROUPS = tuple(_METHOD_GROUPS)
DATASET_GROUPS = ("all", "real", "every")
MOST_SEEDS = 1000


def select_methods(words: Sequence[str]) -> list[str]:
    """Return method names for groups (``all``, ``deep``, ...), globs and names, roster order, each once.

    Raises:
        UsageError: for a word that matches nothing; suggests near misses.
    """
    known = registry.method_names()
    cards = {name: registry.method(name).card for name in known}
    chosen: set[str] = set()
    for word in split_words(words):
        if word in _METHOD_GROUPS:
            chosen.update(name for name in known if _METHOD_GROUPS[word](cards[name]))
        elif matched := fnmatch.filter(known, word):
            chosen.update(matched)
        else:
            raise registry.unknown("method", word, [*known, *METHOD_GROUPS], _left_out())
    return [name for name in known if name in chosen]


def select_datasets(words: Sequence[str], is_real: Callable[[str], bool]) -> list[str]:
    """Return dataset names and bundle paths for groups (``all``, ``real``, ``every``), globs and names.

    Args:
        words: as typed.
        is_real: whether a dataset's own files (not a look-alike) are at hand; asked for ``real`` only.

    Raises:
        UsageError: for a word that matches nothing; suggests near misses.
    """
    known = registry.dataset_names()
    chosen: dict[str, None] = {}
    for word in _dataset_words(words):
        if word == "all":
            chosen.update(dict.fromkeys(name for name in known if registry.dataset(name).card.in_all))
        elif word == "real":
            chosen.update(dict.fromkeys(name for name in known if is_real(name)))
        elif word == "every":
            chosen.update(dict.fromkeys(known))
        elif matched := fnmatch.filter(known, word):
            chosen.update(dict.fromkeys(matched))
        elif _is_path(word):
            chosen[_bundle(word)] = None
        else:
            raise registry.unknown("dataset", word, [*known, *DATASET_GROUPS], _left_out())
    return list(chosen)


def parse_seeds(text: str) -> list[int]:
    """Return seed indices: ``3`` means 0, 1, 2; ``0,4`` and ``2-5`` name them.

    Raises:
        UsageError: if the text is neither, or means more than `MOST_SEEDS`.
    """
    ranges = _ranges(text)
    if not ranges or any(not part for part in ranges):
        raise UsageError(f"--seeds {text!r} is neither a number of seeds (3) nor a list (0,4 or 2-5)")
    if sum(map(len, ranges)) > MOST_SEEDS:
        raise UsageError(
            f"--seeds {text!r} means {sum(map(len, ranges)):,} runs of every cell; "
            "to name one seed write it twice, as in 42-42"
        )
    return sorted({seed for part in ranges for seed in part})


def split_words(words: Iterable[str]) -> list[str]:
    """Return the parts of options that may be repeated or hold several words with commas between them."""
    return [part.strip() for word in words for part in word.split(",") if part.strip()]


def _ranges(text: str) -> list[range]:
    if re.fullmatch(r"\s*\d{1,9}\s*", text, re.ASCII):
        return [range(int(text))]
    parts = [re.fullmatch(r"\s*(\d{1,9})(?:-(\d{1,9}))?\s*", part, re.ASCII) for part in text.split(",")]
    return [range(int(part[1]), int(part[2] or part[1]) + 1) if part else range(0) for part in parts]


def _dataset_words(words: Iterable[str]) -> list[str]:
    """Split at commas, but for the path of a file whose name has one."""
    return [part for word in words for part in ([word] if _is_file(Path(word)) else split_words([word]))]


def _is_path(word: str) -> bool:
    return word.endswith(".npz") or "/" in word or os.sep in word


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # as for a name that is too long for the system
        return False


def _bundle(word: str) -> str:
    path = Path(word).expanduser()
    if not _is_file(path):
        near = registry.suggestion(
            path.name, [file.name for file in path.parent.glob("*.npz") if _is_file(file)]
        )
        raise UsageError(f"there is no feature bundle {path}{near}; give the path of an .npz file")
    if path.stem in registry.dataset_names():
        # Its tables would pass for the dataset's, and a look-alike's for real ones.
        raise UsageError(f"the feature bundle {path} has the name of a dataset; give the file another name")
    return str(path.resolve())


def _left_out() -> str:
    return "".join(f"\n  left out: {problem.reason}" for problem in registry.registered().problems)

"""From what a user types to names: groups, globs, plain names and feature bundles."""

from __future__ import annotations

import fnmatch
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


def select_methods(words: Sequence[str]) -> list[str]:
    """Return method names for groups (``all``, ``deep``, ...), globs and names, roster order, each once.

    Raises:
        UsageError: for a word that matches nothing; suggests near misses.
    """
    known = registry.method_names()
    cards = {name: registry.method(name).card for name in known}
    chosen: set[str] = set()
    for word in _words(words):
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
    for word in _words(words):
        if word == "all":
            chosen.update(dict.fromkeys(name for name in known if registry.dataset(name).card.in_all))
        elif word == "real":
            chosen.update(dict.fromkeys(name for name in known if is_real(name)))
        elif word == "every":
            chosen.update(dict.fromkeys(known))
        elif matched := fnmatch.filter(known, word):
            chosen.update(dict.fromkeys(matched))
        elif word.endswith(".npz") or "/" in word:
            chosen[_bundle(word)] = None
        else:
            raise registry.unknown("dataset", word, [*known, *DATASET_GROUPS], _left_out())
    return list(chosen)


def parse_seeds(text: str) -> list[int]:
    """Return seed indices: ``3`` means 0, 1, 2; ``0,4`` and ``2-5`` name them.

    Raises:
        UsageError: if the text is neither.
    """
    try:
        if text.isdigit():
            seeds = list(range(int(text)))
        else:
            seeds = sorted({seed for part in text.split(",") for seed in _range(part)})
    except ValueError:
        seeds = []
    if not seeds:
        raise UsageError(f"--seeds {text!r} is neither a number of seeds (3) nor a list (0,4 or 2-5)")
    return seeds


def _range(part: str) -> range:
    first, _, last = part.partition("-")
    return range(int(first), int(last or first) + 1)


def _words(words: Iterable[str]) -> list[str]:
    return [part.strip() for word in words for part in word.split(",") if part.strip()]


def _bundle(word: str) -> str:
    path = Path(word).expanduser()
    if not path.is_file():
        raise UsageError(f"there is no feature bundle {path}; give the path of an .npz file")
    return str(path.resolve())


def _left_out() -> str:
    return "".join(f"\n  left out: {problem.reason}" for problem in registry.registered().problems)

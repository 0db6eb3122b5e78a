"""Selects methods, datasets and seeds by words of the command line: groups, globs, names and paths."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Sequence

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
    _require_some("methods", words)
    for word in split_words(words):
        if word in _METHOD_GROUPS:
            chosen.update(name for name in known if _METHOD_GROUPS[word](cards[name]))
        elif matched := fnmatch.filter(known, word):
            chosen.update(matched)
        else:
            raise registry.unknown("method", word, [*known, *METHOD_GROUPS], registry.left_out())
    return [name for name in known if name in chosen]


def select_datasets(words: Sequence[str], is_real: Callable[[str], bool]) -> list[str]:
    """Return dataset names and bundle paths for groups (``all``, ``real``, ``every``), globs and names.

    ``is_real`` returns whether the files of a dataset are available, so that it needs no look-alike.

    Raises:
        UsageError: for a word that matches nothing; suggests near misses.
    """
    from bench.data.formats import is_file
    from bench.data.loading import is_bundle

    known = registry.dataset_names()
    groups: dict[str, Callable[[str], bool]] = {
        "all": lambda name: registry.dataset(name).card.in_all,
        "real": is_real,
        "every": bool,
    }
    chosen: dict[str, None] = {}
    _require_some("datasets", words)
    # Split at commas, but for the path of a file whose name has one.
    parts = [part for word in words for part in ([word] if is_file(word) else split_words([word]))]
    for word in parts:
        if word in groups:
            chosen.update(dict.fromkeys(filter(groups[word], known)))
        elif matched := fnmatch.filter(known, word):
            chosen.update(dict.fromkeys(matched))
        elif is_bundle(word):
            chosen[_bundle(word)] = None
        else:
            raise registry.unknown("dataset", word, [*known, *DATASET_GROUPS], registry.left_out())
    return list(chosen)


def parse_seeds(text: str) -> list[int]:
    """Return seed indices: ``3`` means 0, 1, 2; ``0,4`` and ``2-5`` name them.

    Raises:
        UsageError: for another text, or more than `MOST_SEEDS`.
    """
    if re.fullmatch(r"\s*\d{1,9}\s*", text, re.ASCII):
        ranges = [range(int(text))]
    else:
        parts = [re.fullmatch(r"\s*(\d{1,9})(?:-(\d{1,9}))?\s*", part, re.ASCII) for part in text.split(",")]
        ranges = [range(int(part[1]), int(part[2] or part[1]) + 1) if part else range(0) for part in parts]
    if not all(ranges):
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


def _require_some(option: str, words: Sequence[str]) -> None:
    """Refuse words that are all empty, as of a variable of the shell that is not set; raises `UsageError`."""
    if words and not split_words(words):
        raise UsageError(f"--{option} is empty; name {option}, or leave the option out")


def _bundle(word: str) -> str:
    from bench.data.formats import is_other
    from bench.data.loading import bundle_path

    path = bundle_path(word)
    if path.stem in registry.dataset_names():
        # Its tables would pass for the dataset's, and a look-alike's for real ones.
        raise UsageError(f"the feature bundle {path} has the name of a dataset; give the file another name")
    # Of a pipe that a shell passes as /dev/fd/N the resolved path leads nowhere.
    return str(path.absolute() if is_other(path) else path.resolve())

"""Names given by people: groups, globs, and what they probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from bench.contract import UsageError


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return `` (did you mean 'x'?)`` for the nearest known names in any case, or an empty string."""
    by_lower = {item.lower(): item for item in known}
    near = [by_lower[word] for word in difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.6)]
    return f" (did you mean {' or '.join(repr(item) for item in near)}?)" if near else ""


def unknown(what: str, name: str, known: Iterable[str], more: str = "") -> UsageError:
    """Return the error for a name that is not registered."""
    names = sorted(known)
    return UsageError(
        f"unknown {what} {name!r}{suggestion(name, names)}; there are: {', '.join(names) or 'none'}{more}"
    )

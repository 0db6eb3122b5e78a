"""Messages are checked by the names, numbers and commands in them, not by their wording."""

from __future__ import annotations

import re


def mentions(text: str, key: str) -> bool:
    """Return whether one line of a text has the parts of a key, which `` ... `` separates, in this order.

    A number at either end of a part is a whole one: ``2 done`` is not in ``12 done``.
    """
    ends = ((part[:1].isdigit(), re.escape(part), part[-1:].isdigit()) for part in key.split(" ... "))
    parts = (r"(?<!\d)" * first + part + r"(?!\d)" * last for first, part, last in ends)
    return re.search(".*".join(parts), text) is not None

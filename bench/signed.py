"""Numbers with their signs."""

from __future__ import annotations


def signed(value: float, form: str) -> str:
    """Return a formatted number; one that rounds to zero has no sign, as it shows no direction.

    ``form`` is a format such as ``+.3f``; a form without a sign is taken too.
    """
    text = format(value, form)
    return text.lstrip("+-") if text[:1] in "+-" and not any(digit in text for digit in "123456789") else text

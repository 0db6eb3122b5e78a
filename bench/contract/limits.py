"""What a card declares that its method cannot take, turned into a reason before any work is done.

A method's file holds no code for this: the harness asks `unsuitable` before it fits.
"""

from __future__ import annotations

from bench.contract.cards import MethodCard
from bench.contract.data import Split


def unsuitable(card: MethodCard, train: Split) -> str | None:
    """Return why a method cannot be fitted on ``train``, as a sentence, or None where it can."""
    names = ", ".join(train)
    if len(train) < 2:
        return f"{card.title} relates at least two modalities, and there is only {names}"
    if len(train) > 2 and not card.any_modalities:
        return f"{card.title} takes exactly two modalities, not {len(train)} ({names}); fit it pair by pair"
    if train.multi_label and not card.multi_label:
        return f"{card.title} takes one class per sample, and these samples may have several"
    if card.pairs == "needed" and not train.paired:
        return (
            f"{card.title} needs rows that correspond, and these do not; pair them with class_matched first"
        )
    return None

"""Topics of the report: the `Topic`s that the modules of this package define; a new one is one file."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Final

from bench.report.exhibit import Topic


def _defined() -> tuple[Topic, ...]:
    """Return the topics of all modules, in the order of the page; raises ValueError for a shared name."""
    found: dict[str, Topic] = {}
    for info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{info.name}")
        for value in vars(module).values():
            if isinstance(value, Topic) and found.setdefault(value.name, value) is not value:
                raise ValueError(f"{module.__file__}: another topic is named {value.name!r}; rename it")
    return tuple(sorted(found.values(), key=lambda topic: (topic.order, topic.name)))


TOPICS: Final = _defined()
"""In the order of the page."""

"""What is said of a class in its docstring and its module's, as plain text."""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys

_FIELD = re.compile(r"^(?P<indent> *)(?P<name>\w+): +(?P<text>\S.*)$")


def about(cls: type) -> str:
    """Return what the module that defines a class says of itself; without such words, the class's own."""
    module = sys.modules.get(cls.__module__)
    # Not `getattr(module, "__doc__", None)` alone: None itself has a docstring since Python 3.14.
    said = module.__doc__ if module else None
    return inspect.cleandoc(said or vars(cls).get("__doc__") or "").strip()


def provenance(cls: type) -> str:
    """Return the first paragraph of a class's own docstring in one line; empty if it has none.

    The docstring that a dataclass gives itself says nothing and counts as none.
    """
    text = inspect.cleandoc(vars(cls).get("__doc__") or "")
    return "" if text.startswith(f"{cls.__name__}(") else " ".join(text.partition("\n\n")[0].split())


def meanings(cls: type) -> dict[str, str]:
    """Return the meaning of each setting of a class, by name.

    It is what `setting` declares, or what ``Attributes`` of the class and its bases say; a class wins over
    its bases.
    """
    found: dict[str, str] = {}
    for owner in reversed(cls.__mro__):
        found.update(_attributes(inspect.cleandoc(vars(owner).get("__doc__") or "")))
    for item in dataclasses.fields(cls) if dataclasses.is_dataclass(cls) else ():
        if words := item.metadata.get("meaning"):
            source = item.metadata.get("source")
            found[item.name] = f"{words} ({source})" if source else words
    return found


def _attributes(text: str) -> dict[str, str]:
    """Return the entries of a docstring's section ``Attributes``, each in one line."""
    _, _, section = text.partition("\nAttributes:\n")
    entries: dict[str, list[str]] = {}
    name, depth = "", None
    for line in section.splitlines():
        if line and not line.startswith(" "):
            break  # the next section
        field = _FIELD.match(line)
        if field and depth in (None, len(field["indent"])):
            name, depth = field["name"], len(field["indent"])
            entries[name] = [field["text"]]
        elif name and line.strip():
            entries[name].append(line.strip())
    return {name: " ".join(lines) for name, lines in entries.items()}

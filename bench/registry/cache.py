"""Descriptions remembered from one process to the next.

Importing all methods takes seconds because they bring torch. Their cards and settings are therefore kept
in a cache file, one entry per source. An entry is valid as long as neither the source nor any other file
of the house has changed: a class inherits settings and card fields from elsewhere.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from bench.registry.sources import Source, folder_of, is_plugin

L = TypeVar("L")


class DescriptionCache:
    """Descriptions by source, in a file that may be missing, stale, damaged or unwritable without harm."""

    def __init__(self) -> None:
        """Read what is there."""
        self._changed = False
        self._entries: dict[str, Any] = {}
        with contextlib.suppress(OSError, ValueError, RuntimeError):
            content = json.loads(_path().read_text(encoding="utf-8"))
            self._entries = content if isinstance(content, dict) else {}

    def get(self, source: Source, shape: type[L], describe: Callable[[Source], Any]) -> L:
        """Return the description of ``source``, remembered or made by ``describe``.

        Files named by hand are described anew every time: importing them shows that they work.
        """
        if is_plugin(source.where):
            made: L = describe(source)
            return made
        name, key = f"{source.kind} {source.where}", f"{source.key} {self._house}"
        entry = self._entries.get(name)
        if isinstance(entry, dict) and entry.get("key") == key:
            with contextlib.suppress(msgspec.ValidationError):
                return msgspec.convert(entry.get("value"), shape)
        value: L = describe(source)
        self._entries[name] = {"key": key, "value": msgspec.to_builtins(value)}
        self._changed = True
        return value

    def save(self) -> None:
        """Write what was added; a cache that cannot be written costs time, nothing else."""
        if not self._changed:
            return
        with contextlib.suppress(OSError, RuntimeError):
            path = _path()
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=path.parent)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(self._entries, file)
            Path(temporary).replace(path)

    @cached_property
    def _house(self) -> str:
        """Digest of all files that a description may depend on: names, sizes and times of change."""
        folders = {Path(__file__).resolve().parent.parent, folder_of("methods"), folder_of("datasets")}
        digest = hashlib.sha256()
        for path in sorted(file for folder in folders for file in folder.rglob("*.py")):
            with contextlib.suppress(OSError):  # a file may vanish while we look
                state = path.stat()
                digest.update(f"{path} {state.st_size} {state.st_mtime_ns}\n".encode())
        return digest.hexdigest()[:16]


def _path() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "cross-modal-bench" / "catalogue.json"

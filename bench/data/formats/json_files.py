"""JSON and JSON lines: nested objects and lists of numbers and texts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from bench.data.formats.array_file import blamed, require_distinct, require_memory
from bench.data.formats.nested import Nested
from bench.data.formats.samples import of_sentences

_PER_BYTE: Final = 16
"""Bytes that Python's numbers and lists take for a byte of text, at most."""


class Json(Nested):
    """A JSON file, or one object on each line."""

    def __init__(self, path: Path) -> None:
        """Read all of it."""
        with blamed(str(path)):
            require_memory(_PER_BYTE * path.stat().st_size, str(path))
            text = path.read_text(encoding="utf-8-sig")
            root: Any = None
            try:
                root = self._parsed(text, path)
            except json.JSONDecodeError:
                root = [self._parsed(line, path) for line in text.splitlines() if line.strip()]
            super().__init__(path, of_sentences(root) or root)

    @staticmethod
    def _parsed(text: str, path: Path) -> Any:
        def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
            found = dict(pairs)
            if len(found) < len(pairs):
                require_distinct([key for key, _ in pairs], path)
            return found

        return json.loads(text, object_pairs_hook=distinct)

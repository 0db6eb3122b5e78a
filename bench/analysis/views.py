"""What is drawn of cells, read once each and looked for by the rows of tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from bench.contract.errors import DataError
from bench.records.snapshot import Snapshot

SELECTION = "best"
"""The rule whose state views show; in closed form there is one state for every rule."""


class Views:
    """Views of records by digest.

    A view that cannot be read takes nothing else with it: it is as if the record had none.

    Attributes:
        problems: digest -> why its view cannot be read, of those asked for so far.
    """

    def __init__(self, read: Callable[[str], Snapshot | None]) -> None:
        """Read views with ``read``, which may raise `DataError`, when they are asked for."""
        self.problems: dict[str, str] = {}
        self._read = read
        self._known: dict[str, Snapshot | None] = {}

    def __call__(self, digest: str) -> Snapshot | None:
        """Return a record's view; None where it has none that can be read."""
        if digest not in self._known:
            try:
                self._known[digest] = self._read(digest)
            except DataError as error:
                self._known[digest] = None
                self.problems[digest] = str(error)
        return self._known[digest]

    def of(self, digests: Iterable[str]) -> list[Snapshot]:
        """Return the views of several records, as far as they have any."""
        return [view for digest in digests if (view := self(digest)) is not None]

    def unread(self, digests: Iterable[str]) -> str:
        """Say which of some records have views that cannot be read, as sentences to end a caption with."""
        return "".join(f" Left out: {self.problems[one]}." for one in digests if one in self.problems)

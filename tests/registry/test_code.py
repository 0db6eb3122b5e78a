"""The digest of code changes with what code does, and with nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.registry.code import CodeDigests, cache_file, code_digest

CODE = '''
"""A module."""
from __future__ import annotations
from typing import TYPE_CHECKING
import numpy as np
if TYPE_CHECKING:
    from pathlib import Path
__all__ = ["f"]
SIZE: int = 3
"""Explained."""

class A:
    """A class."""
    width: int = 4
    card = MethodCard(name="a", title="A", deep=True, from_paper=("x",))

    def f(self, x: int, *more: float, key: str | None = None) -> float:
        """Return it."""
        found: dict[str, int] = {}
        if x is None:
            raise ValueError(f"no {x!r:>10}")
        assert x, "a message"
        return -0.5 * x ** 2 + {"a": 1, **found}["a"]  # why

    async def g(self):
        match self:
            case A(width=4) | None:
                pass
            case [1, *rest] if rest:
                return lambda a, /, b=1: (yield_ := a)
        return [i async for i in self if i], b"x\\n", 1j, ..., "\u00e9\u2028"
'''
DIGEST = "a90a1ad5f641f8fb"


def test_the_digest_is_the_same_on_every_version_of_python() -> None:
    assert code_digest(CODE) == DIGEST


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""A module."""', '"""Another text,\n\nlonger."""'),
        ('        """Return it."""\n', ""),
        ('"""Explained."""', ""),
        ("# why", "# because"),
        ("x: int, *more: float", "x: float, *more"),
        (" -> float", ""),
        ("found: dict[str, int] = {}", "found = {}"),
        ("no {x!r:>10}", "none of {x}"),
        ('assert x, "a message"', "assert x"),
        ('__all__ = ["f"]', '__all__ = ["A", "f"]'),
        ("    from pathlib import Path", "    from os import PathLike"),
        ('title="A"', 'title="Method A"'),
        ('from_paper=("x",)', 'from_paper=("x", "y"), code="https://example.org"'),
        ("-0.5 * x ** 2", "(-0.5\n            * x**2)"),
        ("SIZE: int = 3", "SIZE = 3"),
        ("\n    async", "\n\n\n    async"),
        ('b"x\\n"', "b'x\\x0a'"),
        ("\n", "\r\n"),
    ],
)
def test_words_layout_and_hints_do_not_count(old: str, new: str) -> None:
    changed = CODE.replace(old, new)
    assert changed != CODE
    assert code_digest(changed) == DIGEST


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("-0.5", "-0.25"),
        ("x ** 2", "x * 2"),
        ("width: int", "width: float"),  # decides how a setting is read
        ("import numpy as np", "import torch as np"),
        ("SIZE: int = 3", "SIZE: int = 4"),
        ("deep=True", "deep=False"),
        ("key: str | None = None", "key: str | None = 0"),
        ("raise ValueError", "raise TypeError"),
        ("is None", "is not None"),
        ("[1, *rest]", "[2, *rest]"),
        ("async for", "for"),
        ("1j", "1"),
        ('"\u00e9', '"e'),
        ("**found", "**more"),
    ],
)
def test_whatever_is_computed_counts(old: str, new: str) -> None:
    assert code_digest(CODE.replace(old, new)) != DIGEST


def test_text_that_is_no_code_has_a_digest_of_its_own() -> None:
    assert code_digest("def (") != code_digest("def ((")


def test_pieces_of_a_formatted_string_may_be_cut_anywhere() -> None:
    assert code_digest('f"a{x}b" "c" f"d{y}"') == code_digest('f"a{x}bcd{y}"')


def test_digests_are_remembered_by_content_and_not_needed(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("x = 1\n")
    first = CodeDigests()
    digest = first.of_files({"a.py": file})
    first.remember()
    (cache,) = cache_file("").glob("code-*.json")
    (key,) = json.loads(cache.read_text())
    cache.write_text(json.dumps({key: "known"}))
    assert CodeDigests().of_files({"a.py": file}) != digest  # what is remembered is believed
    file.write_text("x = 2\n")
    assert CodeDigests().of_files({"a.py": file}) not in (digest, "known")
    cache.write_text("{damaged")
    file.write_text("x = 1  # the same\n")
    assert CodeDigests().of_files({"a.py": file}) == digest
    assert CodeDigests().of_files({"b.py": file}) != digest  # another name is another module


def test_the_cache_lies_in_the_users_cache_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home-of-nobody")
    assert cache_file("a.json") == Path("/home-of-nobody/.cache/cross-modal-bench/a.json")

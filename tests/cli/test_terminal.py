"""Names in records send no escape sequence to a terminal, and no encoding makes a command fail."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from bench.cli import invoke
from bench.cli.formatting import print_lines, printable, write_data
from bench.records import Store
from tests.grid import run_command
from tests.records import making

ROOT = Path(__file__).resolve().parents[2]
NASTY = "\x1b[31mred\x1b]0;title\x07\u202e\r\n"


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Return a results folder with names, reasons and notes that would steer a terminal."""
    store = Store(tmp_path / "r")
    for name in ("drcl", "mcca"):
        record = making.record(method=f"{name}{NASTY}", dataset=f"emoji{NASTY}")
        store.write(record, making.per_query(), making.TRACE, NASTY)
    failed = making.record(method="pls", dataset=f"emoji{NASTY}", status="failed", reason=NASTY)
    assert failed.failure is not None
    failure = msgspec.structs.replace(failed.failure, traceback=NASTY)
    store.write(msgspec.structs.replace(failed, failure=failure), {}, [], NASTY)
    return store.root


def controls(text: str) -> set[str]:
    return {letter for letter in text if not letter.isprintable()} - {"\n"}


@pytest.mark.parametrize(
    "words",
    [
        ("status",),
        ("results",),
        ("results", "--format", "csv"),
        ("status", "--format", "json"),
        ("why", f"drcl{NASTY}", f"emoji{NASTY}"),
        ("why", "pls", f"emoji{NASTY}"),
        ("why", "pls", f"emoji{NASTY}", "--seed", "9"),
        ("compare", f"drcl{NASTY}", f"mcca{NASTY}", "--dataset", f"emoji{NASTY}"),
        ("compare", "pls", f"mcca{NASTY}", "--dataset", f"emoji{NASTY}"),
        ("verify", "--cells", "9", "--jobs", "0"),
        ("explain", f"drcl{NASTY}", f"emoji{NASTY}"),
        ("run", "--methods", f"chance{NASTY}"),
        ("run", f"--{NASTY}"),
        (f"{NASTY}",),
    ],
)
def test_no_command_sends_a_control_character_to_a_terminal(
    results: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    out, err = Terminal(), Terminal()
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setattr("sys.stderr", err)
    invoke([*words, "--results", str(results)])
    shown = out.getvalue() + err.getvalue()
    assert shown
    assert controls(shown) == set()


def test_a_merge_names_conflicts_without_control_characters(results: Path, tmp_path: Path) -> None:
    other = Store(tmp_path / "other")
    record = making.record(method=f"drcl{NASTY}", dataset=f"emoji{NASTY}")
    other.write(
        msgspec.structs.replace(record, result=making.result(0.25)), making.per_query(0.25), making.TRACE, ""
    )
    output = run_command("merge", other.root, "--results", results).check(1, "differs")
    assert controls(output.out + output.err) == set()


def test_data_are_written_unchanged_into_a_file(monkeypatch: pytest.MonkeyPatch, results: Path) -> None:
    assert "\x1b[31mred" in run_command("results", "--format", "csv", "--results", results).out
    out = Terminal()
    monkeypatch.setattr("sys.stdout", out)
    write_data("a\x1b,b\nc")
    print_lines("d\x1b", colour="red")
    assert out.getvalue() == "a\N{REPLACEMENT CHARACTER},b\nc\n\x1b[31md\N{REPLACEMENT CHARACTER}\x1b[0m\n"


@pytest.mark.parametrize("letter", ["\x00", "\x1b", "\x7f", "\x9b", "\n", "\t", "\u2028", "\u202e", "\ud800"])
def test_unprintable_characters_are_replaced(letter: str) -> None:
    assert printable(f"a{letter}b→é") == "a\N{REPLACEMENT CHARACTER}b→é"


def test_a_character_newer_than_this_python_is_printed() -> None:
    unassigned = "\U0003fffd"
    assert not unassigned.isprintable()
    assert printable(f"a{unassigned}") == f"a{unassigned}"


@pytest.mark.parametrize(
    "variables",
    [
        {"LC_ALL": "C", "LANG": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        pytest.param({"PYTHONIOENCODING": "latin-1"}, marks=pytest.mark.slow),
    ],
)
def test_an_encoding_that_lacks_letters_gets_them_escaped(variables: dict[str, str]) -> None:
    words = ("explain", "--embeddings", "tests/golden/drcl_eval.npz", "--galleries", "1", "--query", "räd")
    wrong = ((words, 2),) if "PYTHONUTF8" in variables else ()
    for more, status in ((words[:-2], 0), *wrong):
        done = subprocess.run(
            [sys.executable, "-m", "bench", *more],
            cwd=ROOT,
            env={**os.environ, **variables},
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == status, done.stderr
        assert b"Traceback" not in done.stderr
        assert status or b"query\\u2192gallery" in done.stdout

"""Options are generated from annotations, documented, and bounded: absurd values cost a sentence each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import click
import pytest
from click.testing import CliRunner

from bench.cli import cli
from bench.cli.options import ARGUMENT, FilePath, FiniteRange, Words, make_command
from bench.contract import UsageError
from tests.grid import run_command


def options_of(group: click.Group, *names: str) -> Iterator[tuple[tuple[str, ...], click.Option]]:
    """Yield (words of the command, option) for every option of every command."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from options_of(command, *names, name)
            continue
        for option in command.params:
            if isinstance(option, click.Option):
                yield (*names, name), option


OPTIONS = [*options_of(cli)]


def having(*kinds: type[click.ParamType]) -> list[object]:  # type: ignore[type-arg]
    return [
        pytest.param(words, option, id=f"{' '.join(words)} {option.opts[0]}")
        for words, option in OPTIONS
        if isinstance(option.type, kinds)
    ]


def test_every_option_is_described() -> None:
    assert len(OPTIONS) > 100
    assert [(*words, option.opts[0]) for words, option in OPTIONS if not option.help] == []


NUMBERS = ("nan", "inf", "-inf", "1e999", "9" * 30, "9" * 5000)
PATHS = ("a" * 300, "a/" * 2500)


@pytest.mark.parametrize(
    ("words", "option"), having(click.types.FloatParamType, click.types.IntParamType, click.Path)
)
def test_every_number_is_bounded_and_every_path_is_one_that_a_file_system_can_hold(
    words: tuple[str, ...], option: click.Option
) -> None:
    is_path = isinstance(option.type, click.Path)
    assert is_path or isinstance(option.type, FiniteRange | click.IntRange)
    for value in PATHS if is_path else NUMBERS:
        output = run_command(*words, option.opts[0], value).check(
            2, option.opts[0], "bytes" if is_path else ""
        )
        assert output.out == ""
        assert is_path or len(output.err) < 1000


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["run", "--max-memory", "9" * 400 + "T"], "--max-memory"),
        (["run", "--seeds", "9" * 400], "--seeds"),
        (["run", "--methods", "chance", "--datasets", "a" * 5000 + ".npz", "--dry-run"], "no file"),
        (["run", "--set", "chance.dimension=" + "[" * 5000], "--set"),
        (["explain", "--embeddings", "a" * 5000], "aaa"),
        (["explain", "--embeddings", "image=" + "a" * 5000 + ":b:c"], "aaa"),
        (["explain", "--embeddings", "FILE", "--cutoffs", "9" * 40], "--cutoffs"),
        (["explain", "--embeddings", "FILE", "--galleries", "1e-999999999"], "--galleries"),
        (["merge", "a" * 5000], "OTHER_RESULTS"),
        (["results", "--methods", "\udcff"], "UTF-8"),
    ],
)
def test_an_absurd_value_is_one_short_sentence(tmp_path: Path, words: list[str], named: str) -> None:
    output = run_command(*words, "--results", tmp_path / "r").check(2, named)
    assert output.out == ""
    assert "Traceback" not in output.err
    assert len(output.err) < 2000


@dataclass(frozen=True)
class Group:
    """Some options.

    Attributes:
        count: How many,
            in two lines.
        kind_: Which.
        ranks: Parsed at once.
    """

    count: Annotated[int | None, click.IntRange(1, 9)] = None
    kind_: Literal["a", "b"] = "a"
    ranks: Annotated[Sequence[int], Words("K,K", lambda text: (*map(int, text.split(",")),))] = ()


def make(seen: list[object]) -> click.Command:
    @make_command("trial", plugins="none")
    def command(
        name: Annotated[str, ARGUMENT],
        *,
        group: Group,
        file: Annotated[tuple[Path, ...], FilePath()] = (),
        fast: bool = False,
    ) -> int:
        """Do something.

        Args:
            name: of it.
            group: of options.
            file: A file.
            fast: Whether to hurry.
        """
        seen.extend([name, group, file, fast])
        return 1

    return command


def test_options_become_typed_objects_with_the_defaults_of_the_dataclass() -> None:
    seen: list[object] = []
    make(seen).main(["x"], standalone_mode=False)
    assert seen == ["x", Group(), (), False]
    seen.clear()
    words = ["x", "--count", "3", "--kind", "b", "--ranks", "5,7", "--file", "a", "--file", "b", "--fast"]
    assert make(seen).main(words, standalone_mode=False) == 1
    assert seen == ["x", Group(3, "b", (5, 7)), (Path("a"), Path("b")), True]


def test_the_help_is_that_of_the_docstrings() -> None:
    shown = CliRunner().invoke(make([]), ["--help"]).output
    assert "Do something." in shown
    assert "How many, in two lines.  [1<=x<=9]" in shown
    assert "[default: a]" in shown
    assert "Args" not in shown


def refuse(word: str) -> int:
    raise UsageError(f"{word!r} is none")


def test_an_error_of_parsing_names_the_option() -> None:
    @make_command("trial", plugins="none")
    def command(size: Annotated[int | None, Words("SIZE", refuse)] = None) -> None:
        """Do nothing.

        Args:
            size: Any.
        """

    with pytest.raises(UsageError, match="--size 'x' is none"):
        command.main(["--size", "x"], standalone_mode=False)

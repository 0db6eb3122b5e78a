"""Options that take a number refuse what is none, in every command."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from bench.cli import cli
from bench.cli.options import FiniteRange
from tests.grid import say


def float_options(group: click.Group, *names: str) -> Iterator[tuple[tuple[str, ...], click.Option]]:
    """Yield (words of the command, option) for every option whose value is a float."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from float_options(command, *names, name)
            continue
        for option in command.params:
            if isinstance(option, click.Option) and isinstance(option.type, click.types.FloatParamType):
                yield (*names, name), option


OPTIONS = [*float_options(cli)]
NAMES = [f"{' '.join(words)} {option.opts[0]}" for words, option in OPTIONS]


def test_all_commands_are_looked_at() -> None:
    assert {"run --timeout", "tune --timeout", "explain --printed", "verify --tolerance"} <= {*NAMES}


@pytest.mark.parametrize(("words", "option"), OPTIONS, ids=NAMES)
def test_every_option_with_a_float_takes_finite_numbers_only(
    words: tuple[str, ...], option: click.Option
) -> None:
    assert isinstance(option.type, FiniteRange)
    for number in ("nan", "inf", "-inf", "1e999"):
        said = say(*words, option.opts[0], number)
        assert said.status == 2, number
        assert "finite" in said.err or "range" in said.err


@pytest.mark.parametrize("number", ["nan", "inf"])
def test_a_time_limit_that_is_no_number_is_refused_and_named(number: str) -> None:
    said = say("run", "--timeout", number)
    assert (said.status, said.out) == (2, "")
    assert "--timeout" in said.err
    assert "finite" in said.err

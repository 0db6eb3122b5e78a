"""Every draw follows from scope, seed and stream; a deadline that has passed ends the cell."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.contract import Context, DeadlineExceeded, Trace

WORDS = st.text(st.characters(exclude_characters="\x1f", exclude_categories=["Cs"]), max_size=6)


@given(scope=st.lists(WORDS, max_size=3), seed=st.integers(0, 99), stream=WORDS)
def test_a_stream_depends_on_scope_seed_and_name_alone(scope: list[str], seed: int, stream: str) -> None:
    one = Context(seed=seed, scope=tuple(scope), device="cpu", threads=1)
    other = Context(seed=seed, scope=tuple(scope), device="cuda:3", threads=8, deadline=1.0)
    assert one.stream_seed(stream) == other.stream_seed(stream)
    assert 0 <= one.stream_seed(stream) < 2**63
    assert one.generator(stream).integers(2**40) == other.generator(stream).integers(2**40)
    assert one.generator(stream).random() == one.generator(stream).random()


def test_other_scopes_seeds_and_names_give_other_streams() -> None:
    contexts = [Context(seed=seed, scope=scope) for seed in (0, 1) for scope in ((), ("a",), ("a", "b"))]
    seeds = {context.stream_seed(stream) for context in contexts for stream in ("init", "batches")}
    assert len(seeds) == 12


def test_streams_are_the_same_in_every_process() -> None:
    assert Context(seed=3, scope=("d", "m")).stream_seed("init") == 3901323304174293573


def test_the_deadline_is_raised_once_it_has_passed() -> None:
    Context().check_deadline()
    Context(deadline=time.monotonic() + 60).check_deadline()
    with pytest.raises(DeadlineExceeded, match="time"):
        Context(deadline=time.monotonic() - 1e-3).check_deadline()


def test_a_trace_keeps_rows_in_order_and_fills_gaps_with_none() -> None:
    trace = Trace()
    trace.add("prior", 1, loss=2.0)
    trace.add("train", 1, loss=1.0, validation_map=0.5)
    assert trace.column("loss") == [2.0, 1.0]
    assert trace.column("validation_map") == [None, 0.5]
    assert trace.column("loss", stage="train") == [1.0]
    assert Context().trace is not Context().trace

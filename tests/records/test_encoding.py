"""What is written reads back exactly, and the same content gives the same bytes."""

from __future__ import annotations

import hashlib
import io
import math
import pickle
import re
import time
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bench.records import Record, Series
from bench.records.encoding import (
    Damaged,
    decode_per_query,
    decode_record,
    decode_sums,
    decode_trace,
    encode_per_query,
    encode_record,
    encode_sums,
    encode_trace,
)
from tests.records import making

finite = st.floats(allow_nan=False, allow_infinity=False)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | finite | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def with_notes(notes: dict[str, Any], value: float = 0.5) -> Record:
    return msgspec.structs.replace(making.record(), result=making.result(value, notes))


@given(notes=st.dictionaries(st.text(), plain, max_size=4), value=st.floats(0, 1))
def test_a_record_reads_back_as_it_was(notes: dict[str, Any], value: float) -> None:
    record = with_notes(notes, value)
    assert decode_record(encode_record(record)) == record


def test_equal_records_give_equal_bytes_whatever_the_order_of_their_dictionaries() -> None:
    forwards, backwards = with_notes({"a": 1, "b": 2}), with_notes({"b": 2, "a": 1})
    assert encode_record(forwards) == encode_record(backwards)
    assert encode_record(forwards).endswith(b"}\n")


def test_numpy_values_in_notes_become_plain_ones_and_values_that_json_lacks_are_refused() -> None:
    notes = {"gamma": np.float32(0.5), "k": np.int64(3), "scores": np.array([0.25, 0.5]), "nan": math.nan}
    result = decode_record(encode_record(with_notes({**notes, "sizes": (1, 2)}))).result
    assert result is not None
    assert result.notes == {"gamma": 0.5, "k": 3, "scores": [0.25, 0.5], "nan": None, "sizes": [1, 2]}
    with pytest.raises(ValueError, match="drcl on emoji"):
        encode_record(with_notes({}, math.nan))
    with pytest.raises(ValueError, match="object"):
        encode_record(with_notes({"what": object()}))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b'"schema": 3', b'"schema": 4', "layout version 4"),
        (b'"seed": 0', b'"seed": "zero"', "seed"),
        (b'"status": "done"', b'"status": "failed"', "exactly when"),
        (b'"profile"', b'"profil"', "profil"),
        (b"}\n", b"", "schema"),
    ],
)
def test_a_record_that_does_not_fit_the_schema_is_named(old: bytes, new: bytes, words: str) -> None:
    content = encode_record(making.record())
    assert old in content
    with pytest.raises(Damaged, match=words):
        decode_record(content.replace(old, new))


def test_a_record_of_layout_1_is_read_and_keeps_its_digest() -> None:
    found = decode_record((Path(__file__).parent / "layout_1.json").read_bytes())
    assert found.digest == "0225628271e43d60f8ab"
    assert (found.schema, found.identity.harness, found.identity.code, found.method) == (1, "", "", None)
    assert found.result is not None
    assert found.result.refused == {}


def savez(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
keys = st.tuples(names, names, names, names)
vectors = arrays(np.float64, st.integers(0, 5), elements=finite)


@given(st.dictionaries(keys, vectors, max_size=4))
def test_values_per_query_read_back_to_the_bit_under_any_names_in_any_layout(
    per_query: dict[tuple[str, str, str, str], Any],
) -> None:
    by_name = {"/".join(quote(part, safe="@") for part in key): per_query[key] for key in per_query}
    for content in (encode_per_query(per_query), savez(**by_name)):  # the latter is layout 1 and 2
        found = decode_per_query(content, None)
        assert set(found) == set(per_query)
        assert all(found[Series(*key)].tobytes() == per_query[key].tobytes() for key in per_query)


def test_values_per_query_give_the_same_bytes_in_any_order_at_any_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    per_query = making.per_query()
    content = encode_per_query(per_query)
    monkeypatch.setattr("time.time", lambda: 2e9)
    monkeypatch.setattr("time.localtime", lambda *_: time.gmtime(2e9))
    assert encode_per_query(dict(reversed(per_query.items()))) == content


def test_values_per_query_open_with_numpy_alone() -> None:
    with np.load(io.BytesIO(encode_per_query(making.per_query()))) as archive:
        assert archive["series"].tolist()[0] == "best/map@50%2Fhits/image/text"
        assert archive["ends"].tolist() == [3, 7, 10, 14]
        assert archive["values"].dtype == np.float64


@pytest.mark.parametrize("values", [[0.5, math.nan], [[0.5]], [math.inf], 0.5])
def test_values_per_query_must_be_finite_vectors(values: Any) -> None:
    with pytest.raises(ValueError, match="vector of finite"):
        encode_per_query({("best", "map@all", "a", "b"): values})


def archive(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(name, content)
    return buffer.getvalue()


def saved(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


VECTOR = saved(np.array([0.5, 0.25, 0.125]))
NAME = "a/b/c/d"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not an archive",
        encode_per_query(making.per_query())[:-40],
        archive(f"{NAME}.npy", saved(np.array([{"never": "unpickled"}], dtype=object))),
        archive(f"{NAME}.npy", pickle.dumps([1.0])),
        archive("too/few.npy", VECTOR),
        archive(f"{NAME}.npy", VECTOR[:-3]),
        archive(f"{NAME}.npy", VECTOR.replace(b"(3,)", b"(9,)")),
        archive(f"{NAME}.npy", VECTOR.replace(b"v\x00{", b"\xff\xff{")),
        archive(f"{NAME}.npy", VECTOR.replace(b"(3,)", b"(9999999999999999999,)")),
        savez(series=[NAME], ends=[4], values=[0.5, 0.5]),
        savez(series=[NAME], ends=[1], values=[0.5, 0.5]),
        savez(series=[NAME, "a/b/c/e"], ends=[2, 1], values=[0.5, 0.5]),
        savez(series=[NAME, "a/b/c/e"], ends=[2], values=[0.5, 0.5]),
        savez(series=[1], ends=[2], values=[0.5, 0.5]),
        savez(series=[NAME], ends=[1.5], values="text"),
    ],
)
def test_any_other_bytes_are_damaged_values_and_never_unpickled(content: bytes) -> None:
    with pytest.raises(Damaged, match=r"per_query\.npz"):
        decode_per_query(content, None)


@pytest.mark.parametrize(
    "array",
    [
        np.array([0.5, -0.0, 1e-310]),
        np.zeros(0),
        np.array([0.5, 0.25], dtype=">f8"),
        np.array([0.5], dtype=np.float32),
        np.array([1, 0]),
    ],
)
def test_vectors_of_any_number_type_read_as_numpy_reads_them_and_may_be_changed(array: Any) -> None:
    (found,) = decode_per_query(archive(f"{NAME}.npy", saved(array)), None).values()
    assert found.dtype == np.dtype(np.float64)
    assert found.tobytes() == array.astype(np.float64).tobytes()
    found += 1.0


letters = st.characters(codec="utf-8", exclude_characters="\0")  # which not every version's reader takes
number = re.compile(r"\s*[+-]?\.?(\d|inf|nan)", re.IGNORECASE)  # as a number begins
words = st.sampled_from(["None", "true"]) | st.text(letters, min_size=1).filter(lambda x: not number.match(x))
cells = st.integers(-(2**63), 2**63) | finite | words
rows = st.lists(
    st.fixed_dictionaries(
        {"stage": words, "epoch": st.integers(1, 99)},
        optional={"loss": cells, "validation_map": cells, 'odd, "name"\n': cells},
    ),
    max_size=5,
)


@given(rows)
def test_a_trace_reads_back_exactly(trace: list[dict[str, Any]]) -> None:
    assert decode_trace(encode_trace(trace)) == trace


def test_a_trace_begins_with_stage_and_epoch_and_leaves_missing_cells_empty() -> None:
    trace: list[dict[str, Any]] = [
        {"loss": 0.5, "epoch": 1, "stage": "fit"},
        {"stage": "fit", "epoch": 2, "map": None, "ok": True},
    ]
    assert encode_trace(trace) == b"stage,epoch,loss,map,ok\nfit,1,0.5,,\nfit,2,,,1\n"
    assert encode_trace([]) == b""
    assert decode_trace(encode_trace([{"loss": None}, {"loss": 1}])) == [{}, {"loss": 1}]
    numbers: dict[str, Any] = {"epoch": np.int64(1), "loss": np.float64(0.1)}
    assert encode_trace([numbers]) == b"epoch,loss\n1,0.1\n"


@pytest.mark.parametrize("content", [b"a,b\n1\n", b'a\n"1\n', b"\xff\xfe"])
def test_any_other_bytes_are_a_damaged_trace(content: bytes) -> None:
    with pytest.raises(Damaged, match=r"trace\.csv"):
        decode_trace(content)


def test_checksums_are_those_of_sha256sum_and_of_exactly_the_four_files() -> None:
    files = {"trace.csv": b"t", "log.txt": b"", "record.json": b"{}", "per_query.npz": b"p"}
    sums = encode_sums(files)
    assert sums.splitlines()[0] == hashlib.sha256(b"").hexdigest().encode() + b"  log.txt"
    assert set(decode_sums(sums)) == set(files)
    for bad in (sums + b"0  ../../other\n", sums.split(b"\n", 1)[1], b"", b"\xff"):
        with pytest.raises(Damaged, match=r"sha256sums\.txt.*trace\.csv"):
            decode_sums(bad)

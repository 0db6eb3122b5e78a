"""``data extract`` gives the same bytes each time, also after a kill; what changed is encoded anew."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock

from bench.contract import DataError
from bench.encoders import (
    Encoder,
    EncoderCard,
    Options,
    Wanted,
    create_encoder,
    extract,
    read_rows,
    read_table,
)
from tests.encoders.raw import Rows, arrays, extracted, refusal, write_csv


def test_the_same_input_gives_the_same_bytes(tmp_path: Path, rows: Rows) -> None:
    table = write_csv(tmp_path / "t.csv", rows)
    assert extracted(table).read_bytes() == extracted(table, name="again.npz").read_bytes()


def extraction(table: Path) -> tuple[Callable[[str, int | None], Path], list[int]]:
    """Return what makes a bundle, or ends after so many texts, and the sizes of batches that it encodes."""
    read, encoded = read_table(table), list[int]()
    wanted = []
    for name, given in (("image", "pixels:4"), ("text", "tfidf:width=3")):
        made = create_encoder(name, given)  # type: ignore[arg-type]

        def counted(batch: Any, encode: Any = made.encode) -> Any:
            encoded.append(len(batch))
            return encode(batch)

        made.encode = counted  # type: ignore[method-assign]
        wanted.append(Wanted(name, name, made, given))

    def run(output: str, texts: int | None = None) -> Path:
        def report(name: str, done: int, total: int) -> None:
            if name == "text" and texts is not None and done >= texts:
                raise KeyboardInterrupt

        extract(read, read_rows(read), wanted, table.parent / output, Options(batch=3), report)
        return table.parent / output

    return run, encoded


def test_after_a_kill_only_what_is_missing_is_encoded_and_the_bytes_are_the_same(
    tmp_path: Path, rows: Rows
) -> None:
    run, encoded = extraction(write_csv(tmp_path / "t.csv", rows))
    whole = run("whole.npz", None).read_bytes()
    assert sum(encoded) == 40
    encoded.clear()
    with pytest.raises(KeyboardInterrupt):
        run("cut.npz", 9)
    damaged = sorted((tmp_path / "cut.npz.parts").iterdir())[0]
    damaged.write_bytes(damaged.read_bytes()[:50])  # as a power failure may leave it
    assert run("cut.npz", None).read_bytes() == whole
    assert sum(encoded) == 40 + 3


def test_a_changed_picture_is_encoded_anew(tmp_path: Path, rows: Rows) -> None:
    run, _ = extraction(write_csv(tmp_path / "t.csv", rows))
    with pytest.raises(KeyboardInterrupt):
        run("x.npz", 0)
    (tmp_path / "0.png").write_bytes((tmp_path / "1.png").read_bytes())
    found = arrays(run("x.npz", None))["train_image"]
    np.testing.assert_array_equal(found[0], found[1])


CONSTANT = '''
import numpy as np
from bench.encoders import Encoder, EncoderCard


class Constant(Encoder):
    """The same for every picture."""

    card = EncoderCard("constant", "image", "Constant", "none", "none needed", "none")

    def encode(self, batch):
        return np.full((len(batch), 2), VALUE, dtype=np.float32)
'''


def constant(path: Path, value: str) -> Any:
    path.write_text(CONSTANT.replace("VALUE", value))
    return create_encoder("image", "constant", [path])


def test_an_encoder_that_was_repaired_meanwhile_encodes_all_items_anew(tmp_path: Path, rows: Rows) -> None:
    table = read_table(write_csv(tmp_path / "t.csv", rows))

    def run(encoder: Any, most: int) -> None:
        def report(name: str, done: int, total: int) -> None:
            if done >= most:
                raise KeyboardInterrupt

        wanted = [Wanted("image", "image", encoder, "constant")]
        wanted.append(Wanted("text", "text", create_encoder("text", "tfidf"), "tfidf"))
        extract(table, read_rows(table), wanted, tmp_path / "x.npz", Options(batch=3), report)

    with pytest.raises(KeyboardInterrupt):
        run(constant(tmp_path / "first.py", "1"), 12)
    run(constant(tmp_path / "second.py", "2"), 100)
    assert set(arrays(tmp_path / "x.npz")["train_image"].ravel()) == {2}
    ragged = create_encoder("image", "constant", [tmp_path / "first.py"])
    ragged.encode = lambda batch: np.zeros((len(batch), len(batch)), np.float32)  # type: ignore[method-assign]
    with pytest.raises(DataError, match="widths"):
        run(ragged, 100)


def test_two_extractions_of_one_bundle_do_not_meet(tmp_path: Path, rows: Rows) -> None:
    table = write_csv(tmp_path / "t.csv", rows)
    (tmp_path / "x.npz.parts").mkdir()
    with FileLock(tmp_path / "x.npz.parts" / "lock"):
        assert "another process" in refusal(table)
    extracted(table, name="x.npz")
    assert not (tmp_path / "x.npz.parts").exists()


def test_a_fitted_encoder_of_pictures_learns_from_those_that_can_be_read(tmp_path: Path, rows: Rows) -> None:
    class Fitted(Encoder[Any]):
        card = EncoderCard("fitted", "image", "Fitted", "none", "none", "none", fitted=True)

        def fit(self, items: Any) -> None:
            self.colour = np.mean([np.asarray(item) for item in items if item.size == (24, 24)])

        def encode(self, batch: Any) -> Any:
            return np.full((len(batch), 1), self.colour, dtype=np.float32)

    table = read_table(write_csv(tmp_path / "t.csv", rows))
    text = Wanted("text", "text", create_encoder("text", "tfidf"), "tfidf")

    def run(end: int = 100) -> float:
        def report(name: str, done: int, total: int) -> None:
            if name == "image" and done >= end:
                raise KeyboardInterrupt

        wanted, options = [Wanted("image", "image", Fitted(), "fitted"), text], Options(3, skip_broken=True)
        extract(table, read_rows(table), wanted, tmp_path / "x.npz", options, report)
        (value,) = set(arrays(tmp_path / "x.npz")["train_image"].ravel().tolist())
        return float(value)

    before = run()
    with pytest.raises(KeyboardInterrupt):
        run(12)
    (tmp_path / "18.png").write_bytes(b"broken")  # one of the last, which the first batches do not have
    assert run() != before

"""Files are recognised by their content, oriented as their author saw them, and never trusted."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import psutil
import pytest
from scipy.io import savemat
from scipy.sparse import csc_matrix

from bench.contract import DataError
from bench.data import open_arrays
from bench.data.containers import container_of, telltale
from bench.data.fingerprint import sha256_of
from tests.data.released import write_hdf5, write_mat5, write_mat73

MATRIX = np.arange(12, dtype=np.float64).reshape(4, 3)
CELLS = [np.arange(6.0).reshape(2, 3), np.arange(20.0).reshape(4, 5)]


def write_npz(path: Path, values: Any) -> Path:
    np.savez(path, **values)
    return path.with_name(path.name if path.name.endswith(".npz") else path.name + ".npz")


@pytest.mark.parametrize(
    ("write", "container"),
    [(write_mat5, "mat5"), (write_mat73, "mat7.3"), (write_hdf5, "hdf5"), (write_npz, "npz")],
)
def test_every_container_gives_the_same_matrix_back(
    tmp_path: Path, write: Callable[[Path, Any], Path], container: str
) -> None:
    path = write(tmp_path / "anything.bin", {"X": MATRIX})
    assert container_of(path) == container
    with open_arrays(path) as source:
        assert source.keys() == ["X"]
        assert "X" in source
        np.testing.assert_array_equal(source.array("X"), MATRIX)


@pytest.mark.parametrize("write", [write_mat5, write_mat73])
def test_cell_arrays_come_back_in_order(tmp_path: Path, write: Callable[[Path, Any], Path]) -> None:
    with open_arrays(write(tmp_path / "cells.mat", {"train": CELLS})) as source:
        for found, expected in zip(source.cells("train"), CELLS, strict=True):
            np.testing.assert_array_equal(found, expected)


def test_a_matlab_matrix_in_plain_hdf5_is_turned_round_too(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.mat", "w") as file:
        file.create_dataset("X", data=MATRIX.T).attrs["MATLAB_class"] = np.bytes_("double")
    with open_arrays(tmp_path / "x.mat") as source:
        np.testing.assert_array_equal(source.array("X"), MATRIX)


def test_hdf5_behind_an_unmarked_block_is_taken_for_matlab_s(tmp_path: Path) -> None:
    path = write_mat73(tmp_path / "x.mat", {"X": MATRIX})
    with path.open("r+b") as stream:
        stream.write(bytes(128))
    assert container_of(path) == "mat7.3"


def test_compressed_and_sparse_matlab_matrices_are_read(tmp_path: Path) -> None:
    write_mat5(tmp_path / "c.mat", {"X": MATRIX}, compress=True)
    with open_arrays(tmp_path / "c.mat") as source:
        np.testing.assert_array_equal(source.array("X"), MATRIX)
    savemat(tmp_path / "s.mat", {"X": csc_matrix(MATRIX)})
    with open_arrays(tmp_path / "s.mat") as source:
        np.testing.assert_array_equal(source.array("X"), MATRIX)


def read_all(path: Path) -> None:
    with open_arrays(path) as source:
        for key in source.keys():  # noqa: SIM118 - a file of arrays is no dictionary
            source.array(key)


@pytest.mark.parametrize("write", [write_mat5, write_mat73, write_hdf5, write_npz])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.97])
def test_a_truncated_file_is_one_clear_sentence(
    tmp_path: Path, write: Callable[[Path, Any], Path], share: float
) -> None:
    values = {"X": np.random.default_rng(0).random((60, 40)), "Y": np.random.default_rng(1).random((50, 9))}
    path = write(tmp_path / "broken", values)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(DataError, match=r"truncated or damaged|an empty file") as caught:
        read_all(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bit_rot_in_an_npz_is_found_by_its_checksum(tmp_path: Path) -> None:
    path = write_npz(tmp_path / "x.npz", {"X": MATRIX})
    content = bytearray(path.read_bytes())
    content[content.index(MATRIX.tobytes()) + 40] ^= 255
    path.write_bytes(content)
    with pytest.raises(DataError, match="'X': cannot be read"), open_arrays(path) as source:
        source.array("X")


@pytest.mark.parametrize("write", [write_mat5, write_mat73, write_hdf5, write_npz])
def test_a_missing_key_is_named_with_what_is_there(
    tmp_path: Path, write: Callable[[Path, Any], Path]
) -> None:
    path = write(tmp_path / "x", {"train_imgs": MATRIX})
    with open_arrays(path) as source:
        with pytest.raises(DataError, match=r"'train_img' is missing.*'train_imgs' meant"):
            source.array("train_img")
        with pytest.raises(DataError, match="'zz' is missing"):
            source.cells("zz")


class Bomb:
    """Leaves a trace if it is ever unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[Path]]:
        return Path.touch, (self.path,)


def test_a_pickle_inside_an_npz_is_refused_and_never_run(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", X=np.array([Bomb(tmp_path / "ran")], dtype=object))
    with (
        pytest.raises(DataError, match=r"Python objects \(a pickle\)"),
        open_arrays(tmp_path / "x.npz") as source,
    ):
        source.array("X")
    assert not (tmp_path / "ran").exists()


def test_cells_where_a_matrix_is_expected_and_the_reverse_are_refused(tmp_path: Path) -> None:
    for path in (
        write_mat5(tmp_path / "a.mat", {"X": MATRIX, "C": CELLS}),
        write_mat73(tmp_path / "b.mat", {"X": MATRIX, "C": CELLS}),
    ):
        with open_arrays(path) as source:
            with pytest.raises(DataError, match="expected a numeric matrix"):
                source.array("C")
            with pytest.raises(DataError, match="expected a cell array"):
                source.cells("X")
    np.savez(tmp_path / "x.npz", X=MATRIX)
    with (
        open_arrays(tmp_path / "x.npz") as source,
        pytest.raises(DataError, match="this container cannot hold"),
    ):
        source.cells("X")


def test_a_group_is_no_matrix(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_group("X")
    with open_arrays(tmp_path / "x.h5") as source:
        with pytest.raises(DataError, match="found a group"):
            source.array("X")
        with pytest.raises(DataError, match="expected a cell array"):
            source.cells("X")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<!DOCTYPE html><html>Not found</html>", "a web page"),
        (b"\n  <html lang='en'>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "a Git LFS pointer"),
        (b"\x1f\x8b\x08\x00", "a gzip archive"),
        (b"", "an empty file"),
        (b"1 2 3\n4 5 6\n" * 100, "not a file of arrays"),
    ],
)
def test_what_is_no_array_file_is_named_for_what_it_is(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "wiki.mat").write_bytes(content)
    assert words in telltale(content)
    with pytest.raises(DataError, match=words), open_arrays(tmp_path / "wiki.mat"):
        pass


def test_an_absent_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the file is not there"), open_arrays(tmp_path / "none.mat"):
        pass


def test_a_file_that_may_not_be_read_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "x.mat").touch()
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DataError, match="change its permissions"), open_arrays(tmp_path / "x.mat"):
        pass


def test_a_matrix_beyond_the_memory_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_much(*_: object, **__: object) -> None:
        raise MemoryError

    np.savez(tmp_path / "x.npz", X=MATRIX)
    monkeypatch.setattr(np.lib.format, "read_array", too_much)
    with (
        pytest.raises(DataError, match="too large for this machine's memory"),
        open_arrays(tmp_path / "x.npz") as s,
    ):
        s.array("X")


def test_a_mat_file_that_ends_inside_a_header_is_truncated(tmp_path: Path) -> None:
    path = write_mat5(tmp_path / "x.mat", {"X": MATRIX})
    path.write_bytes(path.read_bytes() + b"\x0e\x00\x00")
    with pytest.raises(DataError, match=r"ends inside a variable's header"):
        read_all(path)


def test_an_archive_without_arrays_is_told(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz")
    (tmp_path / "x.npz").write_bytes(b"PK\x03\x04" + (tmp_path / "x.npz").read_bytes())
    with (
        open_arrays(tmp_path / "x.npz") as source,
        pytest.raises(DataError, match="the file has no keys at all"),
    ):
        source.array("X")


@pytest.mark.parametrize("kind", ["npz", "h5", "mat"])
def test_an_array_that_unpacks_to_more_than_the_free_memory_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path, zeros = tmp_path / f"bomb.{kind}", np.zeros((2000, 500))
    if kind == "npz":
        np.savez_compressed(path, X=zeros)
    elif kind == "mat":
        savemat(path, {"X": zeros}, do_compression=True)
    else:
        with h5py.File(path, "w") as file:
            file.create_dataset("X", data=zeros, compression="gzip")
    assert path.stat().st_size < 100_000
    with open_arrays(path) as source:
        assert source.array("X").shape == zeros.shape
        free = psutil.virtual_memory()._replace(available=1_000_000)
        monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
        with pytest.raises(DataError, match=r"'X': unpacks to 0\.0 GB"):
            source.array("X")


def test_a_header_that_promises_more_than_the_archive_holds_is_refused(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f8", "fortran_order": False, "shape": (10**6, 10**5)}
    )
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("X.npy", header.getvalue() + bytes(100))
    with open_arrays(tmp_path / "x.npz") as source, pytest.raises(DataError, match="promises"):
        source.array("X")


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "x.mat").symlink_to(tmp_path / "pipe")
    for name in ("x.mat", "."):
        with pytest.raises(DataError, match="not a regular file"), open_arrays(tmp_path / name):
            pass
        with pytest.raises(DataError, match="not a regular file"):
            sha256_of(tmp_path / name)


DAMAGING = """
import sys
from pathlib import Path
import numpy as np
from bench.contract import DataError
from bench.data import open_arrays

path, draws = Path(sys.argv[1]), np.random.default_rng(0)
whole = path.read_bytes()
for _ in range(400):
    damaged = bytearray(whole)
    damaged[draws.integers(128, len(whole))] = draws.integers(256)
    path.write_bytes(damaged)
    try:
        with open_arrays(path) as source:
            for key in source.keys():
                source.cells(key) if key == "cells" else source.array(key)
    except DataError:
        pass
"""


def test_a_changed_byte_of_a_mat_file_is_a_sentence_and_does_not_crash_the_process(tmp_path: Path) -> None:
    cells = np.empty((1, 2), dtype=object)
    cells[0, :] = CELLS
    savemat(tmp_path / "x.mat", {"X": MATRIX, "y": np.arange(4)[:, None], "cells": cells})
    done = subprocess.run(
        [sys.executable, "-c", DAMAGING, tmp_path / "x.mat"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-500:]

"""Files are recognised by their content, oriented as their author saw them, and never trusted."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import psutil
import pytest
from scipy.io import savemat

from bench.contract import Array, DataError
from bench.data import open_arrays
from bench.data.fingerprint import sha256_of
from bench.data.formats import container_of, describe_head
from tests.data.released import write_hdf5, write_mat5, write_mat73

MATRIX = np.arange(12, dtype=np.float64).reshape(4, 3)
CELLS = [np.arange(6.0).reshape(2, 3), np.arange(20.0).reshape(4, 5)]
Write = Callable[[Path, Any], Path]


def write_npz(path: Path, values: Any) -> Path:
    with path.open("wb") as stream:
        np.savez(stream, **values)
    return path


WRITERS = [write_mat5, write_mat73, write_hdf5, write_npz]


def read(path: Path, key: str = "X") -> Array:
    with open_arrays(path) as source:
        return source.array(key)


@pytest.mark.parametrize(
    ("write", "container"), [*zip(WRITERS, ("mat5", "mat7.3", "hdf5", "npz"), strict=True)]
)
def test_a_file_is_known_by_its_content_and_a_missing_key_is_named(
    tmp_path: Path, write: Write, container: str
) -> None:
    path = write(tmp_path / "anything.bin", {"train_imgs": MATRIX})
    assert container_of(path) == container
    np.testing.assert_array_equal(read(path, "train_imgs"), MATRIX)
    for missing, words in (("train_img", r"'train_img' is missing.*'train_imgs'"), ("zz", "'zz' is missing")):
        with open_arrays(path) as source, pytest.raises(DataError, match=words):
            source.cells(missing)


@pytest.mark.parametrize("write", [write_mat5, write_mat73])
def test_cell_arrays_come_back_in_order_and_are_no_matrices(tmp_path: Path, write: Write) -> None:
    with open_arrays(write(tmp_path / "cells.mat", {"X": MATRIX, "C": CELLS})) as source:
        for found, expected in zip(source.cells("C"), CELLS, strict=True):
            np.testing.assert_array_equal(found, expected)
        with pytest.raises(DataError, match="matrix"):
            source.array("C")
        with pytest.raises(DataError, match="cell array"):
            source.cells("X")


def test_hdf5_of_matlab_is_known_by_its_attributes_or_its_leading_block(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.mat", "w") as file:
        file.create_dataset("X", data=MATRIX.T).attrs["MATLAB_class"] = np.bytes_("double")
    np.testing.assert_array_equal(read(tmp_path / "x.mat"), MATRIX)
    path = write_mat73(tmp_path / "y.mat", {"X": MATRIX})
    with path.open("r+b") as stream:
        stream.write(bytes(128))
    assert container_of(path) == "mat7.3"


def read_all(path: Path) -> None:
    for key in ("X", "Y"):
        read(path, key)


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("share", [0.0, 0.3, 0.97])
def test_a_truncated_file_is_one_clear_sentence(tmp_path: Path, write: Write, share: float) -> None:
    random = np.random.default_rng(0)
    path = write(tmp_path / "broken", {"X": random.random((60, 40)), "Y": random.random((50, 9))})
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(DataError, match=r"truncated|empty") as caught:
        read_all(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bit_rot_in_an_npz_is_found_by_its_checksum(tmp_path: Path) -> None:
    path = write_npz(tmp_path / "x.npz", {"X": MATRIX})
    content = bytearray(path.read_bytes())
    content[content.index(MATRIX.tobytes()) + 40] ^= 255
    path.write_bytes(content)
    with pytest.raises(DataError, match="'X'"):
        read(path)


def test_a_group_is_no_matrix_and_an_npz_holds_no_cells(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_group("X")
    with pytest.raises(DataError, match="group"):
        read(tmp_path / "x.h5")
    write_npz(tmp_path / "x.npz", {"X": MATRIX})
    for name in ("x.h5", "x.npz"):
        with open_arrays(tmp_path / name) as source, pytest.raises(DataError, match="cell"):
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
    assert words in describe_head(content)
    with pytest.raises(DataError, match=words):
        read(tmp_path / "wiki.mat")


def test_an_absent_file_or_one_without_arrays_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        read(tmp_path / "none.mat")
    np.savez(tmp_path / "x.npz")
    (tmp_path / "x.npz").write_bytes(b"PK\x03\x04" + (tmp_path / "x.npz").read_bytes())
    with pytest.raises(DataError, match="no keys"):
        read(tmp_path / "x.npz")
    path = write_mat5(tmp_path / "x.mat", {"X": MATRIX})
    path.write_bytes(path.read_bytes() + b"\x0e\x00\x00")
    with pytest.raises(DataError, match="header"):
        read(path)


@pytest.mark.parametrize(
    ("target", "name", "error", "noun"),
    [
        (Path, "open", PermissionError(13, "Permission denied"), "permissions"),
        (np.lib.format, "read_array_header_1_0", MemoryError(), "memory"),
    ],
)
def test_a_file_that_may_not_or_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: Any, name: str, error: Exception, noun: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    path = write_npz(tmp_path / "x.npz", {"X": MATRIX})
    monkeypatch.setattr(target, name, fail)
    with pytest.raises(DataError, match=noun):
        read(path)


@pytest.mark.parametrize("kind", ["npz", "h5", "mat"])
def test_an_array_that_unpacks_to_more_than_the_free_memory_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path, zeros = tmp_path / f"bomb.{kind}", np.zeros((1000, 500))
    if kind == "npz":
        np.savez_compressed(path, X=zeros)
    elif kind == "mat":
        savemat(path, {"X": zeros}, do_compression=True)
    else:
        with h5py.File(path, "w") as file:
            file.create_dataset("X", data=zeros, compression="gzip")
    assert path.stat().st_size < 100_000
    assert read(path).shape == zeros.shape
    free = psutil.virtual_memory()._replace(available=1_000_000)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    with pytest.raises(DataError, match="'X': unpacks"):
        read(path)


def test_texts_with_a_code_of_no_character_or_in_no_utf_8_are_a_sentence(tmp_path: Path) -> None:
    names = np.array(["art", "war"])
    names.view(np.uint32)[0] = 0x7FFFFFFF
    for wrong in (names, np.array([b"art", b"\xff\xfe"])):
        with pytest.raises(DataError, match="'X'"):
            read(write_npz(tmp_path / "x.npz", {"X": wrong}))


def test_a_header_that_promises_more_than_the_archive_holds_is_refused(tmp_path: Path) -> None:
    header = io.BytesIO()
    shape = {"descr": "<f8", "fortran_order": False, "shape": (10**6, 10**5)}
    np.lib.format.write_array_header_1_0(header, shape)
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("X.npy", header.getvalue() + bytes(100))
    with pytest.raises(DataError, match="promises"):
        read(tmp_path / "x.npz")


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "x.mat").symlink_to(tmp_path / "pipe")
    for name, opens in (("x.mat", read), ("x.mat", sha256_of), (".", sha256_of)):
        with pytest.raises(DataError, match="regular file"):
            opens(tmp_path / name)

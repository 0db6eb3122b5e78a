"""Every format gives the same arrays back, and no code, link or size that a file states is trusted."""

from __future__ import annotations

import io
import json
import pickle
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
import torch
from scipy.io import savemat
from scipy.sparse import csr_matrix, save_npz

from bench.contract import Array, DataError
from bench.data import open_arrays
from tests.data.released import write_mat73

X = np.arange(12, dtype=np.float64).reshape(4, 3)
NAMES = ["art", "music", "war"]


def read(path: Path, key: str) -> Array:
    with open_arrays(path) as source:
        return source.array(key)


def names_h5(path: Path) -> Path:
    with h5py.File(path, "w") as file:
        file["X"] = X
        file.create_dataset("names", data=NAMES, dtype=h5py.string_dtype())
    return path


def test_names_of_classes_need_no_heading(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("cat\ndog\ncat\n")
    with open_arrays(tmp_path / "labels.csv") as source:
        assert source.array("labels").tolist() == ["cat", "dog", "cat"]


def test_a_table_groups_numbered_columns_and_one_without_header_is_a_matrix(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("label,image_0,image_1,text_1,text_2\na,1,2,3,4\nb,5,6,7,8\n")
    with open_arrays(tmp_path / "a.csv") as source:
        assert source.keys() == ["label", "image", "text"]
        np.testing.assert_array_equal(source.array("image"), [[1, 2], [5, 6]])
    (tmp_path / "b.tsv").write_text("1\t2\n3\t4\n")
    np.testing.assert_array_equal(read(tmp_path / "b.tsv", "b"), [[1, 2], [3, 4]])


def test_sparse_archives_and_nested_structures_are_read(tmp_path: Path) -> None:
    save_npz(tmp_path / "s.npz", csr_matrix(X))
    np.testing.assert_array_equal(read(tmp_path / "s.npz", "matrix"), X)
    savemat(tmp_path / "s.mat", {"train": {"image": X, "labels": np.arange(4)}, "z": X})
    with open_arrays(tmp_path / "s.mat") as source:
        assert source.keys() == ["train/image", "train/labels", "z"]
        np.testing.assert_array_equal(source.array("train/image"), X)
    with h5py.File(tmp_path / "g.h5", "w") as file:
        file["train/image"] = X
    np.testing.assert_array_equal(read(tmp_path / "g.h5", "train/image"), X)
    (tmp_path / "n.pkl").write_bytes(pickle.dumps([{"image": X}, {"image": X + 1}]))
    np.testing.assert_array_equal(read(tmp_path / "n.pkl", "n/1/image"), X + 1)


def test_fields_of_records_are_arrays_and_numbered_ones_are_columns(tmp_path: Path) -> None:
    records = np.zeros(4, dtype=[("a", [("x", "f8", 3), ("y", "i8")]), ("b_0", "f4"), ("b_1", "f4")])
    records["a"]["x"], records["b_1"] = X, X[:, 1]
    np.save(tmp_path / "r.npy", records)
    with open_arrays(tmp_path / "r.npy") as source:
        assert source.keys() == ["a/x", "a/y", "b"]
        np.testing.assert_array_equal(source.array("a/x"), X)
        np.testing.assert_array_equal(source.array("b"), np.stack([0 * X[:, 1], X[:, 1]], axis=1))


def test_numbered_columns_are_a_matrix_only_if_none_has_the_number_of_another(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x_0,x_1,x1,y_1,y_2\n1,2,3,4,5\n6,7,8,9,0\n")
    with open_arrays(tmp_path / "a.csv") as source:
        assert source.keys() == ["x_0", "x_1", "x1", "y"]


class Repeated:
    """A record array of objects with one record many times."""

    def __reduce__(self) -> tuple[Any, ...]:
        make, kind = np.empty(1).__reduce__()[0], np.dtype([("a", "O"), ("b", "O")])
        return make, (np.ndarray, (0,), b"b"), (1, (1000,), kind, False, [(1, 2)] * 1000)


OVERLAPPING: Any = {"names": ["x_0", "x_1"], "formats": ["f8", "f8"], "offsets": [0, 0], "itemsize": 8}


@pytest.mark.parametrize(
    ("value", "word"), [(np.zeros(4, np.dtype(OVERLAPPING)), "share"), (Repeated(), "record")]
)
def test_no_record_is_more_than_its_bytes(tmp_path: Path, value: Any, word: str) -> None:
    (tmp_path / "x.pkl").write_bytes(pickle.dumps({"X": value}))
    with pytest.raises(DataError, match=word), open_arrays(tmp_path / "x.pkl") as source:
        source.keys()


@pytest.mark.parametrize(
    "values",
    [
        np.zeros(30_000, dtype=[*((f"x_{n}", "i1") for n in range(9)), ("x_9", "f8")]),
        np.zeros(300_000, "S1"),
    ],
    ids=["fields of several types", "bytes"],
)
def test_arrays_that_grow_beyond_the_free_memory_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, values: Array
) -> None:
    np.save(tmp_path / "x.npy", values)
    free = psutil.virtual_memory()._replace(available=values.nbytes + 1000)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    with pytest.raises(DataError, match=r"x\.npy.*memory"):
        read(tmp_path / "x.npy", "x")


class Bomb:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return exec, ("raise SystemExit(7)",)


@pytest.mark.parametrize("name", ["x.pkl", "x.pt", "x.npz"])
def test_no_pickle_is_executed(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "x.pkl":
        path.write_bytes(pickle.dumps({"X": Bomb()}))
    elif name == "x.pt":
        torch.save({"X": Bomb()}, path)
    else:
        np.savez(path, X=np.array([Bomb()], dtype=object))
    with pytest.raises(DataError):
        read(path, "X")


class Type:
    """An array's type that states of its entries, which are objects, that they are none."""

    def __reduce__(self) -> tuple[Any, ...]:
        return np.dtype, ("O8", False, True), (3, "|", None, None, None, -1, -1, 0)


class Addresses:
    """An array of objects whose addresses are bytes of the file."""

    def __reduce__(self) -> tuple[Any, ...]:
        make = np.empty(1).__reduce__()[0]
        return make, (np.ndarray, (0,), b"b"), (1, (2,), Type(), False, b"A" * 16)


@pytest.mark.parametrize("name", ["x.pkl", "x.pt"])
def test_no_bytes_of_a_file_become_addresses(tmp_path: Path, name: str) -> None:
    if name == "x.pkl":
        (tmp_path / name).write_bytes(pickle.dumps({"X": Addresses()}))
    else:
        torch.save({"X": Addresses()}, tmp_path / name)
    with pytest.raises(DataError):
        read(tmp_path / name, "X")


TENSORS: dict[str, Callable[[], Any]] = {
    "arrays": lambda: X,
    "turned": lambda: torch.from_numpy(X.T.copy()).T,
    "part": lambda: torch.from_numpy(np.pad(X, 2))[2:-2, 2:-2],
    "parameter": lambda: torch.nn.Parameter(torch.from_numpy(X)),
    "bfloat16": lambda: torch.from_numpy(X).to(torch.bfloat16),
    "sparse": lambda: torch.from_numpy(X).to_sparse(),
    "csr": lambda: torch.from_numpy(X).to_sparse_csr(),
    "rows": lambda: [*torch.from_numpy(X)],
}


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
@pytest.mark.parametrize("kind", TENSORS)
def test_tensors_and_arrays_of_a_pytorch_file_are_read(tmp_path: Path, kind: str) -> None:
    torch.save({"X": TENSORS[kind](), "Y": torch.arange(3)}, tmp_path / "x.pt")
    with open_arrays(tmp_path / "x.pt") as source:
        assert source.shape("X") == X.shape
        np.testing.assert_array_equal(source.array("X"), X)
        np.testing.assert_array_equal(source.matrix("X", transposed=True), X.T)


def test_a_tensor_whose_numbers_stand_in_the_file_once_is_read_once(tmp_path: Path) -> None:
    torch.save({"X": torch.zeros(1).expand(10**6)}, tmp_path / "x.pt")
    with pytest.raises(DataError, match="strides"):
        read(tmp_path / "x.pt", "X")


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_large_parts_of_a_pickle_are_read_where_they_are_asked_for(tmp_path: Path, protocol: int) -> None:
    large = np.random.default_rng(0).normal(size=(130, 70))
    values: dict[str, Any] = {
        "C": large,
        "F": np.asfortranarray(large),
        "short": (large * 9).astype(">i2"),
        "views": [large, large[:, :60].astype("f4")],
        "text": "é" * 40_000 + "文" * 40_000,
        "sparse": csr_matrix(np.abs(large)),
        "objects": np.array([large, large[:5]], dtype=object),
        "tensor": torch.from_numpy(large),
        "rows": [*torch.from_numpy(large)],
    }
    expected = {"C": large, "F": large, "short": values["short"], "sparse": np.abs(large), "tensor": large}
    if protocol < 2:  # which pickles sparse matrices in another way, that is refused
        del values["sparse"], expected["sparse"]
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(values, protocol))
    with open_arrays(tmp_path / "x.pkl") as source:
        for key, matrix in (expected | {"rows": large}).items():
            assert source.shape(key) == matrix.shape
            np.testing.assert_array_equal(source.array(key), matrix)
            np.testing.assert_array_equal(source.matrix(key, True), matrix.T.astype("f4"))
        for key in ("views", "objects"):
            for found, wanted in zip(source.cells(key), values[key], strict=True):
                np.testing.assert_array_equal(found, wanted)
        assert source.array("text").item() == values["text"]


@pytest.mark.parametrize("cut", [40, 2000])
def test_a_storage_that_ends_early_or_is_another_s_is_a_sentence(tmp_path: Path, cut: int) -> None:
    tensors = {"X": torch.arange(300.0).reshape(100, 3), "Y": torch.arange(40.0)}
    torch.save(tensors, tmp_path / "x.pt", _use_new_zipfile_serialization=False)
    whole = (tmp_path / "x.pt").read_bytes()
    (tmp_path / "x.pt").write_bytes(whole[:-cut])
    with pytest.raises(DataError):
        read(tmp_path / "x.pt", "X")
    (tmp_path / "x.pt").write_bytes(whole.replace((300).to_bytes(8, "little"), (301).to_bytes(8, "little")))
    with pytest.raises(DataError, match="300"):
        read(tmp_path / "x.pt", "X")


def test_an_embedded_file_is_not_read_many_times_over(tmp_path: Path) -> None:
    storage: Any = torch.storage.TypedStorage
    numbers = torch.arange(9.0).untyped_storage()
    make, arguments = storage(wrap_storage=numbers, dtype=torch.float32, _internal=True).__reduce__()

    class Once:
        def __reduce__(self) -> tuple[Any, ...]:
            return make, arguments

    (tmp_path / "x.pkl").write_bytes(pickle.dumps([Once() for _ in range(200)]))
    with pytest.raises(DataError, match="contain"):
        read(tmp_path / "x.pkl", "x")


def laughs() -> Any:
    value: Any = [1.0] * 10
    for _ in range(11):
        value = [value] * 10
    return value


@pytest.mark.parametrize(
    "value",
    [
        laughs(),
        10**4000,
        [10**400],
        {"a": {1, 2}},
        [[0.5, 2], [3]],
        ["a", 1],
        np.array([{}, 1], dtype=object),
        None,
    ],
    ids=["laughs", "huge", "huge in a list", "set", "ragged", "mixed", "objects", "nothing"],
)
def test_a_pickle_of_anything_but_arrays_is_a_sentence(tmp_path: Path, value: Any) -> None:
    (tmp_path / "x.pkl").write_bytes(pickle.dumps({"X": value}))
    with pytest.raises(DataError):
        read(tmp_path / "x.pkl", "X")


def external_link(file: Any, folder: Path) -> None:
    with h5py.File(folder / "secret.h5", "w") as secret:
        secret["X"] = X
    file["X"] = h5py.ExternalLink(str(folder / "secret.h5"), "X")


def external_storage(file: Any, folder: Path) -> None:
    (folder / "secret").write_bytes(X.tobytes())
    file.create_dataset("X", X.shape, "f8", external=[(str(folder / "secret"), 0, X.nbytes)])


def virtual(file: Any, folder: Path) -> None:
    layout = h5py.VirtualLayout(X.shape, "f8")
    layout[:] = h5py.VirtualSource(str(folder / "secret.h5"), "X", X.shape)
    file.create_virtual_dataset("X", layout)


def soft_link(file: Any, folder: Path) -> None:
    external_link(file, folder)
    file.move("X", "Y")
    file["X"] = h5py.SoftLink("/Y")


def never_written(file: Any, _: Path) -> None:
    file.create_dataset("X", (10**6, 10**6), "f8")


def cycle(file: Any, _: Path) -> None:
    file["X"] = file.create_group("g")
    file["g/h"] = file["g"]


@pytest.mark.parametrize(
    "make",
    [external_link, external_storage, virtual, soft_link, never_written, cycle],
    ids=lambda f: f.__name__,
)
def test_nothing_outside_of_an_hdf5_file_is_followed_and_every_size_is_checked(
    tmp_path: Path, make: Callable[[Any, Path], None]
) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        make(file, tmp_path)
    with pytest.raises(DataError):
        read(tmp_path / "x.h5", "X")


def test_a_key_that_stands_twice_in_an_object_of_json_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "twice.json"
    path.write_text('{"train": {"image": [[1.0]], "image": [[2.0]]}}')
    with pytest.raises(DataError, match="twice"), open_arrays(path) as source:
        source.keys()


def test_a_key_that_stands_twice_in_an_archive_is_refused(tmp_path: Path) -> None:
    member = io.BytesIO()
    np.save(member, X)
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("X.npy", member.getvalue())
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("X.npy", member.getvalue())
    with pytest.raises(DataError, match="twice"):
        read(tmp_path / "x.npz", "X")


def test_an_expansion_that_no_features_have_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.data.formats.array_file._ALWAYS_ALLOWED", 1 << 16)
    np.savez_compressed(tmp_path / "x.npz", X=np.zeros((1000, 1000)))
    with pytest.raises(DataError, match="unpack"):
        read(tmp_path / "x.npz", "X")


@pytest.mark.parametrize("kind", ["mat73", "npy"])
def test_a_large_matrix_is_read_in_blocks(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.data.formats import hdf5, stored

    for module in (stored, hdf5):
        monkeypatch.setattr(module, "BLOCK", 1 << 12)
    large = np.random.default_rng(0).normal(size=(300, 70))
    path = tmp_path / ("x.mat" if kind == "mat73" else "x.npy")
    write_mat73(path, {"x": large}) if kind == "mat73" else np.save(path, np.asfortranarray(large))
    with open_arrays(path) as source:
        np.testing.assert_array_equal(source.matrix("x"), large.astype("f4"))
        np.testing.assert_array_equal(source.matrix("x", transposed=True), large.T.astype("f4"))


def test_a_reader_that_dies_costs_its_file_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.data.formats import probe

    good, bad = names_h5(tmp_path / "good.h5"), names_h5(tmp_path / "bad.h5")
    real = probe._reader(new=True)
    real.kill()
    monkeypatch.setattr(probe, "_reader", lambda new: real)
    with pytest.raises(DataError, match="crashes"):
        read(bad, "X")
    monkeypatch.undo()
    np.testing.assert_array_equal(read(good, "X"), X)
    assert psutil.pid_exists(probe._reader(new=False).pid)


def test_what_a_library_prints_is_no_answer_about_a_file(tmp_path: Path) -> None:
    """The answer that followed was once taken for that about the next file, whatever it holds."""
    program = """
import os
from bench.data.formats import probed
probed.read_through = lambda path: os.write(1, b"noise of a library\\n")
probed._serve()
"""
    paths = [tmp_path / "a.npz", tmp_path / "b.npz"]
    for path in paths:
        path.touch()
    requests = "".join(f"{json.dumps(str(path))}\n" for path in paths)
    done = subprocess.run(
        [sys.executable, "-c", program], input=requests, capture_output=True, text=True, check=True
    )
    assert [json.loads(line) for line in done.stdout.splitlines()] == ["", ""]

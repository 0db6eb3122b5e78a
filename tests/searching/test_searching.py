"""Embedding and search with stored models, as commands and as functions."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image
from scipy.io import wavfile

import bench
from bench.contract import BenchError, DataError, Encoding, UsageError
from bench.encoders import Encoder, EncoderCard, Features
from bench.encoders import catalogue as encoder_catalogue
from bench.experiment.models import load_method
from bench.records.store import Store
from bench.searching import Searcher, index
from bench.searching.index import FaissIndex, exact, recall
from bench.searching.searcher import encoded
from tests.grid import only_plugins, run_command, write_bundle


class Letters(Encoder[str]):
    """Counts of letters, by a rule without weights."""

    card = EncoderCard("letters", "text", "Letters", "none", "none", "none", width=8)

    def encode(self, batch: Sequence[str]) -> Features:
        """Return how often each of eight letters occurs."""
        return np.array([[text.count(letter) for letter in "abcdefgh"] for text in batch], np.float32)


class Kept:
    """A results folder with models of a bundle whose texts were encoded by `Letters`."""

    def __init__(self, folder: Path) -> None:
        self.results, self.bundle = folder / "results", write_bundle(folder / "small.npz")
        card = {"modalities": {"text": {"kind": "text", "encoder": "letters", "sha256": ""}}}
        with np.load(self.bundle) as file:
            arrays = dict(file)
        np.savez(self.bundle, **arrays, card=np.array(json.dumps(card)), class_names=np.array([*"xyz"]))
        self.test = bench.load_dataset(self.bundle).test
        run = ("run", "--datasets", self.bundle, "--methods", "mrl,drsl", "--results", self.results)
        small = ("--set", "*.epochs=2", "--set", "*.hidden=[16]", "--set", "*.dim=8", "--seeds", 1)
        run_command(*run, *small, "--keep-models").check(0)
        self.digests = {one.identity.method: one.digest for one in Store(self.results).records()}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    return Kept(tmp_path_factory.mktemp("kept"))


@pytest.fixture
def letters(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {("text", "letters"): Letters}
    monkeypatch.setattr(encoder_catalogue, "encoders", lambda plugins=(): known)


@pytest.mark.parametrize("ending", [".npz", ".npy", ".h5"])
def test_embed_writes_what_the_model_embeds(kept: Kept, tmp_path: Path, ending: str) -> None:
    output, digest = tmp_path / f"embedded{ending}", kept.digests["mrl"]
    words = ("embed", digest[:8], "--results", kept.results, "--modality", "image", "--output", output)
    run_command(*words, "--features", kept.bundle, "--key", "test_image").check(0, "30 rows of image ... 8")
    expected = load_method(digest, kept.results).embed("image", kept.test["image"].features)
    if ending == ".h5":
        with h5py.File(output) as file:
            found = file["image"][()]
    else:
        loaded = np.load(output)
        found = loaded["image"] if ending == ".npz" else loaded
    assert (found.tobytes(), found.dtype) == (expected.tobytes(), expected.dtype)


def test_embed_refuses_wrong_options(kept: Kept) -> None:
    embed = ("embed", kept.digests["mrl"], "--results", kept.results, "--features")
    for modality, words, reason in (
        ("image", (kept.bundle, "--output", "e.npz"), "several arrays"),
        ("image", (kept.bundle, "--key", "test_text", "--output", "e.npz"), "(n, 12)"),
        ("image", (kept.bundle, "--key", "test_image", "--output", "e.txt"), ".npy"),
        ("image", ("absent.npz", "--output", "e.npz"), "absent.npz"),
        ("sound", (kept.bundle, "--output", "e.npz"), "unknown modality"),
    ):
        run_command(*embed, *words, "--modality", modality).check(2, reason)


@pytest.mark.parametrize("method", ["mrl", "drsl"])
def test_a_row_finds_what_is_most_similar(kept: Kept, method: str) -> None:
    found = bench.search(kept.digests[method], 3, modality="text", results=kept.results, top=5)
    model = load_method(kept.digests[method], kept.results)
    queries, items = kept.test["text"].features[[3]], kept.test["image"].features
    values = model.similarity("text", queries, "image", items)[0]
    assert [hit.row for hit in found.hits] == np.argsort(-values, kind="stable")[:5].tolist()
    assert [hit.score for hit in found.hits] == pytest.approx(np.sort(values)[::-1][:5], rel=1e-5)
    labels = kept.test["image"].labels
    assert [hit.classes for hit in found.hits] == ["xyz"[labels[hit.row]] for hit in found.hits]
    assert (found.size, found.gallery_modality, found.way) == (30, "image", "exact")


def test_a_text_is_encoded_as_the_features_were(kept: Kept, letters: None) -> None:
    searcher = Searcher(kept.digests["mrl"], results=kept.results)
    text = "a bad cab"
    features = Letters().encode([text])[0]
    assert searcher.search(text).hits == searcher.search(features, "text").hits
    assert searcher.search(text).modality == "text"
    found = run_command("search", kept.digests["mrl"], text, "--results", kept.results, "--top", 2)
    found.check(0, "'a bad cab' (text) ... 30 image items ... test rows of small", "exact")


def test_an_encoder_in_a_file_encodes_queries_beside_a_file_with_a_method(kept: Kept, tmp_path: Path) -> None:
    head = "import numpy as np\nfrom collections.abc import Sequence\n"
    head += "from bench.encoders import Encoder, EncoderCard, Features\n\n\n"
    (tmp_path / "letters.py").write_text(head + inspect.getsource(Letters))
    run_command("new", "method", "mine", "--folder", tmp_path).check(0)
    search = ("search", kept.digests["mrl"], "a bad cab", "--results", kept.results)
    with only_plugins():
        plugins = ("--plugin", tmp_path / "mine.py", "--plugin", tmp_path / "letters.py")
        run_command(*search, *plugins).check(0, "'a bad cab' (text) ... 30 image items")
    with only_plugins():
        run_command(*search, "--plugin", tmp_path / "mine.py").check(2, "encoder 'letters'")


def test_queries_that_cannot_be_encoded_alike_are_refused(
    kept: Kept, letters: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    search = ("search", kept.digests["mrl"], "--results", kept.results)
    run_command(*search, "--file", tmp_path / "a.png").check(2, "a.png")
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    run_command(*search, "--file", tmp_path / "a.png").check(2, "image encoder")
    monkeypatch.setattr(Letters, "checksum", lambda self: "f" * 64)
    run_command(*search, "a bad cab").check(2, "letters ... weights ... ffffffffffff")
    monkeypatch.undo()
    run_command(*search, "a bad cab").check(2, "encoder 'letters' ... text")
    run_command(*search).check(2, "one query")
    run_command(*search, "--row", 30).check(2, "no 30")
    run_command(*search, "--row", 1, "--in", "sound").check(2, "modality 'sound'")
    run_command("search", "00000000", "x", "--results", kept.results).check(2, "00000000", "--keep-models")


def test_a_file_is_a_picture_or_a_sound_by_its_content(kept: Kept, tmp_path: Path) -> None:
    model = load_method(kept.digests["mrl"], kept.results)
    encoder = {"image": "pixels:side=4", "text": "mfcc:3"}
    kinds: dict[str, Any] = {"image": "image", "text": "audio"}
    model.encodings = {name: Encoding(kinds[name], encoder[name], "") for name in kinds}
    Image.new("RGB", (4, 4)).save(tmp_path / "a.dat", "png")
    wavfile.write(tmp_path / "b.dat", 8000, np.zeros(800, np.int16))
    queries = [encoded(model, tmp_path / f"{name}.dat") for name in "ab"]
    assert [query.modality for query in queries] == ["image", "text"]
    assert [query.features.shape for query in queries] == [(1, 16), (1, 12)]
    with pytest.raises(UsageError, match="audio encoder"):
        encoded(model, tmp_path / "b.dat", "image")
    model.encodings["text"] = model.encodings["image"]
    with pytest.raises(UsageError, match=r"picture.*image.*text"):
        encoded(model, tmp_path / "a.dat")


def test_a_file_is_a_gallery_with_its_names_and_labels(kept: Kept, tmp_path: Path) -> None:
    path = tmp_path / "gallery.npz"
    images, labels = kept.test["image"].features[:7], kept.test["image"].labels[:7]
    np.savez(path, image=images, labels=labels, names=np.array([f"item {i}" for i in range(7)]))
    model, query = kept.digests["mrl"], kept.test["text"].features[0]
    found = bench.search(model, query, modality="text", gallery=path, results=kept.results)
    assert len(found.hits) == 7
    assert all(hit.name == f"item {hit.row}" and hit.classes == "xyz"[labels[hit.row]] for hit in found.hits)
    np.savez(path, image=images, labels=labels[:3])
    with pytest.raises(DataError, match="3 labels for 7 rows"):
        Searcher(kept.digests["mrl"], gallery=path, results=kept.results).search(0, "text")


def test_data_that_has_changed_is_no_gallery(kept: Kept, tmp_path: Path) -> None:
    other = Kept(tmp_path)
    write_bundle(other.bundle, seed=1)
    with pytest.raises(DataError, match=r"data.*model"):
        bench.search(other.digests["mrl"], 0, results=other.results)


@pytest.mark.parametrize("similarity", ["cosine", "dot", "euclidean", "hamming"])
def test_exact_search_in_blocks_is_that_of_the_whole(
    monkeypatch: pytest.MonkeyPatch, similarity: Any
) -> None:
    random = np.random.default_rng(0)
    queries, gallery = random.integers(0, 2, (4, 6)), random.integers(0, 2, (50, 6))
    whole = exact(similarity, queries, gallery, 9)
    monkeypatch.setattr(index, "BLOCK", 7)
    parts = exact(similarity, queries, gallery, 9)
    assert np.array_equal(whole.rows, parts.rows)
    assert np.array_equal(whole.scores, parts.scores)


@pytest.mark.parametrize("similarity", ["cosine", "dot", "euclidean"])
def test_an_index_finds_most_of_what_exact_search_finds(similarity: Any) -> None:
    pytest.importorskip("faiss", reason="FAISS is not installed: pip install -e '.[search]'")
    random = np.random.default_rng(0)
    centres = random.normal(size=(20, 16))
    gallery = (centres[np.arange(2000) % 20] + 0.3 * random.normal(size=(2000, 16))).astype(np.float32)
    queries = (centres[:10] + 0.3 * random.normal(size=(10, 16))).astype(np.float32)
    found, nearest = (
        FaissIndex(similarity, gallery).nearest(queries, 10),
        exact(similarity, queries, gallery, 10),
    )
    assert recall(similarity, queries, gallery, found) > 0.8
    assert found.scores[:, 0] == pytest.approx(nearest.scores[:, 0], rel=1e-3)


def test_recall_counts_the_exact_results_that_were_found() -> None:
    query, gallery = np.ones((1, 1)), np.arange(10.0)[:, None]
    wanted = exact("dot", query, gallery, 4)
    missed = wanted._replace(rows=np.array([[9, 8, 0, -1]]))
    assert [recall("dot", query, gallery, one) for one in (wanted, missed)] == [1.0, 0.5]


@pytest.mark.parametrize("similarity", ["cosine", "dot", "euclidean"])
def test_recall_counts_equally_near_items_whichever_of_them_were_found(similarity: Any) -> None:
    gallery = np.repeat(np.eye(3), 5, axis=0) * (1 + 1e-9 * np.arange(15))[:, None]
    wanted = exact(similarity, np.eye(3), gallery, 2)
    others = wanted._replace(rows=np.array([[3, 4], [8, 9], [2, 13]]))
    assert recall(similarity, np.eye(3), gallery, others) == pytest.approx(5 / 6)


def test_the_command_states_the_recall_of_an_index(kept: Kept) -> None:
    search = ("search", kept.digests["mrl"], "--results", kept.results, "--row", 0, "--way", "faiss")
    run_command("search", kept.digests["drsl"], *search[2:]).check(2, "DRSL ... similarity")
    pytest.importorskip("faiss", reason="FAISS is not installed: pip install -e '.[search]'")
    run_command(*search).check(0, "FAISS, inverted file ... 1 cells", "recall@10 ... 1.000 ... 30 image")


def test_without_faiss_an_index_is_refused_and_large_galleries_are_searched_exactly(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.searching.searcher.LARGE", 10)
    monkeypatch.setitem(sys.modules, "faiss", None)
    searcher = Searcher(kept.digests["mrl"], results=kept.results, way="faiss")
    with pytest.raises(UsageError, match=r"pip install 'cross-modal-bench\[search\]'"):
        searcher.search(0)
    assert Searcher(kept.digests["mrl"], results=kept.results).search(0).way == "exact"


def test_features_are_checked(kept: Kept) -> None:
    searcher = Searcher(kept.digests["mrl"], results=kept.results)
    for query in (np.zeros(3), np.full(12, np.nan), np.zeros((2, 12))):
        with pytest.raises(BenchError):
            searcher.search(query, "image")

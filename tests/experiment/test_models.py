"""Stored models: stored with their cells, loaded without training, refused if their content is impossible."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from safetensors.numpy import load_file, save

import bench
from bench.contract import BenchError, DataError, UsageError
from bench.data import load_dataset
from bench.experiment.models import StoredMethod, load_method
from bench.records.models import ARRAYS, CARD, ModelCard
from bench.records.schema import Record, Series
from bench.records.store import Store
from tests.experiment.running import done
from tests.grid import Output, only_plugins, run_command, write_bundle

PLUGIN = Path(__file__).with_name("evaluated.py")
METHODS = "mcca,sm,chance,mrl,drcl,mars,drsl,dccae"


class Kept(NamedTuple):
    """A results folder with models in it."""

    results: Path
    bundle: Path
    output: Output

    @property
    def store(self) -> Store:
        return Store(self.results)

    def record(self, method: str) -> Record:
        return next(record for record in self.store.records() if record.identity.method == method)

    def folder(self, method: str) -> Path:
        return self.store.models.root / self.record(method).digest


def run(results: Path, bundle: Path, methods: str, *words: object) -> Output:
    small = ["*.epochs=2", "*.hidden=[16]", "*.dim=8", "*.spl_epochs=2"]
    given = [word for setting in small for word in ("--set", setting)]
    chosen = ("--methods", methods, "--datasets", bundle, "--seeds", 1, "--jobs", 0)
    return run_command("run", "--results", results, "--plugin", PLUGIN, *chosen, *given, *words)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    folder = tmp_path_factory.mktemp("kept")
    bundle = write_bundle(folder / "small.npz", rows=120)
    output = run(folder / "results", bundle, f"{METHODS},forgets,silent", "--keep-models")
    return Kept(folder / "results", bundle, output)


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    with only_plugins(PLUGIN):
        yield


@pytest.mark.parametrize("method", METHODS.split(","))
def test_a_loaded_model_embeds_test_rows_as_the_record_says(kept: Kept, method: str) -> None:
    record = kept.record(method)
    model, result, test = load_method(record, kept.results), done(record), load_dataset(kept.bundle).test
    recorded = {metric.series: metric.value for metric in result.metrics}
    for direction in bench.evaluate(model.method, test, ["map@all"]).directions:
        series = (result.selection, "map@all", direction.query, direction.gallery)
        assert direction.map("map@all") == recorded[Series(*series)]
    rows = model.embed("image", test["image"].features)
    assert (rows.dtype, len(rows)) == (np.dtype(np.float32), len(test["image"]))
    similarity = model.similarity("image", test["image"].features[:3], "text", test["text"].features)
    assert similarity.shape == (3, len(test["text"]))


def test_the_run_states_how_many_models_it_kept_and_why_not_all(kept: Kept) -> None:
    count = len(METHODS.split(","))
    size = sum(card.size for _, card in kept.store.models.cards() if isinstance(card, ModelCard))
    total = f"stored models: {count}, {size / 1000:.1f} kB"
    kept.output.check(0, total, "model: ... forgets", "stored_state")
    for *words, title in (
        ("results", "stored model"),
        ("status", "stored model"),
        ("why", "mcca", "small", "Stored model"),
    ):
        plugin = () if words == ["results"] else ("--plugin", PLUGIN)
        run_command(*words, "--results", kept.results, *plugin).check(0, title, "kB")
    for method, reason in (("forgets", "gives other results"), ("silent", "does not define stored_state")):
        record = kept.record(method)
        card = kept.store.models.card(record.digest)
        assert card is not None
        assert reason in card.reason
        assert (record.status, card.reason in kept.store.log(record.digest)) == ("done", True)
        with pytest.raises(UsageError, match=reason):
            load_method(record, kept.results)


def test_a_condition_that_takes_classes_away_costs_no_model(tmp_path: Path) -> None:
    arrays = dict(np.load(write_bundle(tmp_path / "small.npz", rows=120, classes=5)))
    bundle = tmp_path / "named.npz"
    np.savez(bundle, **arrays, class_names=np.array(["a", "b", "c", "d", "e"]))
    run(tmp_path / "results", bundle, "mcca,drcl", "--keep-models", "--conditions", "unseen@0.4").check(0)
    for record in Store(tmp_path / "results").records():
        model = load_method(record, tmp_path / "results")
        assert model.classes == ("a", "b", "c", "d", "e")
        assert len(model.embed("image", arrays["test_image"])) == len(arrays["test_image"])


def test_models_are_kept_whatever_the_order_of_their_modalities(tmp_path: Path) -> None:
    order, methods = ("text", "image"), "mcca,drcl,dccae,drsl,dscmr,gnn4cmr"
    bundle = write_bundle(tmp_path / "small.npz", order)
    run(tmp_path / "results", bundle, methods, "--keep-models").check(0, "stored models: 6")
    test = load_dataset(bundle).test
    for record in Store(tmp_path / "results").records():
        model, result = load_method(record, tmp_path / "results"), done(record)
        assert (tuple(model.modalities), record.identity.modalities) == (order, order)
        recorded = {metric.series: metric.value for metric in result.metrics}
        for direction in bench.evaluate(model.method, test, ["map@all"]).directions:
            series = Series(result.selection, "map@all", direction.query, direction.gallery)
            assert direction.map("map@all") == recorded[series]


def test_keeping_models_changes_no_number(kept: Kept, tmp_path: Path) -> None:
    assert run(tmp_path, kept.bundle, "mrl,drcl").status == 0
    for record in Store(tmp_path).records():
        assert kept.store.read(record.digest).result == record.result
    assert not (tmp_path / "models").exists()


def test_finished_cells_without_a_model_are_run_again_for_it_once(kept: Kept, tmp_path: Path) -> None:
    assert run(tmp_path, kept.bundle, "mcca,silent,drcl").status == 0
    run(tmp_path, kept.bundle, "mcca,silent,drcl", "--keep-models").check(0, "3 run now")
    run(tmp_path, kept.bundle, "mcca,silent,drcl", "--keep-models").check(0, "0 run now", "stored models: 2")
    (record,) = [one for one in Store(tmp_path).records() if one.identity.method == "mcca"]
    assert record.environment.command.endswith("--keep-models")


def test_models_merge_with_their_records(kept: Kept, tmp_path: Path) -> None:
    count = len(METHODS.split(",")) + 2
    output = run_command("merge", kept.results, "--results", tmp_path)
    output.check(0, f"{count} records", f"{count} models in {kept.results}: {count} copied")
    assert _content(tmp_path / "models") == _content(kept.results / "models")
    shutil.rmtree(tmp_path / "models")
    run_command("merge", kept.results, "--results", tmp_path).check(0, "known already", f"{count} copied")
    path = tmp_path / "models" / kept.record("mcca").digest / ARRAYS
    path.write_bytes(path.read_bytes()[:-1])
    run_command("merge", kept.results, "--results", tmp_path).check(0, "1 copied")


def _content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _edit(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        content = json.loads((folder / CARD).read_text())
        change(content)
        (folder / CARD).write_text(json.dumps(content))

    return edit


def _swapped(folder: Path) -> None:
    content = bytearray((folder / ARRAYS).read_bytes())
    content[-1] ^= 1
    (folder / ARRAYS).write_bytes(content)


def _set(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda content: content.__setitem__(key, value)


def _as_settings(**values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda content: content["identity"]["settings"].update(values)


BROKEN: dict[str, Callable[[Path], object]] = {
    "swapped": _swapped,
    "truncated": lambda folder: (folder / ARRAYS).write_bytes((folder / ARRAYS).read_bytes()[:100]),
    "gone": lambda folder: (folder / ARRAYS).unlink(),
    "no JSON": lambda folder: (folder / CARD).write_bytes(b"\x80\x04pickle"),
    "no mapping": lambda folder: (folder / CARD).write_text("[1]"),
    "unknown field": _edit(_set("run", "import os")),
    "later layout": _edit(_set("layout", 99)),
    "too many classes": _edit(_set("classes", ["a"])),
    "other settings": _edit(_as_settings(dim=9)),
    "endless settings": _edit(_as_settings(hidden=[16] * 100_000)),
    "huge settings": _edit(_as_settings(hidden=[1 << 40])),
    "unknown setting": _edit(_as_settings(more=1)),
    "wrong type": _edit(_as_settings(epochs="many")),
    "other method": _edit(lambda content: content["identity"].update(method="mcca")),
    "huge widths": _edit(lambda content: content["facts"].update(widths={"image": 1 << 60})),
    "no facts": _edit(_set("facts", {})),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_model_is_one_sentence(kept: Kept, tmp_path: Path, fault: str) -> None:
    folder = shutil.copytree(kept.folder("mrl"), tmp_path / "copied")
    assert load_method(folder).card.name == "mrl"
    BROKEN[fault](folder)
    with pytest.raises((DataError, UsageError)) as caught:
        load_method(folder)
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def model(kept: Kept) -> StoredMethod:
    return load_method(kept.record("mcca").digest[:8], kept.results)


@pytest.mark.parametrize(
    ("modality", "features"),
    [
        ("sound", np.zeros((2, 12))),
        ("image", np.zeros((2, 11))),
        ("image", np.zeros(12)),
        ("image", np.full((2, 12), np.nan)),
        ("image", np.array([["a"] * 12])),
    ],
)
def test_features_that_do_not_fit_are_refused(model: StoredMethod, modality: str, features: Any) -> None:
    with pytest.raises(BenchError, match=modality):
        model.embed(modality, features)


def test_records_folders_digests_and_models_name_the_same_model(kept: Kept, tmp_path: Path) -> None:
    record = kept.record("mcca")
    names: list[Any] = [record, record.digest[:6], kept.store.runs / record.digest, str(kept.folder("mcca"))]
    models = [load_method(name, kept.results) for name in names]
    assert {model.identity.digest for model in models} == {record.digest}
    assert (models[0].modalities, models[0].n_classes) == ({"image": 12, "text": 8}, 3)
    with pytest.raises(UsageError, match="no stored model"):
        load_method("0123456789", kept.results)
    with pytest.raises(DataError, match="another cell"):
        load_method(shutil.copytree(kept.folder("mrl"), tmp_path / record.digest))


def test_a_model_is_verified_without_training(
    kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.experiment.cell.fit", None)  # nothing is fitted
    verify, count = ("verify", "--plugin", PLUGIN, "--models", "--cells", 20), len(METHODS.split(","))
    output = run_command(*verify, "--results", kept.results)
    output.check(1, "forgets", "not checked", f"{count} of {count + 2} agree")
    assert output.out.count("the same bytes") == count
    copied, digest = shutil.copytree(kept.results, tmp_path / "copied"), kept.record("mcca").digest
    run_command(*verify, digest[:8], "--results", copied).check(0, "1 of 1 finished cells", "the same bytes")
    folder = copied / "models" / digest
    state = dict(load_file(folder / ARRAYS))
    content = save({**state, "image/weights": -state["image/weights"]})
    (folder / ARRAYS).write_bytes(content)
    _edit(_set("arrays", {"sha256": sha256(content).hexdigest(), "size": len(content)}))(folder)
    run_command(*verify, digest[:8], "--results", copied).check(1, "DRIFT", "0 of 1 agree")
    run_command(*verify, "123456", "--results", copied).check(2, "no record")

"""Small files in users' layouts that are not committed, and what must be found in each."""

from __future__ import annotations

import json

from bench.contract import Dataset
from bench.data import diagnose, load_dataset
from tests.shared import shared


def found(data: Dataset) -> dict[str, object]:
    """Return the counts that the cases state; validation is cut off from their training rows."""
    first, second = data.modalities
    pairs = sum(len(part.pairs(first, second)[0]) for part in (data.train, data.validation))
    labelled = sum(int(part[first].labelled.sum()) for part in (data.train, data.validation))
    return {
        "n_classes": data.n_classes,
        "multi_label": data.train.multi_label,
        "train": len(data.train[first]) + len(data.validation[first]),
        "test": len(data.test[first]),
        "pairs": pairs,
        "labelled": labelled,
        "gallery": None if data.gallery is None else len(data.gallery[first]),
    }


def test_the_cases_are_read_as_meant() -> None:
    folder = shared("cases")
    for name, expected in json.loads((folder / "expected.json").read_text(encoding="utf-8")).items():
        output = " ".join(diagnose(folder / name).notes)
        assert expected.pop("doctor", "") in output, name
        seen = found(load_dataset(folder / name))
        assert {key: seen[key] for key in expected} == expected, name

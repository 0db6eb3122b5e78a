"""The tutorial on one's data does what it says, from each of its starting points."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.documents import ROOT, blocks, copy_with_methods, execute

TUTORIAL = ROOT / "docs" / "your-data.md"


@pytest.fixture(scope="module")
def printed_by(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Execute the whole tutorial with two methods and no workers; return what a block printed."""
    clone = copy_with_methods(tmp_path_factory.mktemp("clone"), "chance", "mcca")
    shown = list(blocks(TUTORIAL))
    one_process = [replace(b, text=b.text.replace("bench run ", "bench run --jobs 0 ")) for b in shown]
    printed = execute(one_process, clone)

    def find(part: str) -> str:
        return "".join(text for block, text in zip(shown, printed, strict=True) if part in block.text)

    return find


@pytest.mark.parametrize(
    ("part", "output"),
    [
        (
            "--datasets arrays.npz",
            ["arrays: complete", "ids = train_ids", "2 done", "read reports/tables.md"],
        ),
        ("--datasets classic.mat", ["image = I_tr", "counted from 1", "rows are pairs", "2 cells: 2 done"]),
        ("--output classic.npz", ["text = T_tr", "written: classic.npz", "2 cells: 2 done"]),
        (
            "--datasets hashing.h5",
            ["120 gallery rows stand in train", "map@all/gallery", "map@50/min/gallery"],
        ),
        ("data extract", ["pixels:side=8", "wrote photos.npz", "2 cells: 2 done"]),
        ("bench explain", ["60 rows of 4", "euclidean", "0.639 may be"]),
        ("--embeddings theirs=", ["not trained here", "1 cell: 1 done", "read reports/tables.md"]),
    ],
)
def test_every_starting_point_leads_to_its_result(
    printed_by: Callable[[str], str], part: str, output: list[str]
) -> None:
    printed = printed_by(part)
    assert [words for words in output if words not in printed] == []
    assert "DAMAGED" not in printed
    assert part != "bench explain" or "map@10/hits" in printed.split("0.639 may be")[1]


@pytest.mark.parametrize("dataset", ["arrays", "classic", "hashing", "photos"])
def test_the_method_finds_more_than_chance_on_the_files_of_the_tutorial(
    printed_by: Callable[[str], str], dataset: str
) -> None:
    found = re.findall(
        rf"^(\w+) +full +{dataset} .* map@all(?:/gallery)? +none +([\d.]+)", printed_by("bench results"), re.M
    )
    values = {
        name: [float(value) for method, value in found if method == name] for name in ("mcca", "chance")
    }
    assert values["chance"]
    assert min(values["mcca"]) > max(values["chance"])
    assert (dataset == "classic") == (values["mcca"][:2] == values["mcca"][2:])

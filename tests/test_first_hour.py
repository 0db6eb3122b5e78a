"""A newcomer's first hour from an empty folder: run, bring data, add a method, ask a condition, search.

In a clone it runs in a copy of the sources, under `make test-wheel` with the installed wheel alone.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.documents import ROOT, Block, copy_with_methods, execute

DATA = """
from pathlib import Path
import numpy as np
import bench

rng = np.random.default_rng(0)
classes = ["bird", "cat", "dog"]
means = {"image": rng.normal(size=(3, 12)), "text": rng.normal(size=(3, 8))}

def rows(n):
    y = np.arange(n) % 3
    return y, {name: mean[y] + 0.5 * rng.normal(size=(n, mean.shape[1])) for name, mean in means.items()}

folder = Path("animals")  # a folder of CSV files, as a spreadsheet writes them
folder.mkdir()
for part, n in (("train", 90), ("test", 30)):
    y, features = rows(n)
    (folder / f"{part}_labels.csv").write_text("label\\n" + "".join(f"{classes[c]}\\n" for c in y))
    for name, x in features.items():
        np.savetxt(folder / f"{part}_{name}.csv", x, delimiter=",")

def arrays(n):  # the same from Python
    y, features = rows(n)
    return {**features, "labels": y}

bench.save_bundle("bundle.npz", train=arrays(90), test=arrays(30), classes=classes, paired=True)
"""

SEARCH = """
from bench.cli import invoke

record = bench.results("results", methods="mcca", datasets="emoji")["record"].iloc[0]
print(bench.load_method(record).modalities)
assert invoke(["search", record, "--row", "3", "--modality", "image", "--top", "2"]) == 0
"""

HOUR = (
    ("bash", "python -m bench run --datasets emoji --methods mcca,chance --keep-models --jobs 0"),
    ("python", DATA),
    ("bash", "python -m bench data doctor animals"),
    ("bash", "python -m bench data import animals --output animals.npz"),
    ("bash", "python -m bench new method my_method --folder mine"),
    ("bash", "python -m bench check my_method --plugin mine/my_method.py"),
    (
        "bash",
        "python -m bench run --datasets animals.npz,bundle.npz --methods my_method,mcca,chance --seeds 2 "
        "--conditions clean,label-noise@.4 --plugin mine/my_method.py --set my_method.epochs=3 --jobs 0",
    ),
    ("bash", "python -m bench report --only tables --plugin mine/my_method.py"),
    ("python", SEARCH),
    ("bash", "python -m bench results --methods my_method --format csv --output mine.csv"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_with_methods(tmp_path_factory.mktemp("hour"), "mcca", "chance", "sm")


def test_every_step_works_and_ends_in_the_table_of_a_paper(folder: Path) -> None:
    printed = execute([Block(language, None, text) for language, text in HOUR], folder, children=True)
    assert "2 cells: 2 done" in printed[0]
    assert "complete" in printed[2]
    assert " passed, 0 failed" in printed[5]
    assert "24 cells: 24 done" in printed[6]
    tables = [path.read_text(encoding="utf-8") for path in (folder / "reports" / "tables").glob("*.tex")]
    ours = [text for text in tables if "My Method" in text]
    assert {name for name in ("animals", "bundle") for text in ours if name in text} == {
        "animals",
        "bundle",
    }
    assert any("label-noise@0.4" in text for text in ours)
    assert "image" in printed[8].splitlines()[0]
    assert len(printed[8].splitlines()) > 3
    protocol = (folder / "reports" / "protocol.tex").read_text(encoding="utf-8")
    assert "My Method" in protocol
    assert "under label-noise@0.4" in protocol
    assert len((folder / "mine.csv").read_text(encoding="utf-8").splitlines()) == 1 + 8 * 2 * 4


def test_the_console_script_of_an_installed_copy_is_the_program(tmp_path: Path) -> None:
    script = Path(sys.executable).parent / "cmbench"
    if (ROOT / "bench").is_dir() and not script.exists():
        pytest.skip("this environment was made before the console script was there")
    words = ([str(script)], [sys.executable, "-m", "bench"])
    output = [
        subprocess.run([*one, "--version"], capture_output=True, text=True, check=True, cwd=tmp_path).stdout
        for one in words
    ]
    assert output[0] == output[1] != ""

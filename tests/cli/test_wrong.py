"""Whatever is wrong on a command line costs one sentence and status 2, before anything runs or is written."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pytest

from tests.grid import FAULTS, Grid, say

SWEEP = "sweep plain --datasets emoji"
COMBINATIONS = f"seconds={','.join(map(str, range(1, 102)))} --param word={','.join(map(str, range(100)))}"

PLANNING = [
    ("reprot", "'reprot' (did you mean 'report'"),
    ("list method", "did you mean 'methods'"),
    ("check chance --device tpu", "'tpu' is no device; allowed are cpu, cuda"),
    ("merge nowhere", "nowhere does not exist"),
    ("run --methods plian", "unknown method 'plian' (did you mean 'plain'"),
    ("run --methods Deep", "unknown method 'Deep' (did you mean 'deep'"),
    ("run --datasets wikipedai", "unknown dataset 'wikipedai' (did you mean 'wikipedia'"),
    ("run --datasets missing.npz", "missing.npz"),
    ("run --profile papr", "did you mean 'paper'"),
    ("run --variants lout", "unknown variant 'lout' (did you mean 'loud'?)"),
    ("run --seeds three", "--seeds 'three'"),
    ("run --seeds 20240101", "to name one seed write it twice"),
    ("run --set plain.seconds", "is not of the form METHOD.PARAM=VALUE"),
    ("run --set seconds=3", "is not of the form METHOD.PARAM=VALUE"),
    ("run --set plain.=3", "is not of the form METHOD.PARAM=VALUE"),
    ("run --set plian.seconds=3", "unknown method 'plian' (did you mean 'plain'"),
    ("run --set plain.second=3", "unknown setting 'second' of plain (did you mean 'seconds'?)"),
    ("run --set *.epochs=3", "unknown setting 'epochs' of any of the methods"),
    ("run --set drcl.epochs=3", "settings are given for drcl"),
    ("run --set plain.seconds=abc", "settings of plain: seconds: Expected float, got str"),
    ("run --set plain.seconds=", "settings of plain: seconds: Expected float, got null"),
    ("run --set plain.seconds=[1", "the value is not valid YAML"),
    ("run --set plain.seconds=.nan", "finite number"),
    ("run --set plain.seconds=2020-01-01", "finite number"),
    ("run --set 'plain.widths=[1, two]'", "settings of plain: widths[1]: Expected int, got str"),
    ("run --shard 5/3", "--shard '5/3'"),
    ("run --shard a/b", "--shard 'a/b'"),
    ("run --data /no/such/folder", "there is no data folder /no/such/folder"),
    ("run --devices gpu", "no device 'gpu'"),
    ("run --devices cpu,cuda:0", "no device 'cuda:0'"),
    ("run --devices ''", "no device ''"),
    ("run --jobs-per-device 2", "--jobs-per-device is for GPUs"),
    ("run --max-memory lots", "'lots' is not an amount of memory"),
    ("run --max-memory 1G", "--max-memory needs a worker"),
    ("run --executor dask", "--executor dask needs --scheduler ADDRESS"),
    ("run --scheduler tcp://h:1", "--scheduler is of no use without --executor dask"),
    ("run --patience 3", "--patience is of no use without --executor dask"),
    ("run --executor dask --scheduler tcp://h:1 --jobs 2", "--jobs is for this machine"),
    ("run --plugin /no/file.py", "plug-in /no/file.py is not a Python file"),
    ("run --results FILE/below", "FILE/below"),
    ("run --results /proc/nothing", "/proc/nothing"),
    ("ablate raises --datasets emoji", "raises: no variants"),
    ("ablate plian --datasets emoji", "unknown method 'plian' (did you mean 'plain'"),
    ("ablate plain --datasets emoji --set plain.word=c", "would undo the variant loud"),
    ("sweep plian --datasets emoji --param word=a", "unknown method 'plian' (did you mean 'plain'"),
    (f"{SWEEP} --param wrod=a", "unknown setting 'wrod' of plain (did you mean 'word'?)"),
    (f"{SWEEP} --param word", "is not of the form PARAM=VALUE,VALUE"),
    (f"{SWEEP} --param =1", "is not of the form PARAM=VALUE,VALUE"),
    (f"{SWEEP} --param seconds=", "'seconds=' has no values"),
    (f"{SWEEP} --param seconds=1,[2", "the value is not valid YAML"),
    (f"{SWEEP} --param seconds=1,.inf", "finite number"),
    (f"{SWEEP} --param seconds=1,soon", "settings of plain: seconds: Expected float, got str"),
    (f"{SWEEP} --param word=a --param word=b", "--param word is given twice"),
    (f"{SWEEP} --param word=a --set *.word=b", "contradict each other; leave one out"),
    (f"{SWEEP} --param {COMBINATIONS}", "10,100 combinations"),
    ("explain", "METHOD and DATASET"),
    ("explain drcl", "explain takes METHOD and DATASET"),
    ("explain drcl emoji --embeddings GOOD", "explain takes METHOD and DATASET"),
    ("explain --embeddings absent.npz", "absent.npz: the file is not there"),
    ("explain --embeddings GOOD --cutoffs ten", "--cutoffs 'ten' is not a list of ranks"),
    ("explain --embeddings GOOD --cutoffs 0", "k must be a rank of at least 1"),
    ("explain --embeddings GOOD --galleries half", "--galleries 'half' is not a list of parts"),
    ("explain --embeddings GOOD --galleries 1/0", "--galleries '1/0' is not a list of parts"),
    ("explain --embeddings GOOD --galleries 2", "a part of the gallery is above 0 and at most 1"),
    ("explain --embeddings GOOD --query smell", "unknown modality 'smell' of these embeddings"),
    ("explain --embeddings NAN", "contain NaN"),
    ("explain --embeddings WIDE", "embedded in different widths"),
    *((f"{words} --results NONE", "no records in NONE") for words in (
        "results", "status", "report", "verify", "why drcl emoji", "explain drcl emoji",
        "compare drcl mcca --dataset emoji",
    )),
    ("run --jobs -1", "--jobs"),
    ("run --threads 0", "--threads"),
    ("run --timeout 0", "--timeout"),
    ("run --retry x", "--retry"),
    ("run --nonsense", "--nonsense"),
    ("run x", "x"),
    ("run --results FILE", "is a file"),
    ("report --reports FILE", "is a file"),
    ("ablate plain", "Missing"),
    ("sweep plain --datasets emoji", "Missing"),
    ("ablate", "Missing"),
    ("compare drcl mcca", "Missing"),
]  # fmt: skip
"""Command lines and what their errors name; `run` is for the method plain on emoji in this process."""

READING = [
    ("results --methods mcac", "unknown method 'mcac' in these records (did you mean 'mcca'?)"),
    ("results --datasets smal", "unknown dataset 'smal' in these records (did you mean 'small'?)"),
    ("results --protocols map@10/hits", "unknown protocol 'map@10/hits' in these records"),
    ("report --protocols map@10", "does not say what to divide by"),
    ("report --protocols map@10/hits", "unknown protocol 'map@10/hits' in these records"),
    ("report --selection oracle", "no record has a test-oracle trace; make some with"),
    ("report --fill absent.md", "cannot fill absent.md"),
    ("report --reports README.md/below", "cannot write README.md/below/tables.md"),
    ("verify --methods raises", "records that are asked for is of a finished cell"),
    ("verify --methods plian", "unknown method 'plian' in these records (did you mean 'plain'?)"),
    ("verify --datasets smal", "unknown dataset 'smal' in these records (did you mean 'small'?)"),
    ("explain raises small", "raises on small (image+text), seed 0 has no embeddings: failed: ValueError"),
    ("why drcl small --seed 7", "fits; there are: full, quick profile, image+text, seed 0 ("),
    ("why drcl small --seed 7", "run --methods drcl --datasets small --seeds 7-7 --results"),
    ("why drcl small --profile paper", "--datasets small --profile paper"),
    ("why drcl small --modalities image,audio", "--modalities image,audio"),
    ("why man small", "no record of man on small in"),
    ("why man emoji", "to make it: python -m bench run --methods man --datasets emoji"),
    ("why drlc small", "unknown method 'drlc' (did you mean "),
    ("why drcl smal", "unknown dataset 'smal' (did you mean 'small'?)"),
]


def embeddings(path: Path, text: np.ndarray) -> Path:
    image, labels = np.random.default_rng(0).normal(size=(12, 4)), np.arange(12) % 3
    np.savez(path, image=image, text=text, image_labels=labels, text_labels=labels)
    return path


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "file").touch()
    good = np.random.default_rng(1).normal(size=(12, 4))
    paths = {
        "FILE": tmp_path / "file",
        "NONE": tmp_path / "none",
        "GOOD": embeddings(tmp_path / "good.npz", good),
        "NAN": embeddings(tmp_path / "nan.npz", np.where(good > 1, np.nan, good)),
        "WIDE": embeddings(tmp_path / "wide.npz", np.ones((12, 5)) + np.eye(12, 5)),
    }
    return {name: str(path) for name, path in paths.items()}


def refused(line: str, key: str, files: dict[str, str], *more: object) -> str:
    """Check that a command line is refused with a sentence that has a key in it; returns the sentence."""
    words = shlex.split(line)
    for name, path in files.items():
        words, key = [word.replace(name, path) for word in words], key.replace(name, path)
    said = say(words[0], *more, *words[1:]).check(2, key)
    assert said.out == ""
    assert "Traceback" not in said.err
    return said.err


def usual(line: str, results: Path) -> list[object]:
    """Return what the command lines of the table leave out."""
    words: list[object] = []
    if "--results" not in line and not line.startswith(("list", "check")):
        words += ["--results", results]
    if line.startswith(("run", "ablate", "sweep")):
        words += ["--plugin", FAULTS, "--jobs", 0]
    for option, value in (("--methods", "plain"), ("--datasets", "emoji")):
        words += [option, value] if line.startswith("run") and option not in line else []
    return words


@pytest.mark.parametrize(("line", "key"), PLANNING, ids=[line[:60] for line, _ in PLANNING])
def test_a_wrong_word_is_one_sentence_before_anything_runs(
    tmp_path: Path, files: dict[str, str], line: str, key: str
) -> None:
    said = refused(line, key, files, *usual(line, tmp_path / "r"))
    assert said.splitlines()[-1].startswith("error: ")
    assert not list(tmp_path.glob("r/runs/*"))


@pytest.mark.parametrize(("line", "key"), READING, ids=[line for line, _ in READING])
def test_what_no_record_has_is_one_sentence(grid: Grid, tmp_path: Path, line: str, key: str) -> None:
    more: list[object] = ["--plugin", FAULTS] if line.startswith(("verify", "explain")) else []
    if line.startswith("report"):
        more += ["--only", "tables", *([] if "--reports" in line else ["--reports", tmp_path])]
    said = refused(line, key, {}, "--results", grid.results, *more)
    assert said.startswith("error: ")
    assert said.count("\n") == 1


def test_a_broken_plug_in_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("x = 1\nimport nothing_like_this\n")
    said = refused("run", "mine.py cannot be imported", {}, "--plugin", tmp_path / "mine.py")
    assert "ModuleNotFoundError" in said
    assert "line 2" in said

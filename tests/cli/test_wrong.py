"""Whatever is wrong on a command line costs one sentence and status 2, before anything runs or is written."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pytest

from tests.grid import FAULTS, Grid, bytes_of, run_command

SWEEP = "sweep plain --datasets emoji"
COMBINATIONS = f"seconds={','.join(map(str, range(1, 102)))} --param word={','.join(map(str, range(100)))}"

PLANNING = [
    ("reprot", "'reprot' ... 'report'"),
    ("list method", "'method' ... 'methods'"),
    ("check chance --device tpu", "'tpu' ... cpu ... cuda"),
    ("merge nowhere", "nowhere ... --results"),
    ("run --methods plian", "method 'plian' ... 'plain'"),
    ("run --methods Deep", "method 'Deep' ... 'deep'"),
    ("run --datasets wikipedai", "dataset 'wikipedai' ... 'wikipedia'"),
    ("run --datasets missing.npz", "missing.npz"),
    ("run --methods ''", "--methods ... empty"),
    ("run --datasets ,", "--datasets ... empty"),
    ("run --profile papr", "profile 'papr' ... 'paper'"),
    ("run --variants lout", "variant 'lout' ... 'loud'"),
    ("run --seeds three", "--seeds 'three'"),
    ("run --seeds 20240101", "20240101 ... 42-42"),
    ("run --set plain.seconds", "'plain.seconds' ... METHOD.PARAM=VALUE"),
    ("run --set seconds=3", "'seconds=3' ... METHOD.PARAM=VALUE"),
    ("run --set plain.=3", "'plain.=3' ... METHOD.PARAM=VALUE"),
    ("run --set plian.seconds=3", "method 'plian' ... 'plain'"),
    ("run --set plain.second=3", "setting 'second' of plain ... 'seconds'"),
    ("run --set *.epochs=3", "setting 'epochs' ... seconds"),
    ("run --set drcl.epochs=3", "settings ... drcl ... plain"),
    ("run --set plain.seconds=abc", "plain: seconds ... float ... str"),
    ("run --set plain.seconds=", "plain: seconds ... float ... null"),
    ("run --set plain.seconds=[1", "'plain.seconds=[1' ... YAML"),
    ("run --set plain.seconds=.nan", "'plain.seconds=.nan' ... finite number"),
    ("run --set plain.seconds=2020-01-01", "'plain.seconds=2020-01-01' ... number"),
    ("run --set 'plain.widths=[1, two]'", "plain: widths[1] ... int ... str"),
    ("run --shard 5/3", "--shard '5/3'"),
    ("run --shard a/b", "--shard 'a/b'"),
    ("run --data /no/such/folder", "folder /no/such/folder"),
    ("run --devices gpu", "device 'gpu' ... cpu"),
    ("run --devices cpu,cuda:0", "device 'cuda:0' ... cpu"),
    ("run --devices ''", "--devices ... empty"),
    ("run --modalities ,", "--modalities ... empty"),
    ("run --set plain.widths=[99999999999999999999]", "plain: widths ... 64 bits"),
    ("check ' '", "NAMES ... empty"),
    ("report --reports ''", "--reports ... empty"),
    ("run --jobs-per-device 2", "--jobs-per-device ... GPU"),
    ("run --max-memory lots", "--max-memory 'lots' ... 500M ... 4G"),
    ("run --max-memory 1G", "--max-memory ... worker ... --jobs 0"),
    ("run --executor dask", "--executor dask ... --scheduler ADDRESS"),
    ("run --scheduler tcp://h:1", "--scheduler ... --executor dask"),
    ("run --patience 3", "--patience ... --executor dask"),
    ("run --executor dask --scheduler tcp://h:1 --jobs 2", "--jobs ... --executor dask"),
    ("run --plugin /no/file.py", "/no/file.py ... Python file"),
    ("run --results FILE/below", "FILE/below"),
    ("run --results /proc/nothing", "/proc/nothing"),
    ("ablate raises --datasets emoji", "raises ... variants"),
    ("ablate plian --datasets emoji", "method 'plian' ... 'plain'"),
    ("ablate plain --datasets emoji --set plain.word=c", "plain.word=\"c\" ... loud"),
    ("sweep plian --datasets emoji --param word=a", "method 'plian' ... 'plain'"),
    (f"{SWEEP} --param wrod=a", "setting 'wrod' of plain ... 'word'"),
    (f"{SWEEP} --param word", "'word' ... PARAM=VALUE,VALUE"),
    (f"{SWEEP} --param =1", "'=1' ... PARAM=VALUE,VALUE"),
    (f"{SWEEP} --param seconds=", "'seconds=' ... seconds=1,2"),
    (f"{SWEEP} --param seconds=1,[2", "'seconds=1,[2' ... YAML"),
    (f"{SWEEP} --param seconds=1,.inf", "finite number"),
    (f"{SWEEP} --param seconds=1,soon", "plain: seconds ... float ... str"),
    (f"{SWEEP} --param word=a --param word=b", "--param word ... word=b"),
    (f"{SWEEP} --param word=a --set *.word=b", "--set *.word ... --param word"),
    (f"{SWEEP} --param {COMBINATIONS}", "10,100 combinations"),
    ("explain", "METHOD ... DATASET ... --embeddings"),
    ("explain drcl", "METHOD ... DATASET ... --embeddings"),
    ("explain drcl emoji --embeddings GOOD", "METHOD ... DATASET ... --embeddings"),
    ("explain --embeddings absent.npz", "absent.npz"),
    ("explain --embeddings GOOD --cutoffs ten", "--cutoffs 'ten' ... 5,50"),
    ("explain --embeddings GOOD --cutoffs 0", "--cutoffs ... 1 ... not 0"),
    ("explain --embeddings GOOD --galleries half", "--galleries 'half' ... 1/2,1/4"),
    ("explain --embeddings GOOD --galleries 1/0", "--galleries '1/0' ... 1/2,1/4"),
    ("explain --embeddings GOOD --galleries 2", "--galleries '2' ... 0 ... 1"),
    ("explain --embeddings GOOD --query smell", "modality 'smell' ... image, text"),
    ("explain --embeddings NAN", "'text' ... NaN ... row 5"),
    ("explain --embeddings WIDE", "'image': 4 ... 'text': 5"),
    *((f"{words} --results NONE", "records ... NONE ... python -m bench run --results NONE") for words in (
        "results", "status", "report", "verify", "why drcl emoji", "explain drcl emoji",
        "compare drcl mcca --dataset emoji",
    )),
    ("run --jobs -1", "--jobs"),
    ("run --threads 0", "--threads"),
    ("run --timeout 0", "--timeout"),
    ("run --retry x", "--retry"),
    (f"run --protocols recall@{'1' * 5000}", "not a protocol"),
    (f"run --set sdml.lr={'[' * 40_000}", "--set"),
    ("run --plugin LOOP", "symbolic links"),
    ("run --results LOOP/below", "symbolic links"),
    ("merge LOOP", "symbolic links"),
    ("run --nonsense", "--nonsense"),
    ("run x", "x"),
    ("run --results FILE", "--results ... FILE' is a file"),
    ("report --reports FILE", "--reports ... FILE' is a file"),
    ("ablate plain", "--datasets"),
    ("sweep plain --datasets emoji", "--param"),
    ("ablate", "METHODS"),
    ("compare drcl mcca", "--dataset"),
]  # fmt: skip
"""Command lines and what their errors name; `run` is for the method plain on emoji in this process."""

READING = [
    ("results --methods mcac", "method 'mcac' ... 'mcca'"),
    ("results --datasets smal", "dataset 'smal' ... 'small'"),
    ("results --protocols map@10/hits", "protocol 'map@10/hits' ... map@50/hits"),
    ("report --protocols map@10", "'map@10' ... map@10/hits ... map@10/min ... map@10/relevant"),
    ("report --protocols map@10/hits", "protocol 'map@10/hits' ... map@50/hits"),
    ("report --selection oracle", "python -m bench run --trace-test"),
    ("report --fill absent.md", "absent.md"),
    ("report --reports README.md/below", "README.md/below/tables.md"),
    ("verify --methods raises", "none of the 4 records"),
    ("verify --methods plian", "method 'plian' ... 'plain'"),
    ("verify --datasets smal", "dataset 'smal' ... 'small'"),
    ("explain raises small", "raises on small (image+text), seed 0 ... failed: ValueError"),
    ("why drcl small --seed 7", "drcl on small ... full, quick profile, image+text, seed 0 ... seed 1"),
    ("why drcl small --seed 7", "run --methods drcl --datasets small --seeds 7-7"),
    ("why drcl small --profile paper", "--datasets small --profile paper"),
    ("why drcl small --modalities image,audio", "--modalities image,audio"),
    ("why man small", "man on small"),
    ("why man emoji", "man on emoji ... python -m bench run --methods man --datasets emoji"),
    ("why drlc small", "method 'drlc' ... 'drcl'"),
    ("why drcl smal", "dataset 'smal' ... 'small'"),
]


def embeddings(path: Path, text: np.ndarray) -> Path:
    image, labels = np.random.default_rng(0).normal(size=(12, 4)), np.arange(12) % 3
    np.savez(path, image=image, text=text, image_labels=labels, text_labels=labels)
    return path


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "file").touch()
    good = np.random.default_rng(1).normal(size=(12, 4))
    (tmp_path / "loop").symlink_to("loop")
    paths = {
        "LOOP": tmp_path / "loop",
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
    output = run_command(words[0], *more, *words[1:]).check(2, key)
    assert output.out == ""
    assert "Traceback" not in output.err
    return output.err


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
    output = refused(line, key, files, *usual(line, tmp_path / "r"))
    assert output.splitlines()[-1].startswith("error: ")
    assert not list(tmp_path.glob("r/runs/*"))


@pytest.mark.parametrize("folder", ["runs", "runs/below", "models"])
def test_a_report_is_not_written_among_the_records(grid: Grid, folder: str) -> None:
    before = bytes_of(grid.results)
    refused("report", "folder of records", {}, "--results", grid.results, "--reports", grid.results / folder)
    assert bytes_of(grid.results) == before


@pytest.mark.parametrize(("line", "key"), READING, ids=[line for line, _ in READING])
def test_what_no_record_has_is_one_sentence(grid: Grid, tmp_path: Path, line: str, key: str) -> None:
    more: list[object] = ["--plugin", FAULTS] if line.startswith(("verify", "explain")) else []
    if line.startswith("report"):
        more += ["--only", "tables", *([] if "--reports" in line else ["--reports", tmp_path])]
    output = refused(line, key, {}, "--results", grid.results, *more)
    assert output.startswith("error: ")
    assert output.count("\n") == 1


def test_a_broken_plug_in_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("x = 1\nimport nothing_like_this\n")
    output = refused("run", "mine.py", {}, "--plugin", tmp_path / "mine.py")
    assert "ModuleNotFoundError" in output
    assert "line 2" in output

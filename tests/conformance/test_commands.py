"""``new`` writes what works at once; ``check`` says what is wrong and ends accordingly."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from bench import registry
from bench.cli import invoke
from bench.conformance import scaffold
from bench.contract import UsageError
from bench.registry import sources

ROOT = Path(__file__).resolve().parents[2]
TOYS = "from dataclasses import replace\n\nfrom tests.conformance import toys\n\n\n"


@pytest.fixture(autouse=True)
def no_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the files that a test names."""
    monkeypatch.setattr(sources, "_PLUGINS", [])


def _toy(folder: Path, base: str) -> str:
    file = folder / f"{base.lower()}_file.py"
    name = f"{base.lower()}_toy"
    file.write_text(TOYS + f"class Own(toys.{base}):\n    card = replace(toys.{base}.card, name={name!r})\n")
    return str(file)


@pytest.mark.parametrize("kind", ["deep", "linear"])
def test_a_new_file_keeps_every_promise_and_the_houses_style(
    kind: scaffold.Kind, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"my_{kind}_method"
    flags = ["--linear"] if kind == "linear" else []
    assert invoke(["new", "method", name, "--folder", str(tmp_path), *flags]) == 0
    file = tmp_path / f"{name}.py"
    told = capsys.readouterr().out
    assert f"wrote {file}" in told
    assert f"check {name} --plugin {file}" in told
    assert invoke(["check", name, "--plugin", str(file)]) == 0
    assert " 0 failed" in capsys.readouterr().out
    for words in (["check"], ["format", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *words, "--config", str(ROOT / "pyproject.toml"), "--no-cache"]
        subprocess.run([*ruff, str(file)], check=True, cwd=ROOT)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["deep", "linear"])
def test_a_new_file_is_typed(kind: scaffold.Kind, tmp_path: Path) -> None:
    file = scaffold.write_method("my_typed_method", tmp_path, kind)
    mypy = [sys.executable, "-m", "mypy", "--strict", "--config-file", str(ROOT / "pyproject.toml")]
    subprocess.run([*mypy, "--follow-imports=silent", str(file)], check=True, cwd=ROOT)


def test_a_file_in_the_projects_folder_is_found_by_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "methods").mkdir()
    (tmp_path / "methods" / "__init__.py").touch()
    monkeypatch.setattr(sources, "_home", lambda kind: (tmp_path / kind, f"bench_plugin_here_{kind}"))
    registry.rescan()
    try:
        assert invoke(["new", "method", "found_at_once"]) == 0
        assert "--plugin" not in capsys.readouterr().out
        assert registry.method_names() == ["found_at_once"]
        with pytest.raises(UsageError, match=r"is already defined by .*found_at_once\.py"):
            scaffold.write_method("found_at_once")
    finally:
        monkeypatch.undo()
        registry.rescan()


@pytest.mark.parametrize("name", ["MyMethod", "2nd", "my-method", "../x", "lambda", "x" * 31, "deep"])
def test_a_name_that_cannot_be_used_is_refused(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["new", "method", name, "--folder", str(tmp_path)]) == 2
    reason = "names a group of methods" if name == "deep" else "cannot name a method"
    assert reason in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_never_overwritten_and_a_folder_that_cannot_be_made_is_told(
    tmp_path: Path,
) -> None:
    (tmp_path / "mine.py").write_text("precious\n")
    with pytest.raises(UsageError, match=r"mine\.py exists already; choose another name"):
        scaffold.write_method("mine", tmp_path)
    assert (tmp_path / "mine.py").read_text() == "precious\n"
    with pytest.raises(UsageError, match=r"cannot be written|exists already"):
        scaffold.write_method("mine", tmp_path / "mine.py" / "below")


def test_an_installed_copy_writes_into_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(registry, "folder_of", lambda kind: tmp_path / "site" / f"installed_{kind}")
    monkeypatch.chdir(tmp_path)
    assert invoke(["new", "method", "mine"]) == 0
    assert "check mine --plugin mine.py" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["mine.py"]


@pytest.mark.parametrize("kind", ["deep", "linear"])
def test_the_longest_name_still_fits_the_lines(kind: scaffold.Kind) -> None:
    text = scaffold.render("a_" + "long" * 6 + "_b2", kind)
    ast.parse(text)
    assert max(map(len, text.splitlines())) <= 110


def test_check_prints_every_promise_and_ends_with_0(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["check", "modest_toy", "--plugin", _toy(tmp_path, "Modest")]) == 0
    told = capsys.readouterr().out
    assert " passed, 0 failed, 5 skipped" in told
    assert "  skipped  takes five modalities at once\n           Toy takes exactly two modalities" in told


def test_check_gives_reason_and_hint_for_a_broken_promise_and_ends_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = ["--plugin", _toy(tmp_path, "Squeezed"), "--plugin", _toy(tmp_path, "Toy")]
    assert invoke(["check", "squeezed_toy", "toy_toy", *files]) == 1
    told = capsys.readouterr().out
    assert "  failed   embeds a single row\n           embed('image') of one row has shape (4,)" in told
    assert "           hint: features have shape (1, d_v) then; keep the row axis" in told
    assert " passed, 1 failed, " in told
    assert " passed, 0 failed, 1 skipped" in told


def test_check_takes_settings_for_one_method_or_for_all_that_have_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = _toy(tmp_path, "Toy")
    assert invoke(["check", "toy_toy", "--plugin", file, "--set", "toy_toy.lr=fast"]) == 1
    assert "were refused" in capsys.readouterr().out
    assert invoke(["check", "toy_toy", "--plugin", file, "--set", "*.epochs=1", "--set", "*.q=2"]) == 0


@pytest.mark.parametrize("words", [["check", "no_such_method"], ["check"], ["new", "method"]])
def test_wrong_usage_ends_with_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(words) == 2
    assert capsys.readouterr().err


def test_the_templates_are_package_data() -> None:
    tomllib = importlib.import_module("tomllib") if sys.version_info >= (3, 11) else None
    if tomllib is None:
        pytest.skip("tomllib came with Python 3.11")
    setup = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert "templates/*" in setup["package-data"]["bench.conformance"]
    assert "bench.conformance" in setup["packages"]

"""``new`` writes a method that passes; ``check`` names broken promises and sets its exit status."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import registry
from bench.conformance import scaffold
from bench.contract import UsageError
from bench.registry import sources
from tests.grid import only_plugins, run_command

ROOT = Path(__file__).resolve().parents[2]
TOYS = "from dataclasses import replace\n\nfrom tests.conformance import toys\n\n\n"


@pytest.fixture(autouse=True)
def no_plugins() -> Iterator[None]:
    """Forget the files that a test names."""
    with only_plugins():
        yield


def _toy(folder: Path, base: str) -> str:
    file = folder / f"{base.lower()}_file.py"
    name = f"{base.lower()}_toy"
    file.write_text(
        TOYS + f"class Named(toys.{base}):\n    card = replace(toys.{base}.card, name={name!r})\n"
    )
    return str(file)


@pytest.mark.parametrize("kind", ["deep", "linear"])
def test_a_new_file_keeps_every_promise_and_the_style_with_the_longest_name(
    kind: scaffold.Kind, tmp_path: Path
) -> None:
    name = "a_" + "long" * 6 + "_b22"
    file = tmp_path / f"{name}.py"
    flags = ["--linear"] if kind == "linear" else []
    made = run_command("new", "method", name, "--folder", tmp_path, *flags)
    made.check(0, f"wrote {file}", f"check {name} --plugin {file}")
    run_command("check", name, "--plugin", file).check(0, " 0 failed")
    assert kind == "linear" or len(file.read_text().splitlines()) <= 45
    for words in (["check"], ["format", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *words, "--config", str(ROOT / "pyproject.toml"), "--no-cache"]
        subprocess.run([*ruff, str(file)], check=True, cwd=ROOT)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["deep", "linear"])
def test_a_new_file_is_typed(kind: scaffold.Kind, tmp_path: Path) -> None:
    file = scaffold.write_method("my_typed_method", tmp_path, kind)
    mypy = [sys.executable, "-m", "mypy", "--strict", "--config-file", str(ROOT / "pyproject.toml")]
    subprocess.run([*mypy, "--follow-imports=silent", str(file)], check=True, cwd=ROOT)


def test_a_file_in_the_folder_of_methods_is_registered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "methods").mkdir()
    (tmp_path / "methods" / "__init__.py").touch()
    monkeypatch.setattr(sources, "_package", lambda kind: (tmp_path / kind, f"bench_plugin_here_{kind}"))
    registry.rescan()
    try:
        assert "--plugin" not in run_command("new", "method", "found_at_once").check(0).out
        assert registry.method_names() == ["found_at_once"]
        with pytest.raises(UsageError, match=r"found_at_once\.py"):
            scaffold.write_method("found_at_once")
    finally:
        monkeypatch.undo()
        registry.rescan()


@pytest.mark.parametrize("name", ["MyMethod", "2nd", "my-method", "../x", "lambda", "x" * 31, "deep"])
def test_a_name_that_cannot_be_used_is_refused(name: str, tmp_path: Path) -> None:
    reason = "names a group of methods" if name == "deep" else "cannot name a method"
    run_command("new", "method", name, "--folder", tmp_path).check(2, reason)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("kind", "name"), [("method", "numpy"), ("method", "os"), ("condition", "json")])
def test_a_file_that_would_hide_a_module_from_every_command_is_not_written(
    kind: str, name: str, tmp_path: Path
) -> None:
    run_command("new", kind, name, "--folder", tmp_path).check(2, "name of a module")
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_never_overwritten_and_needs_a_folder(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("precious\n")
    with pytest.raises(UsageError, match=r"mine\.py"):
        scaffold.write_method("mine", tmp_path)
    assert (tmp_path / "mine.py").read_text() == "precious\n"
    with pytest.raises(UsageError, match=r"written|exists"):
        scaffold.write_method("mine", tmp_path / "mine.py" / "below")


def test_an_installed_copy_writes_into_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "folder_of", lambda kind: tmp_path / "site" / f"installed_{kind}")
    monkeypatch.chdir(tmp_path)
    run_command("new", "method", "mine").check(0, "check mine --plugin mine.py")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.py"]


def test_check_prints_every_promise_with_the_reason_why_not_and_ends_with_0(tmp_path: Path) -> None:
    reason = ("skipped ... takes five modalities", "Toy ... two modalities")
    run_command("check", "modest_toy", "--plugin", _toy(tmp_path, "Modest")).check(
        0, " passed ... 0 failed ... 5 skipped", *reason
    )


def test_check_gives_reason_and_hint_for_a_broken_promise_and_ends_with_1(tmp_path: Path) -> None:
    files = ["--plugin", _toy(tmp_path, "Squeezed"), "--plugin", _toy(tmp_path, "Toy")]
    run_command("check", "squeezed_toy", "toy_toy", *files).check(
        1,
        "failed ... embeds a single row",
        "embed('image') ... (4,)",
        "hint: ... (1, d_v)",
        " passed ... 1 failed",
        " passed ... 0 failed ... 1 skipped",
    )


def test_check_takes_settings_for_one_method_or_for_all_that_have_them(tmp_path: Path) -> None:
    words = ("check", "toy_toy", "--plugin", _toy(tmp_path, "Toy"))
    run_command(*words, "--set", "toy_toy.lr=fast").check(1, "were refused")
    run_command(*words, "--set", "*.epochs=1", "--set", "*.q=2").check(0)


@pytest.mark.parametrize("words", [["check", "no_such_method"], ["check"], ["new", "method"]])
def test_wrong_usage_ends_with_2(words: list[str]) -> None:
    assert run_command(*words).check(2).err


def test_the_templates_are_package_data() -> None:
    tomllib = importlib.import_module("tomllib") if sys.version_info >= (3, 11) else None
    if tomllib is None:
        pytest.skip("tomllib came with Python 3.11")
    setup = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert "templates/*" in setup["package-data"]["bench.conformance"]
    assert "bench.conformance" in setup["packages"]

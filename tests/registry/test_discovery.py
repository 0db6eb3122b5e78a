"""Plug-ins are found in folders, entry points and files; a broken one is named and affects no other."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench import registry
from bench.contract import DatasetLoader, Method, PluginError, UsageError
from bench.registry import sources
from tests.registry.conftest import COMPUTED, METHOD, Writer, entry_point

DATASET = """
from bench.contract import DatasetCard, DatasetLoader, Fact, ModalityCard

FEATURE = Fact("means of colours", "inferred")


class Pets(DatasetLoader):
    card = DatasetCard(
        name="pets",
        title="Pets",
        modalities=(
            ModalityCard("image", FEATURE, Fact(4, "confirmed"), Fact((3, 2, 1), "doubtful"), "dense"),
            ModalityCard("text", FEATURE, Fact(None, "doubtful"), Fact(None, "doubtful"), "topics"),
        ),
        n_classes=Fact(3, "confirmed"),
        licence="MIT",
        source="nowhere",
        notes=("a", "b"),
    )

    def read(self, files):
        return {}
"""

ROOT = Path(registry.__file__).parents[2]


def _problems() -> list[str]:
    return [problem.reason for problem in registry.registered().problems]


def test_a_file_in_the_folder_is_a_method(write: Writer) -> None:
    write("alpha", text=METHOD + "\n\nAlias = {cls}\n")  # a second name is not a second method
    assert registry.method_names() == ["alpha"]
    assert _problems() == []
    cls = registry.method_class("alpha")
    assert issubclass(cls, Method)
    assert cls.card.name == "alpha"


def test_methods_come_in_the_order_of_the_roster_without_hidden_files(write: Writer) -> None:
    write("_hidden")
    for name, position in (("beta", 3), ("gamma", 2), ("alpha", 3)):
        write(name, position=position)
    assert registry.method_names() == ["gamma", "alpha", "beta"]


def test_an_unknown_name_brings_near_misses_and_the_reasons_why_files_were_left_out(write: Writer) -> None:
    write("alpha")
    write("omega", text="import no_such_module\n" + COMPUTED)
    with pytest.raises(UsageError) as caught:
        registry.method("alhpa")
    assert "did you mean 'alpha'" in str(caught.value)
    assert "no_such_module" in str(caught.value)
    with pytest.raises(UsageError, match="unknown dataset 'x'; there are: none"):
        registry.dataset("x")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import no_such_module\n" + COMPUTED, "No module named 'no_such_module' (broken.py, line 1)"),
        ("x = = 1\n", "SyntaxError: invalid syntax (broken.py, line 1)"),
        ("raise SystemError('stop')\n" + COMPUTED, "SystemError: stop"),
        ("import sys\nsys.exit(0)\n" + COMPUTED, "it ends the program (broken.py, line 2)"),
        ("1 / 0\n" + COMPUTED, "ZeroDivisionError: division by zero (broken.py, line 1)"),
        (METHOD.replace("    Settings = {cls}Settings\n", ""), "Settings must be a frozen dataclass"),
        (METHOD.replace("@dataclass(frozen=True)", "@dataclass"), "Settings must be a frozen dataclass"),
        (METHOD.replace("lr: float = 0.5", "lr: object = object()"), "default that JSON can hold"),
        (METHOD.replace("lr: float = 0.5", "lr: float = field(kw_only=True)"), "needs a default"),
        (METHOD.replace('"epochs": 1', '"eopchs": 1'), "variants change unknown settings ['eopchs']"),
        (METHOD.replace('"short"', '"full"'), "'full' is the method itself"),
        (METHOD.replace('"short"', '"all"'), "'all' stands for every variant"),
        (METHOD.replace('variants = {{"short": {{"epochs": 1}}}}', "variants = 3"), "cannot be described"),
        (METHOD.replace('"{name}", "T"', '"a,b", "T"'), "'a,b' cannot be a name"),
        (METHOD.replace("def embed", "def embedding"), "does not define embed"),
        (METHOD.replace("    card =", "    cart ="), "Broken has no card"),
        (METHOD.replace("    card =", "    card = 3  #"), "card must be a MethodCard"),
        (METHOD.replace('"T", "A", 2025', '"T", "A", "2025"'), "Expected int"),
        (METHOD.replace('"{name}", "T"', '"{name}", 3'), "Expected str"),
    ],
)
def test_a_broken_plug_in_is_told_and_the_others_stay(write: Writer, text: str, reason: str) -> None:
    write("alpha")
    broken = write("broken", text=text)
    assert registry.method_names() == ["alpha"]
    (problem,) = registry.registered().problems
    assert reason in problem.reason
    assert problem.where == str(broken)


def test_bases_and_private_classes_are_no_plug_ins(write: Writer) -> None:
    base = (
        "from bench.contract import Method\n\n\nclass Base(Method):\n    def fit(self, *a): ...\n\n\n"
        "class _Inner(Base):\n    def embed(self, *a): ...\n"
    )
    write("base", text=base)
    assert registry.method_names() == []
    assert _problems() == []


def test_of_two_methods_with_one_name_the_second_is_left_out(write: Writer, tmp_path: Path) -> None:
    first, second = write("alpha"), write("alpha", folder=tmp_path)
    registry.add_plugin(second)
    assert registry.method("alpha").where == str(first)
    (problem,) = _problems()
    assert f"{second} is already defined by {first}" in problem


def test_a_plug_in_file_may_define_methods_and_datasets(write: Writer, tmp_path: Path) -> None:
    file = write("alpha", folder=tmp_path, text=METHOD + DATASET.replace("{", "{{").replace("}", "}}"))
    registry.add_plugin(file)
    registry.add_plugin(str(file))
    assert registry.plugins() == (str(file),)
    assert registry.method_names() == ["alpha"]
    assert registry.dataset_names() == ["pets"]
    assert issubclass(registry.dataset_loader("pets"), DatasetLoader)
    assert _problems() == []


def test_a_plug_in_file_without_plug_ins_is_told(tmp_path: Path, write: Writer) -> None:
    write("broken", text="x = = 1\n")
    file = tmp_path / "empty.py"
    file.write_text("x = 1\n")
    registry.add_plugin(file)
    assert any("does not define a Method or DatasetLoader" in reason for reason in _problems())


@pytest.mark.parametrize("name", ["absent.py", "notes.txt"])
def test_a_plug_in_must_be_a_python_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(PluginError, match="is not a Python file"):
        registry.add_plugin(tmp_path / name)


def test_a_dataset_without_a_card_of_its_own_is_told(home: Path) -> None:
    (home / "datasets" / "pets.py").write_text(DATASET.replace("card = DatasetCard(", "card = dict("))
    registry.rescan()
    assert registry.dataset_names() == []
    assert "card must be a DatasetCard" in _problems()[0]


class TestEntryPoints:
    """Plug-ins of installed packages."""

    @pytest.fixture
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        (tmp_path / "site").mkdir()
        monkeypatch.syspath_prepend(str(tmp_path / "site"))
        return tmp_path / "site"

    @pytest.fixture
    def install(self, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
        def points(**values: str) -> None:
            found = [entry_point(name, value) for name, value in values.items()]
            monkeypatch.setattr(
                sources, "entry_points", lambda group: [one for one in found if one.group == group]
            )
            registry.rescan()

        return points

    def test_a_class_or_a_module_may_be_named(
        self, folder: Path, install: Callable[..., None], write: Writer
    ) -> None:
        for name in ("one_class", "whole_module"):
            write(name, folder=folder)
        install(a="one_class:One_class", b="whole_module")
        assert registry.method_names() == ["one_class", "whole_module"]
        assert registry.method("one_class").where == "entry point a = one_class:One_class"
        assert registry.method_class("whole_module").__name__ == "Whole_module"
        assert _problems() == []

    def test_two_classes_of_one_module_do_not_get_in_each_others_way(
        self, folder: Path, install: Callable[..., None], write: Writer
    ) -> None:
        text = METHOD + METHOD.replace("{cls}", "{cls}Two").replace('"{name}"', '"{name}_two"')
        write("pair_of", folder=folder, text=text)
        install(a="pair_of:Pair_of", b="pair_of:Pair_ofTwo")
        assert registry.method_names() == ["pair_of", "pair_of_two"]
        assert _problems() == []

    def test_a_class_that_lives_in_another_module_is_found(
        self, folder: Path, install: Callable[..., None], write: Writer
    ) -> None:
        package = folder / "zoo_of_methods"
        package.mkdir()
        (package / "__init__.py").write_text("from zoo_of_methods.lion import Lion\n")
        write("lion", folder=package)
        install(lion="zoo_of_methods:Lion")
        assert registry.method_names() == ["lion"]

    def test_what_leads_nowhere_is_told(self, folder: Path, install: Callable[..., None]) -> None:
        (folder / "bare_module.py").write_text("number = 3\n")
        install(a="bare_module", b="bare_module:number", c="no_such.module", d="bare_module:nothing")
        reasons = _problems()
        assert len(reasons) == 4
        assert sum("does not define a Method" in reason for reason in reasons) == 2
        assert sum("cannot be imported" in reason for reason in reasons) == 2

    def test_editing_an_installed_file_is_noticed(
        self, folder: Path, install: Callable[..., None], write: Writer
    ) -> None:
        package = folder / "edited_package"
        package.mkdir()
        (package / "__init__.py").touch()
        file = write("puma", folder=package)
        install(puma="edited_package.puma")
        before = registry.method("puma").key
        file.write_text(file.read_text().replace("= 20", "= 30"))
        registry.rescan()
        assert registry.method("puma").key != before


@pytest.mark.clone
def test_a_foreign_package_called_datasets_is_neither_used_nor_hidden(tmp_path: Path) -> None:
    foreign = tmp_path / "datasets"
    foreign.mkdir()
    (foreign / "__init__.py").write_text("def load_dataset(name):\n    return name\n")
    program = (
        f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(ROOT)!r}]\n"
        "from bench.registry import sources\n"
        "folder, package = sources._home('datasets')\n"
        "assert package == 'bench_datasets', package\n"
        "assert sources._home('datasets') == (folder, package)\n"
        "assert sources._home('methods')[1] == 'methods'\n"
        "import datasets, bench_datasets\n"
        "assert datasets.load_dataset('x') == 'x'\n"
        "print(folder)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.strip() == str(ROOT / "datasets")

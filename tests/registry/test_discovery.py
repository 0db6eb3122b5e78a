"""Plug-ins are found in folders, entry points and files; a broken one is named and affects no other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench import registry
from bench.contract import DatasetLoader, Method, PluginError, UsageError
from tests.registry.conftest import COMPUTED, METHOD, Install, Writer
from tests.wording import mentions

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


def test_files_in_the_folder_are_methods_in_the_order_of_the_roster(write: Writer) -> None:
    write("_hidden")
    for name, position in (("beta", 3), ("gamma", 2), ("alpha", 3)):
        write(name, position=position, text=METHOD + "\n\nAlias = {cls}\n")  # no second method
    assert registry.method_names() == ["gamma", "alpha", "beta"]
    assert _problems() == []
    cls = registry.method_class("alpha")
    assert issubclass(cls, Method)
    assert cls.card.name == "alpha"


def test_an_unknown_name_brings_near_misses_and_the_reasons_why_files_were_left_out(write: Writer) -> None:
    write("alpha")
    write("omega", text="import no_such_module\n" + COMPUTED)
    with pytest.raises(UsageError, match=r"(?s)'alhpa'.*'alpha'.*no_such_module"):
        registry.method("alhpa")
    with pytest.raises(UsageError, match=r"dataset 'x'.*none"):
        registry.dataset("x")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import no_such_module\n" + COMPUTED, "No module named 'no_such_module' (broken.py, line 1)"),
        ("x = = 1\n", "SyntaxError: invalid syntax (broken.py, line 1)"),
        ("import sys\nsys.exit(0)\n" + COMPUTED, "ends the program ... broken.py, line 2"),
        ("1 / 0\n" + COMPUTED, "ZeroDivisionError: division by zero (broken.py, line 1)"),
        (METHOD.replace("    Settings = {cls}Settings\n", ""), "Settings ... frozen dataclass"),
        (METHOD.replace("@dataclass(frozen=True)", "@dataclass"), "Settings ... frozen dataclass"),
        (METHOD.replace("lr: float = 0.5", "lr: object = object()"), "default ... JSON"),
        (METHOD.replace("lr: float = 0.5", "lr: float = field(kw_only=True)"), "needs a default"),
        (METHOD.replace('"epochs": 1', '"eopchs": 1'), "variants ... settings ... 'eopchs'"),
        (METHOD.replace('"short"', '"full"'), "'full'"),
        (METHOD.replace('"short"', '"all"'), "'all'"),
        (METHOD.replace('variants = {{"short": {{"epochs": 1}}}}', "variants = 3"), "described"),
        (METHOD.replace('"{name}", "T"', '"a,b", "T"'), "'a,b' ... name"),
        (METHOD.replace("def embed", "def embedding"), "embed"),
        (METHOD.replace("    card =", "    cart ="), "Broken ... card"),
        (METHOD.replace("    card =", "    card = 3  #"), "card ... MethodCard"),
        (METHOD.replace('"T", "A", 2025', '"T", "A", "2025"'), "Expected int"),
        (METHOD.replace('"{name}", "T"', '"{name}", 3'), "Expected str"),
    ],
)
def test_a_broken_plug_in_is_named_and_the_others_stay(write: Writer, text: str, reason: str) -> None:
    write("alpha")
    broken = write("broken", text=text)
    assert registry.method_names() == ["alpha"]
    (problem,) = registry.registered().problems
    assert mentions(problem.reason, reason)
    assert problem.where == str(broken)


def test_bases_and_private_classes_are_no_plug_ins(write: Writer) -> None:
    base = "from bench.contract import Method\n\n\nclass Base(Method):\n    def fit(self, *a): ...\n\n\n"
    write("base", text=base + "class _Inner(Base):\n    def embed(self, *a): ...\n")
    assert registry.method_names() == _problems() == []


def test_of_two_methods_with_one_name_the_second_is_left_out(write: Writer, tmp_path: Path) -> None:
    first, second = write("alpha"), write("alpha", folder=tmp_path)
    registry.add_plugin(second)
    assert registry.method("alpha").where == str(first)
    (problem,) = _problems()
    assert str(first) in problem.partition(str(second))[2]


def test_a_plug_in_file_may_define_methods_and_datasets(write: Writer, tmp_path: Path) -> None:
    file = write("alpha", folder=tmp_path, text=METHOD + DATASET.replace("{", "{{").replace("}", "}}"))
    registry.add_plugin(file)
    registry.add_plugin(str(file))
    assert registry.plugins() == (str(file),)
    assert registry.method_names() == ["alpha"]
    assert registry.dataset_names() == ["pets"]
    assert issubclass(registry.dataset_loader("pets"), DatasetLoader)
    assert _problems() == []


def test_what_is_no_plug_in_or_lacks_its_card_is_named(tmp_path: Path, home: Path) -> None:
    empty, notes = tmp_path / "empty.py", tmp_path / "notes.txt"
    for file in (empty, notes):
        file.write_text("x = 1\n")
    for path in (notes, tmp_path / "absent.py"):
        with pytest.raises(PluginError, match=path.name):
            registry.add_plugin(path)
    registry.add_plugin(empty)
    (home / "datasets" / "pets.py").write_text(DATASET.replace("card = DatasetCard(", "card = dict("))
    registry.rescan()
    assert registry.dataset_names() == []
    card, nothing = _problems()
    assert mentions(card, "card ... DatasetCard")
    assert "Method or DatasetLoader" in nothing


@pytest.mark.parametrize("base", [METHOD, COMPUTED])
@pytest.mark.parametrize(
    ("old", "new", "noun"),
    [
        ('"{name}", ', f'"{"m" * 240}", ', "name"),
        ('"short"', f'"{"v" * 240}"', "variant"),
        ('"A"', r'"caf\udce9"', "utf-8"),
    ],
    ids=["method", "variant", "surrogate"],
)
def test_a_plug_in_that_no_record_could_hold_is_left_out(
    write: Writer, base: str, old: str, new: str, noun: str
) -> None:
    write("zeta")
    write("alpha", text=base.replace(old, new))
    assert registry.method_names() == ["zeta"]
    (problem,) = _problems()
    assert noun in problem.partition("alpha.py")[2]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of installed packages."""
    (tmp_path / "site").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return tmp_path / "site"


def package_of(site: Path, name: str, text: str = "") -> Path:
    (site / name).mkdir()
    (site / name / "__init__.py").write_text(text)
    return site / name


def test_an_entry_point_names_a_class_or_a_module(site: Path, install: Install, write: Writer) -> None:
    two = METHOD + METHOD.replace("{cls}", "{cls}Two").replace('"{name}"', '"{name}_two"')
    write("pair_of", folder=site, text=two)
    write("whole_module", folder=site)
    write("lion", folder=package_of(site, "zoo", "from zoo.lion import Lion\n"))
    install(a="pair_of:Pair_of", b="pair_of:Pair_ofTwo", c="whole_module", d="zoo:Lion")
    assert registry.method_names() == ["lion", "pair_of", "pair_of_two", "whole_module"]
    assert registry.method("pair_of").where == "entry point a = pair_of:Pair_of"
    assert registry.method_class("whole_module").__name__ == "Whole_module"
    assert _problems() == []


def test_an_entry_point_without_a_method_is_named(site: Path, install: Install) -> None:
    (site / "bare_module.py").write_text("number = 3\n")
    install(a="bare_module", b="bare_module:number", c="no_such.module", d="bare_module:nothing")
    reasons = _problems()
    assert len(reasons) == 4
    assert sum("Method" in reason for reason in reasons) == 2
    assert sum("import" in reason for reason in reasons) == 2


def test_editing_an_installed_file_is_noticed(site: Path, install: Install, write: Writer) -> None:
    file = write("puma", folder=package_of(site, "edited_package"))
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
        "folder, package = sources._package('datasets')\n"
        "assert package == 'bench_datasets', package\n"
        "assert sources._package('datasets') == (folder, package)\n"
        "assert sources._package('methods')[1] == 'methods'\n"
        "import datasets, bench_datasets\n"
        "assert datasets.load_dataset('x') == 'x'\n"
        "print(folder)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.strip() == str(ROOT / "datasets")

"""Declarations are read from source text: what an import would give, and nothing is executed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench import registry
from bench.registry import imports
from bench.registry.catalogue import Registered
from bench.registry.sources import Source, sources
from bench.registry.static import NotLiteral, Packages
from bench.registry.versions import Versions
from tests.registry.conftest import METHOD, Writer

CARD = '    card = MethodCard("{name}", "T", "A", 2025, "V", "F", position={position})\n'


@pytest.fixture
def no_import(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "_ask", lambda sources: pytest.fail(f"{sources[0].where} is imported"))


def test_what_is_read_of_the_projects_plug_ins_is_what_an_import_gives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.undo()
    registry.rescan()
    static = Registered()
    assert not static.computed
    for source in sources():
        imported = imports.import_here(source)
        assert all(static.methods[method.card.name] == method for method in imported.methods)
        assert all(static.datasets[dataset.card.name] == dataset for dataset in imported.datasets)


@pytest.mark.usefixtures("no_import")
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("import numpy as np\n", "import numpy as np\nimport torch.no_such_module, sys\nsys.exit(1)\n"),
        ('"T"', 'f"{{TITLE}}"'),
        ("from bench.contract import Method, MethodCard", "from bench.contract import *, Method, MethodCard"),
        ("epochs: int = 20", "epochs: int = _EPOCHS + 10 - -5"),
        ("(4, 4)", "tuple(width for width in [4, *(4,)])"),
        ('lambda: {{"image": 0.1}}', "lambda: dict(image=_RATE)"),
        ("lr: float = 0.5", 'lr: float = contract.setting(0.5, "rate")'),
        (CARD, '    card = c.MethodCard(**_COMMON, name="{name}", title="T", position={position})\n'),
        ("variants = ", "variants = _Base.variants | "),
        (
            "    Settings = {cls}Settings\n",
            "    @dataclass(frozen=True)\n    class Settings({cls}Settings):\n        lr: float = 0.5\n",
        ),
        ("class {cls}(Method):", "class Net(torch.nn.Module):\n    pass\n\n\nclass {cls}(_Base):"),
    ],
)
def test_names_and_literal_expressions_are_followed(write: Writer, old: str, new: str) -> None:
    before = """
import torch
from bench import contract
from bench import contract as c

TITLE = "T"
_EPOCHS: int = 5
_RATE = 0.1
_COMMON = {{"authors": "A", "year": 2025, "venue": "V", "family": "F"}}

"""
    base = "class _Base(Method):\n    variants = {{}}\n    def embed(self): ...\n\n\n"
    text = METHOD.replace("{epochs}", "20")
    assert old in text
    text = text.replace(old, new).replace("import *, ", "import ")
    head, rest = text.split("@dataclass(frozen=True)", 1)
    write("alpha", text=head + before + base + "@dataclass(frozen=True)" + rest)
    description = registry.method("alpha")
    assert description.card.title == "T"
    assert (description.card.authors, description.card.year) == ("A", 2025)
    assert description.defaults == {"epochs": 20, "lr": 0.5, "hidden": [4, 4], "rates": {"image": 0.1}}
    assert description.variants == {"short": {"epochs": 1}}


@pytest.mark.usefixtures("no_import")
def test_bases_and_settings_come_from_other_modules_and_toolkits(home: Path, write: Writer) -> None:
    (home / "methods" / "_base.py").write_text(
        "from dataclasses import dataclass\n"
        "from bench import contract, training as t\n"
        "@dataclass(frozen=True, kw_only=True)\n"
        "class Settings(t.DeepSettings):\n"
        '    """From a table.\n\n    And more.\n    """\n'
        '    lr: t.PerModality = contract.setting({"image": 1.0}, "rate", "paper")\n'
    )
    write(
        "alpha",
        text='"""A method."""\nfrom bench.training import DeepMethod\nfrom . import _base\n'
        "from bench.contract import card\n"
        'class Alpha(DeepMethod):\n    card = card("alpha", title="A", from_paper=("x",))\n'
        "    Settings = _base.Settings\n"
        '    search = {{**DeepMethod.search, "lr": (1, 2)}}\n'
        "    def stages(self, train, context): ...\n    def encode(self, modality, x): ...\n",
    )
    description = registry.method("alpha")
    assert description.about == "A method."
    assert description.provenance == "From a table."
    assert description.meanings["lr"] == "rate (paper)"
    assert description.meanings["patience"].startswith("epochs without")
    assert (description.defaults["scaling"], description.defaults["lr"]) == ("none", {"image": 1.0})
    assert description.search["lr"] == [1, 2]
    assert "scaling" in description.search


@pytest.mark.usefixtures("no_import")
def test_a_card_may_be_in_a_file_beside_the_method(home: Path, write: Writer) -> None:
    (home / "methods" / "cards.yaml").write_text("alpha: {title: Beside, pairs: unused}\n")
    text = METHOD.replace(CARD, '    card = bench.contract.card("alpha")\n')
    write("alpha", text=text.replace("import numpy", "import bench.contract\nimport numpy"))
    assert registry.method("alpha").card.title == "Beside"


WRONG_CARDS = r"""
5|true|null|text|[alpha]|2024-13-45|alpha: 5|alpha: true|alpha: text|alpha: [1, 2]|alpha: 2024-01-01
alpha: {1: 2}|alpha: {~: 2, x: 1}|alpha: {? [1, 2] : 3}|alpha: {2024-01-01: 1}|alpha: {title: 5}
alpha: {title: ~}|alpha: {title: [a]}|alpha: {title: 2024-01-01}|alpha: {title: !!binary aGk=}
alpha: {title: "\ud800"}|alpha: &a {title: *a}|&a [*a]|alpha: {year: soon}|alpha: {year: 1.5}
alpha: {year: .inf}|alpha: {year: true}|alpha: {deep: ~}|alpha: {deep: 1}|alpha: {from_paper: text}
alpha: {from_paper: [~]}|alpha: {from_paper: {a: [b]}}|alpha: {role: king}|alpha: {role: [baseline]}
alpha: {pairs: {needed: true}}|alpha: {citation: [a, b]}|alpha: {position: [1]}|alpha: {code: 0x10}
alpha: {unknown: 1}|alpha: {<<: 5}
"""
LONG = (f"alpha: {{year: 1{'0' * 5000}}}", "[" * 5000)


@pytest.mark.parametrize("content", [*re.split(r"[|\n]", WRONG_CARDS.strip()), *LONG])
def test_a_card_of_a_wrong_type_is_named_and_costs_its_method_alone(
    home: Path, write: Writer, content: str
) -> None:
    (home / "methods" / "cards.yaml").write_text(content)
    text = METHOD.replace(CARD, '    card = bench.contract.card("alpha")\n')
    write("alpha", text=text.replace("import numpy", "import bench.contract\nimport numpy"))
    write("beta")
    assert [*registry.method_names()] == ["beta"]
    (line,) = registry.left_out().strip().split("left out: ")[1:]
    assert "alpha" in line
    assert "Error" not in line
    assert Versions().code("beta").startswith("beta ")


def test_an_empty_card_has_the_usual_fields(home: Path, write: Writer) -> None:
    (home / "methods" / "cards.yaml").write_text("alpha:\n")
    text = METHOD.replace(CARD, '    card = bench.contract.card("alpha")\n')
    write("alpha", text=text.replace("import numpy", "import bench.contract\nimport numpy"))
    assert registry.method("alpha").card.title == "alpha"
    assert Versions().code("alpha").startswith("alpha ")


@pytest.mark.parametrize(
    "content", ["alpha:", "alpha: 5", "alpha: [1]", "alpha: {1: 2}", "[", "alpha: {year: x}"]
)
def test_a_card_that_a_file_states_itself_needs_none_beside_it(
    home: Path, write: Writer, content: str
) -> None:
    write("alpha")
    before = Versions().code("alpha")
    (home / "methods" / "cards.yaml").write_text(content)
    assert Versions().code("alpha") == before


@pytest.mark.parametrize(
    "text",
    [
        METHOD.replace('"T"', "os.name"),
        METHOD.replace('"T"', "Title().text"),
        METHOD.replace('"T"', '"T".__class__("T")'),
        METHOD.replace('"T"', '"T" * 10**12'),
        METHOD.replace('"T"', "TITLE") + "\nTITLE = TITLE\n",
        METHOD.replace('"T"', "TITLE") + "\nif True:\n    TITLE = 'x'\n",
        METHOD.replace("class {cls}(Method):", "class {cls}(Unknown):"),
        METHOD.replace("class {cls}(Method):", "@decorate\nclass {cls}(Method):"),
        METHOD + "\nOther = type('Other', (Method,), {{}})\n",
        METHOD + "\nfor name in 'ab':\n    class Other(Method):\n        pass\n",
    ],
)
def test_what_is_computed_is_not_guessed(write: Writer, tmp_path: Path, text: str) -> None:
    path = write("alpha", text=text, folder=tmp_path)
    packages = Packages()
    packages.add("alpha", path)
    with pytest.raises(NotLiteral):
        packages.plugin_classes("alpha")


def test_a_file_given_by_path_costs_no_second_reading_of_the_folders_until_the_next_rescan(
    home: Path, write: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside = home / "methods" / "_beside.py"
    beside.write_text("EPOCHS = 3\n")
    write("alpha", text="from ._beside import EPOCHS\n" + METHOD.replace("{epochs}", "EPOCHS"))
    assert registry.method("alpha").defaults["epochs"] == 3
    read: list[str] = []
    classes = Source.static_classes

    def noted(source: Source, packages: Packages) -> list[type]:
        read.append(Path(source.where).name)
        return classes(source, packages)

    monkeypatch.setattr(Source, "static_classes", noted)
    given = [tmp_path / "beta.py", tmp_path / "gamma.py"]
    for path in given:
        path.write_text(METHOD.format(cls=path.stem.capitalize(), name=path.stem, epochs=3, position=2))
        registry.add_plugin(path)
        assert {"alpha", path.stem} <= set(registry.registered().methods)
    assert read == ["beta.py", "beta.py", "gamma.py"]
    beside.write_text("EPOCHS = 7\n")
    registry.rescan()
    assert registry.method("alpha").defaults["epochs"] == 7

"""The documentation site has all pages and an API that exists, and agrees with other files."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

import bench
from bench import contract
from bench.data import findings
from tests.documents import ROOT

DOCS = ROOT / "docs"
pytestmark = pytest.mark.clone


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def documented() -> dict[str, Any]:
    """Return what the pages of the API name, by its path."""
    paths = re.findall(r"^::: ([\w.]+)$", text_of("docs/api.md") + text_of("docs/api-plugins.md"), re.M)
    found = {}
    for path in paths:
        home, _, name = path.rpartition(".")
        module = import_module(home)
        found[path] = getattr(module, name) if hasattr(module, name) else import_module(path)
    return found


def test_the_api_has_every_public_name_where_it_is_defined() -> None:
    found = documented()
    for path, thing in found.items():
        assert getattr(thing, "__module__", path) in (path, path.rpartition(".")[0]), path
    assert {*bench.__all__} <= {*dir(bench)}
    for name in bench.__all__:
        assert getattr(bench, name) in found.values(), name
    types = "Checkpoint DatasetCard DatasetLoader Fact FileCard ModalityCard card setting"
    assert [name for name in types.split() if getattr(contract, name) not in found.values()] == []


def test_the_navigation_has_every_page_and_no_other() -> None:
    def pages(entry: Any) -> list[str]:
        if isinstance(entry, str):
            return [entry]
        values = entry.values() if isinstance(entry, dict) else entry
        return [page for value in values for page in pages(value)]

    there = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    there |= {path.relative_to(DOCS).with_suffix(".md").as_posix() for path in DOCS.rglob("*.ipynb")}
    entries = yaml.safe_load(text_of("mkdocs.yml"))["nav"]
    assert sorted(pages(entries)) == sorted(there)
    # The theme shows a page that follows a section as one of that section.
    alone = [all(isinstance(page, str) for page in entry.values()) for entry in entries]
    assert alone == sorted(alone, reverse=True)


def test_one_version_is_stated_everywhere() -> None:
    assert f'\nversion = "{bench.__version__}"\n' in text_of("pyproject.toml")
    assert f"\nversion: {bench.__version__}\n" in text_of("CITATION.cff")
    assert yaml.safe_load(text_of("mkdocs.yml"))["site_name"].endswith(f" {bench.__version__}")
    assert f"\n## {bench.__version__} " in text_of("CHANGELOG.md")


def test_the_explained_rows_are_those_of_the_readme() -> None:
    rows = [line for line in text_of("docs/reading-a-table.md").splitlines() if " ± 0." in line]
    explained = [row for row in rows if "seeds" not in row and not row.startswith("| `")]
    assert len(explained) == 7
    assert [row for row in explained if row not in text_of("README.md")] == []


def test_the_traps_have_every_kind_of_finding() -> None:
    kinds = set(re.findall(r'Finding\("([\w-]+)"', Path(findings.__file__).read_text(encoding="utf-8")))
    assert len(kinds) > 8
    assert kinds == set(re.findall(r"^\| `([\w-]+)` \|", text_of("docs/traps.md"), re.M))


def test_the_image_takes_files_that_exist_and_runs_the_console_script() -> None:
    kept = re.findall(r"^!(.+)$", text_of(".dockerignore"), re.M)
    assert [name for name in kept if not (ROOT / name).exists()] == []
    assert {"constraints.txt", "pyproject.toml", "bench", "methods", "datasets", "results/published"} <= set(
        kept
    )
    assert {".dockerignore", "Dockerfile"} <= set(text_of("MANIFEST.in").split())
    (entry,) = re.findall(r'^ENTRYPOINT \["(\w+)"\]$', text_of("Dockerfile"), re.M)
    assert f'\n{entry} = "bench.cli:main"\n' in text_of("pyproject.toml")

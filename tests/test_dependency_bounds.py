"""Bounds, pins and the matrix of continuous integration say the same."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
ONLY_NEWEST = {"dev"}
"""Extras whose oldest versions are not tested: type checkers and stubs."""


def project() -> dict[str, Any]:
    tomllib = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    content: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return content


def requirements(leave_out: set[str]) -> Iterator[Requirement]:
    """Yield what the project and its extras require of others."""
    extras = project()["optional-dependencies"]
    optional = [line for name in extras.keys() - leave_out for line in extras[name]]
    for requirement in map(Requirement, [*project()["dependencies"], *optional]):
        if requirement.name != project()["name"]:
            yield requirement


def pins(file: str, python: str) -> dict[str, list[str]]:
    """Return the versions that a file of constraints gives each package on a Python."""
    found: dict[str, list[str]] = {}
    for line in (ROOT / file).read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        pin = Requirement(line)
        if pin.marker is None or pin.marker.evaluate({"python_version": python}):
            version = str(pin.specifier).removeprefix("==")
            found.setdefault(canonicalize_name(pin.name), []).append(version)
    return found


def test_the_oldest_versions_that_are_tested_are_the_bounds() -> None:
    oldest = pins("constraints-oldest.txt", "3.10")
    for requirement in requirements(leave_out=ONLY_NEWEST):
        (pinned,) = oldest[canonicalize_name(requirement.name)]
        (least,) = requirement.specifier
        assert (least.operator, Version(least.version)) == (">=", Version(pinned)), requirement


@pytest.mark.parametrize("python", PYTHONS)
def test_every_python_has_one_pin_of_everything_within_the_bounds(python: str) -> None:
    pinned = pins("constraints.txt", python)
    for requirement in requirements(leave_out=set()):
        (version,) = pinned[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), requirement
    assert {name: versions for name, versions in pinned.items() if len(versions) > 1} == {}


@pytest.fixture(scope="module")
def workflow() -> dict[str, Any]:
    text = (ROOT / ".github/workflows/tests.yml").read_text(encoding="utf-8")
    content: dict[str, Any] = yaml.safe_load(text)
    return content


def test_the_matrix_of_linux_has_every_supported_python(workflow: dict[str, Any]) -> None:
    assert tuple(workflow["jobs"]["linux"]["strategy"]["matrix"]["python"]) == PYTHONS
    assert project()["requires-python"] == f">={PYTHONS[0]}"
    stated = re.findall(r"Python :: (3\.\d+)", "\n".join(project()["classifiers"]))
    assert tuple(stated) == PYTHONS


def test_the_workflow_reads_only_and_takes_actions_by_their_commit(workflow: dict[str, Any]) -> None:
    assert workflow["permissions"] == {"contents": "read"}
    assert not [name for name, job in workflow["jobs"].items() if "permissions" in job]
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    for used in (step["uses"] for step in steps if "uses" in step):
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", used), used


def test_the_workflow_calls_targets_that_the_makefile_has(workflow: dict[str, Any]) -> None:
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    called = re.findall(r"\bmake ([\w-]+)", "\n".join(step.get("run", "") for step in steps))
    assert {"test", "test-oldest"} <= set(called)
    assert set(called) <= set(targets)

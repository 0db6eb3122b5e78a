"""An installed copy works on its own and shadows nobody's package."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import Distribution, distributions
from pathlib import Path

import pytest

from bench.cli import main

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.clone
def test_every_package_of_the_harness_is_installed() -> None:
    section = (ROOT / "pyproject.toml").read_text().split("packages = [")[1].split("]")[0]
    listed = re.findall(r'"([\w.]+)"', section)
    folders = {path.parent.relative_to(ROOT) for path in (ROOT / "bench").rglob("*.py")}
    assert {name for name in listed if "installed_" not in name} == {".".join(f.parts) for f in folders}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(source)], check=True)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(source)]
    subprocess.run(command, check=True)
    return next(folder.glob("*.whl"))


@pytest.mark.slow
@pytest.mark.clone
def test_a_wheel_has_bench_alone_at_its_top(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"bench"}


@pytest.mark.slow
@pytest.mark.clone
def test_a_wheel_has_the_command_cmbench(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    (point,) = Distribution.at(next(tmp_path.glob("*.dist-info"))).entry_points.select(name="cmbench")
    assert (point.group, point.load()) == ("console_scripts", main)


@pytest.mark.slow
@pytest.mark.clone
def test_a_wheel_of_the_source_distribution_is_that_of_the_clone(wheel: Path, tmp_path: Path) -> None:
    if not [*distributions(name="build")]:  # a folder of that name can be imported, too
        pytest.skip("build is not installed")
    command = [sys.executable, "-m", "build", "--outdir", str(tmp_path), str(wheel.parent / "source")]
    subprocess.run(command, check=True, capture_output=True)

    def contents(path: Path) -> dict[str, int]:
        with zipfile.ZipFile(path) as archive:
            return {one.filename: one.CRC for one in archive.infolist() if "RECORD" not in one.filename}

    assert contents(next(tmp_path.glob("*.whl"))) == contents(wheel)
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"tests/conftest.py", "docs/data.md", "Makefile", "constraints.txt", "CHANGELOG.md"} <= names


@pytest.mark.slow
@pytest.mark.clone
def test_an_installed_copy_finds_its_methods_datasets_and_embedded_data(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    # A package called `datasets` of somebody else, first on the path, must stay what it is.
    (tmp_path / "site" / "datasets").mkdir()
    (tmp_path / "site" / "datasets" / "__init__.py").write_text("MINE = True\n")
    script = (
        "import datasets; assert datasets.MINE\n"
        "import bench, bench.registry as registry\n"
        "assert 'drcl' in registry.method_names() and 'wikipedia' in registry.dataset_names()\n"
        "assert not registry.registered().problems, registry.registered().problems\n"
        "assert 'installed_methods' in registry.method('drcl').where\n"
        "assert len(bench.load_dataset('emoji').train['image']) > 500\n"
        "from bench.analysis.ledger import read_published\n"
        "assert read_published().values and read_published().names.datasets\n"
        "versions = registry.Versions()\n"
        "assert '+' not in versions.harness + versions.code('drcl'), versions.harness\n"
        "assert versions.code('drcl').startswith('training '), versions.code('drcl')\n"
        "print(bench.create_method('sdml').settings)\n"
    )
    environment = {"PYTHONPATH": str(tmp_path / "site"), "XDG_CACHE_HOME": str(tmp_path), "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr

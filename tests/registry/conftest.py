"""A separate registry for every test: empty plug-in folders, no remembered imports."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from bench import registry
from bench.registry import imports, settings, sources

METHOD = """
from dataclasses import dataclass, field

import numpy as np

from bench.contract import Method, MethodCard


@dataclass(frozen=True)
class {cls}Settings:
    epochs: int = {epochs}
    lr: float = 0.5
    hidden: tuple[int, ...] = (4, 4)
    rates: dict[str, float] = field(default_factory=lambda: {{"image": 0.1}})


class {cls}(Method):
    card = MethodCard("{name}", "T", "A", 2025, "V", "F", position={position})
    Settings = {cls}Settings
    variants = {{"short": {{"epochs": 1}}}}

    def fit(self, train, validation, context):
        pass

    def embed(self, modality, features):
        return np.asarray(features)
"""

COMPUTED = METHOD.replace('"T"', "chr(84)").replace("{epochs}", "max({epochs}, 1)")
"""The same method, but its card and its settings must be computed."""

Writer = Callable[..., Path]
Install = Callable[..., None]
ASK = imports._ask


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return the parent of new folders ``methods`` and ``datasets``."""
    root = tmp_path / "project"
    for kind in ("methods", "datasets"):
        (root / kind).mkdir(parents=True)
        (root / kind / "__init__.py").touch()
    (root / "methods" / "settings").mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(sources, "_PLUGINS", [])
    monkeypatch.setattr(
        sources, "_package", lambda kind: (root / kind, f"bench_plugin_{tmp_path.name}_{kind}")
    )
    monkeypatch.setattr(sources, "entry_points", lambda group: [])
    monkeypatch.delenv("BENCH_IMPORTED", raising=False)
    # another process is slow
    monkeypatch.setattr(imports, "_ask", lambda sources: [imports.import_here(source) for source in sources])
    registry.rescan()
    settings._yaml.cache_clear()
    yield root
    registry.rescan()
    settings._yaml.cache_clear()


@pytest.fixture
def write(home: Path) -> Writer:
    """Write a method's file into the folder, or elsewhere."""

    def writer(
        name: str, folder: Path | None = None, text: str = METHOD, epochs: int = 20, position: int = 1
    ) -> Path:
        path = (folder or home / "methods") / f"{name}.py"
        path.write_text(text.format(cls=name.capitalize(), name=name, epochs=epochs, position=position))
        registry.rescan()
        return path

    return writer


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Declare entry points of methods, as an installed package does."""

    def declare(**values: str) -> None:
        points = [EntryPoint(name, value, "bench.methods") for name, value in values.items()]
        monkeypatch.setattr(sources, "entry_points", lambda group: points if group == "bench.methods" else [])
        registry.rescan()

    return declare

"""A plug-in of pytest for `make test-wheel`: gives an installed copy the module names of a clone.

Tests import methods and datasets as the clone has them, such as ``methods.drcl``. An installed copy holds
them inside ``bench``; here the names of the clone lead to these modules.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import bench

ROOT = Path(__file__).resolve().parent.parent


class _Alias(MetaPathFinder, Loader):
    """Finds ``methods`` and ``datasets``, with all that is in them, inside the installed package."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] not in ("methods", "datasets"):
            return None
        return ModuleSpec(fullname, self)

    def exec_module(self, module: ModuleType) -> None:
        sys.modules[module.__name__] = importlib.import_module(f"bench.installed_{module.__name__}")


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out the tests of how the embedded data was made: that code is not installed."""
    return True if collection_path == ROOT / "tests" / "datasets" / "test_making.py" else None


assert not Path(bench.__file__).is_relative_to(ROOT), f"{bench.__file__} is no installed copy"
sys.meta_path.insert(0, _Alias())

"""Names by the registry: titles and usual settings of what is registered, plain names of what is gone."""

from __future__ import annotations

from pathlib import Path

from bench import registry
from bench.analysis import registry_naming
from tests.grid import FAULTS, cells_of, only_plugins, write_bundle
from tests.records import making


def test_registered_methods_have_their_titles_roles_and_places() -> None:
    naming = registry_naming()
    assert naming.title("drcl") == "DRCL"
    assert naming.role("sm") == "reference"
    assert sorted(["sm", "mcca", "drcl"], key=naming.order) == ["drcl", "mcca", "sm"]
    assert list(naming.modalities("xmedia"))[:2] == ["image", "text"]


def test_a_method_that_is_gone_comes_last_under_its_name() -> None:
    naming = registry_naming()
    assert naming.title("vanished") == "vanished"
    assert naming.role("vanished") == "extra"
    assert naming.order("vanished") > naming.order("chance")
    assert naming.usual(making.identity(method="vanished")) is None
    assert naming.usual(making.identity(variant="vanished")) is None
    assert naming.modalities("vanished") == ()


def test_usual_settings_are_those_of_a_run_today(tmp_path: Path) -> None:
    with only_plugins(FAULTS):
        (cell,) = cells_of(["plain"], write_bundle(tmp_path / "a.npz"))
        naming = registry_naming()
        assert naming.usual(cell.identity) == cell.identity.settings
        assert naming.title("plain") == registry.method("plain").card.title

"""Names by the registry: titles and usual settings of what is registered, plain names of what is gone."""

from __future__ import annotations

from pathlib import Path

from bench import registry
from bench.analysis import registry_labels
from tests.grid import FAULTS, cells_of, only_plugins, write_bundle
from tests.records import making


def test_registered_methods_have_their_titles_roles_and_places() -> None:
    labels = registry_labels()
    assert labels.title("drcl") == "DRCL"
    assert labels.role("sm") == "reference"
    assert sorted(["sm", "mcca", "drcl"], key=labels.order) == ["drcl", "mcca", "sm"]
    assert list(labels.modalities("xmedia"))[:2] == ["image", "text"]


def test_a_method_that_is_gone_comes_last_under_its_name() -> None:
    labels = registry_labels()
    assert labels.title("vanished") == "vanished"
    assert labels.role("vanished") == "extra"
    assert labels.order("vanished") > labels.order("chance")
    assert labels.usual(making.identity(method="vanished")) is None
    assert labels.usual(making.identity(variant="vanished")) is None
    assert labels.modalities("vanished") == ()


def test_usual_settings_are_those_of_a_run_today(tmp_path: Path) -> None:
    with only_plugins(FAULTS):
        (cell,) = cells_of(["plain"], write_bundle(tmp_path / "a.npz"))
        labels = registry_labels()
        assert labels.usual(cell.identity) == cell.identity.settings
        assert labels.title("plain") == registry.method("plain").card.title

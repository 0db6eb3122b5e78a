"""What methods say of themselves is so: parity is tested, references exist, settings are explained."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import registry

HERE = Path(__file__).parent


@pytest.mark.parametrize("name", registry.method_names())
def test_a_card_says_what_is_held_against_somebody_elses_numbers(name: str) -> None:
    parity = registry.method(name).card.parity
    what, _, whose = parity.partition(": ")
    assert what, f"the card of {name} has no parity; say none, and why, if there is nothing to compare"
    assert whose, f"the parity of {name} names nobody whose numbers these are: {parity!r}"
    if what != "none":
        assert (HERE.parent / "golden" / f"{name}.npz").is_file()
        assert "golden" in (HERE / f"test_{name}.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", registry.method_names())
def test_a_method_has_a_reference(name: str) -> None:
    key = registry.method(name).card.citation
    assert key
    bibliography = (registry.folder_of("methods") / "references.bib").read_text(encoding="utf-8")
    assert f"{{{key},\n" in bibliography


@pytest.mark.parametrize("name", registry.method_names())
def test_every_setting_is_explained(name: str) -> None:
    description = registry.method(name)
    assert description.about
    assert set(description.meanings) == set(description.defaults)

"""Settings come in layers, later ones win, and every value is checked."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from bench import registry
from bench.contract import PluginError, UsageError
from tests.registry.conftest import Writer

QUICK = """
common: {lr: 0.125}
defaults: {epochs: 8, dim: 32}
needed:
  beta: {lr: 0.25, hidden: [2]}
tuned:
  beta: {hidden: [3]}
look_alikes:
  defaults: {epochs: 12, lr: 0.75}
  needed:
    beta: {rates: {image: 0.9}}
  tuned:
    alpha: {hidden: [7]}
"""
ALPHA = """
pets:
  settings: {epochs: 70, rates: {image: 0.3, text: 0.4}}
  source: the paper's table 2
empty:
"""


@pytest.fixture(autouse=True)
def files(home: Path, write: Writer) -> None:
    """Two methods with settings files."""
    write("alpha")
    write("beta")
    folder = home / "methods" / "settings"
    (folder / "quick.yaml").write_text(QUICK)
    (folder / "alpha.yaml").write_text(ALPHA)


def test_the_paper_profile_has_the_values_for_a_dataset() -> None:
    description = registry.method("alpha")
    published = registry.resolve_settings(description, profile="paper")
    assert published == {"epochs": 20, "lr": 0.5, "hidden": [4, 4], "rates": {"image": 0.1}}
    settings = registry.resolve_settings(description, profile="paper", dataset="pets")
    assert settings["epochs"] == 70
    assert settings["rates"] == {"image": 0.3, "text": 0.4}
    for dataset in ("empty", "unknown", None):
        assert registry.resolve_settings(description, profile="paper", dataset=dataset) == published


def test_the_quick_profile_has_shared_values_and_those_of_a_method(home: Path) -> None:
    expected = {"epochs": 8, "lr": 0.25, "hidden": [3], "rates": {"image": 0.1}}
    assert registry.resolve_settings(registry.method("beta")) == expected
    assert registry.resolve_settings(registry.method("beta"), tuned=False)["hidden"] == [2]
    assert registry.resolve_settings(registry.method("alpha"), dataset="pets")["epochs"] == 8
    assert registry.resolve_settings(registry.method("alpha"))["lr"] == 0.125
    path = home / "methods" / "alpha.py"  # a method in closed form takes the common values alone
    path.write_text(path.read_text().replace("position=", "deep=False, position="))
    registry.rescan()
    settings = registry.resolve_settings(registry.method("alpha"))
    assert (settings["lr"], settings["epochs"]) == (0.125, 20)


def test_look_alikes_have_other_values_over_the_shared_and_needed_ones() -> None:
    beta = registry.resolve_settings(registry.method("beta"), kind="look-alike")
    assert beta == {"epochs": 12, "lr": 0.25, "hidden": [2], "rates": {"image": 0.9}}
    alpha = registry.method("alpha")
    assert registry.resolve_settings(alpha, kind="look-alike")["hidden"] == [7]
    assert registry.resolve_settings(alpha, kind="look-alike")["lr"] == 0.75
    assert registry.resolve_settings(alpha, kind="look-alike", tuned=False)["hidden"] == [4, 4]
    assert registry.resolve_settings(alpha, kind="look-alike", profile="paper")["epochs"] == 20


def test_a_variant_wins_over_the_profile_and_an_override_over_all() -> None:
    description = registry.method("alpha")
    assert registry.resolve_settings(description, variant="short")["epochs"] == 1
    changed = registry.resolve_settings(description, variant="short", overrides={"epochs": 3})
    assert changed["epochs"] == 3
    assert description.defaults["epochs"] == 20


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"profile": "papre"}, "unknown profile 'papre' .did you mean 'paper'"),
        ({"variant": "shrot"}, "unknown variant 'shrot' of alpha .did you mean 'short'"),
        ({"overrides": {"epoch": 3}}, "alpha: no setting 'epoch' .did you mean 'epochs'"),
    ],
)
def test_unknown_words_are_refused_with_a_suggestion(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        registry.resolve_settings(registry.method("alpha"), **arguments)  # type: ignore[arg-type]


def test_values_arrive_as_the_types_that_the_settings_declare() -> None:
    method = registry.create_method("alpha", epochs=np.int64(5), hidden=[8, 2], lr=1, rates={"text": 2})
    settings = method.settings
    assert (settings.epochs, settings.hidden, settings.lr) == (5, (8, 2), 1.0)
    assert settings.rates == {"text": 2.0}
    assert isinstance(settings.lr, float)
    assert registry.create_method("alpha", hidden=np.array([3])).settings.hidden == (3,)


def test_a_library_gets_the_published_settings_unless_it_asks_for_the_quick_ones() -> None:
    assert registry.create_method("alpha").settings.epochs == 20
    assert registry.create_method("alpha", dataset="pets").settings.epochs == 70
    assert registry.create_method("alpha", dataset="pets", variant="short").settings.epochs == 1
    assert registry.create_method("alpha", profile="quick").settings.epochs == 8


@pytest.mark.parametrize("value", ["many", 2.5, None, object(), [1]])
def test_a_value_of_the_wrong_type_is_refused(value: object) -> None:
    with pytest.raises(UsageError, match="settings of alpha"):
        registry.create_method("alpha", epochs=value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", r"quick\.yaml is not valid YAML"),
        ("- 1", r"quick\.yaml must be a YAML mapping"),
        ("defaults: 3", r"quick\.yaml: defaults must be a mapping"),
        ("tuned: {alpha: {epoch: 1}}", "the settings file of alpha: no setting 'epoch'"),
        ("needed: {alpha: [1]}", "needed > alpha must be a mapping"),
        ("tuned: {alpha: {epochs: 2024-13-45}}", r"quick\.yaml is not valid YAML: month"),
        ("tuned: {alpha: {epochs: %s}}" % ("1" * 5000), r"quick\.yaml is not valid YAML: .*5000 digits"),
        ("[" * 5000, r"quick\.yaml is not valid YAML"),
        ("tuned: {alpha: {1: 2}}", "the settings file of alpha: no setting 1"),
        ("tuned: {alpha: {2024-01-01: 2}}", "the settings file of alpha: no setting"),
        ("tuned: {alpha: {? [a, b] : 2}}", "the settings file of alpha: no setting|valid YAML"),
    ],
)
def test_a_damaged_settings_file_is_named(home: Path, text: str, message: str) -> None:
    (home / "methods" / "settings" / "quick.yaml").write_text(text)
    with pytest.raises((PluginError, UsageError), match=message):
        registry.create_method("alpha", profile="quick")


WRONG = """~|[]|[1, 2]|[[1], {a: b}]|{}|{a: 1}|true|text|2024-01-01|2024-01-01 10:00:00|!!binary aGk=
!!set {a, b}|1.5|.inf|.nan|1e400|"\\ud800"|&a [*a]|&a {x: *a}|!!omap [a: 1]"""


@pytest.mark.parametrize("value", re.split(r"[|\n]", WRONG))
def test_a_value_of_a_wrong_type_in_a_settings_file_is_refused(home: Path, value: str) -> None:
    (home / "methods" / "settings" / "quick.yaml").write_text(f"tuned: {{alpha: {{epochs: {value}}}}}")
    with pytest.raises(
        (PluginError, UsageError), match=r"settings of alpha: epochs|quick\.yaml is not valid"
    ):
        registry.create_method("alpha", profile="quick")

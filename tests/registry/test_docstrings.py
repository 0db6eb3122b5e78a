"""What docstrings say of a method's settings: by name, in one line, from the class and its bases."""

from __future__ import annotations

from bench.registry.docstrings import about, meanings


class Base:
    """A base.

    Attributes:
        scaling: what is done first.
        epochs: many.
    """


class Own(Base):
    """Settings.

    Attributes:
        epochs: 20, as
            published: no more.
        lr: ``1e-4``.

    Raises:
        ValueError: never.
    """


class Silent(Own):
    pass


def test_a_class_wins_over_its_bases_and_other_sections_are_left_out() -> None:
    expected = {"scaling": "what is done first.", "epochs": "20, as published: no more.", "lr": "``1e-4``."}
    assert meanings(Own) == expected
    assert meanings(Silent) == expected
    assert meanings(int) == {}


def test_a_method_is_told_of_by_its_module_and_else_by_itself() -> None:
    assert about(Own).startswith("What docstrings say")
    lonely = type("Lonely", (), {"__doc__": "  By itself.  ", "__module__": "nowhere"})
    assert about(lonely) == "By itself."
    assert about(type("Mute", (), {"__module__": "nowhere"})) == ""

"""Figures of the report: one module per kind, each with a function ``pictures``."""

from __future__ import annotations

from bench.report.figures import (
    comparison,
    components,
    convergence,
    costs,
    critical,
    curves,
    gallery,
    modalities,
    overview,
    sensitivity,
    space,
)
from bench.report.figures.index import figures_page
from bench.report.figures.picture import Picture
from bench.report.material import Material

KINDS = (
    overview,
    comparison,
    critical,
    curves,
    space,
    gallery,
    convergence,
    costs,
    components,
    modalities,
    sensitivity,
)
"""In the order of the page's sections."""

__all__ = ["KINDS", "Picture", "figures_page", "pictures_of"]


def pictures_of(material: Material) -> list[Picture]:
    """Return all figures that the records can give, not drawn yet."""
    return [picture for kind in KINDS for picture in kind.pictures(material)]

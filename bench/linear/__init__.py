"""Toolkit of the linear methods: NumPy and SciPy only.

Every one of them is a generalised symmetric eigenvalue problem over sums of outer products. The toolkit
accumulates those sums in blocks, turns each modality to its principal axes, and solves.
"""

from bench.linear.eigen import Eigenpairs, Matrix, assemble, fix_signs, split, top_eigenpairs
from bench.linear.method import LinearMethod, LinearSettings, Projection
from bench.linear.moments import (
    CentredRows,
    Moments,
    PrincipalAxes,
    between_scatter,
    class_sums,
    cross_scatter,
    principal_axes,
    scatter,
)

__all__ = [
    "CentredRows",
    "Eigenpairs",
    "LinearMethod",
    "LinearSettings",
    "Matrix",
    "Moments",
    "PrincipalAxes",
    "Projection",
    "assemble",
    "between_scatter",
    "class_sums",
    "cross_scatter",
    "fix_signs",
    "principal_axes",
    "scatter",
    "split",
    "top_eigenpairs",
]

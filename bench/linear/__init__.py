"""Toolkit of the linear methods: NumPy and SciPy only.

Every one of them is a generalised symmetric eigenvalue problem over sums of outer products. The toolkit
accumulates those sums in blocks, turns each modality to its principal axes, and solves.
"""

from bench.linear.eigen import Eigenpairs, assemble, fix_signs, split, top_eigenpairs
from bench.linear.method import LinearMethod, LinearSettings
from bench.linear.moments import Moments
from bench.linear.principal import PrincipalAxes, principal_axes
from bench.linear.projection import Projection
from bench.linear.rows import CentredRows, Matrix
from bench.linear.scatter import between_scatter, class_means, class_sums, cross_scatter, scatter

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
    "class_means",
    "class_sums",
    "cross_scatter",
    "fix_signs",
    "principal_axes",
    "scatter",
    "split",
    "top_eigenpairs",
]

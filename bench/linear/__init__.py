"""Toolkit of the linear methods: NumPy and SciPy only.

Every one of them is a generalised symmetric eigenvalue problem over sums of outer products. The toolkit
accumulates those sums in blocks, turns each modality to its principal axes, and solves. A method's file
needs one import: ``from bench import linear as t``.
"""

from bench.contract import Array, Context, Split, Unsupported, card, setting
from bench.data.scaling import Scaling
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

"""Conditions: named, levelled changes of a dataset, as an axis of the grid beside methods and datasets.

A condition's file needs one import besides NumPy and the contract: ``from bench import conditions as t``.
"""

from bench.conditions.base import (
    Condition,
    ConditionCard,
    Draws,
    Edit,
    Edited,
    Level,
    edit_of,
    ids_of,
    label_of_ids,
    relabelled,
    require_pairs,
    require_single_label,
    unchanged,
)
from bench.conditions.names import (
    CLEAN,
    Applied,
    ConditionFile,
    condition_class,
    condition_of,
    conditions,
    file_name,
    name_of,
    parse_conditions,
)

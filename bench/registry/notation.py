"""YAML as people write settings in: what reads as a number is one."""

from __future__ import annotations

import re
from typing import Any, Final

import yaml

_FLOAT: Final = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$")


class _Loader(yaml.SafeLoader):
    """YAML 1.1 takes ``1e-5`` for a text, since it has no dot; YAML 1.2 and everybody else do not."""


_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+.0123456789"))


def parse_yaml(text: str) -> Any:
    """Return the value that ``text`` stands for; nothing is ever executed.

    Raises:
        yaml.YAMLError: if it is not YAML.
    """
    return yaml.load(text, Loader=_Loader)  # noqa: S506 (a SafeLoader)

"""``python -m tests.gpu``: run everything that needs a GPU, and print tables for the documentation."""

from __future__ import annotations

import argparse
import platform
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import torch

from tests.gpu import checks, speed
from tests.gpu.parts import TINY, Found, Run, Sizes

PARTS: Final[Mapping[str, tuple[Callable[[Run], Found], float]]] = {
    "tests": (checks.marked_tests, 90),
    "golden": (checks.released_numbers, 40),
    "reference": (checks.reference_grid, 60),
    "three": (checks.three_cells, 40),
    "full": (checks.full_device, 40),
    "fault": (checks.broken_device, 40),
    "yardstick": (speed.yardstick, 20),
    "evaluator": (speed.evaluator, 40),
    "epochs": (speed.epochs, 60),
}
"""By name: what it does, and the seconds that must be left for it to begin."""


def main(words: Sequence[str] | None = None) -> int:
    """Run the parts; exit status 1 where a check failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.gpu", description=__doc__)
    parser.add_argument("--device", default="cuda:0", help="Torch name of the device.")
    parser.add_argument("--only", default=",".join(PARTS), help=f"Parts, of {', '.join(PARTS)}.")
    parser.add_argument("--minutes", type=float, default=8.0, help="After which no part begins.")
    parser.add_argument("--tiny", action="store_true", help="Small sizes, to try the script itself.")
    parser.add_argument("--out", type=Path, help="File for the tables, besides the standard output.")
    given = parser.parse_args(words)
    chosen = given.only.split(",")
    if unknown := set(chosen) - PARTS.keys():
        parser.error(f"unknown part {min(unknown)!r}; there are {', '.join(PARTS)}")
    if given.device.startswith("cuda") and not torch.cuda.is_available():
        print("There is no GPU that PyTorch can use here, so nothing was run. It would have been:")
        for name in chosen:
            print(f"- {name}: {(PARTS[name][0].__doc__ or '').strip()}")
        print("Parts that a CPU can do, in small: python -m tests.gpu --device cpu --tiny")
        return 0
    with tempfile.TemporaryDirectory(prefix="bench-gpu-") as folder:
        end = time.monotonic() + 60 * given.minutes
        run = Run(given.device, TINY if given.tiny else Sizes(), Path(folder), end)
        found = [part(name, run) for name in chosen]
    text = "\n".join([headline(run), *(one.markdown() for one in found)])
    print(text)
    if given.out is not None:
        given.out.write_text(text, encoding="utf-8")
    return int(any(one.failed for one in found))


def part(name: str, run: Run) -> Found:
    """Run a part if there is time for it."""
    work, needed = PARTS[name]
    if run.left < needed and run.sizes != TINY:
        note = f"Left out: it takes {needed:.0f} s, and {run.left:.0f} s were left."
        return Found(f"Part {name}", (), notes=[note])
    start = time.monotonic()
    try:
        found = work(run)
    except Exception:
        return Found(f"Part {name}", (), notes=[f"```\n{traceback.format_exc()}```"], failed=True)
    if run.on_gpu:
        torch.cuda.empty_cache()  # for the processes that the next part starts
    found.notes.append(f"This part took {time.monotonic() - start:.0f} s.")
    return found


def headline(run: Run) -> str:
    """Return where the figures are from."""
    machine = platform.processor() or platform.machine()
    name = torch.cuda.get_device_name(run.device) if run.on_gpu else machine
    cuda = f", CUDA {torch.version.cuda}" if run.on_gpu else ""
    size = ", tiny sizes, no measure of speed" if run.sizes == TINY else ""
    return f"## {name}\n\nPyTorch {torch.__version__}{cuda}, Python {platform.python_version()}{size}.\n"


if __name__ == "__main__":
    raise SystemExit(main())

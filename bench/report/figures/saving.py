"""Figures as files: SVG and PDF for papers, PNG for slides; the same figure always gives the same bytes."""

from __future__ import annotations

import io
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from bench.report.figures.lettering import literal
from bench.report.figures.picture import Picture
from bench.report.figures.style import RC, warn
from bench.report.figures.vector import compact

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS_PER_INCH: Final = 200
_MOST_WORKERS: Final = 8
_EACH: Final = 6
"""Figures that a worker must have to draw to be worth its start, which takes as long as two of them."""
_UNDATED: Final[Mapping[str, dict[str, Any]]] = {
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Producer": None, "Creator": None},
    "png": {"Software": None},
}
"""What would otherwise name the time and the library's version in a file."""
ENDINGS: Final = tuple(_UNDATED)


def rendered(pictures: Iterable[Picture], endings: Sequence[str] = ENDINGS) -> dict[str, bytes]:
    """Draw figures and return file name -> content, one file of each ending, in the figures' order.

    Many are drawn in several processes at once.

    Args:
        pictures: what to draw.
        endings: some of `ENDINGS`.

    Raises:
        ValueError: if two figures have one name.
    """
    from joblib import Parallel, cpu_count, delayed

    wanted = list(pictures)
    for stem, count in Counter(picture.stem for picture in wanted).items():
        if count > 1:
            raise ValueError(f"{count} figures are called {stem}")
    workers = min(cpu_count(), _MOST_WORKERS, len(wanted) // _EACH)
    if workers < 2:
        drawn = [render(picture, endings) for picture in wanted]
    else:
        drawn = Parallel(n_jobs=workers, max_nbytes=None)(
            delayed(render)(picture, endings) for picture in wanted
        )
    return {name: content for files in drawn for name, content in files.items()}


def render(picture: Picture, endings: Sequence[str] = ENDINGS) -> dict[str, bytes]:
    """Draw one figure; returns ``STEM.svg``, ``STEM.pdf`` and ``STEM.png``, or those that are wanted."""
    import matplotlib

    with matplotlib.rc_context({**RC, "svg.hashsalt": picture.stem}), warnings.catch_warnings():
        # Letters that the font lacks are boxes in PDF and PNG, and themselves in the SVG.
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        figure = picture.draw()
        if picture.data is not None:
            warn(figure, picture.data.kind, picture.data.profile)
        _settle(figure)
        # It would lay out again what was drawn without any layout.
        matplotlib.rcParams["figure.constrained_layout.use"] = False
        files = {f"{picture.stem}.{ending}": _saved(figure, ending) for ending in endings}
    if "svg" not in endings:
        return files
    small = compact(files[f"{picture.stem}.svg"].decode("utf-8"), literal(picture.alt))
    return {**files, f"{picture.stem}.svg": small.encode("utf-8")}


def _settle(figure: Figure) -> None:
    """Lay the figure out once, and not again for every format."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        figure.set_layout_engine("none")


def _saved(figure: Figure, ending: str) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=ending, dpi=DOTS_PER_INCH, metadata=_UNDATED[ending])
    return buffer.getvalue()

"""Figures as files: SVG and PDF for papers, PNG for slides; the same figure always gives the same bytes."""

from __future__ import annotations

import io
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from bench.report.exhibit import FigureExhibit
from bench.report.figures.style import RC, warn
from bench.report.text import visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS: Final = ("svg", "pdf", "png")
DOTS_PER_INCH: Final = 200
_MOST_WORKERS: Final = 8
_EACH: Final = 6
"""Figures that a worker must have to draw to be worth its start, which takes as long as two of them."""
_METADATA: Final[dict[str, dict[str, Any]]] = {
    "svg": dict.fromkeys(("Date", "Creator", "Format", "Type")),
    "pdf": dict.fromkeys(("CreationDate", "Producer", "Creator")),
    "png": {"Software": None},
}
"""What would otherwise name the time and the library's version in a file."""
_DECIMALS: Final = re.compile(r'(?<=[ "(,MLCQ-])(\d+\.\d\d)\d+(?=[ ",)])')
"""Coordinates with more decimals than the hundredths of a point that anybody can see."""
_COORDINATES: Final = re.compile(r' (?:d|x|y|transform|clip-path|points)="[^"]*"')


def draw_all(exhibits: Sequence[FigureExhibit], formats: Sequence[str] = FORMATS) -> dict[str, bytes]:
    """Draw figures and return file name -> content, one file of each format, in the figures' order.

    Many are drawn in several processes at once.

    Raises:
        ValueError: if two figures have one name.
    """
    from joblib import Parallel, cpu_count, delayed

    for name, count in Counter(exhibit.name for exhibit in exhibits).items():
        if count > 1:
            raise ValueError(f"{count} figures are called {name}")
    workers = min(cpu_count(), _MOST_WORKERS, len(exhibits) // _EACH)
    if workers < 2:
        files = [draw(exhibit, formats) for exhibit in exhibits]
    else:
        tasks = (delayed(draw)(exhibit, formats) for exhibit in exhibits)
        files = Parallel(n_jobs=workers, max_nbytes=None)(tasks)
    return {name: content for one in files for name, content in one.items()}


def draw(exhibit: FigureExhibit, formats: Sequence[str] = FORMATS) -> dict[str, bytes]:
    """Draw one figure; returns ``NAME.svg``, ``NAME.pdf`` and ``NAME.png``, or those that are wanted."""
    with _style(exhibit.name):
        figure = laid_out(exhibit)
        return {f"{exhibit.name}.{ending}": _saved(figure, ending, exhibit.alt) for ending in formats}


def laid_out(exhibit: FigureExhibit) -> Figure:
    """Return the figure with its warning, everything in its place; to be called under `RC`."""
    figure = exhibit.draw()
    warn(figure, exhibit.subject.kind, exhibit.subject.profile)
    engine = figure.get_layout_engine()
    if engine is not None:  # once, and not again for every format
        engine.execute(figure)
        figure.set_layout_engine("none")
    return figure


@contextmanager
def _style(salt: str) -> Iterator[None]:
    """Set matplotlib up for a figure; letters that the font lacks are boxes in PDF and PNG."""
    import matplotlib

    with matplotlib.rc_context({**RC, "svg.hashsalt": salt}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        yield


def _saved(figure: Figure, ending: str, alt: str) -> bytes:
    """Return a figure in one format, without time and version; `savefig` would draw it twice."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_pdf import FigureCanvasPdf
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    canvases: dict[str, Any] = {"png": FigureCanvasAgg, "pdf": FigureCanvasPdf, "svg": FigureCanvasSVG}
    buffer = io.BytesIO()
    figure.dpi = DOTS_PER_INCH if ending == "png" else 72
    canvas = canvases[ending](figure)
    metadata = _METADATA[ending] | ({"Title": visible(alt)} if ending == "svg" else {})
    options = {"pil_kwargs": {"compress_level": 3}} if ending == "png" else {}
    with _quick_fonts():
        getattr(canvas, f"print_{ending}")(buffer, metadata=metadata, **options)
    content = buffer.getvalue()
    return _rounded(content.decode("utf-8")).encode("utf-8") if ending == "svg" else content


@contextmanager
def _quick_fonts() -> Iterator[None]:
    """Let fontTools cut fonts without layout tables, which no PDF uses: it takes a third of the time."""
    from fontTools import subset  # type: ignore[import-untyped]

    load = subset.load_font

    def load_without_layout(*arguments: Any, **options: Any) -> Any:
        font = load(*arguments, **options)
        for tag in ("GSUB", "GPOS", "GDEF"):
            if tag in font:
                del font[tag]
        return font

    subset.load_font = load_without_layout
    try:
        yield
    finally:
        subset.load_font = load


def _rounded(svg: str) -> str:
    """Return an SVG with coordinates in hundredths of a point; letters stay as they are."""
    return _COORDINATES.sub(lambda part: _DECIMALS.sub(r"\1", part[0]), re.sub("\n +", "\n", svg))

"""Figures as files: SVG and PDF for papers, PNG for slides; the same figure always gives the same bytes."""

from __future__ import annotations

import gc
import io
import os
import re
import signal
import sys
import warnings
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import closing, contextmanager, suppress
from copy import copy
from dataclasses import replace
from functools import partial
from multiprocessing import current_process, forkserver, get_context, parent_process
from threading import Thread
from typing import Any, Final

from bench.report.exhibit import FigureExhibit
from bench.report.figures import style
from bench.report.text import visible
from bench.report.writers.markdown import FIGURE_FORMATS

DOTS_PER_INCH: Final = 200
_MOST_WORKERS: Final = 8
_EACH: Final = 6
"""Figures that a worker must have to draw to be worth its start."""
_LIBRARIES: Final = (
    *("matplotlib.backends.backend_pdf", "matplotlib.backends.backend_svg", "matplotlib.figure"),
    *("fontTools.subset", "pypdfium2", "sklearn.manifold"),
)
_DECIMALS: Final = re.compile(r'(?<=[ "(,MLCQ-])(\d+\.\d\d)\d+(?=[ ",)])')
"""Coordinates with more decimals than hundredths of a point, which are invisible."""
_COORDINATES: Final = re.compile(r' (?:d|x|y|transform|clip-path|points)="[^"]*"')
_GLYPHS: Final[dict[tuple[str, int], tuple[list[str], list[Any]]]] = {}
"""By file and number of a font: its glyphs in order, and its tables of their names, widths, codes."""


def start_workers(figures: int) -> None:
    """Start the process that `draw_all` forks its workers from, if it is to draw about so many figures.

    It imports the libraries of drawing, once for all workers, while the figures are computed.
    """
    if _workers_for(figures) > 1:
        forkserver.set_forkserver_preload([__name__, *_LIBRARIES])
        with suppress(OSError):  # then `draw_all` draws in this process
            forkserver.ensure_running()


def draw_all(
    exhibits: Sequence[FigureExhibit], formats: Sequence[str] = FIGURE_FORMATS
) -> Generator[dict[str, bytes], None, None]:
    """Draw figures, many in several processes at once; gives the files of each, in the figures' order.

    The processes begin at once, before the files are read, and end when the generator is closed. If the
    system admits no further process, the figures are drawn in this one.

    Raises:
        ValueError: if two figures have one name.
    """
    for name, count in Counter(exhibit.name for exhibit in exhibits).items():
        if count > 1:
            raise ValueError(f"{count} figures are called {name}")
    drawing = partial(draw, formats=formats)
    workers = _workers_for(len(exhibits))
    futures = _started(drawing, exhibits, workers) if workers > 1 else None
    if futures is None:
        return (drawing(exhibit) for exhibit in exhibits)
    files = _results(futures)
    next(files)  # a generator that has not begun does not cancel them when it is closed
    return files


def _started(
    drawing: Callable[[FigureExhibit], dict[str, bytes]], exhibits: Sequence[FigureExhibit], workers: int
) -> deque[Future[dict[str, bytes]]] | None:
    """Begin to draw figures in processes; None if there can be none.

    The system may have no semaphores, or the path of its folder of temporary files be too long for a socket.
    """
    from joblib import wrap_non_picklable_objects

    # functions of a notebook, too
    tasks = [replace(exhibit, draw=wrap_non_picklable_objects(exhibit.draw)) for exhibit in exhibits]
    try:
        pool = ProcessPoolExecutor(workers, get_context("forkserver"), _attach)
    except (OSError, NotImplementedError):
        return None
    try:
        with _no_main_module():
            futures = deque([pool.submit(drawing, task) for task in tasks])
    except OSError:
        pool.shutdown(wait=False, cancel_futures=True)
        return None
    pool.shutdown(wait=False)  # after these tasks
    return futures


def _results(futures: deque[Future[dict[str, bytes]]]) -> Generator[dict[str, bytes], None, None]:
    """Yield an empty dict, and then the results in order; cancels the others when it is closed."""
    try:
        yield {}
        while futures:
            yield futures.popleft().result()
    finally:
        for future in futures:
            future.cancel()


def _attach() -> None:
    """Let Ctrl-C end the parent of this process only, and end this process with it, even if it is killed."""
    gc.freeze()  # no collection visits the objects of the libraries: they are many and stay
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent: Any = parent_process()

    def wait() -> None:
        parent.join()
        os._exit(1)

    Thread(target=wait, daemon=True).start()


@contextmanager
def _no_main_module() -> Iterator[None]:
    """Keep processes that are started from importing the user's script again, which need not be guarded."""
    main = vars(sys.modules["__main__"])
    saved: dict[str, Any] = {name: main.pop(name) for name in ("__spec__", "__file__") if name in main}
    main["__spec__"] = None
    try:
        yield
    finally:
        main |= saved


def _workers_for(figures: int) -> int:
    from joblib import cpu_count  # includes the limits of containers

    if current_process().daemon:  # which must not start processes
        return 1
    return min(int(cpu_count()), _MOST_WORKERS, figures // _EACH)


def draw(exhibit: FigureExhibit, formats: Sequence[str] = FIGURE_FORMATS) -> dict[str, bytes]:
    """Draw one figure; returns ``NAME.svg``, ``NAME.pdf`` and ``NAME.png``, or those of ``formats``."""
    with _style(exhibit.name):
        figure = laid_out(exhibit)
        files = {"svg": _svg(figure, exhibit.alt)} if "svg" in formats else {}
        if {"pdf", "png"} & {*formats}:
            files["pdf"] = _pdf(figure)
    if "png" in formats:
        files["png"] = _png(files["pdf"])
    return {f"{exhibit.name}.{ending}": files[ending] for ending in formats}


def laid_out(exhibit: FigureExhibit) -> style.Figure:
    """Return the figure with its warning and its final layout; to be called under `style.RC`."""
    figure = exhibit.draw()
    style.warn(figure, exhibit.subject.kind, exhibit.subject.profile)
    engine = figure.get_layout_engine()
    if engine is not None:  # once, and not again for every format
        engine.execute(figure)
        figure.set_layout_engine("none")
    return figure


@contextmanager
def _style(salt: str) -> Iterator[None]:
    """Set matplotlib up for a figure; letters that the font lacks are boxes in PDF and PNG."""
    import matplotlib

    collected = gc.isenabled()
    gc.disable()  # a figure is many small objects that are all in use until it is written
    try:
        with matplotlib.rc_context({**style.RC, "svg.hashsalt": salt}), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
            yield
    finally:
        if collected:
            gc.enable()


def _svg(figure: style.Figure, alt: str) -> bytes:
    """Return a figure as SVG, coordinates rounded to hundredths of a point, texts as text."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer = io.BytesIO()
    figure.dpi = 72
    canvas: Any = FigureCanvasSVG(figure)
    metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))  # without time and version
    canvas.print_svg(buffer, metadata={**metadata, "Title": visible(alt)})
    text = re.sub("\n +", "\n", buffer.getvalue().decode("utf-8"))
    return _COORDINATES.sub(lambda part: _DECIMALS.sub(r"\1", part[0]), text).encode("utf-8")


def _pdf(figure: style.Figure) -> bytes:
    """Return a figure as PDF."""
    from fontTools import subset  # type: ignore[import-untyped]
    from matplotlib.backends.backend_pdf import FigureCanvasPdf

    load = subset.load_font
    buffer = io.BytesIO()
    figure.dpi = 72
    canvas: Any = FigureCanvasPdf(figure)
    subset.load_font = partial(_font, load)
    try:
        canvas.print_pdf(buffer, metadata=dict.fromkeys(("CreationDate", "Producer", "Creator")))
    finally:
        subset.load_font = load
    return buffer.getvalue()


def _font(load: Callable[..., Any], path: str, options: Any) -> Any:
    """Return a font that is about to be cut, without its layout tables, which no PDF uses.

    Names, widths and codes of glyphs, half of the time of a cut, are parsed once per file and copied for each
    cut, which replaces them.
    """
    font = load(path, options)
    for tag in {"GSUB", "GPOS", "GDEF"} & {*font.keys()}:
        del font[tag]
    key = path, options.font_number
    if key not in _GLYPHS:
        _GLYPHS[key] = font.getGlyphOrder(), [font[tag] for tag in ("post", "hmtx", "cmap")]
    order, tables = _GLYPHS[key]
    font.setGlyphOrder(order)
    for table in tables:
        font[table.tableTag] = made = copy(table)
        if table.tableTag == "cmap":
            for part in table.tables:
                part.ensureDecompiled()
            made.tables = [*map(copy, table.tables)]
    return font


def _png(pdf: bytes) -> bytes:
    """Return the picture of a PDF: a fifth of the time in which matplotlib would draw the figure again."""
    from pypdfium2 import PdfDocument

    buffer = io.BytesIO()
    with closing(PdfDocument(pdf)) as document:
        picture = document[0].render(scale=DOTS_PER_INCH / 72).to_pil()
        picture.save(buffer, "png", compress_level=3, dpi=(DOTS_PER_INCH, DOTS_PER_INCH))
    return buffer.getvalue()

"""``search``: find the nearest items of a gallery with a stored model."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from bench import registry
from bench.cli.embed import warn_of_changes
from bench.cli.formatting import print_lines, table, write_data
from bench.cli.options import ARGUMENT, Count, DataOption, Device, FilePath, Form, ResultsOption, make_command
from bench.contract.errors import UsageError
from bench.plural import counted
from bench.searching import Searcher
from bench.searching.searcher import Way


@dataclass(frozen=True)
class QueryOptions:
    """A query that is not a text.

    Attributes:
        file: A picture or a sound as query, encoded as the dataset's features were.
        row: A row of the test split as query, from 0.
        modality: Modality of the query.  [default: that of the text or file; of a row, the first]
    """

    file: Annotated[Path | None, FilePath("file")] = None
    row: int | None = None
    modality: str | None = None


@dataclass(frozen=True)
class GalleryOptions:
    """The gallery and the kind of search.

    Attributes:
        in_: Modality of the gallery.  [default: the first that is not the query's]
        gallery: File of features of that modality.  [default: the test rows of the dataset]
        key: Key of the features in that file.
        top: Number of items to show.
        way: exact search or an index of FAISS; auto uses FAISS above 100,000 items if it is installed.
    """

    in_: str | None = None
    gallery: Annotated[Path | None, FilePath("any")] = None
    key: str | None = None
    top: Count = 10
    way: Way = "auto"


@make_command("search")
def command(
    record: Annotated[str, ARGUMENT],
    query: Annotated[str | None, ARGUMENT] = None,
    *,
    options: QueryOptions,
    items: GalleryOptions,
    format_: Form = "table",
    device: Device = "cpu",
    folder: ResultsOption,
    files: DataOption,
) -> None:
    """Search a gallery with a model that `run --keep-models` stored.

    RECORD is the first digits of a record's digest, or the folder of its model. QUERY is a text. Texts and
    pictures are encoded as the dataset's features were; if the dataset does not state its encoder, only rows
    can be queries.

    Exit status 0; 2 if the model, query or gallery cannot be used.

    Args:
        format_: Output format.
        device: Device to embed on.
    """
    given = [value for value in (query, options.file, options.row) if value is not None]
    if len(given) != 1:
        raise UsageError("give one query: a text after RECORD, or --file, or --row")
    searcher = Searcher(
        *(record, items.in_),
        gallery=items.gallery,
        key=items.key,
        way=items.way,
        results=folder.results,
        data_dir=files.data,
        plugins=[Path(str(module.__file__)) for module in registry.given_modules("bench.encoders")],
        device=device,
    )
    warn_of_changes(searcher.model.changes)
    found = searcher.search(given[0], options.modality, items.top)
    if format_ == "json":
        write_data(json.dumps(asdict(found), indent=1, ensure_ascii=False))
        return
    size = counted(found.size, f"{found.gallery_modality} item")
    print_lines(f"{found.query} ({found.modality}) in {size}, {found.gallery}")
    print_lines(f"by {searcher.model.identity.title}; {found.way}")
    hits = enumerate(found.hits, start=1)
    rows = [(number, f"{hit.score:.4f}", hit.name, hit.classes, hit.row) for number, hit in hits]
    print_lines(*table(rows, ("", "score", "name", "class", "row")))

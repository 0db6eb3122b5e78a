"""``search``: find the nearest items of a gallery with a stored model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from bench.cli.embed import warn_of_changes
from bench.cli.formatting import say, table, write_data
from bench.cli.options import (
    ARGUMENT,
    Count,
    DataOption,
    Device,
    FilePath,
    Form,
    PluginOption,
    ResultsOption,
    make_command,
)
from bench.contract.errors import UsageError
from bench.searching import Searcher
from bench.searching.searcher import Way


@dataclass(frozen=True)
class QueryOptions:
    """The query, if it is not a text.

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
    """The gallery, and how it is searched.

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
    plugins: PluginOption,
) -> None:
    """Search a gallery with a model that `run --keep-models` stored.

    RECORD is the first digits of a record's digest, or the folder of its model. QUERY is a text. Texts and
    pictures are encoded as the dataset's features were; if the dataset does not state its encoder, only rows
    can be queries.

    Exit status 0; 2 if the model, query or gallery cannot be used.

    Args:
        record: digest, its first digits, or a folder.
        query: a text.
        options: a query that is not a text.
        items: the gallery.
        format_: Output format.
        device: Device to embed on.
        folder: of the records.
        files: folder of the datasets' files.
        plugins: files with plug-ins.
    """
    given = [one for one in (query, options.file, options.row) if one is not None]
    if len(given) != 1:
        raise UsageError("give one query: a text after RECORD, or --file, or --row")
    plugins.load()
    where = {"gallery": items.gallery, "key": items.key, "way": items.way}
    places = {"results": folder.results, "data_dir": files.data, "plugins": plugins.plugin}
    searcher = Searcher(record, items.in_, **where, **places, device=device)  # type: ignore[arg-type]
    warn_of_changes(searcher.model.changes)
    found = searcher.search(given[0], options.modality, items.top)
    if format_ == "json":
        write_data(json.dumps(asdict(found), indent=1, ensure_ascii=False))
        return
    say(
        f"{found.query} ({found.modality}) in {found.size} {found.gallery_modality} items, {found.gallery}",
        f"by {searcher.model.identity.title}; {found.way}",
    )
    say(*table([_row(number, asdict(hit)) for number, hit in enumerate(found.hits, start=1)]))


def _row(number: int, hit: Mapping[str, Any]) -> dict[str, object]:
    return {
        "": number,
        "score": f"{hit['score']:.4f}",
        "name": hit["name"],
        "class": hit["classes"],
        "row": hit["row"],
    }

"""``embed``: embed a file of features with a stored model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from bench.cli.formatting import print_lines, warn
from bench.cli.options import ARGUMENT, Device, FilePath, ResultsOption, make_command
from bench.experiment.models import load_method
from bench.plural import counted


@make_command("embed")
def command(
    record: Annotated[str, ARGUMENT],
    *,
    modality: str,
    features: Annotated[Path, FilePath("any")],
    output: Annotated[Path, FilePath("file")],
    key: str | None = None,
    device: Device = "cpu",
    folder: ResultsOption,
) -> None:
    """Embed a file of features with a model that `run --keep-models` stored.

    RECORD is the first digits of a record's digest, or the folder of its model. Give the features unscaled,
    as in the dataset's files: the model applies the scaling that it fitted in training.

    Exit status 0; 2 if the model or the features cannot be used.

    Args:
        modality: Modality of the features.
        features: File of features, in any format of datasets (.npz, .npy, .mat, .h5, .pkl, .pt, .csv, ...).
        output: File to write: .npz or .h5 (with the modality's name as key) or .npy.
        key: Key of the features in the file.  [default: the modality, or the only array of its width]
        device: Device to embed on.
    """
    from bench.searching import read_features, write_embeddings

    model = load_method(record, folder.results, device)
    warn_of_changes(model.changes)
    width = model.modalities.get(modality, 0)
    rows = read_features(features, modality, width, key) if width else ()
    embedded = model.embed(modality, rows)
    write_embeddings(output, modality, embedded)
    count, dimension = counted(embedded.shape[0], "row"), counted(embedded.shape[1], "dimension")
    print_lines(f"{model.identity.title}: {count} of {modality} in {dimension}: {output}")


def warn_of_changes(changes: tuple[str, ...]) -> None:
    """Print which versions of the code have changed since a model was made."""
    if changes:
        warn(
            f"the code has changed since this model was made ({', '.join(changes)}); if in doubt, run the "
            "cell again"
        )

"""``data import``: convert files of arrays into one feature bundle."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from bench.atomic import is_stream
from bench.cli.formatting import print_lines
from bench.cli.options import ARGUMENT, FilePath, Words, make_command
from bench.contract import UsageError
from bench.plural import counted

if TYPE_CHECKING:
    from bench.data.keys import Choices

Key = Annotated[str | None, Words("KEY")]


@dataclass(frozen=True)
class LayoutOptions:
    """Roles of the arrays, as stated by the user.

    Attributes:
        image: Key of the features of images.
        text: Key of the features of texts.
        audio: Key of the features of sounds.
        video: Key of the features of videos.
        modality: Key of the features of another modality; may be repeated.
        labels: Key of the labels.
        split: Word that marks the keys of a split, such as test=query, one option per split; or key of an
            array that names the split of each row; or test=0.2, which draws a fifth of each class for test.
        paired: Row i of all modalities shows the same thing.
        unpaired: Rows of different modalities do not correspond.
        multi_label: Rows may have several classes.
        single_label: Rows have one class.
    """

    image: Key = None
    text: Key = None
    audio: Key = None
    video: Key = None
    modality: Annotated[tuple[str, ...], Words("NAME=KEY")] = ()
    labels: Key = None
    split: Annotated[tuple[str, ...], Words("PART=WORD or KEY")] = ()
    paired: bool = False
    unpaired: bool = False
    multi_label: bool = False
    single_label: bool = False

    def choices(self) -> Choices:
        """Return the options as the reader of files takes them.

        Raises:
            UsageError: if they contradict each other or are not of the form shown.
        """
        from bench.data.keys import Choices

        if (self.paired and self.unpaired) or (self.multi_label and self.single_label):
            one, other = (
                ("--paired", "--unpaired")
                if self.paired and self.unpaired
                else ("--multi-label", "--single-label")
            )
            raise UsageError(f"{one} and {other} exclude each other; give one of them")
        named = {"image": self.image, "text": self.text, "audio": self.audio, "video": self.video}
        for word in self.modality:
            name, _, value = word.partition("=")
            if not (name and value):
                raise UsageError(f"--modality {word!r} is not of the form NAME=KEY")
            named[name] = value
        parts = dict(word.split("=", 1) for word in self.split if "=" in word)
        key = next((word for word in self.split if "=" not in word), "")
        if len(parts) + bool(key) != len(self.split) or (parts and key):
            raise UsageError("--split takes one KEY, or PART=WORD once for each part")
        share = _share(parts["test"]) if [*parts] == ["test"] else 0.0
        return Choices(
            modalities={name: value for name, value in named.items() if value is not None},
            labels=self.labels or "",
            split={} if share else parts,
            test_share=share,
            split_key=key,
            paired=True if self.paired else False if self.unpaired else None,
            multi_label=True if self.multi_label else False if self.single_label else None,
        )


@make_command("import", plugins="none")
def command(
    files: Annotated[tuple[Path, ...], ARGUMENT, FilePath("any")],
    output: Annotated[Path, FilePath("file")],
    layout: LayoutOptions,
    without: tuple[Literal["overlap"], ...] = (),
) -> None:
    """Convert FILES (arrays, tables, folders, a recipe) into one feature bundle.

    docs/data.md lists the formats. The command prints how it reads each key, and every assumption. Use the
    options where the keys are ambiguous: KEY is the key of one split; the keys of the other splits are
    derived from it.

    Args:
        output: Path of the new bundle (.npz); an existing file is not replaced.
        without: overlap: leave out training rows that are also in validation or test, and validation rows
            that are also in test.
    """
    from bench.data.bundle import import_files

    choices = layout.choices()
    if output.exists() and not is_stream(output):
        raise UsageError(f"{output} already exists; give another name, or remove it")
    understood = import_files(files, output, choices, without)
    for part, rows in understood.splits.items():
        counts = [
            f"{counted(len(modality), 'row')} of {name} ({modality.dimension} wide)"
            for name, modality in rows.items()
        ]
        print_lines(f"{part}: {', '.join(counts)}")
    kind = "multi-label" if understood.splits["train"].multi_label else "single-label"
    print_lines(
        f"{understood.splits['train'].n_classes} classes, {kind}", *understood.notes, f"written: {output}"
    )


def _share(word: str) -> float:
    """Return the number between 0 and 1 that a word states; 0 if it states none."""
    with suppress(ValueError):
        if 0 < float(word) < 1:
            return float(word)
    return 0.0

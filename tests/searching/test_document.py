"""The page on stored models runs with the printed results."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.documents import ROOT, blocks, copy_with_methods, execute


def test_the_page_on_models_runs_with_the_printed_results(tmp_path: Path) -> None:
    copy_with_methods(tmp_path, "mcca", "mrl")
    shown = [block for block in blocks(ROOT / "docs" / "models.md") if block.language != "text"]
    quick = [
        replace(b, text=b.text.replace("bench run ", "bench run --jobs 0 --set mrl.epochs=2 ")) for b in shown
    ]
    printed = "\n".join(execute(quick, tmp_path))
    for shown_text in (
        "stored models: 2, ",
        "(364, 256) float32 {'image': 1280, 'text': 384} ('Activities', 'Animals & Nature')",
        "(2, 364) cosine",
        "row 17 of image",
        "2 of 2 agree",
        "embeds alike when its state is stored and loaded",
    ):
        assert shown_text in printed, shown_text

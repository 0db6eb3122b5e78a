"""A file is written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.atomic import write_whole


def test_text_and_bytes_arrive_as_they_are(tmp_path: Path) -> None:
    place = tmp_path / "new" / "folder" / "file.txt"
    write_whole(place, "é\n")
    assert place.read_bytes() == "é\n".encode()
    write_whole(place, b"\x00\r\n")
    assert place.read_bytes() == b"\x00\r\n"
    assert [path.name for path in place.parent.iterdir()] == ["file.txt"]


def test_an_existing_file_keeps_its_permissions(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_text("old")
    place.chmod(0o600)
    write_whole(place, "new")
    assert place.stat().st_mode & 0o777 == 0o600


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "file"
    place.write_text("old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(place, "new")
    assert place.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_can_be_made_again_need_not_wait_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[int] = []
    monkeypatch.setattr(os, "fsync", waited.append)
    write_whole(tmp_path / "file", "new", durable=False)
    assert (waited, (tmp_path / "file").read_text()) == ([], "new")
    write_whole(tmp_path / "file", "newer")
    assert len(waited) == 1

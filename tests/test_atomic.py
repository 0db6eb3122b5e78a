"""A file is written whole or not at all."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bench.atomic import read_state, write_output, write_whole
from tests.records.making import raising


def test_text_and_bytes_arrive_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "file.txt"
    write_whole(path, "é\n")
    assert path.read_bytes() == "é\n".encode()
    write_whole(path, b"\x00\r\n")
    assert path.read_bytes() == b"\x00\r\n"
    assert [*path.parent.iterdir()] == [path]


def test_an_existing_file_keeps_its_permissions_and_survives_a_failed_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o600)
    write_whole(path, "new")
    assert path.stat().st_mode & 0o777 == 0o600
    monkeypatch.setattr(os, "fsync", raising(errno.ENOSPC))
    with pytest.raises(OSError, match="No space"):
        write_whole(path, "newer")
    assert path.read_text() == "new"
    assert [*tmp_path.iterdir()] == [path]


def test_an_error_names_the_file_that_was_to_be_written() -> None:
    with pytest.raises(OSError, match=r"'/proc/new\.txt'"):
        write_whole(Path("/proc/new.txt"), "")


def test_a_device_is_written_and_not_replaced(tmp_path: Path) -> None:
    device = tmp_path / "device"
    device.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space"):
        write_whole(device, "text")
    assert device.is_char_device()


def test_an_output_that_is_a_pipe_is_written_into_and_a_link_stays_a_link(tmp_path: Path) -> None:
    pipe, link, file = tmp_path / "pipe", tmp_path / "link", tmp_path / "file"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    with ThreadPoolExecutor(1) as reader:
        for path in (pipe, link):
            read = reader.submit(pipe.read_bytes)
            write_output(path, "é\n" * 100_000)  # more than a pipe holds
            assert read.result() == "é\n".encode() * 100_000
    assert pipe.is_fifo()
    link.unlink()
    link.symlink_to(file)
    write_output(link, "text")
    write_output(tmp_path / "new" / "file", b"bytes")
    assert (link.is_symlink(), file.read_text()) == (True, "text")
    write_output(Path("/dev/null"), "text")
    assert Path("/dev/null").is_char_device()


def test_an_output_that_is_an_open_file_is_continued_and_keeps_its_content(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("wb", buffering=0) as file:
        file.write(b"before\n")
        write_output(Path(f"/dev/fd/{file.fileno()}"), "text\n")
        write_output(Path(f"/proc/self/fd/{file.fileno()}"), "more\n")
        file.write(b"after\n")
        closed = Path(f"/dev/fd/{file.fileno()}")
    assert path.read_text() == "before\ntext\nmore\nafter\n"
    with pytest.raises(OSError, match=f"{closed}"):
        write_output(closed, "text")


@pytest.mark.parametrize("kind", ["pipe", "device", "large", "folder", "absent"])
def test_what_is_no_file_of_this_program_is_an_error_and_not_awaited(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "state"
    path.write_text("12345")
    assert read_state(path, largest=5) == b"12345"
    if kind != "large":
        path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    with pytest.raises(OSError, match="state"):
        read_state(path, largest=4)


def test_what_can_be_made_again_need_not_wait_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[int] = []
    monkeypatch.setattr(os, "fsync", waited.append)
    write_whole(tmp_path / "file", "new", durable=False)
    assert (waited, (tmp_path / "file").read_text()) == ([], "new")
    write_whole(tmp_path / "file", "newer")
    assert len(waited) == 1

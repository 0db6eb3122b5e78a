"""Fetching: whole and right under the final name, or not there at all, whatever the server does."""

from __future__ import annotations

import errno
import hashlib
import io
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock

from bench.contract import DataError, DatasetCard, Fact, FileCard
from bench.data import Patience, fetch
from tests.data.released import write_mat5
from tests.data.server import Behaviour, serve

BRISK = Patience(attempts=3, pause=0.001, timeout=5)
CHUNK = 1 << 14
BYTES = np.random.default_rng(0).bytes(900_000)


def facts(content: bytes) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}


def card(url: str | None, name: str = "wiki.dat", **known: Any) -> DatasetCard:
    file = FileCard(name, "the authors' page", () if url is None else (url,), **known)
    return DatasetCard("wikipedia", "Wikipedia", (), Fact(10, "confirmed"), "none", "none", files=(file,))


def target(folder: Path, name: str = "wiki.dat") -> Path:
    return folder / "wikipedia" / name


def leftovers(folder: Path) -> set[str]:
    return {path.name for path in (folder / "wikipedia").iterdir() if not path.name.endswith(".lock")}


def test_a_file_arrives_whole_and_alone(tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    with serve(Behaviour(BYTES)) as url:
        paths = fetch(
            card(url, **facts(BYTES)), tmp_path, patience=BRISK, progress=lambda *state: seen.append(state)
        )
    assert paths == [target(tmp_path)]
    assert paths[0].read_bytes() == BYTES
    assert leftovers(tmp_path) == {"wiki.dat"}
    assert seen[-1] == (len(BYTES), len(BYTES))


@pytest.mark.parametrize("validator", ["etag", "date"])
def test_a_dropped_connection_is_taken_up_where_it_broke(tmp_path: Path, validator: str) -> None:
    behaviour = Behaviour(BYTES, drop_after=[20 * CHUNK, 10 * CHUNK + 5], validator=validator)
    with serve(behaviour) as url:
        fetch(card(url, **facts(BYTES)), tmp_path, patience=BRISK)
    assert target(tmp_path).read_bytes() == BYTES
    ranges = [request.get("Range") for request in behaviour.requests]
    assert ranges == [None, f"bytes={20 * CHUNK}-", f"bytes={30 * CHUNK}-"]


def test_a_later_call_goes_on_where_an_earlier_one_gave_up(tmp_path: Path) -> None:
    behaviour = Behaviour(BYTES, drop_after=[20 * CHUNK, 0, 0, 0])
    with serve(behaviour) as url:
        with pytest.raises(DataError, match="3 times in a row without progress"):
            fetch(card(url, **facts(BYTES)), tmp_path, patience=BRISK)
        assert not target(tmp_path).exists()
        fetch(card(url, **facts(BYTES)), tmp_path, patience=BRISK)
    assert behaviour.requests[-1]["Range"] == f"bytes={20 * CHUNK}-"
    assert target(tmp_path).read_bytes() == BYTES


@pytest.mark.parametrize("validator", ["weak", "none"])
def test_without_proof_of_the_same_version_the_transfer_starts_again(tmp_path: Path, validator: str) -> None:
    behaviour = Behaviour(BYTES, drop_after=[300_000], validator=validator)
    with serve(behaviour) as url:
        fetch(card(url, **facts(BYTES)), tmp_path, patience=BRISK)
    assert [request.get("Range") for request in behaviour.requests] == [None, None]
    assert target(tmp_path).read_bytes() == BYTES


def test_a_server_that_ignores_ranges_is_started_over_not_appended(tmp_path: Path) -> None:
    behaviour = Behaviour(BYTES, drop_after=[300_000], ranges=False)
    with serve(behaviour) as url:
        fetch(card(url, **facts(BYTES)), tmp_path, patience=BRISK)
    assert "Range" in behaviour.requests[1]
    assert target(tmp_path).read_bytes() == BYTES


def test_a_file_that_changed_in_between_is_never_spliced(tmp_path: Path) -> None:
    behaviour = Behaviour(b"old" * 100_000, drop_after=[100_000, 0, 0, 0])
    with serve(behaviour) as url:
        with pytest.raises(DataError, match="without progress"):
            fetch(card(url), tmp_path, patience=BRISK)
        behaviour.content = BYTES
        fetch(card(url), tmp_path, patience=BRISK)
    assert target(tmp_path).read_bytes() == BYTES


def test_a_range_other_than_asked_for_is_not_written(tmp_path: Path) -> None:
    behaviour = Behaviour(BYTES, drop_after=[300_000], wrong_range=True)
    with serve(behaviour) as url:
        fetch(card(url, **facts(BYTES)), tmp_path, patience=BRISK)
    assert target(tmp_path).read_bytes() == BYTES


def test_a_length_announced_too_long_ends_after_a_few_tries(tmp_path: Path) -> None:
    behaviour = Behaviour(BYTES, announced=len(BYTES) + 100)
    with (
        serve(behaviour) as url,
        pytest.raises(DataError, match=r"without progress.*get it by hand and put it at"),
    ):
        fetch(card(url), tmp_path, patience=BRISK)
    assert not target(tmp_path).exists()
    assert len(behaviour.requests) < 10


def test_a_length_announced_too_short_cannot_pass_off_half_a_file(tmp_path: Path) -> None:
    whole = write_mat5(tmp_path / "whole.mat", {"X": np.ones((100, 100))}).read_bytes()
    with serve(Behaviour(whole, announced=len(whole) // 2)) as url:
        with pytest.raises(DataError, match="another file"):
            fetch(card(url, "wiki.mat", **facts(whole)), tmp_path, patience=BRISK)
        with pytest.raises(DataError, match="truncated or damaged"):
            fetch(card(url, "wiki.mat"), tmp_path, patience=BRISK)
        with pytest.raises(DataError, match="SHA-256"):
            fetch(card(url, "wiki.mat", sha256=facts(whole)["sha256"]), tmp_path, patience=BRISK)
    assert leftovers(tmp_path) == set()


def test_another_file_of_the_same_length_is_refused(tmp_path: Path) -> None:
    with serve(Behaviour(b"x" * len(BYTES))) as url, pytest.raises(DataError, match="SHA-256 is not"):
        fetch(card(url, **facts(BYTES)), tmp_path, patience=BRISK)
    assert leftovers(tmp_path) == set()


def test_git_s_object_name_is_checked(tmp_path: Path) -> None:
    blob = hashlib.sha1(f"blob {len(BYTES)}\0".encode() + BYTES, usedforsecurity=False).hexdigest()
    with serve(Behaviour(BYTES)) as url:
        with pytest.raises(DataError, match="git object name is not 123"):
            fetch(card(url, git_blob="123"), tmp_path, patience=BRISK)
        fetch(card(url, git_blob=blob), tmp_path, patience=BRISK)
    assert target(tmp_path).exists()


def test_a_web_page_instead_of_data_is_refused(tmp_path: Path) -> None:
    with (
        serve(Behaviour(b"<!DOCTYPE html><html>Log in</html>")) as url,
        pytest.raises(DataError, match="a web page"),
    ):
        fetch(card(url, "wiki.mat"), tmp_path, patience=BRISK)
    assert leftovers(tmp_path) == set()


def test_more_bytes_than_the_published_size_are_not_taken(tmp_path: Path) -> None:
    with (
        serve(Behaviour(BYTES, chunked=True)) as url,
        pytest.raises(DataError, match="more than the 1000 bytes"),
    ):
        fetch(card(url, size=1000), tmp_path, patience=BRISK)
    assert not target(tmp_path).exists()


def test_a_server_that_gives_no_length_is_judged_by_the_checksum(tmp_path: Path) -> None:
    with serve(Behaviour(BYTES, chunked=True)) as url:
        fetch(card(url, **facts(BYTES)), tmp_path, patience=BRISK)
    assert target(tmp_path).read_bytes() == BYTES


def test_a_page_that_is_not_there_is_asked_for_once(tmp_path: Path) -> None:
    behaviour = Behaviour(BYTES, statuses=[404])
    with serve(behaviour) as url, pytest.raises(DataError, match="the server answers 404 Not Found"):
        fetch(card(url), tmp_path, patience=BRISK)
    assert len(behaviour.requests) == 1


def test_a_busy_server_is_asked_again_a_bounded_number_of_times(tmp_path: Path) -> None:
    behaviour = Behaviour(BYTES, statuses=[503, 429])
    with serve(behaviour) as url:
        fetch(card(url), tmp_path, patience=BRISK)
        behaviour.statuses = [503] * 50
        with pytest.raises(DataError, match="answers 503, 3 times in a row"):
            fetch(card(url, "other.dat"), tmp_path, patience=BRISK)


def test_the_second_address_is_tried_when_the_first_fails(tmp_path: Path) -> None:
    with serve(Behaviour(BYTES, statuses=[404])) as dead, serve(Behaviour(BYTES)) as alive:
        file = FileCard("wiki.dat", "somewhere", (dead, "ftp://nowhere/x", "http://127.0.0.1:1/x", alive))
        fetch(replace(card(alive), files=(file,)), tmp_path, patience=BRISK)
    assert target(tmp_path).read_bytes() == BYTES


def test_a_right_file_is_left_alone_and_a_wrong_one_is_not_overwritten(tmp_path: Path) -> None:
    behaviour = Behaviour(BYTES)
    with serve(behaviour) as url:
        (tmp_path / "wiki.dat").write_bytes(BYTES)
        assert fetch(card(url, **facts(BYTES)), tmp_path, patience=BRISK) == [tmp_path / "wiki.dat"]
        (tmp_path / "wiki.dat").write_bytes(b"mine")
        with pytest.raises(DataError, match=r"is there but wrong: it has 4 bytes.*Move it away"):
            fetch(card(url, **facts(BYTES)), tmp_path, patience=BRISK)
    assert behaviour.requests == []
    assert (tmp_path / "wiki.dat").read_bytes() == b"mine"


def test_without_an_address_the_way_by_hand_is_told(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match="comes from the authors' page: get it by hand and put it at"
    ) as caught:
        fetch(card(None), tmp_path)
    assert str(target(tmp_path)) in str(caught.value)


def test_embedded_data_needs_no_fetching(tmp_path: Path) -> None:
    assert fetch(replace(card(None), files=()), tmp_path) == []


def archive(*names: str, content: bytes = BYTES) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as packed:
        packed.writestr("folder/", "")
        for name in names:
            packed.writestr(name, content)
    return stream.getvalue()


@pytest.mark.parametrize("inside", ["wiki.dat", "data/wiki.dat", "../../wiki.dat", "/etc/wiki.dat"])
def test_a_member_of_an_archive_lands_under_the_card_s_name_only(tmp_path: Path, inside: str) -> None:
    folder = tmp_path / "a" / "b" / "c"
    with serve(Behaviour(archive(inside, "readme.txt"), drop_after=[1000])) as url:
        fetch(card(url, member="wiki.dat", **facts(BYTES)), folder, patience=BRISK)
    assert target(folder).read_bytes() == BYTES
    assert leftovers(folder) == {"wiki.dat"}
    assert list(tmp_path.rglob("*.dat")) == [target(folder)]


@pytest.mark.parametrize(
    ("sent", "known", "words"),
    [
        (archive("other.dat"), {}, "the archive has no file called wiki.dat; it has other.dat"),
        (archive("a/wiki.dat", "b/wiki.dat"), {}, "several files called wiki.dat"),
        (archive("wiki.dat", content=b"short"), facts(BYTES), f"has 5 bytes, expected {len(BYTES)}"),
        (archive("wiki.dat", content=BYTES[::-1]), facts(BYTES), "SHA-256"),
        (archive("wiki.dat")[:-100], {}, "no whole zip archive"),
        (b"<html>", {}, "no whole zip archive"),
        (archive("wiki.dat").replace(BYTES[:50], bytes(50)), {}, "no whole zip archive"),
    ],
)
def test_a_bad_archive_leaves_nothing_behind(tmp_path: Path, sent: bytes, known: Any, words: str) -> None:
    with serve(Behaviour(sent)) as url, pytest.raises(DataError, match=words):
        fetch(card(url, member="wiki.dat", **known), tmp_path, patience=BRISK)
    assert leftovers(tmp_path) == set()


def test_a_full_disk_is_told_and_nothing_gets_the_final_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with serve(Behaviour(BYTES)) as url:
        monkeypatch.setattr("bench.data.fetching._write", full)
        with pytest.raises(DataError, match="the disk is full; free some space"):
            fetch(card(url), tmp_path, patience=BRISK)
    assert not target(tmp_path).exists()


def test_too_little_space_is_told_before_the_transfer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with (
        serve(Behaviour(BYTES)) as url,
        pytest.raises(DataError, match="900000 bytes are needed, but the disk"),
    ):
        fetch(card(url), tmp_path, patience=BRISK)
    assert not target(tmp_path).exists()


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wikipedia").write_text("a file where the folder should be")
    with pytest.raises(DataError, match="cannot be made"):
        fetch(card("http://127.0.0.1:1/x"), tmp_path, patience=BRISK)

    def broken(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    other = tmp_path / "other"
    monkeypatch.setattr("bench.data.fetching._settle", broken)
    with serve(Behaviour(BYTES)) as url, pytest.raises(DataError, match="cannot be written"):
        fetch(card(url), other, patience=BRISK)
    assert leftovers(other) == set()


def test_two_fetches_of_one_file_do_not_meet(tmp_path: Path) -> None:
    target(tmp_path).parent.mkdir()
    with (
        FileLock(tmp_path / "wikipedia" / ".wiki.dat.lock"),
        pytest.raises(DataError, match="being fetched by another process"),
    ):
        fetch(card("http://127.0.0.1:1/x"), tmp_path, patience=BRISK)


def test_a_transfer_that_ended_just_before_its_rename_is_not_repeated(tmp_path: Path) -> None:
    behaviour = Behaviour(BYTES, drop_after=[800_000, 0, 0, 0])
    with serve(behaviour) as url:
        with pytest.raises(DataError):
            fetch(card(url), tmp_path, patience=BRISK)
        target(tmp_path).with_name("wiki.dat.part").write_bytes(BYTES)
        before = len(behaviour.requests)
        fetch(card(url, **facts(BYTES)), tmp_path, patience=BRISK)
    assert len(behaviour.requests) == before
    assert target(tmp_path).read_bytes() == BYTES


def test_more_bytes_at_hand_than_the_server_has_start_the_transfer_again(tmp_path: Path) -> None:
    behaviour = Behaviour(BYTES, drop_after=[500_000, 0, 0, 0])
    with serve(behaviour) as url:
        with pytest.raises(DataError):
            fetch(card(url), tmp_path, patience=BRISK)
        with target(tmp_path).with_name("wiki.dat.part").open("ab") as stream:
            stream.write(BYTES)
        fetch(card(url, **facts(BYTES)), tmp_path, patience=BRISK)
    assert target(tmp_path).read_bytes() == BYTES


def test_an_unpacked_file_larger_than_the_disk_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("bench.data.fetching.shutil.disk_usage", lambda _: usage._replace(free=950_000))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("wiki.dat", bytes(2_000_000))
    with serve(Behaviour(stream.getvalue())) as url, pytest.raises(DataError, match="too little space left"):
        fetch(card(url, member="wiki.dat"), tmp_path, patience=BRISK)
    assert leftovers(tmp_path) == set()


def test_a_part_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    target(tmp_path).with_name("wiki.dat.part").mkdir(parents=True)
    with serve(Behaviour(BYTES)) as url, pytest.raises(DataError, match=r"wiki\.dat\.part cannot be written"):
        fetch(card(url), tmp_path, patience=BRISK)


def test_a_transfer_that_creeps_on_forever_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.data.fetching._MOST_REQUESTS", 3)
    behaviour = Behaviour(BYTES, drop_after=[CHUNK] * 10)
    with serve(behaviour) as url, pytest.raises(DataError, match="the transfer broke off 3 times"):
        fetch(card(url), tmp_path, patience=BRISK)
    assert len(behaviour.requests) == 3

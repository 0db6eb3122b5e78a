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
from bench.data.fetching import Patience, fetch
from tests.data.released import write_mat5
from tests.data.server import Behaviour, serve

BRISK = Patience(attempts=3, pause=0.001, timeout=5)
CHUNK = 1 << 14
BYTES = np.random.default_rng(0).bytes(900_000)
NOWHERE = "http://127.0.0.1:1/x"


def facts(content: bytes) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}


FACTS = facts(BYTES)


def archive(*names: str, content: bytes = BYTES) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as packed:
        packed.writestr("folder/", "")
        for name in names:
            packed.writestr(name, content)
    return stream.getvalue()


MEMBER = {"member": "wiki.dat"}


def card(*urls: str, name: str = "wiki.dat", **known: Any) -> DatasetCard:
    urls = tuple(f"{url}.zip" for url in urls) if "member" in known else urls
    file = FileCard(name, "the authors' page", urls, **known)
    return DatasetCard("wikipedia", "Wikipedia", (), Fact(10, "confirmed"), "none", "none", files=(file,))


def target(folder: Path) -> Path:
    return folder / "wikipedia" / "wiki.dat"


def leftovers(folder: Path) -> set[str]:
    return {path.name for path in (folder / "wikipedia").iterdir() if not path.name.endswith(".lock")}


def fetched(folder: Path, url: str, **known: Any) -> bytes:
    """Fetch the file and return its content."""
    assert fetch(card(url, **known), folder, patience=BRISK) == [target(folder)]
    return target(folder).read_bytes()


def refused(folder: Path, url: str, words: str, **known: Any) -> None:
    """See that fetching fails, and that nothing gets the final name."""
    with pytest.raises(DataError, match=words):
        fetch(card(url, **known), folder, patience=BRISK)
    assert not target(folder).exists()


def test_a_file_arrives_whole_and_alone(tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    with serve(Behaviour(BYTES)) as url:
        fetch(card(url, **FACTS), tmp_path, patience=BRISK, progress=lambda *state: seen.append(state))
    assert target(tmp_path).read_bytes() == BYTES
    assert leftovers(tmp_path) == {"wiki.dat"}
    assert seen[-1] == (len(BYTES), len(BYTES))


@pytest.mark.parametrize(
    ("behaviour", "ranges"),
    [
        *(
            (
                {"drop_after": [20 * CHUNK, 10 * CHUNK + 5], "validator": validator},
                [None, f"bytes={20 * CHUNK}-", f"bytes={30 * CHUNK}-"],
            )
            for validator in ("etag", "date")
        ),
        # Without proof of the same version the transfer starts again.
        *(
            ({"drop_after": [300_000], "validator": validator}, [None, None])
            for validator in ("weak", "none")
        ),
        ({"drop_after": [20 * CHUNK], "ranges": False}, [None, f"bytes={20 * CHUNK}-"]),
        ({"drop_after": [300_000], "wrong_range": True}, None),
        ({"chunked": True}, [None]),
        ({"statuses": [503, 429]}, [None, None, None]),
    ],
)
def test_a_dropped_connection_a_strange_answer_or_a_busy_server_costs_no_byte(
    tmp_path: Path, behaviour: dict[str, Any], ranges: list[str | None] | None
) -> None:
    server = Behaviour(BYTES, **behaviour)
    with serve(server) as url:
        assert fetched(tmp_path, url, **FACTS) == BYTES
    assert ranges is None or [request.get("Range") for request in server.requests] == ranges


def test_a_later_call_goes_on_where_an_earlier_one_gave_up(tmp_path: Path) -> None:
    server = Behaviour(BYTES, drop_after=[20 * CHUNK, 0, 0, 0])
    with serve(server) as url:
        refused(tmp_path, url, "without progress", **FACTS)
        assert fetched(tmp_path, url, **FACTS) == BYTES
    assert server.requests[-1]["Range"] == f"bytes={20 * CHUNK}-"


def test_a_file_that_changed_in_between_is_never_spliced(tmp_path: Path) -> None:
    server = Behaviour(b"old" * 100_000, drop_after=[100_000, 0, 0, 0])
    with serve(server) as url:
        refused(tmp_path, url, "without progress")
        server.content = BYTES
        assert fetched(tmp_path, url) == BYTES


@pytest.mark.parametrize("more", [False, True])
def test_what_an_earlier_call_left_is_taken_only_if_it_is_the_file(tmp_path: Path, more: bool) -> None:
    """The whole file under a passing name is not transferred again; more bytes than the server has are."""
    server = Behaviour(BYTES, drop_after=[500_000, 0, 0, 0])
    with serve(server) as url:
        refused(tmp_path, url, "without progress")
        target(tmp_path).with_name("wiki.dat.part").write_bytes(BYTES + more * BYTES)
        before = len(server.requests)
        assert fetched(tmp_path, url, **FACTS) == BYTES
    assert (len(server.requests) == before) is not more


def test_a_length_announced_too_short_cannot_pass_off_half_a_file(tmp_path: Path) -> None:
    whole = write_mat5(tmp_path / "whole.mat", {"X": np.ones((100, 100))}).read_bytes()
    with serve(Behaviour(whole, announced=len(whole) // 2)) as url:
        refused(tmp_path, url, "another file", name="wiki.mat", **facts(whole))
        refused(tmp_path, url, "truncated", name="wiki.mat")
        refused(tmp_path, url, "SHA-256", name="wiki.mat", sha256=facts(whole)["sha256"])
    assert leftovers(tmp_path) == set()


@pytest.mark.parametrize(
    ("behaviour", "known", "words"),
    [
        ({"content": b"x" * len(BYTES)}, FACTS, "SHA-256"),
        ({"content": BYTES}, {"git_blob": "123"}, "git object name"),
        ({"content": b"<!DOCTYPE html><html>Log in</html>"}, {"name": "wiki.mat"}, "web page"),
        ({"content": BYTES, "statuses": [404]}, {}, "404"),
        ({"content": BYTES, "statuses": [503] * 50}, {}, "503"),
        ({"content": archive("other.dat")}, MEMBER, "no file called wiki.dat"),
        ({"content": archive("a/wiki.dat", "b/wiki.dat")}, MEMBER, "several files"),
        ({"content": archive("wiki.dat", content=b"short")}, MEMBER | FACTS, "5 bytes"),
        ({"content": archive("wiki.dat", content=BYTES[::-1])}, MEMBER | FACTS, "SHA-256"),
        ({"content": archive("wiki.dat")[:-100]}, MEMBER, "zip"),
        ({"content": b"<html>"}, MEMBER, "zip"),
        ({"content": archive("wiki.dat").replace(BYTES[:50], bytes(50))}, MEMBER, "zip"),
    ],
)
def test_another_file_or_none_is_refused_and_leaves_nothing(
    tmp_path: Path, behaviour: dict[str, Any], known: dict[str, Any], words: str
) -> None:
    server = Behaviour(**behaviour)
    with serve(server) as url:
        refused(tmp_path, url, words, **known)
    assert leftovers(tmp_path) == set()
    assert len(server.requests) == (3 if "503" in words else 1)


def test_git_s_object_name_is_checked(tmp_path: Path) -> None:
    blob = hashlib.sha1(f"blob {len(BYTES)}\0".encode() + BYTES, usedforsecurity=False).hexdigest()
    with serve(Behaviour(BYTES)) as url:
        assert fetched(tmp_path, url, git_blob=blob) == BYTES


def test_the_second_address_is_tried_when_the_first_fails(tmp_path: Path) -> None:
    with serve(Behaviour(BYTES, statuses=[404])) as dead, serve(Behaviour(BYTES)) as alive:
        fetch(card(dead, "ftp://nowhere/x", NOWHERE, alive), tmp_path, patience=BRISK)
    assert target(tmp_path).read_bytes() == BYTES


def test_a_right_file_is_left_alone_and_a_wrong_one_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "wiki.dat"
    path.write_bytes(BYTES)
    assert fetch(card(NOWHERE, **FACTS), tmp_path, patience=BRISK) == [path]
    path.write_bytes(b"mine")
    refused(tmp_path, NOWHERE, "4 bytes", **FACTS)
    assert path.read_bytes() == b"mine"


def test_without_an_address_the_way_by_hand_is_named_and_embedded_data_needs_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="by hand") as caught:
        fetch(card(), tmp_path)
    assert str(target(tmp_path)) in str(caught.value)
    assert fetch(replace(card(), files=()), tmp_path) == []


@pytest.mark.parametrize("alone", [False, True])
def test_one_address_may_give_an_archive_and_another_the_file_itself(tmp_path: Path, alone: bool) -> None:
    content, ending = (BYTES, "") if alone else (archive("wiki.dat"), ".zip")
    with serve(Behaviour(content)) as url:
        urls = (f"{NOWHERE}.zip", NOWHERE, f"{url}{ending}")
        file = FileCard("wiki.dat", "two places", urls, member="wiki.dat", **FACTS)
        fetch(replace(card(), files=(file,)), tmp_path, patience=BRISK)
    assert target(tmp_path).read_bytes() == BYTES
    assert leftovers(tmp_path) == {"wiki.dat"}


@pytest.mark.parametrize("inside", ["wiki.dat", "data/wiki.dat", "../../wiki.dat", "/etc/wiki.dat"])
def test_a_member_of_an_archive_lands_under_the_card_s_name_only(tmp_path: Path, inside: str) -> None:
    folder = tmp_path / "a" / "b" / "c"
    with serve(Behaviour(archive(inside, "readme.txt"), drop_after=[1000])) as url:
        assert fetched(folder, url, member="wiki.dat", **FACTS) == BYTES
    assert leftovers(folder) == {"wiki.dat"}
    assert list(tmp_path.rglob("*.dat")) == [target(folder)]


@pytest.mark.parametrize(
    ("function", "error", "words"),
    [("_write", errno.ENOSPC, "disk is full"), ("_settle", errno.EIO, "cannot be written")],
)
def test_a_disk_that_fails_is_named_and_nothing_gets_the_final_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, error: int, words: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(error, "oh")

    monkeypatch.setattr(f"bench.data.fetching.{function}", fail)
    with serve(Behaviour(BYTES)) as url:
        refused(tmp_path, url, words)


def test_too_little_space_is_found_before_the_transfer_or_before_unpacking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("bench.data.fetching.shutil.disk_usage", lambda _: usage._replace(free=850_000))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("wiki.dat", bytes(2_000_000))
    with serve(Behaviour(BYTES)) as large, serve(Behaviour(stream.getvalue())) as packed_url:
        refused(tmp_path, large, "900000 bytes")
        refused(tmp_path, packed_url, "space", member="wiki.dat")
    assert leftovers(tmp_path) == set()


def test_a_folder_or_a_part_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "wikipedia").write_text("a file where the folder should be")
    refused(tmp_path, NOWHERE, "cannot be made")
    other = tmp_path / "other"
    target(other).with_name("wiki.dat.part").mkdir(parents=True)
    with serve(Behaviour(BYTES)) as url:
        refused(other, url, r"wiki\.dat\.part")


def test_two_fetches_of_one_file_do_not_meet(tmp_path: Path) -> None:
    target(tmp_path).parent.mkdir()
    with FileLock(tmp_path / "wikipedia" / ".wiki.dat.lock"):
        refused(tmp_path, NOWHERE, "another process")


@pytest.mark.parametrize(
    ("behaviour", "known", "words"),
    [
        ({"announced": len(BYTES) + 100}, {}, "by hand"),
        ({"drop_after": [CHUNK] * 10}, {}, "broke off 3 times"),
        ({"chunked": True}, {"size": 1000}, "1000 bytes"),
    ],
)
def test_a_transfer_without_an_end_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, behaviour: dict[str, Any], known: Any, words: str
) -> None:
    monkeypatch.setattr("bench.data.fetching._MOST_REQUESTS", 3)
    server = Behaviour(BYTES, **behaviour)
    with serve(server) as url:
        refused(tmp_path, url, words, **known)
    assert len(server.requests) <= 3

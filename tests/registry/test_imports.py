"""What cannot be read is imported in a child process, where a plug-in that ends or hangs costs itself."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench import registry
from bench.contract import PluginError, UsageError
from bench.registry import imports
from tests.grid import run_command, write_bundle
from tests.registry.conftest import ASK, COMPUTED, METHOD, Writer
from tests.wording import mentions

ENDINGS = {
    "exits": ("import sys\nsys.exit(0)\n", "ends the program"),
    "leaves": ("import os\nos._exit(0)\n", "status 0"),
    "dies": ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n", "status -9"),
    "raises": ("raise RuntimeError('no')\n", "RuntimeError: no (raises.py, line 1)"),
    "opens": ("from bench import load_dataset\nload_dataset('emoji').test\n", "test data"),
}


@pytest.fixture(autouse=True)
def child(monkeypatch: pytest.MonkeyPatch) -> None:
    """Import in a real child process."""
    monkeypatch.setattr(imports, "_ask", ASK)


def test_a_plug_in_that_ends_at_import_costs_itself(write: Writer) -> None:
    files = {name: write(name, text=line + COMPUTED) for name, (line, _) in ENDINGS.items()}
    write("alpha", text=COMPUTED)
    write("zeta", text=COMPUTED)
    assert registry.method_names() == ["alpha", "zeta"]
    problems = {problem.where: problem.reason for problem in registry.registered().problems}
    assert problems.keys() == {str(file) for file in files.values()}
    for name, file in files.items():
        assert ENDINGS[name][1] in problems[str(file)].partition(str(file))[2]
    with pytest.raises(UsageError, match=r"leaves\.py") as caught:
        registry.method("leaves")
    assert caught.value.exit_status == 2


@pytest.mark.parametrize(
    ("text", "limit"),
    [("while True:\n    pass\n", "LIMIT"), ("import time\ntime.sleep(60)\n", "CLOCK_LIMIT")],
)
def test_a_plug_in_that_hangs_at_import_is_stopped_and_named(
    write: Writer, monkeypatch: pytest.MonkeyPatch, text: str, limit: str
) -> None:
    monkeypatch.setattr(imports, limit, 1.0)  # of no other import: a busy machine may need longer
    file = write("hangs", text=text + COMPUTED)
    assert registry.method_names() == []
    (problem,) = registry.registered().problems
    assert (problem.where, mentions(problem.reason, "import ... 1 s")) == (str(file), True)


def test_an_answer_that_does_not_end_is_given_up(write: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "_ANSWER_SECONDS", 0.5)
    spoof = """
import os, time
for descriptor in range(3, 60):
    try: os.write(descriptor, bytes([0x7F, 0xFF, 0xFF, 0xFF]))
    except OSError: pass
time.sleep(60)
"""
    file = write("spoofs", text=spoof + COMPUTED)
    write("alpha", text=COMPUTED)
    assert registry.method_names() == ["alpha"]
    assert [problem.where for problem in registry.registered().problems] == [str(file)]


def test_a_plug_in_that_waits_for_the_processor_is_no_slow_one(
    write: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "LIMIT", 0.1)
    monkeypatch.setattr(imports, "processor_seconds", lambda _: 0.0)
    write("waits", text="import time\ntime.sleep(1)\n" + COMPUTED)
    assert registry.method_names() == ["waits"]


def test_a_plug_in_that_can_be_read_but_ends_at_import_is_named_before_its_cells_start(write: Writer) -> None:
    write("alpha", text=COMPUTED)
    write("leaves", text=ENDINGS["leaves"][0] + METHOD)
    assert registry.method_names() == ["alpha", "leaves"]
    with pytest.raises(PluginError, match=r"leaves\.py"):
        registry.method_class("leaves")
    assert [*registry.import_problems(["alpha", "leaves"])] == ["leaves"]
    assert registry.method_class("alpha").card.title == "T"


def test_a_plug_in_that_forks_at_import_is_not_taken_for_others(write: Writer) -> None:
    write("alpha", text="import os\nos.fork()\n" + COMPUTED)
    write("beta", text=COMPUTED, epochs=30)
    write("gamma", text=COMPUTED)
    assert registry.method_names() == ["alpha", "beta", "gamma"]
    assert registry.method("beta").defaults["epochs"] == 30
    assert registry.registered().problems == []


def test_what_plug_ins_import_and_print_stays_in_the_child(
    write: Writer, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "this_is_heavy.py").write_text("")
    write("alpha", text="import this_is_heavy\nprint('noise')\n" + COMPUTED)
    assert registry.method("alpha").defaults["hidden"] == [4, 4]
    assert "this_is_heavy" not in sys.modules
    assert "noise" not in capfd.readouterr().out
    registry.method_class("alpha")
    assert "this_is_heavy" in sys.modules


def test_an_import_is_remembered_by_content_also_in_other_processes(
    write: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("alpha", text=COMPUTED)
    assert registry.method_names() == ["alpha"]
    remembered = os.environ["BENCH_IMPORTED"]
    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("another child"))
        registry.rescan()
        patch.setenv("BENCH_IMPORTED", remembered)
        assert registry.method("alpha").defaults["epochs"] == 20
    monkeypatch.setenv("BENCH_IMPORTED", "{damaged")
    write("alpha", text=COMPUTED, epochs=30)
    assert registry.method("alpha").defaults["epochs"] == 30


def test_a_change_that_leaves_size_and_second_of_a_plug_in_as_they_were_is_seen(
    write: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    soon = time.time() + 60  # the bytecode is written before the second of the change has passed
    for epochs in (20, 30):
        os.utime(write("alpha", text=COMPUTED, epochs=epochs), (soon, soon))
        registry.rescan()
        assert registry.method("alpha").defaults["epochs"] == epochs


@pytest.mark.parametrize("executable", ["/no/such/python", "/bin/false"])
def test_without_a_child_process_the_plug_in_is_left_out(
    write: Writer, monkeypatch: pytest.MonkeyPatch, executable: str
) -> None:
    monkeypatch.setattr(sys, "executable", executable)
    write("alpha", text=COMPUTED)
    write("beta")
    assert registry.method_names() == ["beta"]
    assert "alpha.py" in registry.registered().problems[0].reason


@pytest.mark.parametrize(
    ("command", "when"),
    [("run", ""), ("tune", "if 'serve(' in ' '.join(sys.orig_argv):\n    ")],
    ids=["ever", "in a worker"],
)
def test_a_command_leaves_such_a_method_out_and_ends_with_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, when: str
) -> None:
    monkeypatch.undo()
    registry.rescan()
    file = tmp_path / "ending.py"
    text = METHOD.format(cls="Ending", name="ending", epochs=1, position=1)
    file.write_text(f"import os, sys\n{when}os._exit(0)\n{text}")
    data, results = write_bundle(tmp_path / "small.npz"), tmp_path / "results"
    words = ["--methods", "ending,chance", "--datasets", data, "--plugin", file, "--results", results]
    done = run_command(command, *words, "--jobs", 1 if when else 0)
    done.check(2, "ending is left out", "ending.py" if not when else "the method ending")
    kept = results / {"run": "runs", "tune": "trials"}[command]
    assert len([path for path in kept.iterdir() if path.is_dir() or path.suffix == ".json"]) == 1

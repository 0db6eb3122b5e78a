"""What cannot be read is imported in a child process, where a plug-in that ends or hangs costs itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench import registry
from bench.contract import PluginError, UsageError
from bench.registry import imports
from tests.grid import say, write_bundle
from tests.registry.conftest import ASK, COMPUTED, METHOD, Writer

ENDINGS = {
    "import sys\nsys.exit(0)\n": "ends the program",
    "import os\nos._exit(0)\n": "status 0",
    "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n": "status -9",
    "while True:\n    pass\n": "not through",
    "raise RuntimeError('no')\n": "RuntimeError: no (broken.py, line 1)",
    "from bench import load_dataset\nload_dataset('emoji').test\n": "test data",
}


@pytest.fixture(autouse=True)
def child(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a real child process do it, with little patience."""
    monkeypatch.setattr(imports, "_ask", ASK)
    monkeypatch.setattr(imports, "LIMIT", 8.0)


@pytest.mark.parametrize(("line", "reason"), ENDINGS.items())
def test_a_plug_in_that_ends_at_import_costs_itself(
    write: Writer, tmp_path: Path, line: str, reason: str
) -> None:
    write("alpha", text=COMPUTED)
    broken = write("broken", text=line + COMPUTED)
    write("gamma", text=COMPUTED)
    write("static", text=line + METHOD)
    assert registry.method_names() == ["alpha", "gamma", "static"]
    (problem,) = registry.registered().problems
    assert problem.where == str(broken)
    assert str(broken) in problem.reason
    assert reason in problem.reason
    with pytest.raises(UsageError, match=r"broken\.py") as caught:
        registry.method("broken")
    assert caught.value.exit_status == 2
    with pytest.raises(PluginError, match=r"static\.py"):
        registry.method_class("static")
    assert [*registry.import_problems(["alpha", "static"])] == ["static"]
    assert registry.method_class("alpha").card.title == "T"


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


@pytest.mark.parametrize("executable", ["/no/such/python", "/bin/false"])
def test_without_a_child_process_the_plug_in_is_left_out(
    write: Writer, monkeypatch: pytest.MonkeyPatch, executable: str
) -> None:
    monkeypatch.setattr(sys, "executable", executable)
    write("alpha", text=COMPUTED)
    write("beta")
    assert registry.method_names() == ["beta"]
    assert "alpha.py" in registry.registered().problems[0].reason


def test_run_leaves_such_a_method_out_and_ends_with_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    registry.rescan()
    values = {"cls": "Ending", "name": "ending", "epochs": 1, "position": 1}
    file = tmp_path / "ending.py"
    file.write_text("import os\nos._exit(0)\n" + METHOD.format(**values))
    data = write_bundle(tmp_path / "small.npz")
    results = tmp_path / "results"
    words = ["--methods", "ending,chance", "--datasets", data, "--plugin", file, "--results", results]
    done = say("run", *words)
    assert done.status == 2
    assert "ending is left out" in done.err
    assert "ending.py" in done.err
    assert len([one for one in (results / "runs").iterdir() if one.is_dir()]) == 1

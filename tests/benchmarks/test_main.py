"""The program that runs the benchmarks."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from benchmarks.__main__ import _one
from benchmarks.bench import Bench


def test_an_error_without_a_text_is_named_by_its_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(bench: Bench) -> None:
        raise TimeoutError

    monkeypatch.setitem(sys.modules, "benchmarks.silent", SimpleNamespace(run=run))
    assert _one(Bench(root=tmp_path), "silent", dry=True) == 2
    assert capsys.readouterr().out == "silent: TimeoutError\n"

from pathlib import Path

import pytest

from gatepost.console import routes
from gatepost.console.assets import AssetsMissing
from gatepost.console.commands import console_pages
from gatepost.settings import ReceiverSettings
from gatepost.store.sqlite import SqliteStore


def test_events_are_taken_also_where_the_console_was_not_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(*_: object) -> None:
        raise AssetsMissing

    monkeypatch.setattr(routes, "routes", missing)
    store = SqliteStore.open(tmp_path / "data")
    assert console_pages(store, ReceiverSettings()) == ()
    store.close()
    assert "hatch_build.py" in capsys.readouterr().err

"""The scripts and styles that the build made."""

import gzip
import json
from pathlib import Path

import pytest
from litestar.exceptions import NotFoundException

from gatepost.console.assets import Assets, AssetsMissing


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "console-A1.css").write_text("body{}")
    (tmp_path / "console-A1.css.gz").write_bytes(gzip.compress(b"body{}"))
    (tmp_path / "manifest.json").write_text(json.dumps({"console.css": "console-A1.css", "stamp": "s1"}))
    (tmp_path / "left-over.css").write_text("body{}")
    return tmp_path


def test_a_file_is_asked_for_by_what_it_is_called_in_the_source(folder: Path) -> None:
    assert Assets(folder).url("console.css") == "/static/console-A1.css"


def test_a_file_is_sent_compressed_to_whoever_takes_it_and_is_kept_for_ever(folder: Path) -> None:
    plain = Assets(folder).answer("console-A1.css", "")
    assert plain.content == b"body{}"
    assert "immutable" in plain.headers["cache-control"]
    packed = Assets(folder).answer("console-A1.css", "gzip, deflate, br;q=0.5")
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.content) == b"body{}"


@pytest.mark.parametrize("name", ["manifest.json", "left-over.css", "../console-A1.css", "console-A1.css.gz"])
def test_nothing_else_is_served(folder: Path, name: str) -> None:
    with pytest.raises(NotFoundException):
        Assets(folder).answer(name, "")


def test_an_installation_without_console_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(AssetsMissing, match="hatch_build"):
        Assets(tmp_path)


def test_what_is_built_here_has_a_script_and_a_style_for_the_pages() -> None:
    assets = Assets()
    for name in ("console.css", "console.js", "live.js", "statistics.js", "icon.svg"):
        assert (
            assets.answer(assets.url(name).removeprefix("/static/"), "br").headers["content-encoding"] == "br"
        )

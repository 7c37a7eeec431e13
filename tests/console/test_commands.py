"""``gatepost serve``."""

from pathlib import Path

from tests.receiver.kit import Process


async def test_serve_answers_pushes_pages_and_the_api_on_one_address(tmp_path: Path) -> None:
    process = await Process.start(tmp_path / "data")
    try:
        assert (await process.request("GET", "/healthz")).status == 200
        page = await process.request("GET", "/login")
        assert b"<h1>Log in</h1>" in page.body
        assert (await process.request("GET", "/api/v1/stats")).status == 200
    finally:
        assert await process.stop() == 0

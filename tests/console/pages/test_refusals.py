"""Refused pushes: who sees the list, and who a sample."""

from tests.console.kit import Desk


async def refused(desk: Desk) -> int:
    """Let two pushes be refused; return the sample of one."""
    await desk.running.push(b"{<b>bold</b>", headers={"sn": "SN-1"})
    await desk.running.push({"type": 0}, "/record")
    await desk.running.flush()
    return next(row.sample_id for row in desk.store.refused() if row.sample_id)


async def test_what_was_refused_is_listed_and_narrowed_down_by_status(desk: Desk) -> None:
    await refused(desk)
    every = await desk.get("/refusals", "viewer")
    assert "Wrong path" in every.words
    assert "Not JSON" in every.words
    some = await desk.get("/refusals?status=404", "viewer")
    assert "Wrong path" in some.words
    assert "Not JSON" not in some.words
    assert (await desk.get("/refusals?status=x", "viewer")).status == 200
    assert "Wrong path" in (await desk.get("/terminals", "viewer")).words


async def test_a_sample_is_shown_to_an_administrator_as_text_and_to_nobody_else(desk: Desk) -> None:
    number = await refused(desk)
    page = await desk.get(f"/refusals/samples/{number}")
    assert "{<b>bold</b>" in page.words
    assert "<b>bold" not in page.html
    assert f"/refusals/samples/{number}" in (await desk.get("/refusals")).html
    assert (await desk.get(f"/refusals/samples/{number}", "operator")).status == 403
    assert "/refusals/samples/" not in (await desk.get("/refusals", "operator")).html
    assert (await desk.get("/refusals/samples/12345")).status == 404

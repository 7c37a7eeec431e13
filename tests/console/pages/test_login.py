"""The way in and out."""

from pathlib import Path
from urllib.parse import urlencode

import pytest
from tests.console.kit import PASSWORD, Desk
from tests.receiver.kit import receiving
from tests.terminals import ensured

from gatepost.console.routes import routes
from gatepost.console.words import COOKIE


async def test_a_login_opens_a_session_and_leads_to_the_page_that_was_asked_for(desk: Desk) -> None:
    ensured(desk.store, "SN-1", now_ms=0)
    answer = await desk.post("/login", None, name="viewer", password=PASSWORD, next="/alarms?show=open")
    assert (answer.status, answer.location) == (303, "/alarms?show=open")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie


async def test_the_first_login_of_an_administrator_leads_to_the_first_steps(desk: Desk) -> None:
    answer = await desk.post("/login", None, name="admin", password=PASSWORD, next="/")
    assert answer.location == "/welcome"


async def test_a_wrong_password_is_said_and_the_name_is_still_there(desk: Desk) -> None:
    answer = await desk.post("/login", None, name='vi"ewer', password="wrong")
    assert answer.status == 401
    assert "The name or the password is wrong." in answer.words
    assert 'value="vi&#34;ewer"' in answer.html
    assert "set-cookie" not in answer.headers


async def test_after_some_failures_one_has_to_wait(desk: Desk) -> None:
    answers = [await desk.post("/login", None, name="viewer", password="wrong") for _ in range(12)]
    assert answers[-1].status == 429
    assert "Too many attempts." in answers[-1].words


@pytest.mark.parametrize("path", ["/login", "/language"])
async def test_another_site_cannot_send_this_form(desk: Desk, path: str) -> None:
    headers = {"sec-fetch-site": "cross-site"}
    answer = await desk.post(path, None, headers=headers, name="viewer", password=PASSWORD, language="zh")
    assert answer.status == 403
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("port", [":18480", ""])
async def test_one_logs_in_through_a_proxy_that_drops_the_port(desk: Desk, port: str) -> None:
    headers = {"Host": "door.example", "Origin": f"http://door.example{port}", "X-Forwarded-For": "10.1.2.3"}
    sent = await desk.running.request(
        "POST",
        "/login",
        urlencode({"name": "viewer", "password": PASSWORD}).encode(),
        {**headers, "Content-Type": "application/x-www-form-urlencoded"},
    )
    assert sent.status == 303
    cookie = sent.headers["set-cookie"].partition(";")[0]
    elsewhere = {**headers, "Origin": f"http://evil.example{port}", "Cookie": cookie}
    await desk.running.request("POST", "/logout", b"", elsewhere)
    assert (await desk.get("/records", None, cookie=cookie)).status == 200


async def test_one_is_never_led_to_another_site(desk: Desk) -> None:
    ensured(desk.store, "SN-1", now_ms=0)
    answer = await desk.post("/login", None, name="viewer", password=PASSWORD, next="//evil.example/")
    assert answer.location == "/"


async def test_logging_out_ends_the_session(desk: Desk) -> None:
    out = await desk.post("/logout", "viewer")
    assert (out.location, out.headers["clear-site-data"]) == ("/login", '"cache", "storage"')
    assert (await desk.get("/records", "viewer")).status == 303


async def test_the_language_is_kept_by_the_browser(desk: Desk) -> None:
    answer = await desk.post("/language", None, language="zh", back="/login")
    assert answer.location == "/login"
    assert answer.headers["set-cookie"].startswith(f"{COOKIE}=zh;")
    assert "登录" in (await desk.get("/login", None, cookie=f"{COOKIE}=zh")).words
    assert f"{COOKIE}=en;" in (await desk.post("/language", None, language="tlh")).headers["set-cookie"]


async def test_who_comes_from_another_machine_over_plain_http_is_told(tmp_path: Path) -> None:
    async with receiving(tmp_path / "data", pages=routes, trusted_proxies=("127.0.0.1/32",)) as running:
        desk = await Desk.made(running)
        there = {"x_forwarded_for": "192.0.2.7"}
        assert "plain HTTP" in (await desk.get("/login", who=None, **there)).words
        assert (
            "plain HTTP" not in (await desk.get("/login", who=None, x_forwarded_proto="https", **there)).words
        )
        assert "plain HTTP" not in (await desk.get("/login", who=None)).words

import asyncio
from typing import Any

import pytest
from litestar import Request
from litestar.exceptions import NotAuthorizedException, PermissionDeniedException
from tests.receiver.kit import Running, record

from gatepost.receiver.api.access.authorization import Access, Needed, needed
from gatepost.receiver.auth.authenticator import Doors
from gatepost.receiver.auth.issuing import issue_token
from gatepost.receiver.terminals.networks import Networks
from gatepost.store.accounts.accounts import Accounts

PROXIES = Networks(("10.0.0.0/8",), setting="trusted_proxies")


@pytest.fixture
def access(receiver: Running) -> Access:
    """Doors behind a proxy that is trusted."""
    return Access(
        Doors(
            Accounts(receiver.store),
            now=lambda: 1_700_000_000.0,
            monotonic=lambda: 0.0,
            session_s=3600,
            idle_s=3600,
        ),
        PROXIES,
    )


def asked(peer: str, **headers: str) -> Request[Any, Any, Any]:
    """A request that came from there."""
    names = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "GET", "client": (peer, 1), "headers": names, "scheme": "http"}
    return Request(scope | {"path_template": "/gate"})  # type: ignore[arg-type]


def test_the_address_is_the_one_before_the_proxies_that_are_trusted(access: Access) -> None:
    assert access.address(asked("192.0.2.1")) == "192.0.2.1"
    assert access.address(asked("192.0.2.1", x_forwarded_for="203.0.113.9")) == "192.0.2.1"
    assert access.address(asked("10.0.0.1", x_forwarded_for="203.0.113.9, 10.0.0.2")) == "203.0.113.9"


def test_what_a_proxy_passes_on_that_nobody_trusts_does_not_count_as_direct(access: Access) -> None:
    assert access.direct(asked("192.0.2.1"))
    assert not access.direct(asked("192.0.2.1", via="1.1 somewhere"))
    assert access.direct(asked("10.0.0.1", x_forwarded_for="203.0.113.9"))


def test_tls_is_believed_of_a_trusted_proxy_only(access: Access) -> None:
    assert access.secure(asked("10.0.0.1", x_forwarded_proto="https"))
    assert not access.secure(asked("192.0.2.1", x_forwarded_proto="https"))


async def test_who_does_not_say_who_they_are_is_told_how_and_who_may_not_what_it_takes(
    access: Access,
) -> None:
    def try_all() -> None:
        token, _ = issue_token(access.doors.accounts, "gate", "viewer", by="t", now_ms=0)
        bearer = {"authorization": f"Bearer {token}"}
        assert access.require(asked("::1", **bearer), Needed("viewer")).role == "viewer"
        with pytest.raises(PermissionDeniedException, match="needs the role operator; yours is viewer"):
            access.require(asked("::1", **bearer), Needed("operator"))
        limited, _ = issue_token(access.doors.accounts, "gate", "admin", by="t", now_ms=0, sites=[1])
        own = {"authorization": f"Bearer {limited}"}
        assert access.require(asked("::1", **own), Needed("admin")).sites == {1}
        with pytest.raises(PermissionDeniedException, match="concerns every site"):
            access.require(asked("::1", **own), Needed("viewer", every_site=True))
        with pytest.raises(NotAuthorizedException, match="Authorization: Bearer") as refused:
            access.require(asked("::1"), Needed("viewer"))
        assert refused.value.headers == {"www-authenticate": 'Bearer realm="gatepost"'}

    await asyncio.to_thread(try_all)


def test_a_route_that_says_nothing_needs_an_administrator_of_every_site() -> None:
    assert needed({}) == Needed("admin", every_site=True)
    assert needed({"role": "viewer"}) == Needed("viewer")
    assert needed({"role": "viewer", "every_site": True}) == Needed("viewer", every_site=True)


async def test_what_is_noted_says_who_did_it_from_where(receiver: Running) -> None:
    await receiver.push(record())
    answer = await receiver.get("/api/v1/records/export")
    assert answer.status == 200
    (line,) = (await receiver.get("/api/v1/audit?action=records.exported")).json["items"]
    assert (line["actor"], line["address"], line["subject"]) == ("token:test", "127.0.0.1", "csv")

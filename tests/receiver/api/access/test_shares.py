"""One account takes no more than its share, whatever it is logged in with."""

import pytest
from litestar.exceptions import TooManyRequestsException
from tests.receiver.api.listener import Listener
from tests.receiver.kit import Running, until

from gatepost.receiver.api.access.shares import Share
from gatepost.receiver.auth.issuing import issue_token
from gatepost.receiver.auth.principal import Principal
from gatepost.store.accounts.accounts import Accounts

ANNA = Principal("anna", "viewer", 1, owner_id=1)
HER_TOKEN = Principal("token:anna's", "viewer", token_id=7, owner_id=1)
BEN = Principal("ben", "viewer", 2, owner_id=2)
PAYROLL, WALL = (
    Principal("token:payroll", "viewer", token_id=8),
    Principal("token:wall", "viewer", token_id=9),
)


def test_an_account_and_its_tokens_share_and_others_do_not() -> None:
    share = Share("exports", 2)
    share.take(ANNA)
    share.take(HER_TOKEN)
    for user in (ANNA, HER_TOKEN):
        with pytest.raises(TooManyRequestsException, match="2 exports under way"):
            share.take(user)
    for user in (BEN, BEN, PAYROLL, WALL):
        share.take(user)
    share.give_back(HER_TOKEN)
    with share.of(ANNA), pytest.raises(TooManyRequestsException):
        share.take(HER_TOKEN)
    share.take(HER_TOKEN)


def test_what_fails_is_given_back() -> None:
    share = Share("statistics", 1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), share.of(ANNA):
            raise ZeroDivisionError
    share.take(ANNA)


async def test_one_account_does_not_take_every_seat_of_the_live_stream(receiver: Running) -> None:
    most = receiver.desk.access.shares.live._most
    listeners = [await Listener.open(receiver) for _ in range(most)]
    more = await Listener.open(receiver)
    assert (more.status, more.headers["retry-after"]) == (429, "5")
    other = issue_token(Accounts(receiver.store), "other", "viewer", by="test", now_ms=0)[0]
    another = await Listener.open(receiver, Authorization=f"Bearer {other}")
    assert another.status == 200
    await listeners[0].close()
    await until(lambda: receiver.desk.live.listeners == most)
    again = await Listener.open(receiver)
    assert again.status == 200


async def test_statistics_are_asked_for_a_few_at_a_time_by_one_account(receiver: Running) -> None:
    share = receiver.desk.access.shares.statistics
    assert (await receiver.get("/api/v1/statistics?day=2024-05-06")).status == 200
    user = Principal("token:test", "admin", token_id=1)
    with share.of(user), share.of(user):
        refused = await receiver.get("/api/v1/statistics?day=2024-05-06")
        assert (refused.status, refused.headers["retry-after"]) == (429, "5")
        assert "2 statistics under way" in refused.json["detail"]
    assert (await receiver.get("/api/v1/statistics?day=2024-05-06")).status == 200

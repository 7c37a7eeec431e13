"""Why nothing arrives, asked of a receiver: by serial, by name, by address, and for each terminal at once."""

import time
from typing import Any

import pytest
from tests.receiver.kit import Running, record

from gatepost.store.terminals.adopted import Credentials, Looked, NewAdopted
from gatepost.store.terminals.fleet import Adopted


async def why(receiver: Running, **query: str) -> dict[str, Any]:
    await receiver.flush()
    asked = "&".join(f"{key}={value}" for key, value in query.items())
    answer = await receiver.get(f"/api/v1/fleet/why?{asked}")
    assert answer.status == 200, answer.body
    return dict(answer.json)


def adopt(
    receiver: Running, terminal_id: int, address: str = "https://169.254.9.8:8000", **found: Any
) -> None:
    adopted, now_ms = Adopted(receiver.store), int(time.time() * 1000)
    new = NewAdopted(
        terminal_id=terminal_id, address=address, ours="http://us/Record",
        credentials=Credentials("admin", "s3cret", "token"), certificate=b"c" * 32, previous=None,
        previous_shown=None, must_set=False, clock_error_ms=None, by="test",
    )  # fmt: skip
    later_ms = (
        now_ms + 3_600_000
    )  # the receiver does not look at it by itself meanwhile; no audit may, at that address
    row = adopted.adopt(new, now_ms=later_ms)
    values = {"state": "ours", "found": "ours", **found}
    looked = Looked(
        terminal_id=terminal_id, revision=row.revision, reason="", due_ms=later_ms, failures=0, sets=(),
        must_set=False, looked_at_ms=now_ms, reached_at_ms=now_ms, **values,
    )  # fmt: skip
    assert adopted.keep([looked]) == 1


async def test_one_that_pushes_has_nothing_to_be_done(receiver: Running) -> None:
    await receiver.push(record(timestamp=int(time.time())))
    receiver.settle()
    assert (await why(receiver, terminal="SN-1"))["next"]["code"] == "new"
    receiver.store.update_terminal(1, state="approved")
    told = await why(receiver, terminal="SN-1")
    assert (told["terminal_id"], told["serial"], told["next"]) == (1, "SN-1", None)
    checks = [one["check"] for one in told["findings"]]
    assert checks == ["known", "reachable", "refused", "heard", "clock", "listed"]


async def test_what_was_never_heard_of_is_unknown_and_its_refusals_say_why(receiver: Running) -> None:
    assert (await why(receiver, terminal="SN-77"))["next"]["code"] == "unknown"
    await receiver.push(record(deviceSN="SN-77"), path="/Reocrd", headers={"sn": "SN-77"})
    told = await why(receiver, terminal="SN-77")
    assert told["next"]["code"] == "refused_path"
    assert "it pushes to /Reocrd, where nothing is received." in told["next"]["text"]
    assert told["next"]["do"] == "Correct the address on the terminal (event_dest)."
    assert told["next"]["values"]["count"] == 1
    assert (await why(receiver, address="127.0.0.1"))["next"]["code"] == "refused_path"


async def test_an_adopted_one_is_found_by_its_address_and_says_what_its_service_said(
    receiver: Running,
) -> None:
    await receiver.push(record())
    adopt(
        receiver, 1, state="away", found="away", said="https://169.254.9.8:8000 cannot be reached: no route"
    )
    told = await why(receiver, address="https://169.254.9.8:8000")
    assert told["serial"] == "SN-1"
    assert told["next"]["text"] == "https://169.254.9.8:8000 cannot be reached: no route."
    assert "s3cret" not in str(told)


async def test_of_several_at_one_host_the_one_at_the_port_is_meant(receiver: Running) -> None:
    for number in (1, 2):
        await receiver.push(record(deviceSN=f"SN-{number}", uuid=f"u-{number}"))
        adopt(receiver, number, f"https://127.0.0.1:{9000 + number}")
    for address, serial in (("127.0.0.1:9002", "SN-2"), ("https://127.0.0.1:9001", "SN-1")):
        assert (await why(receiver, address=address))["serial"] == serial


@pytest.mark.parametrize(
    ("found", "code"),
    [
        ({"state": "stopped", "found": "wrong account"}, "account_wrong"),
        ({"state": "stopped", "found": "another certificate"}, "another_certificate"),
        ({"state": "contested", "found": "differs", "shown": "http://10.0.0.1/x"}, "contested"),
    ],
)
async def test_what_has_to_be_mended_at_the_terminal_comes_before_what_follows_from_it(
    receiver: Running, found: dict[str, Any], code: str
) -> None:
    receiver.store.create_terminal(now_ms=0, serial="SN-5", name="Cellar")
    adopt(receiver, 1, **found)
    assert (await why(receiver, terminal="Cellar"))["next"]["code"] == code
    assert (await why(receiver, terminal="%231"))["next"]["code"] == code


async def test_a_held_one_is_to_be_approved(receiver: Running) -> None:
    receiver.store.create_terminal(now_ms=0, serial="SN-5", state="held")
    assert (await why(receiver, terminal="SN-5"))["next"]["code"] == "held"


@pytest.mark.parametrize("query", ["", "terminal=SN-1&address=10.0.0.1", "address=a%20b/c", "terminal=Gate"])
async def test_a_question_that_means_nothing_or_several_is_400(receiver: Running, query: str) -> None:
    for serial in ("SN-1", "SN-2"):
        receiver.store.create_terminal(now_ms=0, serial=serial, name="Gate")
    assert (await receiver.get(f"/api/v1/fleet/why?{query}")).status == 400


async def test_each_of_several_is_told_at_once(receiver: Running) -> None:
    for number in range(3):
        receiver.store.create_terminal(
            now_ms=0, serial=f"SN-{number}", state="held" if number else "approved"
        )
    adopt(receiver, 1, state="away", found="away", said="no route to host")
    diagnosis = receiver.desk._parts["diagnosis"]
    told = diagnosis.of_each(receiver.store, receiver.store.terminals())
    assert [told[number].next.code for number in (1, 2, 3)] == ["away", "held", "held"]

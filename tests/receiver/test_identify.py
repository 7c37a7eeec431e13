import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.errors import SettingsError
from gatepost.receiver.identify import (
    MAX_REMEMBERED,
    Claim,
    Directory,
    Introduced,
    Known,
    Networks,
    Policy,
    Rejected,
    Taken,
    Unknowns,
    decide,
    peer_address,
    token_digest,
)

PROXIES = Networks(["10.0.0.0/8", "fd00::/8"], setting="trusted_proxies")
NOBODY = Networks([], setting="trusted_proxies")
A = Known(id=1, serial="A")
B = Known(id=2, serial="B")
TOKEN = token_digest("token of A")


def directory(*known: Known, peers: dict[str, int] | None = None) -> Directory:
    made = Directory()
    made.feed(known, peers or {})
    return made


def claim(
    *, token: bytes | None = None, header: str | None = None, body: str | None = None, peer: str = "192.0.2.1"
) -> Claim:
    return Claim(token, header, body, peer)


def taken(decision: object) -> Taken:
    assert isinstance(decision, Taken)
    return decision


def rejected(decision: object) -> Rejected:
    assert isinstance(decision, Rejected)
    return decision


def test_the_token_goes_before_everything_else_and_who_disagrees_is_named() -> None:
    known = directory(A, B)
    known.learn_token(TOKEN, A)
    decision = taken(decide(claim(token=TOKEN, header="B", body="C"), known, Policy()))
    assert decision.terminal_id == A.id
    assert decision.disagreements == (("header", "B"), ("body", "C"))


def test_the_header_goes_before_the_body() -> None:
    decision = taken(decide(claim(header="A", body="B"), directory(A, B), Policy()))
    assert (decision.terminal_id, decision.disagreements) == (A.id, (("body", "B"),))


def test_the_body_goes_before_the_peer_address() -> None:
    known = directory(A, B, peers={"192.0.2.1": A.id})
    assert taken(decide(claim(body="B"), known, Policy())).terminal_id == B.id


def test_the_peer_address_says_whose_it_is_where_nothing_else_does() -> None:
    known = directory(A, B, peers={"192.0.2.1": A.id})
    decision = taken(decide(claim(), known, Policy()))
    assert (decision.terminal_id, decision.bind_peer) == (A.id, False)


def test_the_last_serial_from_an_address_counts() -> None:
    known = directory(A, B)
    known.decide(claim(body="A"), Policy())
    known.decide(claim(header="B"), Policy())
    assert taken(known.decide(claim(), Policy())).terminal_id == B.id


def test_a_push_without_any_identity_does_not_bind_its_address() -> None:
    anonymous = Known(id=3, serial=None, anonymous_peer="192.0.2.1")
    known = directory(A, anonymous)
    assert taken(known.decide(claim(), Policy())).terminal_id == 3
    known.decide(claim(body="A"), Policy())
    assert taken(known.decide(claim(), Policy())).terminal_id == A.id


def test_what_everybody_agrees_on_is_no_disagreement() -> None:
    known = directory(A)
    known.learn_token(TOKEN, A)
    decision = taken(decide(claim(token=TOKEN, header="A", body=" A "), known, Policy()))
    assert (decision.disagreements, decision.problems) == ((), ())


@pytest.mark.parametrize("serial", ["x" * 129, "A\x00B", "A\nB", "\ud800", "\u202eA"])
def test_a_serial_that_can_be_none_is_noted_and_not_believed(serial: str) -> None:
    decision = taken(decide(claim(header="A", body=serial), directory(A), Policy()))
    assert decision.terminal_id == A.id
    assert [problem.where for problem in decision.problems] == ["data.deviceSN"]


@pytest.mark.parametrize("serial", ["", " ", None])
def test_an_empty_serial_says_nothing(serial: str | None) -> None:
    assert decide(claim(header=serial, body="A"), directory(A), Policy()) == Taken(
        terminal_id=1, bind_peer=True
    )


@pytest.mark.parametrize(("unknowns", "state"), [(Unknowns.ACCEPT, "new"), (Unknowns.HOLD, "held")])
def test_an_unknown_terminal_is_introduced(unknowns: Unknowns, state: str) -> None:
    decision = decide(claim(body="Z"), directory(A), Policy(unknowns=unknowns))
    assert decision == Introduced("Z", state)  # type: ignore[arg-type]


def test_an_unknown_terminal_can_be_refused() -> None:
    policy = Policy(unknowns=Unknowns.REFUSE)
    approved = Known(id=4, serial="D", state="approved")
    assert rejected(decide(claim(body="Z"), directory(), policy)).status == 403
    assert rejected(decide(claim(body="A"), directory(A), policy)).status == 403
    assert taken(decide(claim(body="D"), directory(approved), policy)).terminal_id == 4


def test_a_retired_terminal_is_refused() -> None:
    retired = Known(id=4, serial="D", state="retired")
    decision = rejected(decide(claim(body="D"), directory(retired), Policy()))
    assert (decision.status, decision.terminal_id) == (403, 4)


def test_whoever_makes_serials_up_does_not_fill_the_store() -> None:
    policy = Policy(max_terminals=2)
    assert isinstance(decide(claim(body="C"), directory(A), policy), Introduced)
    assert rejected(decide(claim(body="C"), directory(A, B), policy)).status == 403
    assert taken(decide(claim(body="B"), directory(A, B), policy)).terminal_id == B.id


def test_an_unknown_token_is_nobodys() -> None:
    decision = rejected(decide(claim(token=token_digest("?"), body="A"), directory(A), Policy()))
    assert (decision.status, decision.serial) == (404, "A")


def test_a_token_is_asked_for_once_between_two_feeds() -> None:
    known = directory(A)
    assert not known.knows_token(TOKEN)
    known.learn_token(TOKEN, None)
    assert known.knows_token(TOKEN)
    assert known.token(TOKEN) is None
    known.feed([A], {})
    assert not known.knows_token(TOKEN)


def test_only_allowed_networks_may_push() -> None:
    policy = Policy(allowed=Networks(["192.0.2.0/24", "2001:db8::/32"], setting="allowed_networks"))
    assert isinstance(decide(claim(body="A", peer="192.0.2.9"), directory(A), policy), Taken)
    assert isinstance(decide(claim(body="A", peer="2001:db8::7"), directory(A), policy), Taken)
    for peer in ("192.0.3.1", "2001:db9::1", "", "unix"):
        assert rejected(decide(claim(body="A", peer=peer), directory(A), policy)).reason == "address"


def test_a_terminal_can_be_bound_to_networks_of_its_own() -> None:
    bound = Known(id=5, serial="E", networks=("192.0.2.0/28",))
    assert isinstance(decide(claim(body="E", peer="192.0.2.3"), directory(bound), Policy()), Taken)
    assert rejected(decide(claim(body="E", peer="192.0.2.99"), directory(bound), Policy())).terminal_id == 5


def test_a_change_in_the_store_shows_at_the_next_feed() -> None:
    known = directory(A)
    assert isinstance(known.decide(claim(body="A"), Policy()), Taken)
    known.feed([Known(id=1, serial="A", state="retired")], {})
    assert isinstance(known.decide(claim(body="A"), Policy()), Rejected)


def test_memory_stays_bounded_whatever_is_claimed() -> None:
    known = directory(A)
    for number in range(MAX_REMEMBERED + 500):
        known.decide(claim(body="A", peer=f"peer-{number}"), Policy())
        known.learn_token(number.to_bytes(4, "big"), None)
    assert len(known._decided) <= MAX_REMEMBERED
    assert len(known._by_peer) <= MAX_REMEMBERED
    assert len(known._seen_since) <= MAX_REMEMBERED
    assert len(known._by_token) <= MAX_REMEMBERED


def test_memory_stays_bounded_however_long_a_claim_is() -> None:
    known = directory(A)
    tracemalloc.start()
    try:
        for number in range(50):
            long = f"{number}" + "x" * 1_000_000
            decision = taken(known.decide(claim(header="A", body=long), Policy()))
            assert (decision.terminal_id, len(decision.problems)) == (A.id, 1)
            long = "A" + " " * (1_000_000 + number)
            assert taken(known.decide(claim(header=long), Policy())).terminal_id == A.id
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 2_000_000


def test_what_is_decided_each_time_binds_its_address_all_the_same() -> None:
    known = directory(A, B)
    known.decide(claim(body="B"), Policy())
    known.decide(claim(header="A", body="x" * 5000), Policy())
    assert taken(known.decide(claim(), Policy())).terminal_id == A.id


def test_what_another_process_learnt_of_an_address_later_wins() -> None:
    known = directory(A, B, peers={"192.0.2.1": A.id})
    known.reading()
    known.feed([A, B], {"192.0.2.1": B.id})
    assert taken(known.decide(claim(), Policy())).terminal_id == B.id


def test_what_another_process_learnt_later_wins_over_what_was_learnt_here() -> None:
    known = directory(A, B)
    known.decide(claim(body="A"), Policy())
    for stored, whose in ((A.id, A.id), (B.id, B.id)):
        known.reading()
        known.feed([A, B], {"192.0.2.1": stored})
        assert taken(known.decide(claim(), Policy())).terminal_id == whose


def test_what_was_learnt_here_stays_while_the_store_does_not_know_it_yet() -> None:
    known = directory(A, B, peers={"192.0.2.1": A.id})
    known.decide(claim(body="B"), Policy())
    for stored in (A.id, A.id, B.id, B.id):
        known.reading()
        known.feed([A, B], {"192.0.2.1": stored})
        assert taken(known.decide(claim(), Policy())).terminal_id == B.id


def test_what_is_learnt_while_the_store_is_read_is_not_overwritten_by_what_was_read() -> None:
    known = directory(A, B)
    known.reading()
    known.decide(claim(body="B"), Policy())
    known.feed([A, B], {"192.0.2.1": A.id})
    assert taken(known.decide(claim(), Policy())).terminal_id == B.id


def test_what_the_store_still_says_after_that_is_the_last_word() -> None:
    known = directory(A, B)
    known.reading()
    known.decide(claim(body="B"), Policy())
    known.feed([A, B], {"192.0.2.1": A.id})
    known.reading()
    known.feed([A, B], {"192.0.2.1": A.id})
    assert taken(known.decide(claim(), Policy())).terminal_id == A.id


@given(st.lists(st.sampled_from(["A", "B", "", None, "\x00"]), min_size=2, max_size=2), st.booleans())
def test_a_remembered_decision_is_the_same_decision(said: list[str | None], twice: bool) -> None:
    known = directory(A, B, peers={"192.0.2.1": 1})
    asked = claim(header=said[0], body=said[1])
    first = known.decide(asked, Policy())
    assert known.decide(asked, Policy()) == first == decide(asked, known, Policy())


def test_a_stranger_cannot_choose_its_address() -> None:
    assert peer_address("203.0.113.9", "10.0.0.1", NOBODY) == "203.0.113.9"
    assert peer_address("203.0.113.9", "10.0.0.1", PROXIES) == "203.0.113.9"


@pytest.mark.parametrize(
    ("chain", "expected"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("198.51.100.1, 203.0.113.9", "203.0.113.9"),
        ("198.51.100.1, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
        ("198.51.100.1, nonsense", "10.0.0.3"),
        (f"198.51.100.1, fe80::1%{'x' * 200}", "10.0.0.3"),
        ("nonsense, 203.0.113.9", "203.0.113.9"),
        ("", "10.0.0.3"),
        ("10.0.0.1, 10.0.0.2", "10.0.0.1"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:db8::1", "2001:db8::1"),
        (None, "10.0.0.3"),
    ],
)
def test_a_trusted_proxy_is_believed_as_far_as_trusted_proxies_wrote(
    chain: str | None, expected: str
) -> None:
    assert peer_address("10.0.0.3", chain, PROXIES) == expected


@given(st.text(max_size=60))
def test_whatever_a_stranger_forwards_the_address_stays_its_own(chain: str) -> None:
    assert peer_address("203.0.113.9", chain, PROXIES) == "203.0.113.9"


@given(st.text(max_size=60))
def test_whatever_stands_left_of_the_sender_changes_nothing(chain: str) -> None:
    assert peer_address("10.0.0.3", f"{chain},203.0.113.9", PROXIES) == "203.0.113.9"


def test_what_is_no_network_names_the_setting() -> None:
    with pytest.raises(SettingsError, match="allowed_networks"):
        Networks(["10.0.0.0/8", "the office"], setting="allowed_networks")

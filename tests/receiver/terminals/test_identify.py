import tracemalloc
from collections import OrderedDict
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gatepost.errors import SettingsError
from gatepost.receiver.terminals.claims import (
    Claim,
    Introduced,
    Known,
    Policy,
    Rejected,
    RequireToken,
    Taken,
    Unknowns,
)
from gatepost.receiver.terminals.directory import (
    LATELY_MS,
    MAX_REMEMBERED,
    MAX_TERMINALS_PER_ADDRESS,
    Directory,
)
from gatepost.receiver.terminals.identify import decide
from gatepost.receiver.terminals.networks import Networks, peer_address
from gatepost.receiver.terminals.sources import sources_of, token_digest
from gatepost.settings import ReceiverSettings
from gatepost.store.interface import NewTerminal

PROXIES = Networks(["10.0.0.0/8", "fd00::/8"], setting="trusted_proxies")
NOBODY = Networks([], setting="trusted_proxies")
A = Known(id=1, serial="A")
B = Known(id=2, serial="B")
TOKEN = token_digest("token of A")
HERE, ELSEWHERE = "192.0.2.1", "192.0.2.2"
NOW_MS = 1_700_000_000_000
STRICT = (Unknowns.HOLD, Unknowns.REFUSE)
LOCKED = Known(id=1, serial="A", state="approved", has_token=True, token_used=True, token_required=True)


def directory(
    *known: Known, peers: dict[str, int] | None = None, tokens: dict[bytes, int] | None = None
) -> Directory:
    """``peers``: a terminal that just pushed from each address."""
    made = Directory(now=lambda: NOW_MS / 1000)
    made.feed(known, dict.fromkeys((peers or {}).items(), NOW_MS), tokens)
    return made


def claim(
    *, token: bytes | None = None, header: str | None = None, body: str | None = None, peer: str = HERE
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


def test_an_unknown_terminal_is_known_at_once_under_a_number_of_its_own() -> None:
    known = directory(A)
    first = taken(known.decide(claim(body="Z"), Policy(unknowns=Unknowns.HOLD)))
    other = taken(known.decide(claim(body="Y"), Policy()))
    assert other.terminal_id < first.terminal_id < 0
    assert known.new_terminal(first.terminal_id, at_ms=7) == NewTerminal("Z", 7, "", "held")
    assert known.new_terminal(A.id, at_ms=7) is None
    assert taken(known.decide(claim(body="Z", peer=ELSEWHERE), Policy())).terminal_id == first.terminal_id
    assert len(known) == 3
    assert rejected(known.decide(claim(body="X"), Policy(max_terminals=3))).reason == "too many terminals"


@pytest.mark.parametrize("tells", ["learn", "feed"])
def test_a_terminal_that_the_store_made_takes_the_place_of_its_provisional_form(tells: str) -> None:
    known = directory(A)
    unknown, nameless = claim(body="Z"), claim(peer=ELSEWHERE)
    before = [taken(known.decide(said, Policy())).terminal_id for said in (unknown, nameless)]
    made = [Known(id=7, serial="Z"), Known(id=8, serial=None, anonymous_peer=ELSEWHERE)]
    if tells == "learn":
        known.learn(made)
    else:
        known.feed([A, *made], {})
    assert [taken(known.decide(said, Policy())).terminal_id for said in (unknown, nameless)] == [7, 8]
    assert [known.new_terminal(number, at_ms=1) for number in before] == [None, None]
    # Where it was seen before it was made, it is itself.
    assert known.is_seen_at(HERE, 7)
    assert not any(known.is_seen(number) for number in before)
    assert len(known) == 3
    known.learn(made)
    assert len(known) == 3


def test_a_serial_that_an_administrator_gave_to_the_terminal_of_an_address_leaves_no_provisional_form() -> (
    None
):
    known = directory(A)
    unknown, nameless = claim(body="Z", peer=ELSEWHERE), claim(peer=HERE)
    numbers = [taken(known.decide(said, Policy())).terminal_id for said in (unknown, nameless)]
    both = Known(id=7, serial="Z", anonymous_peer=HERE)
    for _ in range(2):
        known.feed([A, both], {})
        assert [taken(known.decide(said, Policy())).terminal_id for said in (unknown, nameless)] == [7, 7]
        assert [known.stored_id(number) for number in numbers] == [7, 7]
        assert len(known) == 2


def test_a_terminal_that_was_changed_since_it_was_made_stays_as_it_was_changed() -> None:
    known = directory(A)
    known.decide(claim(body="Z"), Policy())
    changed = Known(id=7, serial="Z", state="retired")
    known.feed([A, changed], {})
    known.learn_new([Known(id=7, serial="Z", state="new"), Known(id=8, serial="Y")])
    assert rejected(known.decide(claim(body="Z"), Policy())).reason == "retired"
    assert taken(known.decide(claim(body="Y"), Policy())).terminal_id == 8


def test_a_terminal_that_the_store_has_not_made_yet_stays_known_when_the_store_is_read() -> None:
    known = directory(A)
    number = taken(known.decide(claim(body="Z"), Policy())).terminal_id
    known.feed([A, B], {}, new_timezone="Asia/Shanghai")
    assert taken(known.decide(claim(body="Z"), Policy())).terminal_id == number
    assert known.is_seen_at(HERE, number)
    later = taken(known.decide(claim(body="Y"), Policy())).terminal_id
    assert (known.timezone_of(number), known.timezone_of(later)) == ("UTC", "Asia/Shanghai")


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
    known.feed([A], {}, {TOKEN: A.id})
    assert known.token(TOKEN) == A


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
        known.seen(HERE, number, NOW_MS)
    assert len(known._decided) <= MAX_REMEMBERED
    assert len(known._seen_at) <= MAX_REMEMBERED
    assert len(known._seen_at[HERE]) <= MAX_TERMINALS_PER_ADDRESS
    assert len(known._by_token) <= MAX_REMEMBERED


class Uncrossed(OrderedDict[str, dict[int, int]]):
    """Count how often something looks for the first address by going through all."""

    looks = 0

    def __iter__(self) -> Iterator[str]:
        self.looks += 1
        return super().__iter__()


def test_an_address_is_forgotten_without_looking_for_it_among_all() -> None:
    known = directory(A)
    known._seen_at = Uncrossed()
    known.feed([A], {(f"peer-{number}", A.id): NOW_MS + number for number in range(MAX_REMEMBERED + 500)})
    assert len(known._seen_at) == MAX_REMEMBERED
    assert known._seen_at.looks == 0
    assert not known.is_seen_at("peer-499", A.id)
    assert known.is_seen_at("peer-500", A.id)


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


def test_an_address_from_which_several_serials_came_lately_tells_nothing() -> None:
    known = directory(A, B)
    known.decide(claim(body="A"), Policy())
    known.decide(claim(header="B"), Policy())
    assert decide(claim(), known, Policy()) == Introduced(None, "new")
    anonymous = Known(id=3, serial=None, anonymous_peer=HERE)
    known.learn([anonymous])
    decision = taken(known.decide(claim(), Policy()))
    assert (decision.terminal_id, decision.bind_peer) == (3, False)
    assert [problem.where for problem in decision.problems] == ["peer address"]
    assert "which of the terminals" in decision.problems[0].why


@pytest.mark.parametrize(("apart_ms", "whose"), [(LATELY_MS + 1, B.id), (LATELY_MS, None)])
def test_an_address_that_changed_hands_a_week_ago_is_of_the_later_terminal(
    apart_ms: int, whose: int | None
) -> None:
    known = directory(A, B)
    known.seen(HERE, B.id, NOW_MS)
    known.seen(HERE, A.id, NOW_MS - apart_ms)
    decision = decide(claim(), known, Policy())
    assert (decision.terminal_id if isinstance(decision, Taken) else None) == whose


def test_an_address_is_of_the_terminal_that_took_the_place_of_a_retired_one() -> None:
    known = directory(Known(id=1, serial="A", state="retired"), B, peers={HERE: A.id})
    known.seen(HERE, B.id, NOW_MS)
    assert taken(decide(claim(), known, Policy())).terminal_id == B.id


def test_an_event_that_its_address_alone_attributes_says_so() -> None:
    known = directory(A, Known(id=3, serial=None, anonymous_peer=ELSEWHERE), peers={HERE: A.id})
    for peer in (HERE, ELSEWHERE):
        decision = taken(decide(claim(peer=peer), known, Policy()))
        assert [problem.where for problem in decision.problems] == ["peer address"]
    for said in (claim(body="A"), claim(header="A")):
        assert taken(decide(said, known, Policy())).problems == ()


def test_processes_on_one_database_come_to_know_the_same_of_an_address() -> None:
    one, other = directory(A, B), directory(A, B)
    one.decide(claim(body="A"), Policy())
    other.decide(claim(body="B"), Policy())
    stored = {(HERE, A.id): NOW_MS, (HERE, B.id): NOW_MS}
    for known in (one, other):
        known.feed([A, B], stored)
        assert isinstance(decide(claim(), known, Policy()), Introduced)
        known.feed([A, B], {})
        assert isinstance(decide(claim(), known, Policy()), Introduced)


def test_a_terminal_that_used_its_token_is_taken_only_with_it() -> None:
    known = directory(LOCKED, B, peers={HERE: LOCKED.id}, tokens={TOKEN: LOCKED.id})
    for said in (claim(header="A"), claim(body="A"), claim(header="A", body="B"), claim(body=" A ")):
        decision = rejected(decide(said, known, Policy()))
        assert (decision.status, decision.reason, decision.terminal_id) == (403, "token missing", LOCKED.id)
        assert "require_token" in decision.message
    assert (
        taken(decide(claim(token=TOKEN, body="B", peer=ELSEWHERE), known, Policy())).terminal_id == LOCKED.id
    )


def test_an_address_never_speaks_for_a_terminal_that_is_taken_only_with_its_token() -> None:
    known = directory(LOCKED, peers={HERE: LOCKED.id})
    assert decide(claim(), known, Policy()) == Introduced(None, "new")
    known.learn([Known(id=3, serial=None, anonymous_peer=HERE)])
    assert taken(decide(claim(), known, Policy())).terminal_id == 3
    assert taken(decide(claim(), known, Policy(require_token=RequireToken.NEVER))).terminal_id == LOCKED.id


def test_before_its_token_is_used_a_terminal_is_taken_without_it() -> None:
    waiting = Known(id=1, serial="A", state="approved", has_token=True)
    known = directory(waiting, tokens={TOKEN: 1})
    assert taken(decide(claim(body="A"), known, Policy())).terminal_id == 1
    decision = taken(decide(claim(token=TOKEN), known, Policy()))
    assert (decision.terminal_id, decision.first_use) == (1, True)
    known.learn([LOCKED])
    assert not taken(known.decide(claim(token=TOKEN), Policy())).first_use


def test_what_was_decided_before_a_token_was_used_counts_no_more() -> None:
    known = directory(Known(id=1, serial="A", state="approved", has_token=True))
    assert isinstance(known.decide(claim(body="A"), Policy()), Taken)
    known.learn_token(TOKEN, LOCKED)
    assert isinstance(known.decide(claim(body="A"), Policy()), Rejected)


def test_a_terminal_with_another_token_is_still_taken_only_with_it() -> None:
    rotated = Known(id=1, serial="A", state="approved", has_token=True, token_required=True)
    assert rejected(decide(claim(body="A"), directory(rotated), Policy())).reason == "token missing"


@pytest.mark.parametrize("unknowns", list(Unknowns))
def test_where_tokens_are_always_required_nothing_is_taken_without_one(unknowns: Unknowns) -> None:
    policy = Policy(require_token=RequireToken.ALWAYS, unknowns=unknowns)
    known = directory(Known(id=1, serial="A", state="approved", has_token=True), B, peers={HERE: B.id})
    for said in (claim(header="A"), claim(body="B"), claim(body="Z"), claim(), claim(peer=ELSEWHERE)):
        decision = rejected(decide(said, known, policy))
        assert (decision.status, decision.reason) == (403, "token missing")
        assert "require_token is always" in decision.message
    known.learn_token(TOKEN, known.serial("A"))
    assert taken(decide(claim(token=TOKEN), known, policy)).terminal_id == 1


def test_where_tokens_are_never_required_a_serial_is_enough() -> None:
    policy = Policy(require_token=RequireToken.NEVER)
    assert taken(decide(claim(body="A"), directory(LOCKED), policy)).terminal_id == LOCKED.id


@pytest.mark.parametrize("state", ["approved", "held"])
def test_whoever_claims_a_known_serial_from_elsewhere_is_a_stranger(state: str) -> None:
    terminal = Known(id=1, serial="A", state=state)  # type: ignore[arg-type]
    known = directory(terminal, peers={HERE: 1})
    stranger = claim(body="A", peer=ELSEWHERE)
    assert taken(decide(stranger, known, Policy())).terminal_id == 1
    assert rejected(decide(stranger, known, Policy(unknowns=Unknowns.REFUSE))).reason == "unknown terminal"
    holding = Policy(unknowns=Unknowns.HOLD)
    assert decide(stranger, known, holding) == Introduced(None, "held")
    known.learn([Known(id=3, serial=None, anonymous_peer=ELSEWHERE, state="held")])
    decision = taken(decide(stranger, known, holding))
    assert (decision.terminal_id, decision.bind_peer) == (3, False)
    assert decision.disagreements == (("body", "A"),)
    assert [problem.where for problem in decision.problems] == ["peer address"]
    assert not known.is_seen_at(ELSEWHERE, 1)


@pytest.mark.parametrize("unknowns", STRICT)
def test_an_approved_terminal_without_a_token_is_taken_where_it_was_before(unknowns: Unknowns) -> None:
    known = directory(Known(id=1, serial="A", state="approved"), peers={HERE: 1})
    assert taken(decide(claim(body="A"), known, Policy(unknowns=unknowns))).terminal_id == 1


@pytest.mark.parametrize("unknowns", STRICT)
def test_a_terminal_that_never_pushed_is_where_its_serial_first_comes_from(unknowns: Unknowns) -> None:
    known, policy = directory(Known(id=1, serial="A", state="approved")), Policy(unknowns=unknowns)
    assert taken(known.decide(claim(body="A"), policy)).terminal_id == 1
    decision = known.decide(claim(body="A", peer=ELSEWHERE), policy)
    assert not (isinstance(decision, Taken) and decision.terminal_id == 1)
    assert taken(known.decide(claim(body="A"), policy)).terminal_id == 1


@pytest.mark.parametrize("unknowns", STRICT)
def test_the_networks_of_a_terminal_say_where_it_may_be(unknowns: Unknowns) -> None:
    bound = Known(id=1, serial="A", state="approved", networks=("192.0.2.0/24",))
    known, policy = directory(bound, peers={HERE: 1}), Policy(unknowns=unknowns)
    assert taken(decide(claim(body="A", peer=ELSEWHERE), known, policy)).terminal_id == 1
    assert rejected(decide(claim(body="A", peer="198.51.100.1"), known, policy)).reason == "address"


@pytest.mark.parametrize("networks", [(), ("192.0.2.0/24",)])
@pytest.mark.parametrize("unknowns", STRICT)
def test_a_token_that_waits_for_its_first_use_leaves_a_terminal_only_where_it_was(
    unknowns: Unknowns, networks: tuple[str, ...]
) -> None:
    waiting = Known(id=1, serial="A", state="approved", has_token=True, networks=networks)
    known, policy = directory(waiting, peers={HERE: 1}), Policy(unknowns=unknowns)
    assert taken(decide(claim(body="A"), known, policy)).terminal_id == 1
    for before in (known, directory(waiting)):
        decision = decide(claim(body="A", peer=ELSEWHERE), before, policy)
        assert not (isinstance(decision, Taken) and decision.terminal_id == 1)


def test_a_stored_event_is_only_found_for_a_terminal_that_its_address_may_speak_for() -> None:
    known = directory(LOCKED, B, Known(id=4, serial="D", state="retired"))
    assert known.holder([LOCKED.id, 4, B.id], claim(), Policy()) == B.id
    # The projector made it, and the directory has not heard of it yet.
    assert known.holder([LOCKED.id, 99, B.id], claim(), Policy()) == 99
    assert known.holder([LOCKED.id], claim(), Policy()) is None


@given(
    said=st.tuples(st.sampled_from(["A", "B", "Z", " A", None]), st.sampled_from(["A", "B", None])),
    peer=st.sampled_from([HERE, ELSEWHERE]),
    unknowns=st.sampled_from(list(Unknowns)),
    require=st.sampled_from([RequireToken.WHEN_USED, RequireToken.ALWAYS]),
    seen=st.lists(st.tuples(st.sampled_from([HERE, ELSEWHERE]), st.sampled_from([1, 2]))),
)
def test_whatever_is_said_without_the_token_nobody_speaks_for_a_terminal_that_used_it(
    said: tuple[str | None, str | None],
    peer: str,
    unknowns: Unknowns,
    require: RequireToken,
    seen: list[tuple[str, int]],
) -> None:
    known = directory(LOCKED, B, tokens={TOKEN: LOCKED.id})
    for address, number in seen:
        known.seen(address, number, NOW_MS)
    policy = Policy(unknowns=unknowns, require_token=require)
    for token in (None, token_digest("guessed")):
        decision = known.decide(claim(token=token, header=said[0], body=said[1], peer=peer), policy)
        assert not (isinstance(decision, Taken) and decision.terminal_id == LOCKED.id)


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
        ("198.51.100.17:50123", "198.51.100.17"),
        ("203.0.113.1, 198.51.100.18:1", "198.51.100.18"),
        ("198.51.100.19:443, 10.0.0.2:8080", "198.51.100.19"),
        ("[2001:db8::7]:443", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ('"[2001:db8::17]:65535"', "2001:db8::17"),
        ('"203.0.113.9"', "203.0.113.9"),
        ('" 203.0.113.9:80 "', "203.0.113.9"),
        ("\t203.0.113.9 ", "203.0.113.9"),
        ("[::ffff:203.0.113.9]:443", "203.0.113.9"),
        ("2001:db8::7:443", "2001:db8::7:443"),
        ("203.0.113.9:", "10.0.0.3"),
        ("203.0.113.9:65536", "10.0.0.3"),
        ("203.0.113.9:http", "10.0.0.3"),
        ("203.0.113.9:８０", "10.0.0.3"),
        ("[203.0.113.9]:80", "10.0.0.3"),
        ("[2001:db8::7]443", "10.0.0.3"),
        ("[2001:db8::7", "10.0.0.3"),
        ("[]", "10.0.0.3"),
        ('"', "10.0.0.3"),
        ("unknown", "10.0.0.3"),
        ("_hidden:80", "10.0.0.3"),
        ("203.0.113.9,", "10.0.0.3"),
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


SOURCE = token_digest("token of a source")
FOR_A = Policy(sources=sources_of([f"branch {SOURCE.hex()} A N-*"]))


@pytest.mark.parametrize("unknowns", Unknowns)
@pytest.mark.parametrize("require_token", RequireToken)
def test_a_source_speaks_for_its_serials_and_for_no_other(
    unknowns: Unknowns, require_token: RequireToken
) -> None:
    policy = replace(FOR_A, unknowns=unknowns, require_token=require_token)
    here = directory(LOCKED, replace(B, state="approved"), tokens={TOKEN: 1})

    spoken = taken(decide(claim(token=SOURCE, header="A"), here, policy))
    assert (spoken.terminal_id, spoken.first_use, spoken.bind_peer) == (1, False, False)
    assert decide(claim(token=SOURCE, body="N-7"), here, policy) == Introduced("N-7", "new")
    for other in (claim(token=SOURCE, header="B"), claim(token=SOURCE), claim(token=SOURCE, header="C")):
        rejected = decide(other, here, policy)
        assert isinstance(rejected, Rejected)
        assert (rejected.status, rejected.terminal_id) == (403, None)


def test_a_source_speaks_for_the_terminals_that_stand_at_its_site() -> None:
    policy = Policy(sources=sources_of([f"branch {SOURCE.hex()} site:2 N-7"]))
    here = directory(replace(A, site_id=2), replace(B, site_id=3))

    assert taken(decide(claim(token=SOURCE, header="A"), here, policy)).terminal_id == 1
    assert decide(claim(token=SOURCE, header="N-7"), here, policy) == Introduced("N-7", "new")
    for other in ("B", "C", "site:2"):
        assert isinstance(decide(claim(token=SOURCE, header=other), here, policy), Rejected)

    here.learn([replace(A, site_id=3), replace(B, site_id=2)])  # they were moved
    assert isinstance(decide(claim(token=SOURCE, header="A"), here, policy), Rejected)
    assert taken(decide(claim(token=SOURCE, header="B"), here, policy)).terminal_id == 2


def test_a_terminal_is_kept_out_also_where_a_source_speaks_for_it() -> None:
    retired = directory(replace(A, state="retired"))
    elsewhere = directory(replace(A, networks=("198.51.100.0/24",)))

    assert isinstance(decide(claim(token=SOURCE, header="A"), retired, FOR_A), Rejected)
    assert isinstance(decide(claim(token=SOURCE, header="A"), elsewhere, FOR_A), Rejected)


def test_the_address_of_a_source_speaks_for_no_terminal() -> None:
    here = directory(A)
    here.decide(claim(token=SOURCE, header="A"), FOR_A)

    assert not here.is_seen_at(HERE, 1)


NORTH, SOUTH = token_digest("token of the north"), token_digest("token of the south")
APART = Policy.of(
    ReceiverSettings(source_tokens=(f"north {NORTH.hex()} * apart", f"south {SOUTH.hex()} apart A"))
)


def test_the_terminals_and_sites_of_sources_that_are_apart_are_their_own() -> None:
    here = directory(A, replace(B, serial="north/A"))
    of_the_north = replace(claim(token=NORTH, header="A", body="A"), site="Lobby", timezone="Asia/Shanghai")

    spoken = taken(decide(of_the_north, here, APART))
    assert (spoken.terminal_id, spoken.disagreements) == (B.id, ())
    of_the_south = replace(claim(token=SOUTH, header="A"), site="Lobby", timezone="Asia/Shanghai")
    assert decide(of_the_south, here, APART) == Introduced("south/A", "new", "south/Lobby", "Asia/Shanghai")
    without = replace(of_the_south, site=None, timezone=None)
    assert decide(without, here, APART) == Introduced("south/A", "new", "south", "")
    assert isinstance(decide(claim(token=SOUTH, header="B"), here, APART), Rejected)


def test_a_terminal_of_a_source_is_made_at_its_site_once() -> None:
    here = directory()
    pushed = replace(claim(token=NORTH, header="A"), site="Lobby", timezone="Asia/Shanghai")
    number = taken(here.decide(pushed, APART)).terminal_id
    new = here.new_terminal(number, at_ms=5)
    assert new is not None
    assert (new.serial, new.site, new.timezone) == ("north/A", "north/Lobby", "Asia/Shanghai")
    assert here.timezone_of(number) == "Asia/Shanghai"
    here.learn([replace(B, serial="north/A")])
    assert here.new_terminal(number, at_ms=6) is None
    assert taken(here.decide(pushed, APART)).terminal_id == B.id


def test_only_a_source_speaks_for_terminals_that_are_its_own() -> None:
    here = directory(replace(A, serial="north/A"))
    for other in (claim(header="north/A"), claim(body="north/A"), claim(body="north/new")):
        rejected = decide(other, here, APART)
        assert isinstance(rejected, Rejected)
        assert (rejected.status, rejected.reason) == (403, "token missing")
    assert isinstance(decide(claim(header="northern"), here, APART), Introduced)


@pytest.mark.parametrize(
    "entry",
    ["branch", f"branch {SOURCE.hex()}", "branch abc A", f"{SOURCE.hex()} A", "", f"b {SOURCE.hex()} apart"],
)
def test_a_source_that_is_none_is_named(entry: str) -> None:
    with pytest.raises(SettingsError, match="source_tokens"):
        sources_of([entry])


def test_a_token_is_of_one_source() -> None:
    with pytest.raises(SettingsError, match="twice"):
        sources_of([f"one {SOURCE.hex()} A", f"two {SOURCE.hex()} B"])

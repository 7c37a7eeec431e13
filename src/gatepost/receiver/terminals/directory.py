"""Hold the terminals that are known, and remember what was decided.

A terminal that is not known yet gets a provisional number, below 0, and the projector makes it where what it pushed is
listed. Every process on one database comes to know the same: see :meth:`Directory.feed`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping

from msgspec.structs import replace

from gatepost.receiver.terminals.claims import Claim, Introduced, Known, Policy, Rejected, Taken
from gatepost.receiver.terminals.identify import MAX_SERIAL, decide, needs_token, rejection
from gatepost.receiver.terminals.networks import networks_of
from gatepost.store.types.arrivals import PEER_ADDRESS, SIGHTING_MS, NewTerminal
from gatepost.wire import Problem

__all__ = ["LATELY_MS", "MAX_REMEMBERED", "MAX_TERMINALS_PER_ADDRESS", "Directory"]


MAX_REMEMBERED = 65_536
"""Claims and peer addresses that are kept in memory. Beyond it the oldest are forgotten; a claim in which something is
longer than a serial is not kept at all, for it may be as long as a body."""

MAX_TERMINALS_PER_ADDRESS = 8
"""Terminals that are remembered of one address, those that pushed last. Two are enough for it to tell nothing."""

LATELY_MS = 7 * 86_400_000
"""Milliseconds. Terminals that pushed from one address within this time of each other share it. It spans a weekend."""

_BY_ADDRESS = Problem(PEER_ADDRESS, "nothing but the peer address says which terminal this is")

_SEVERAL = Problem(PEER_ADDRESS, "nothing says which of the terminals at this address this is")

_ONLY_WITH_TOKEN = Problem(
    PEER_ADDRESS, "nothing says which terminal this is; the one at this address is taken only with its token"
)


class Directory:
    """The terminals that are known, for looking up. Fed from the store, and again after every change there."""

    def __init__(self, *, now: Callable[[], float]) -> None:
        """``now`` returns Unix seconds."""
        self._now = now
        self._by_serial: dict[str, Known] = {}
        self._by_token: dict[bytes, int] = {}
        self._wrong: set[bytes] = set()
        """Tokens that no terminal has, as the store said since the last feed."""
        self._anonymous: dict[str, Known] = {}
        self._by_id: dict[int, Known] = {}
        self._seen_at: OrderedDict[str, dict[int, int]] = OrderedDict()
        """By address, the terminals that said who they were when they pushed from it, and when they last did; the
        address that is forgotten first comes first. A plain dict finds it the later, the more are gone."""
        self._seen: set[int] = set()
        """Terminals of which any address is known."""
        self._decided: dict[Claim, Taken] = {}
        self._provisional: dict[int, set[str]] = {}
        """The numbers of terminals that the store is not known to have, and the addresses at which each was seen."""
        self._at_site: dict[int, Introduced] = {}
        """Those of these numbers whose terminals have a site already."""
        self._stored: dict[int, int] = {}
        """The store's ids of terminals that had such a number."""
        self._last_provisional = 0
        self._retired: set[int] = set()
        self._introduced = (0, 0)
        """An hour of Unix time, and how many terminals introduced themselves in it."""
        self._new_timezone = "UTC"

    def __len__(self) -> int:
        """Return how many terminals are not retired."""
        return len(self._by_id) - len(self._retired)

    def feed(
        self,
        terminals: Iterable[Known],
        peers: Mapping[tuple[str, int], int],
        tokens: Mapping[bytes, int] | None = None,
        *,
        new_timezone: str = "UTC",
    ) -> None:
        """Take over what the store has now.

        ``peers``: when each terminal last pushed from each address, in milliseconds. It adds to what was learnt here,
        and the later time counts. So every process on one database comes to know the same.

        ``tokens``: the terminal of each token's digest. A token that is not among them is asked for again, once.

        ``new_timezone``: of the site where new terminals are put.
        """
        provisional = [self._by_id[number] for number in self._provisional]
        self._by_id, self._by_serial, self._anonymous, self._retired = {}, {}, {}, set()
        self._new_timezone = new_timezone
        # What the store does not have yet first, so that what it has replaces it.
        for known in provisional:
            self._put(known)
        for known in terminals:
            self._put(known)
        for (address, terminal_id), at_ms in peers.items():
            self.seen(address, terminal_id, at_ms)
        self._seen = {terminal_id for seen in self._seen_at.values() for terminal_id in seen}
        self._by_token = dict(tokens or {})
        self._wrong.clear()
        self._decided.clear()

    def learn_new(self, terminals: Iterable[Known]) -> None:
        """Take over terminals that were just made; of one that is known already a change is the later word."""
        self.learn([known for known in terminals if known.id not in self._by_id])

    def learn(self, terminals: Iterable[Known]) -> None:
        """Take over terminals that were just made or changed."""
        for known in terminals:
            self._put(known)
        self._decided.clear()

    def _put(self, known: Known) -> None:
        """Take over one terminal, in place of its provisional forms.

        There may be two: an administrator gave a serial to the terminal of an address.
        """
        before = []
        if known.serial is not None:
            before.append(self._by_serial.get(known.serial))
            self._by_serial[known.serial] = known
        if known.anonymous_peer is not None:
            before.append(self._anonymous.get(known.anonymous_peer))
            self._anonymous[known.anonymous_peer] = known
        self._by_id[known.id] = known
        if known.state == "retired":
            self._retired.add(known.id)
        else:
            self._retired.discard(known.id)
        for one in before:
            if one is not None and one.id < 0 < known.id:
                self._replace(one.id, known.id)

    def _replace(self, number: int, terminal_id: int) -> None:
        """Let go of a provisional number: the store has the terminal."""
        del self._by_id[number]
        self._stored[number] = terminal_id
        self._at_site.pop(number, None)
        for address in self._provisional.pop(number):
            at_ms = self._seen_at.get(address, {}).pop(number, None)
            if at_ms is not None:
                self.seen(address, terminal_id, at_ms)
        self._seen.discard(number)

    def _may_introduce(self, policy: Policy) -> bool:
        """Count a terminal that is not known yet; False if there were too many in this hour."""
        hour, count = int(self._now() // 3600), 0
        if self._introduced[0] == hour:
            count = self._introduced[1]
        if count >= policy.max_new_terminals_per_hour:
            return False
        self._introduced = (hour, count + 1)
        return True

    def _introduce(self, introduced: Introduced, peer: str) -> None:
        self._last_provisional -= 1
        number = self._last_provisional
        self._provisional[number] = set()
        if introduced.site:
            self._at_site[number] = introduced
        self._put(
            Known(
                id=number,
                serial=introduced.serial,
                anonymous_peer=peer if introduced.serial is None else None,
                state=introduced.state,
                timezone=introduced.timezone or self._new_timezone,
            )
        )

    def stored_id(self, terminal_id: int) -> int | None:
        """Return the store's id of a terminal; ``None`` while the store is not known to have it."""
        return terminal_id if terminal_id >= 0 else self._stored.get(terminal_id)

    def new_terminal(self, terminal_id: int, *, at_ms: int) -> NewTerminal | None:
        """Return how the store is to make a terminal, if it is not known to have it."""
        if terminal_id not in self._provisional:
            return None
        known = self._by_id[terminal_id]
        new = NewTerminal(known.serial, at_ms, known.anonymous_peer or "", known.state)
        at = self._at_site.get(terminal_id)
        return new if at is None else replace(new, site=at.site, timezone=at.timezone)

    def learn_token(self, digest: bytes, known: Known | None) -> None:
        """Remember what the store said of a token; that it is nobody's, too."""
        if known is None:
            if len(self._wrong) >= MAX_REMEMBERED:
                self._wrong.clear()
            self._wrong.add(digest)
            self._by_token.pop(digest, None)
            return
        self._by_token[digest] = known.id
        self._wrong.discard(digest)
        if self._by_id.get(known.id) != known:
            self.learn([known])

    def knows_token(self, digest: bytes) -> bool:
        """Return whether the store has been asked for a token since the last feed."""
        return digest in self._by_token or digest in self._wrong

    def seen(self, peer: str, terminal_id: int, at_ms: int) -> None:
        """Remember that a terminal which said who it was pushed from an address."""
        seen = self._seen_at.get(peer)
        if seen is not None:
            last = seen.get(terminal_id)
            if last is not None and at_ms - last < SIGHTING_MS:
                return
        elif len(self._seen_at) >= MAX_REMEMBERED:
            self._seen_at.popitem(last=False)
        seen = self._seen_at.setdefault(peer, {})
        self._seen_at.move_to_end(peer)
        seen[terminal_id] = at_ms
        if len(seen) > MAX_TERMINALS_PER_ADDRESS:
            del seen[min(seen, key=seen.__getitem__)]
        self._seen.add(terminal_id)
        if terminal_id < 0:
            self._provisional[terminal_id].add(peer)

    def serial(self, serial: str) -> Known | None:
        """Return the terminal with this serial."""
        return self._by_serial.get(serial)

    def serial_of(self, terminal_id: int) -> str | None:
        """Return the serial of a terminal, if it has one."""
        known = self._by_id.get(terminal_id)
        return None if known is None else known.serial

    def is_approved(self, terminal_id: int) -> bool:
        """Tell whether somebody approved a terminal."""
        known = self._by_id.get(terminal_id)
        return known is not None and known.state == "approved"

    def timezone_of(self, terminal_id: int) -> str:
        """Return the time zone of a terminal: its own, or else its site's."""
        known = self._by_id.get(terminal_id)
        return "UTC" if known is None else known.timezone

    def token(self, digest: bytes) -> Known | None:
        """Return the terminal whose address has this token, if the store was asked."""
        terminal_id = self._by_token.get(digest)
        return None if terminal_id is None else self._by_id.get(terminal_id)

    def anonymous(self, peer: str) -> Known | None:
        """Return the terminal that an address itself stands for."""
        return self._anonymous.get(peer)

    def is_seen(self, terminal_id: int) -> bool:
        """Tell whether any address is known from which a terminal has pushed."""
        return terminal_id in self._seen

    def is_seen_at(self, peer: str, terminal_id: int) -> bool:
        """Tell whether a terminal has pushed from an address and said who it was."""
        return terminal_id in self._seen_at.get(peer, ())

    def at(self, peer: str, policy: Policy) -> tuple[Known | None, Problem]:
        """Return the terminal that an address stands for, if any, and what to note on its event.

        That is the one terminal which lately pushed from there and said who it was. Where there are several, or the one
        is taken only with its token, it is the terminal of the address itself.
        """
        seen = [
            (at_ms, known)
            for terminal_id, at_ms in self._seen_at.get(peer, {}).items()
            if (known := self._by_id.get(terminal_id)) is not None and known.state != "retired"
        ]
        latest = max((at_ms for at_ms, _ in seen), default=0)
        lately = [known for at_ms, known in seen if latest - at_ms <= LATELY_MS]
        if len(lately) > 1:
            return self._anonymous.get(peer), _SEVERAL
        for known in lately:
            if needs_token(known, policy):
                return self._anonymous.get(peer), _ONLY_WITH_TOKEN
            if not known.networks or peer in networks_of(known.networks):
                return known, _BY_ADDRESS
        return self._anonymous.get(peer), _BY_ADDRESS

    def holder(self, candidates: Iterable[int], claim: Claim, policy: Policy) -> int | None:
        """Return the first of some terminals for which a push that names none may be stored.

        One that the directory does not have was made just now, and nothing is set for it yet.
        """
        for terminal_id in candidates:
            known = self._by_id.get(terminal_id)
            if known is None or rejection(claim, self, policy, known) is None:
                return terminal_id
        return None

    def decide(self, claim: Claim, policy: Policy) -> Taken | Rejected:
        """Decide as :func:`decide` does, and remember it: a terminal says the same of itself a thousand times a day.

        A terminal that is not known yet is taken over. A terminal that said who it is was seen at its address; noted
        once while this is remembered.
        """
        taken = self._decided.get(claim)
        if taken is not None:
            return taken
        decision = decide(claim, self, policy)
        if isinstance(decision, Introduced):
            if not self._may_introduce(policy):
                return Rejected(
                    status=503,
                    message="too many new terminals in this hour; see max_new_terminals_per_hour",
                    reason="too many new terminals",
                    serial=decision.serial,
                )
            self._introduce(decision, claim.peer)
            decision = decide(claim, self, policy)
            assert not isinstance(decision, Introduced)  # noqa: S101 - it is known now
        if isinstance(decision, Taken) and decision.bind_peer and not decision.first_use:
            self.seen(claim.peer, decision.terminal_id, int(self._now() * 1000))
            if _is_short(claim):
                if len(self._decided) >= MAX_REMEMBERED:
                    self._decided.clear()
                self._decided[claim] = decision
        return decision


def _is_short(claim: Claim) -> bool:
    """Whether there is nothing in it that is too long to be a serial: such a one is decided each time."""
    return len(claim.header or "") <= MAX_SERIAL and len(claim.body or "") <= MAX_SERIAL

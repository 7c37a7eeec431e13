"""Which terminal a push comes from, and whether it is taken. Pure decisions over what the store knows.

What a push may say of its origin, in the order in which it is believed:

1. the token of a terminal, in the path or in the header ``X-Gatepost-Token``;
   or the token of a source, which speaks for the serial that it says, if it is one of those that it may speak for;
2. the ``sn`` header (firmware from API 1.2.1 on);
3. ``deviceSN`` in the body;
4. the peer address, if one terminal alone pushed from it lately. Otherwise the address stands for a terminal of
   its own. The event says that its address alone told.

Where they disagree the first one counts, and the disagreement is noted on the event.

A serial is a claim, a token is a proof. Hence:

* ``require_token`` says which terminals are taken only with their token.
* Where unknown terminals are held or refused, a known serial from an address from which its terminal never pushed is
  the claim of a stranger (:func:`_is_stranger`). It is refused, or kept under the address until somebody approves it.
* An address never speaks for a terminal that is taken only with its token.

``docs/decisions/who-may-speak.md`` has the reasons.

A terminal that is not known yet is decided on at once, without the store. The directory gives it a provisional
number, below 0, and the projector makes it where what it pushed is listed.

Flow: :class:`Claim` → :func:`decide` over a :class:`Directory` → :class:`Taken`, :class:`Introduced` (a terminal
that the directory does not have: it takes it over, and decides again) or :class:`Rejected`.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from functools import lru_cache
from hashlib import blake2b
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from msgspec import Struct
from msgspec.structs import replace

from gatepost.errors import SettingsError
from gatepost.settings import ReceiverSettings
from gatepost.store.types import PEER_ADDRESS, SIGHTING_MS, NewTerminal, TerminalRow, TerminalState
from gatepost.wire import Problem

__all__ = [
    "Claim",
    "Directory",
    "Introduced",
    "Known",
    "Networks",
    "Policy",
    "Rejected",
    "RequireToken",
    "Source",
    "Taken",
    "Unknowns",
    "decide",
    "needs_token",
    "peer_address",
    "sources_of",
    "token_digest",
]

MAX_SERIAL = 128
"""Characters. The maker's serials have some twenty."""

MAX_REMEMBERED = 65_536
"""Claims and peer addresses that are kept in memory. Beyond it the oldest are forgotten; a claim in which something is
longer than a serial is not kept at all, for it may be as long as a body."""

DIGEST_BYTES = 32
"""Of a token."""

MAX_ADDRESS = 100
"""Characters. An IPv6 address has at most 45, and the name of a link behind them."""

MAX_TERMINALS_PER_ADDRESS = 8
"""Terminals that are remembered of one address, those that pushed last. Two are enough for it to tell nothing."""

LATELY_MS = 7 * 86_400_000
"""Milliseconds. Terminals that pushed from one address within this time of each other share it. It spans a weekend."""

_BY_ADDRESS = Problem(PEER_ADDRESS, "nothing but the peer address says which terminal this is")
_SEVERAL = Problem(PEER_ADDRESS, "nothing says which of the terminals at this address this is")
_ONLY_WITH_TOKEN = Problem(
    PEER_ADDRESS, "nothing says which terminal this is; the one at this address is taken only with its token"
)
_STRANGER = Problem(
    PEER_ADDRESS,
    "the serial number is of a terminal that never pushed from this address; listed under the address",
)


class Unknowns(StrEnum):
    """What to do with a terminal that the store has never seen: list what it sends, hide it until somebody
    approves the terminal, or take nothing."""

    ACCEPT = "accept"
    HOLD = "hold"
    REFUSE = "refuse"


class RequireToken(StrEnum):
    """Which terminals are taken only with their token: those that have used it once, all, or none."""

    WHEN_USED = "when-used"
    ALWAYS = "always"
    NEVER = "never"


class Networks:
    """A list of networks that an address can be in. Empty: none."""

    def __init__(self, networks: Iterable[str], *, setting: str) -> None:
        """Raises :class:`~gatepost.errors.SettingsError`, which names ``setting``, for what is no network."""
        self._networks: list[IPv4Network | IPv6Network] = []
        for text in networks:
            try:
                self._networks.append(ip_network(text.strip(), strict=False))
            except ValueError:
                raise SettingsError(
                    setting, f"has {text!r}, which is no network such as 10.0.0.0/8"
                ) from None

    def __bool__(self) -> bool:
        return bool(self._networks)

    def __contains__(self, address: str) -> bool:
        if not self._networks:
            return False
        parsed = _address(address)
        return parsed is not None and any(parsed in network for network in self._networks)


@lru_cache(4096)
def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text.strip())
    except ValueError:
        return None
    # A listener on both families sees IPv4 peers as ::ffff:10.0.0.7 (RFC 4291, section 2.5.5.2).
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address


@lru_cache(4096)
def _plain(text: str) -> str:
    address = _address(text)
    return str(address) if address is not None else text


def peer_address(direct: str, forwarded_for: str | None, trusted: Networks) -> str:
    """Return the address that a request comes from.

    ``X-Forwarded-For`` is believed only as far as trusted proxies wrote it: from the right, each entry was added
    by the one after it, so the first that is no trusted proxy is the sender. What stands left of it the sender
    may have made up. An entry that is no address ends the search at the proxy that passed it on.
    """
    peer = _plain(direct)
    if forwarded_for is None or not trusted or peer not in trusted:
        return peer
    for entry in reversed(forwarded_for.split(",")):
        candidate = _address(_without_port(entry)) if len(entry) <= MAX_ADDRESS else None
        if candidate is None:
            return peer
        peer = str(candidate)
        if peer not in trusted:
            return peer
    return peer


def _without_port(entry: str) -> str:
    """Return the address of an entry such as ``192.0.2.1:50123``, ``[2001:db8::7]:443`` or ``"[2001:db8::7]"``.

    Some proxies add the port. Text that has none of these forms is returned as it is.
    """
    entry = entry.strip(" \t")
    if len(entry) > 1 and entry[0] == entry[-1] == '"':
        entry = entry[1:-1].strip(" \t")
    if entry.startswith("["):
        address, closed, port = entry[1:].partition("]")
        # Brackets are for IPv6 only (RFC 3986, section 3.2.2).
        return address if closed and ":" in address and (not port or _is_port(port)) else entry
    address, colon, port = entry.partition(":")
    return address if colon and _is_port(f":{port}") else entry


def _is_port(text: str) -> bool:
    digits = text[1:]
    return (
        text[0] == ":" and digits.isascii() and digits.isdigit() and len(digits) <= 5 and int(digits) < 65_536
    )


def token_digest(token: str) -> bytes:
    """Return what the store keeps of a token. Nobody can push with it."""
    return blake2b(token.encode("utf-8", "surrogatepass"), digest_size=DIGEST_BYTES).digest()


class Claim(Struct, frozen=True):
    """What a push says of its origin; ``None`` where it says nothing."""

    token: bytes | None
    """The :func:`token_digest` of the token in the path or in ``X-Gatepost-Token``."""
    header: str | None
    body: str | None
    peer: str
    site: str | None = None
    """The site of its terminal, as the receiver calls it that passes the push on (``X-Gatepost-Site``)."""
    timezone: str | None = None
    """Of that site (``X-Gatepost-Timezone``)."""


class Known(Struct, frozen=True, kw_only=True):
    """A terminal, as far as it matters to a decision."""

    id: int
    serial: str | None
    anonymous_peer: str | None = None
    """The address that stands for it, where it has no serial."""
    state: TerminalState = "new"
    networks: tuple[str, ...] = ()
    """From where it may push. Empty: from anywhere."""
    timezone: str = "UTC"
    """Its own, or else its site's."""
    has_token: bool = False
    token_used: bool = False
    """Whether it has pushed with the token that it has now."""
    token_required: bool = False
    """Whether it has pushed with a token at all, since it was last given up to its serial alone."""
    site_id: int | None = None
    """Where it stands; ``None`` before the store knows it."""

    @classmethod
    def of(cls, row: TerminalRow) -> Known:
        """Take from the store's row what is needed here."""
        return cls(
            id=row.id,
            serial=row.serial,
            anonymous_peer=row.anonymous_peer,
            state=row.state,
            networks=row.networks,
            timezone=row.timezone,
            has_token=row.has_token,
            token_used=row.token_used_at is not None,
            token_required=row.token_required_since is not None,
            site_id=row.site_id,
        )


APART = "apart"
"""In ``source_tokens``: what the source names is its own."""
BETWEEN = "/"
"""Between the name of such a source and what it names."""

_SITE = re.compile(r"site:([1-9][0-9]{0,17})", re.ASCII)
"""A site in ``source_tokens``, by its id."""


class Source(Struct, frozen=True):
    """A program that pushes for several terminals, such as a receiver that forwards."""

    name: str
    serials: frozenset[str]
    prefixes: tuple[str, ...]
    sites: frozenset[int] = frozenset()
    """It may push for every terminal that stands there."""
    apart: bool = False
    """Its terminals and sites are its own, also where another one has terminals or sites of the same name."""

    def own(self, name: str | None) -> str | None:
        """Return what a serial or a site of this source is called here."""
        return f"{self.name}{BETWEEN}{name}" if self.apart and name else name

    def speaks_for(self, serial: str, site_id: int | None = None) -> bool:
        """Return whether it may push for a serial. ``site_id``: where its terminal stands, if it is known."""
        return serial in self.serials or serial.startswith(self.prefixes) or site_id in self.sites


def sources_of(entries: Iterable[str]) -> dict[bytes, Source]:
    """Return the sources of ``source_tokens`` by the digest of each token.

    Raises :class:`~gatepost.errors.SettingsError`.
    """
    found: dict[bytes, Source] = {}
    for entry in entries:
        name, _, rest = entry.strip().partition(" ")
        digest, *serials = rest.split() or [""]
        try:
            key = bytes.fromhex(digest)
        except ValueError:
            key = b""
        if len(key) != DIGEST_BYTES or not serials:
            raise SettingsError(
                "source_tokens",
                f"has {name!r} without a digest and serials or sites behind it;"
                " gatepost tokens source writes such a line",
            )
        if key in found:
            raise SettingsError("source_tokens", f"has the token of {name!r} twice")
        is_apart = APART in serials
        serials = [one for one in serials if one != APART]
        if not serials:
            raise SettingsError("source_tokens", f"has {name!r} without serials; * stands for all")
        sites = frozenset(int(site[1]) for one in serials if (site := _SITE.fullmatch(one)))
        serials = [one for one in serials if not _SITE.fullmatch(one)]
        exact = frozenset(one for one in serials if not one.endswith("*"))
        prefixes = tuple(one[:-1] for one in serials if one.endswith("*"))
        found[key] = Source(name, exact, prefixes, sites, is_apart)
    return found


class Policy(Struct, frozen=True, kw_only=True):
    """The settings that decide."""

    sources: Mapping[bytes, Source] = {}
    """By the digest of the token."""
    apart: tuple[str, ...] = ()
    """How the serials of those sources begin whose terminals are their own."""

    unknowns: Unknowns = Unknowns.ACCEPT
    require_token: RequireToken = RequireToken.WHEN_USED
    allowed: Networks | None = None
    """From where anyone may push; ``None`` or empty: from anywhere."""
    max_new_terminals_per_hour: int = 5_000
    """Of one ingest."""
    max_terminals: int = 20_000
    """So many may introduce themselves, without the retired ones; whoever makes serials up does not fill the disk."""

    @classmethod
    def of(cls, settings: ReceiverSettings) -> Policy:
        """Take what decides from the settings. Raises :class:`~gatepost.errors.SettingsError`."""
        sources = sources_of(settings.source_tokens)
        return cls(
            apart=tuple(source.name + BETWEEN for source in sources.values() if source.apart),
            unknowns=Unknowns(settings.unknown_terminals),
            require_token=RequireToken(settings.require_token),
            allowed=Networks(settings.allowed_networks, setting="allowed_networks"),
            sources=sources,
            max_new_terminals_per_hour=max(
                1, settings.max_new_terminals_per_hour // settings.ingest_processes
            ),
            max_terminals=settings.max_terminals,
        )


class Taken(Struct, frozen=True, kw_only=True):
    """The push is stored for this terminal."""

    terminal_id: int
    bind_peer: bool = False
    """Something better than the peer address said so: the terminal was seen at that address."""
    first_use: bool = False
    """It bore the terminal's token, of which the store does not know yet that it is used. Tell the store first."""
    problems: tuple[Problem, ...] = ()
    disagreements: tuple[tuple[str, str], ...] = ()
    """Who else it could have been: (source, what it said)."""


class Introduced(Struct, frozen=True):
    """A terminal that the directory does not have yet."""

    serial: str | None
    state: TerminalState
    site: str = ""
    """The name of the site at which it is made; empty: the first one."""
    timezone: str = ""
    """Of that site, where it has to be made."""


class Rejected(Struct, frozen=True, kw_only=True):
    """The push is not taken; ``status`` is HTTP's."""

    status: int
    message: str
    reason: str
    """By which refusals are counted."""
    serial: str | None = None
    terminal_id: int | None = None


Decision = Taken | Introduced | Rejected


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
        """Whether the store has been asked for a token since the last feed."""
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
        """The terminal with this serial."""
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
        """The terminal whose address has this token, if the store was asked."""
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
            if not known.networks or peer in _networks_of(known.networks):
                return known, _BY_ADDRESS
        return self._anonymous.get(peer), _BY_ADDRESS

    def holder(self, candidates: Iterable[int], claim: Claim, policy: Policy) -> int | None:
        """Return the first of some terminals for which a push that names none may be stored.

        One that the directory does not have was made just now, and nothing is set for it yet.
        """
        for terminal_id in candidates:
            known = self._by_id.get(terminal_id)
            if known is None or _reject(claim, self, policy, known) is None:
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


def needs_token(known: Known, policy: Policy) -> bool:
    """Tell whether a terminal is taken only with its token."""
    if policy.require_token is RequireToken.WHEN_USED:
        return known.token_required
    return policy.require_token is RequireToken.ALWAYS


def decide(claim: Claim, directory: Directory, policy: Policy) -> Decision:
    """Tell which terminal a push is of, and whether it is taken."""
    problems: list[Problem] = []
    header = _serial(claim.header, "sn header", problems)
    body = _serial(claim.body, "data.deviceSN", problems)
    said = header or body
    serial = said
    known: Known | None
    source = None if claim.token is None else policy.sources.get(claim.token)
    if source is not None:
        serial = source.own(said)
        known = None if serial is None else directory.serial(serial)
        if said is None or not source.speaks_for(said, None if known is None else known.site_id):
            whom = f"the serial {said}" if said else "a push without a serial"
            return Rejected(
                status=403,
                message=f"the source {source.name} may not push for {whom}; see source_tokens",
                reason="token wrong",
                serial=said,
            )
    elif claim.token is not None:
        known = directory.token(claim.token)
        serial = known.serial if known is not None else said
    elif said is not None:
        known = directory.serial(said)
    else:
        known, note = directory.at(claim.peer, policy)
        problems.append(note)
    if (
        known is not None
        and policy.unknowns is Unknowns.HOLD
        and not _needs_missing_token(claim, known, policy)
        and _is_stranger(claim, known, directory, policy)
    ):
        known, serial = directory.anonymous(claim.peer), None
        problems.append(_STRANGER)
    terminal_id = None if known is None else known.id
    rejected = _reject(claim, directory, policy, known)
    if rejected is not None:
        status, reason, message = rejected
        return Rejected(
            status=status, message=message, reason=reason, serial=serial or said, terminal_id=terminal_id
        )
    if known is None:
        is_held = policy.unknowns is Unknowns.HOLD and source is None
        return _introduced(serial, "held" if is_held else "new", source, claim)
    if source is not None:
        header, body = source.own(header), source.own(body)
    disagreements = []
    if header is not None and header != serial:
        disagreements.append(("header", header))
    if body is not None and body != serial:
        disagreements.append(("body", body))
    return Taken(
        terminal_id=known.id,
        # The address of a source is not that of the terminal.
        bind_peer=source is None and (claim.token is not None or serial is not None),
        first_use=source is None and claim.token is not None and not known.token_used,
        problems=tuple(problems),
        disagreements=tuple(disagreements),
    )


def _introduced(serial: str | None, state: TerminalState, source: Source | None, claim: Claim) -> Introduced:
    if source is None or not source.apart:
        return Introduced(serial, state)
    return Introduced(serial, state, source.own(claim.site) or source.name, claim.timezone or "")


def _needs_missing_token(claim: Claim, known: Known, policy: Policy) -> bool:
    return claim.token is None and needs_token(known, policy)


def _is_stranger(claim: Claim, known: Known, directory: Directory, policy: Policy) -> bool:
    """Tell whether a push that claims the serial of a known terminal is somebody else's, as far as can be told.

    Only asked where unknown terminals are held or refused. Nothing but the address tells whoever knows a serial from
    its terminal. So without a token a terminal is itself where it has pushed from before, or in the networks that
    somebody gave it; one that has never pushed is where its serial first comes from. If it has a token that it has not
    used yet, it is itself only where it has pushed from before.
    """
    if claim.token is not None or known.serial is None:
        return False
    if directory.is_seen_at(claim.peer, known.id):
        return False
    if known.has_token and policy.require_token is not RequireToken.NEVER:
        return True
    return not known.networks and directory.is_seen(known.id)


def _reject(
    claim: Claim, directory: Directory, policy: Policy, known: Known | None
) -> tuple[int, str, str] | None:
    """Status, reason and message, if the push is not taken."""
    if policy.allowed and claim.peer not in policy.allowed:
        return 403, "address", "pushes from this address are not allowed; see the setting allowed_networks"
    is_source = claim.token in policy.sources
    if not is_source and _is_of_a_source(claim, policy):
        return 403, "token missing", "a serial such as this one is pushed with the token of its source alone"
    if claim.token is not None and known is None and not is_source:
        return 404, "token wrong", "no terminal has this address; copy the one that belongs to the terminal"
    if claim.token is None and policy.require_token is RequireToken.ALWAYS:
        return (
            403,
            "token missing",
            "require_token is always: push to the address with the token of this terminal",
        )
    if known is None:
        # Who wrote the serial into source_tokens knows the terminal.
        if policy.unknowns is Unknowns.REFUSE and not is_source:
            return 403, "unknown terminal", "this terminal is unknown here, and unknown terminals are refused"
        if len(directory) >= policy.max_terminals:
            return (
                403,
                "too many terminals",
                "too many terminals have introduced themselves; see max_terminals",
            )
        return None
    if _needs_missing_token(claim, known, policy):
        return (
            403,
            "token missing",
            "this terminal is taken only with its token; push to the address with the token (require_token)",
        )
    if known.networks and claim.peer not in _networks_of(known.networks):
        return 403, "address", "this terminal may not push from this address"
    if known.state == "retired":
        return 403, "retired", "this terminal is retired here"
    if policy.unknowns is Unknowns.REFUSE and not is_source:
        if known.state == "new":
            return (
                403,
                "unknown terminal",
                "this terminal is not approved here, and unknown terminals are refused",
            )
        if _is_stranger(claim, known, directory, policy):
            return (
                403,
                "unknown terminal",
                "the terminal with this serial number never pushed from this address, and unknown terminals are"
                " refused; push to the address with its token, or name the network at the terminal",
            )
    return None


def _is_of_a_source(claim: Claim, policy: Policy) -> bool:
    """Tell whether a serial is of a source whose terminals are its own."""
    said = claim.header or claim.body
    return bool(policy.apart) and said is not None and said.strip().startswith(policy.apart)


@lru_cache(1024)
def _networks_of(networks: tuple[str, ...]) -> Networks:
    return Networks(networks, setting="networks")


def _is_short(claim: Claim) -> bool:
    """Whether there is nothing in it that is too long to be a serial: such a one is decided each time."""
    return len(claim.header or "") <= MAX_SERIAL and len(claim.body or "") <= MAX_SERIAL


def _serial(text: str | None, where: str, problems: list[Problem]) -> str | None:
    """A serial that can be one; what cannot is noted and not believed."""
    text = text.strip() if text is not None else ""
    if not text:
        return None
    if len(text) > MAX_SERIAL or not text.isprintable():
        problems.append(Problem(where, f"is no serial: at most {MAX_SERIAL} printable characters"))
        return None
    return text

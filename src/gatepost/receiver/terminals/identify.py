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

from typing import TYPE_CHECKING

from gatepost.receiver.terminals.claims import (
    Claim,
    Decision,
    Introduced,
    Known,
    Policy,
    Rejected,
    RequireToken,
    Taken,
    Unknowns,
)
from gatepost.receiver.terminals.networks import networks_of
from gatepost.receiver.terminals.sources import Source
from gatepost.store.types.arrivals import PEER_ADDRESS
from gatepost.store.types.terminals import TerminalState
from gatepost.wire import Problem

if TYPE_CHECKING:
    from gatepost.receiver.terminals.directory import Directory

__all__ = ["MAX_SERIAL", "decide", "needs_token", "rejection"]


MAX_SERIAL = 128
"""Characters. The maker's serials have some twenty."""

_STRANGER = Problem(
    PEER_ADDRESS,
    "the serial number is of a terminal that never pushed from this address; listed under the address",
)


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
            return _not_spoken_for(source, said)
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
    rejected = rejection(claim, directory, policy, known)
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


def _not_spoken_for(source: Source, said: str | None) -> Rejected:
    """Return the refusal of a push for a serial for which its source may not push."""
    whom = f"the serial {said}" if said else "a push without a serial"
    return Rejected(
        status=403,
        message=f"the source {source.name} may not push for {whom}; see source_tokens",
        reason="token wrong",
        serial=said,
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


def rejection(
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
    if known.networks and claim.peer not in networks_of(known.networks):
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


def _serial(text: str | None, where: str, problems: list[Problem]) -> str | None:
    """Return a serial that can be one; note what cannot, and do not believe it."""
    text = text.strip() if text is not None else ""
    if not text:
        return None
    if len(text) > MAX_SERIAL or not text.isprintable():
        problems.append(Problem(where, f"is no serial: at most {MAX_SERIAL} printable characters"))
        return None
    return text

"""Open a session for who comes back from the identity provider, or note why there is none."""

from __future__ import annotations

import structlog

from gatepost.errors import SettingsError
from gatepost.network_of import network_of
from gatepost.receiver.auth.audit_groups import AuditGroups
from gatepost.receiver.auth.authenticator import HOW, Doors, Login
from gatepost.receiver.auth.openid.provider import OpenIdProvider
from gatepost.receiver.auth.openid.values import Identity, NotBegun, ProviderRefused
from gatepost.store.accounts.names import UNKNOWN
from gatepost.store.terminals.registry import Conflict

__all__ = ["log_in", "note_refused"]

log = structlog.get_logger()


def log_in(doors: Doors, provider: OpenIdProvider, identity: Identity, *, address: str) -> Login:
    """Open a session for the account of an identity, made or changed as its groups say. Blocks.

    Raises :class:`ProviderRefused`; where no group may log in any more, the account's sessions are ended.
    """
    accounts, now_ms = doors.accounts, doors.now_ms()
    granted = provider.granted(identity.groups)
    sites: list[int] | None = None
    if granted is not None and granted[1] is not None:
        found = {name: accounts.site_named(name) for name in granted[1]}
        for name in (name for name, site in found.items() if site is None):
            log.warning("oidc.no_such_site", setting="oidc_roles", site=name)
        sites = [site for site in found.values() if site is not None]
    if granted is None or sites == []:
        accounts.end_sessions_of(identity.subject)
        raise ProviderRefused("no_group", "no group of oidc_roles, or none of a site that there is")
    try:
        account = accounts.of_subject(identity.subject, identity.name, granted[0], now_ms=now_ms, sites=sites)
    except Conflict:
        raise ProviderRefused("name_taken", "the name is another account's", name=identity.name) from None
    except SettingsError as error:
        raise ProviderRefused("no_name", str(error)) from None
    if account.disabled:
        raise ProviderRefused("account_disabled", "the account is disabled here")
    return doors.open_session(account, address=address, id_token=identity.id_token)


def note_refused(doors: Doors, groups: AuditGroups, refused: ProviderRefused, *, address: str) -> None:
    """Write a login that came to nothing into audit log and log. Blocks.

    After some of one network the rest is counted, with those of other networks: two lines a minute at most.
    """
    if isinstance(refused, NotBegun):
        return
    if not doors.is_noted_alone(address):
        network = network_of(address)
        groups.add(UNKNOWN, "", "login.refused", of_actor={"how": HOW}, what=f"{refused.reason} {network}")
        return
    log.warning("oidc.refused", reason=refused.reason, why=str(refused))
    doors.accounts.note(
        now_ms=doors.now_ms(),
        actor=UNKNOWN,
        address=address,
        action="login.refused",
        detail={"how": HOW, "why": refused.reason},
    )

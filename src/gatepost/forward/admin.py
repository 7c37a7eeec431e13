"""Make, change and control destinations: shared by the API, the console and the command line.

Rules:

* All values are checked before anything is stored. The error names the field.
* A secret is never returned, except one that was made here, once.
* A webhook always has a signing secret. The secret of any other kind is its credential: :func:`secrets_of`.
* A secret that a kind does not use is refused, because it would seem to protect something.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import asdict, replace

from gatepost.errors import SettingsError
from gatepost.forward.options.destination import Destination, decode, encode
from gatepost.forward.options.secrets import Secret, Secrets, decode_secrets
from gatepost.store.forwarding.destinations import DestinationRow, Destinations
from gatepost.store.terminals.registry import Conflict
from gatepost.store.versions import Versions, check_version

__all__ = ["KEEP_S", "MAX_RATE", "Admin", "dead_letters", "new_secret", "secret_names", "secrets_of"]

KEEP_S = 24 * 3600.0
"""Default number of seconds for which a replaced signing secret stays valid."""

MAX_KEEP_S = 30 * 86400.0

MAX_RATE = 100_000.0
"""Largest rate of a replay, in events per second."""

MAX_SIGNING = 5
"""Signing secrets that are valid at once. Each makes every request longer."""

Check = Callable[[Destination, Secrets], None]
"""Raises :class:`~gatepost.errors.SettingsError` for settings that cannot be used."""


def new_secret() -> str:
    """Return a signing secret as Standard Webhooks writes it."""
    return f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"


_SECRETS: Mapping[str, tuple[str, ...]] = {
    "webhook": ("signing", "headers"),
    "receiver": ("token", "headers"),
    "mqtt": ("password", "username"),
    "nats": ("token", "username", "password"),
    "kafka": ("password", "username"),
}

_SIGNED = ("dingtalk", "feishu")
"""Services with a signing secret."""


def secrets_of(told: Destination) -> tuple[str, ...]:
    """Return the secrets that a destination can have. The first is the one that ``secret`` means."""
    found = _SECRETS.get(told.kind)
    if found is None:
        service = told.url.partition(":")[0]
        found = ("token", "signing") if service in _SIGNED else ("token",)
        if service.startswith("smtp"):
            found = ("password", "username")
    return (*found, "client_certificate")


def secret_names(kept: Secrets) -> list[str]:
    """Return the names of a destination's secrets."""
    names = ["signing"] if kept.signing else []
    names += [f"headers.{name}" for name in kept.headers]
    return names + [
        name for name, value in asdict(kept).items() if value and name not in ("signing", "headers")
    ]


class Admin:
    """Makes, changes and controls destinations. Every method blocks; any thread may call it.

    Raises :class:`~gatepost.errors.SettingsError` for wrong values,
    :class:`~gatepost.store.terminals.registry.Conflict` for contradictions, and
    :class:`~gatepost.errors.StoreUnavailable`.
    """

    def __init__(self, destinations: Destinations, *, now: Callable[[], float], check: Check) -> None:
        """``check`` is called with the values before they are stored."""
        self.destinations = destinations
        self._now = now
        self._check = check

    def create(
        self,
        name: str,
        config: Mapping[str, Any],
        *,
        secret: str | None = None,
        others: Mapping[str, Any] | None = None,
        enabled: bool = True,
    ) -> tuple[DestinationRow, str | None]:
        """Make a destination; return it, and the secret if one was made. ``others``: further secrets by name."""
        told = decode(config)
        made = new_secret() if secret is None and told.kind == "webhook" else None
        kept = _others(Secrets(), others or {}, told)
        if value := made or secret:
            kept = self._with(kept, told, value, keep_s=0.0)
        _check_password(told, kept)
        self._check(told, kept)
        row = self.destinations.create(
            name, told.kind, encode(told), encode(kept), now_ms=self._now_ms(), paused=not enabled
        )
        return row, made

    def change(
        self,
        row: DestinationRow,
        config: Mapping[str, Any],
        *,
        name: str | None = None,
        others: Mapping[str, Any] | None = None,
        enabled: bool | None = None,
        versions: Versions = None,
    ) -> DestinationRow | None:
        """Change the given values of a destination; ``None`` if it was deleted meanwhile.

        Raises :class:`~gatepost.store.versions.ChangedMeanwhile` where the version of ``row`` is none of ``versions``,
        or where another change came between.
        """
        check_version(versions, row.version)
        _check_is_whole(row)
        told, kept = None, None
        if config or others:
            before = msgspec.json.decode(row.config)
            told = decode({**before, **config})
            kept = decode_secrets(row.secrets)
            if _goes_to(told.url) != _goes_to(str(before.get("url", ""))):
                _check_given(kept, others or {})
            kept = _others(kept, others or {}, told)
            _check_password(told, kept)
            self._check(told, kept)
        changed = self.destinations.change(
            row.id,
            now_ms=self._now_ms(),
            name=name,
            config=encode(told) if told is not None and config else None,
            secrets=encode(kept) if kept is not None and others else None,
            paused=None if enabled is None else not enabled,
            versions=[row.version],
        )
        if changed is not None and told is not None and config and row.replay_of is None:
            self._change_replays(row.id, told)
        return changed

    def _change_replays(self, which: int, told: Destination) -> None:
        """Give the replays to a destination its new settings. Their choice of events stays."""
        for row in self.destinations.all():
            if row.replay_of == which and row.finished_at is None:
                config = encode(replace(told, filter=decode(row.config).filter))
                self.destinations.change(row.id, now_ms=self._now_ms(), config=config)

    def rotate(
        self, row: DestinationRow, secret: str | None = None, *, keep_s: float = KEEP_S
    ) -> tuple[DestinationRow | None, str | None]:
        """Give a destination another secret; return it, and the secret if one was made.

        Earlier ones stay valid for ``keep_s``, so that the other end accepts both until it has the new one.
        """
        _check_is_whole(row)
        if not 0 <= keep_s <= MAX_KEEP_S:
            raise SettingsError("keep_s", f"must be from 0 to {MAX_KEEP_S:.0f} (30 days)")
        told = decode(row.config)
        made = new_secret() if secret is None and told.kind == "webhook" else None
        value = made or secret
        if not value:
            raise SettingsError(
                "secret",
                f"is missing; a destination of kind {told.kind} has a {secrets_of(told)[0]} of its own",
            )
        kept = self._with(decode_secrets(row.secrets), told, value, keep_s=keep_s)
        _check_password(told, kept)
        self._check(told, kept)
        changed = self.destinations.change(row.id, now_ms=self._now_ms(), secrets=encode(kept))
        return changed, made

    def replay(
        self,
        row: DestinationRow,
        since: datetime,
        until: datetime,
        *,
        chosen: Mapping[str, Any] | None = None,
        rate: float | None = None,
    ) -> DestinationRow:
        """Send the events received in a span again, flagged, in parallel to new ones. ``chosen``: another filter."""
        _check_is_whole(row)
        if since >= until:
            raise SettingsError("since", "must be before until")
        if rate is not None and not 0 < rate <= MAX_RATE:
            raise SettingsError("rate", f"must be above 0 and at most {MAX_RATE:.0f} events a second")
        told = decode(msgspec.json.decode(row.config) | ({} if chosen is None else {"filter": chosen}))
        self._check(told, decode_secrets(row.secrets))
        now_ms = self._now_ms()
        return self.destinations.create(
            f"{row.name} replay {row.id}-{now_ms}",
            row.kind,
            encode(told),
            row.secrets,
            now_ms=now_ms,
            span=(round(since.timestamp() * 1000), round(until.timestamp() * 1000)),
            replay_of=row.id,
            rate=rate,
            paused=row.paused_at is not None,
        )

    def pause(self, which: int) -> DestinationRow | None:
        """Stop sending for now, replays included. New events wait."""
        return self._set_paused(which, paused=True)

    def resume(self, which: int) -> DestinationRow | None:
        """Continue, also if the destination closed itself."""
        return self._set_paused(which, paused=False)

    def _set_paused(self, which: int, *, paused: bool) -> DestinationRow | None:
        now_ms = self._now_ms()
        for row in self.destinations.all():
            if row.replay_of == which and row.finished_at is None:
                self.destinations.change(row.id, now_ms=now_ms, paused=paused, reopen=not paused)
        return self.destinations.change(which, now_ms=now_ms, paused=paused, reopen=not paused)

    def _with(self, kept: Secrets, told: Destination, value: str, *, keep_s: float) -> Secrets:
        if told.kind != "webhook":
            return decode_secrets(msgspec.to_builtins(replace(kept, **{secrets_of(told)[0]: value})))
        now_ms = self._now_ms()
        until = now_ms + round(keep_s * 1000)
        older = [
            replace(one, until_ms=until if one.until_ms is None else min(until, one.until_ms))
            for one in kept.signing
        ]
        older = [one for one in older if one.until_ms is not None and one.until_ms > now_ms]
        found = replace(kept, signing=(Secret(value=value), *older[: MAX_SIGNING - 1]))
        return decode_secrets(msgspec.to_builtins(found))

    def _now_ms(self) -> int:
        return int(self._now() * 1000)


def _others(before: Secrets, given: Mapping[str, Any], told: Destination) -> Secrets:
    used = secrets_of(told)
    if "signing" in given and used[0] == "signing":
        raise SettingsError("secrets.signing", "is given as secret")
    for name, value in given.items():
        if name in Secrets.__struct_fields__ and name not in used and value:
            raise SettingsError(
                f"secrets.{name}",
                f"is not used by a destination of kind {told.kind} at {told.url.partition(':')[0]}:;"
                f" it has {', '.join(used)}",
            )
    if isinstance(given.get("signing"), str):
        given = {**given, "signing": [{"value": given["signing"]}] if given["signing"] else []}
    try:
        return decode_secrets({**msgspec.to_builtins(before), **given})
    except SettingsError as error:
        where = error.setting if error.setting.startswith("secrets") else f"secrets.{error.setting}"
        raise SettingsError("secrets" if " " in where else where, error.why) from None


def _goes_to(url: str) -> str:
    """Return the target of an address for the check of secrets: host and port, or the service."""
    parts = urlsplit(url)
    return parts.netloc.lower() or parts.scheme


def _check_given(kept: Secrets, given: Mapping[str, Any]) -> None:
    """Raise :class:`~gatepost.errors.SettingsError` if a secret would be sent to a host that it was not given for.

    A signing secret and the key of a certificate are never sent.
    """
    for name in ("token", "password", "username", "headers"):
        if getattr(kept, name) and name not in given:
            raise SettingsError(
                f"secrets.{name}", "is missing: the address has another host now; give it again, or empty"
            )


def _check_password(told: Destination, kept: Secrets) -> None:
    if kept.password and not kept.username and told.kind != "mqtt":
        raise SettingsError("secrets.username", "is missing; a password is shown with a user name alone")


def _check_is_whole(row: DestinationRow) -> None:
    if row.replay_of is not None:
        raise Conflict(
            "this is a replay: pause, resume or delete it, or change the destination that it is of"
        )


def dead_letters(events: Sequence[int] | None, *, all_of_them: bool) -> Sequence[int] | None:
    """Return the chosen dead letters; ``None`` for all. Raises :class:`~gatepost.errors.SettingsError`."""
    if all_of_them == bool(events):
        raise SettingsError("events", "must name dead letters, or all must be true; give one of the two")
    return events or None

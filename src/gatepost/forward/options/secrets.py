"""The secrets of a destination, and their removal from its replies. Pure.

Secrets are stored separately, outside of backups.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from msgspec import Meta, Struct

from gatepost.forward.options.reading import MAX_HEADERS, check_headers, read_as

__all__ = ["Secret", "Secrets", "decode_secrets", "hide"]

HIDDEN = "***"
"""In place of a secret in a destination's reply."""

LEAST_SECRET = 4
"""Characters. A shorter text is no secret, and is not removed from replies."""


class Secret(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One signing secret."""

    value: Annotated[str, Meta(min_length=1, max_length=512)]
    until_ms: int | None = None
    """End of its validity, Unix milliseconds; ``None``: until it is replaced."""


class Secrets(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The secrets of a destination."""

    signing: tuple[Secret, ...] = ()
    """The latest first."""
    headers: Annotated[dict[str, str], Meta(max_length=MAX_HEADERS)] = {}
    """Further headers, such as ``Authorization``."""
    username: str = ""
    password: str = ""
    token: str = ""
    client_certificate: str = ""
    """The certificate that is shown to the destination, with its key: PEM."""

    def signing_at(self, now_ms: int) -> list[str]:
        """Return the signing secrets that are valid, the latest first."""
        return [each.value for each in self.signing if each.until_ms is None or now_ms < each.until_ms]

    def values(self) -> list[str]:
        """Return every secret and its parts, the longest first."""
        values = {*self.headers.values(), self.password, self.token, self.client_certificate}
        values |= {each.value for each in self.signing}
        values |= {part for value in values for part in (*value.split(), value.removeprefix("whsec_"))}
        return sorted((value for value in values if len(value) >= LEAST_SECRET), key=len, reverse=True)


def hide(values: Sequence[str], text: str) -> str:
    """Return a text without these secrets, also if the last one is cut off."""
    for value in values if text else ():
        text = text.replace(value, HIDDEN)
        cut = next((n for n in range(len(value), LEAST_SECRET - 1, -1) if text.endswith(value[:n])), 0)
        text = text[: len(text) - cut] + HIDDEN * (cut > 0)
    return text


def decode_secrets(text: bytes | Mapping[str, object]) -> Secrets:
    """Read secrets; empty text stands for none. Raises :class:`~gatepost.errors.SettingsError`, which shows none."""
    found = read_as(text, Secrets) if text else Secrets()
    check_headers("secrets.headers", found.headers)
    return found

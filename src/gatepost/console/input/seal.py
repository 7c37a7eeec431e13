"""Search words that may stand in an address.

A link to what was filtered can be sent to a colleague, and an address ends up in histories and logs: so what somebody
typed to find a person (a name, a part of one) stands in it sealed, and only a receiver with the same store opens it.

Rules: the same words are the same seal, so an address stays the same; a seal that was changed, or that another
receiver made, opens to nothing. AES-SIV (RFC 5297) with a key that the store keeps.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

__all__ = ["KEY_BYTES", "MARK", "Seal", "new_key"]

MARK = "~"
"""What a sealed value begins with."""

KEY_BYTES = 32
MAX_TEXT = 200
"""Characters; nobody is called longer."""


def new_key() -> bytes:
    """Return a random key."""
    return AESSIV.generate_key(KEY_BYTES * 8)


class Seal:
    """Seals and opens."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESSIV(key)

    def close(self, text: str, *, most: int = MAX_TEXT) -> str:
        """Seal; what is longer than ``most`` characters is cut."""
        sealed = self._cipher.encrypt(text[:most].encode(), None)
        return MARK + urlsafe_b64encode(sealed).decode().rstrip("=")

    def open(self, value: str) -> str | None:
        """Return what was sealed; ``None`` for what this key did not seal."""
        if not value.startswith(MARK):
            return None
        try:
            raw = urlsafe_b64decode(value[1:] + "=" * (-len(value[1:]) % 4))
            return self._cipher.decrypt(raw, None).decode()
        except (ValueError, InvalidTag):
            return None

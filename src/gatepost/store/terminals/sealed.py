"""Seal what opens a terminal, with a key that the store keeps: AES-256-GCM (NIST SP 800-38D).

::

    12 bytes: nonce | ciphertext and 16 bytes of tag

Rules: what is sealed is bound to its place, so it opens in no other row. A backup has the key, and nothing sealed.
"""

from __future__ import annotations

import os
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gatepost.errors import StoreError
from gatepost.store.interface import Transactions
from gatepost.store.server_keys import kept

__all__ = ["Seal"]

_NONCE = 12


class Seal:
    """Seals and opens. Every method blocks; any thread may call it."""

    def __init__(self, store: Transactions) -> None:
        self._store = store
        self._cipher: AESGCM | None = None

    def close(self, data: bytes, place: str) -> bytes:
        """Seal for a place."""
        nonce = os.urandom(_NONCE)
        return nonce + self._opened().encrypt(nonce, data, place.encode())

    def open(self, data: bytes, place: str) -> bytes:
        """Open what stands at a place. Raises :class:`~gatepost.errors.StoreError` if it was changed."""
        try:
            return self._opened().decrypt(data[:_NONCE], data[_NONCE:], place.encode())
        except InvalidTag:
            raise StoreError(
                "what opens a terminal was changed in the store; adopt the terminal again"
            ) from None

    def _opened(self) -> AESGCM:
        if self._cipher is None:
            self._cipher = AESGCM(kept(self._store, "fleet", lambda: secrets.token_bytes(32)))
        return self._cipher

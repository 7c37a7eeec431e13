"""Keys of images encrypted at rest: AES-256-GCM (NIST SP 800-38D), with the name of the image key beside each.

::

    "GPI" 1 | 8 bytes: which image key | 12 bytes: nonce | ciphertext and 16 bytes of tag

Rules:

* Every image has a key of its own (:mod:`gatepost.journal.packs`). With ``image_keys`` that key is encrypted, so
  neither the database nor a backup opens an image without them.
* Of several image keys the first one writes, all of them read: one is replaced by putting a new one before it, and
  taken away when :class:`gatepost.store.images.key_rotation.Resealing` has finished.
* The place of an image is authenticated with its key: a key cannot be moved to another place.
* What was stored before there was an image key is read as it is, until it is resealed.
* Samples of refused bodies, in which an image may stand, are encrypted themselves.
* A nonce is random; an image key is good for 2**32 images.
"""

import base64
import binascii
import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gatepost.errors import SettingsError, StoreError

__all__ = ["HEAD", "ImageKeys", "read_keys", "sample_place"]

_MAGIC = b"GPI\x01"
_ID = 8
_NONCE = 12

HEAD = len(_MAGIC) + _ID
"""Bytes that tell which key something is sealed with."""


def sample_place(peer: str, reason: str) -> bytes:
    """Return what binds the sample of a refused body to its row."""
    return f"refusal {peer}\0{reason}".encode("utf-8", "surrogatepass")


def is_sealed(data: bytes) -> bool:
    """Tell by its first bytes whether something is encrypted."""
    return data[: len(_MAGIC)] == _MAGIC


class ImageKeys:
    """Seals and opens. Immutable; any thread may use it."""

    def __init__(self, keys: Sequence[bytes] = ()) -> None:
        """``keys``: 32 bytes each; the first one writes. None: nothing is sealed."""
        self._heads = [
            _MAGIC + hashlib.blake2b(key, digest_size=_ID, person=b"gatepost").digest() for key in keys
        ]
        self._ciphers = {head: AESGCM(key) for head, key in zip(self._heads, keys, strict=True)}

    def __bool__(self) -> bool:
        return bool(self._heads)

    @property
    def name(self) -> str:
        """Of the key that writes, to be shown: it tells nothing about the key. Empty where there is none."""
        return self._heads[0][len(_MAGIC) :].hex() if self._heads else ""

    def missing(self, data: bytes) -> str:
        """Return the name of the key that something is sealed with, if it is none of these; else an empty text."""
        return data[len(_MAGIC) : HEAD].hex() if is_sealed(data) and data[:HEAD] not in self._ciphers else ""

    def is_current(self, head: bytes) -> bool:
        """Tell whether what begins like this (:data:`HEAD` bytes) is as it would be written now."""
        return head[:HEAD] == self._heads[0] if self._heads else not is_sealed(head)

    def seal(self, data: bytes, place: bytes) -> bytes:
        """Encrypt for a place; without keys, the same."""
        if not self._heads:
            return data
        head, nonce = self._heads[0], os.urandom(_NONCE)
        return head + nonce + self._ciphers[head].encrypt(nonce, data, place)

    def open(self, data: bytes, place: bytes) -> bytes:
        """Decrypt what stands at a place; what was never encrypted stays as it is.

        Raises :class:`~gatepost.errors.StoreError` where the key is missing, or what stands there was changed.
        """
        if not is_sealed(data):
            return data
        if name := self.missing(data):
            raise StoreError(
                f"an image is encrypted with the key {name}; give that key in image_key_file as well"
            )
        cipher = self._ciphers[data[:HEAD]]
        try:
            return cipher.decrypt(data[HEAD : HEAD + _NONCE], data[HEAD + _NONCE :], place)
        except InvalidTag:
            raise StoreError("an image was changed in the store; restore it from a backup") from None


def read_keys(texts: Iterable[str], *, file: str | None) -> ImageKeys:
    """Return the keys of the settings ``image_keys`` and ``image_key_file``.

    Each is 32 bytes in base64 or hexadecimal; in the file one a line, ``#`` begins a comment. Raises
    :class:`~gatepost.errors.SettingsError`, which never quotes a key.
    """
    setting, found = "image_keys", list(texts)
    if file is not None:
        if found:
            raise SettingsError("image_keys", "and image_key_file are both given; give one of them")
        setting = "image_key_file"
        try:
            lines = Path(file).read_text(encoding="ascii").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text"
            raise SettingsError(setting, f"cannot be read: {file}: {why}") from None
        found = [line for line in (line.partition("#")[0].strip() for line in lines) if line]
        if not found:
            raise SettingsError(setting, f"has no key in it: {file}; make one with: openssl rand -base64 32")
    keys = [_key(text, setting, number) for number, text in enumerate(found, 1)]
    if len(set(keys)) < len(keys):
        raise SettingsError(setting, "has the same key twice")
    return ImageKeys(keys)


def _key(text: str, setting: str, number: int) -> bytes:
    try:
        key = bytes.fromhex(text) if len(text) == 64 else base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        key = b""
    if len(key) != 32:
        raise SettingsError(
            setting,
            f"has a key (number {number}) that is not 32 bytes; make one with: openssl rand -base64 32",
        )
    return key

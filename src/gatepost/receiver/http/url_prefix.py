"""Addresses of this receiver that stand in answers: behind a proxy they begin with its prefix.

The prefix is the receiver's (setting ``path_prefix``) and goes with the context: whoever renders in a thread of a
pool of their own takes the context along (``contextvars.copy_context().run``).
"""

from contextvars import ContextVar

from gatepost.errors import SettingsError

__all__ = ["ROOT", "below", "checked_prefix", "link"]

ROOT: ContextVar[str] = ContextVar("gatepost_root", default="")
"""The prefix, without a slash at its end; empty for none."""


def link(path: str) -> str:
    """Return the address of a path of ours, such as ``/api/v1/records/5/image``."""
    return ROOT.get() + path


def below(prefix: str, path: str) -> str:
    """Return a path without the prefix, whether the proxy left it there or not."""
    if prefix and (path == prefix or path.startswith(f"{prefix}/")):
        return path[len(prefix) :] or "/"
    return path


def checked_prefix(prefix: str) -> str:
    """Return the prefix as it is used. Raises :class:`~gatepost.errors.SettingsError`."""
    plain = prefix.rstrip("/")
    parts = plain.split("/")
    if plain and (parts[0] or not all(part and part.isascii() and part.isprintable() for part in parts[1:])):
        raise SettingsError("path_prefix", f"must be like /gatepost, not {prefix!r}")
    if any(part in (".", "..") or set(part) & set('%?#;"\\ ') for part in parts):
        raise SettingsError("path_prefix", f"must be a plain path like /gatepost, not {prefix!r}")
    return plain

"""Merge settings from file, environment and command line, and check them.

Rules:

* The order is: command line, environment, file, values that were changed while the receiver ran
  (:data:`~gatepost.settings.CHANGEABLE`), default. The first one that has a setting wins.
* A wrong value raises :class:`~gatepost.errors.SettingsError`, which names the setting.
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import Struct

from gatepost.errors import SettingsError
from gatepost.settings.declare import HIDDEN, PREFIX, is_secret

__all__ = ["Origin", "changed", "load", "load_with_origins"]

SettingsT = TypeVar("SettingsT", bound=Struct)


class Origin(Struct, frozen=True):
    """Where the value of a setting comes from, if it is not the default."""

    kind: Literal["file", "environment", "command line"]
    place: str
    """The path of the file, the variable, or the option."""


_GONE = {"day_starts_at": "is gone, because attendance is by shifts; take it out"}
"""Settings of earlier versions."""


def load(
    kind: type[SettingsT],
    *,
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    given: Mapping[str, Any] | None = None,
) -> SettingsT:
    """Merge the settings of ``kind`` and check them.

    ``file`` is TOML; ``environ`` the process's environment; ``given`` the values of the command line or the caller,
    where ``None`` means "not given". Raises :class:`~gatepost.errors.SettingsError`.
    """
    return load_with_origins(kind, file=file, environ=environ, given=given)[0]


def load_with_origins(
    kind: type[SettingsT],
    *,
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    given: Mapping[str, Any] | None = None,
) -> tuple[SettingsT, dict[str, Origin]]:
    """Do as :func:`load`, and return also the origin of each setting that is not the default, by name."""
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    values: dict[str, Any] = _read(file, fields) if file is not None else {}
    origins = {name: Origin("file", str(file)) for name in values}
    for name in fields:
        text = (environ or {}).get(PREFIX + name.upper())
        if text is not None:
            values[name] = _split(text) if "tuple" in str(fields[name].type) else text
            origins[name] = Origin("environment", PREFIX + name.upper())
    for name, value in (given or {}).items():
        if value is not None:
            values[name] = value
            origins[name] = Origin("command line", "--" + name.replace("_", "-"))
    unknown = values.keys() - fields.keys()
    if unknown:
        name = min(unknown)
        raise SettingsError(name, _GONE.get(name, "is not known; see the reference of settings"))
    return _checked(kind, fields, values), origins


def changed(settings: SettingsT, values: Mapping[str, Any]) -> SettingsT:
    """Return the settings with some values changed. Raises :class:`~gatepost.errors.SettingsError`."""
    fields = {field.name: field for field in msgspec.structs.fields(type(settings))}
    if unknown := values.keys() - fields.keys():
        raise SettingsError(min(unknown), "is not known; see the reference of settings")
    return _checked(type(settings), fields, {**msgspec.structs.asdict(settings), **values})


def _checked(kind: type[SettingsT], fields: Mapping[str, Any], values: Mapping[str, Any]) -> SettingsT:
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        why, _, place = str(error).partition(" - at `$.")
        name = re.split(r"[.\[`]", place)[0]
        raise SettingsError(
            name, f"cannot be {HIDDEN if is_secret(fields[name]) else values[name]!r}: {why}"
        ) from None


def _read(file: Path, fields: Mapping[str, Any]) -> dict[str, Any]:
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError("config", f"cannot be read: {file}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError("config", f"is no TOML: {file}: {error}") from None
    unknown = values.keys() - fields.keys()
    if unknown:
        name = min(unknown)
        if name in _GONE:
            raise SettingsError(name, f"{_GONE[name]} of {file}")
        raise SettingsError(name, f"is not known; {file} has it, see the reference of settings")
    return values


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]

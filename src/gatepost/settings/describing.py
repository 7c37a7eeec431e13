"""Values and descriptions of settings, for display."""

from typing import Any, Literal, get_args, get_origin

import msgspec
from msgspec import Struct

from gatepost.settings.declare import HIDDEN, is_secret, meta_of

__all__ = ["described", "shown"]


def shown(settings: Struct) -> dict[str, Any]:
    """Return every setting's value by name, with the secret ones hidden."""
    return {
        field.name: HIDDEN
        if is_secret(field) and getattr(settings, field.name)
        else getattr(settings, field.name)
        for field in msgspec.structs.fields(type(settings))
    }


def described(kind: type[Struct]) -> list[dict[str, Any]]:
    """Return name, default, unit, secrecy, help and bounds of every setting of ``kind``, in order."""
    return [
        {
            "name": field.name,
            "default": field.default,
            "unit": (meta_of(field).extra or {}).get("unit", ""),
            "secret": is_secret(field),
            "help": meta_of(field).description,
            "least": meta_of(field).ge,
            "most": meta_of(field).le,
            "choices": get_args(field.type.__origin__)
            if get_origin(field.type.__origin__) is Literal
            else (),
        }
        for field in msgspec.structs.fields(kind)
    ]

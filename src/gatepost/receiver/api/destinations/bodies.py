"""Define what requests about destinations have and replies show, with each option of a kind written down once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import fields

from gatepost.forward.admin import KEEP_S
from gatepost.forward.options.destination import Destination, Shape
from gatepost.forward.options.filters import Filter
from gatepost.items import DestinationDetail, DestinationItem
from gatepost.receiver.api.shapes import MAX_ID, MAX_LIMIT

__all__ = [
    "Chosen",
    "DestinationChange",
    "NewDestination",
    "NewReplay",
    "PreviewOrder",
    "Rotation",
    "ToldDestination",
    "ToldDetail",
]

Name = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^\S(.*\S)?$")]
SecretText = Annotated[str, Meta(min_length=1, max_length=512)]
EventIds = Annotated[list[Annotated[int, Meta(ge=1, le=MAX_ID)]], Meta(max_length=MAX_LIMIT)]


class NewDestination(Destination, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A destination to be made. Without a ``secret`` one is made for a webhook, and told in the reply."""

    name: Name
    secret: SecretText | None = None
    """The signing secret of a webhook; the password of ``mqtt``, ``kafka`` and mail; the token of another kind."""
    secrets: dict[str, Any] | None = None
    """Further secrets: ``headers``, ``username``, ``password``, ``token``, ``client_certificate``, ``signing``."""
    enabled: bool = True
    """``false``: paused, and what arrives waits."""


_KEPT = ("kind",)
"""What of a destination stays as it was made."""


class Rotation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    secret: SecretText | None = None
    """Without it one is made, for a webhook."""
    keep_s: Annotated[float, Meta(ge=0)] = KEEP_S
    """For so long those before it stay valid; 30 days at most."""


class NewReplay(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Events that were received in a span are sent once more, flagged."""

    since: str
    until: str | None = None
    """Exclusive; without it: now. Both as in the lists."""
    filter: Filter | None = None
    """In place of the destination's own."""
    rate: Annotated[float, Meta(gt=0)] | None = None
    """Events a second, at most."""


class Chosen(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which dead letters: ``events``, or ``all``."""

    events: EventIds = []
    all: bool = False


class PreviewOrder(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    filter: Filter = Filter()
    shape: Shape = "cloudevents"


def _combined(name: str, doc: str, fields: Iterable[tuple[str, Any] | tuple[str, Any, Any]]) -> Any:
    """Make a struct out of the fields of others, so that an option of a kind is written down once."""
    return msgspec.defstruct(
        name,
        list(fields),
        frozen=True,
        kw_only=True,
        forbid_unknown_fields=True,
        module=__name__,
        namespace={"__doc__": doc},
    )


def _shown_as(item: type[DestinationItem]) -> Any:
    """Return an item in which what a destination is told has all its fields, with their types."""
    told = {field.name: field.type for field in fields(Destination)}
    own = {field.name: field.type for field in fields(item) if field.name not in told}
    secret = own.pop("secret")
    return _combined(
        item.__name__, item.__doc__ or "", [*told.items(), *own.items(), ("secret", secret, None)]
    )


if TYPE_CHECKING:
    DestinationChange = Any
    ToldDestination = Any
    ToldDetail = Any
else:
    DestinationChange = _combined(
        "DestinationChange",
        "What is left out stays; ``filter`` and each of ``secrets`` are replaced as a whole.",
        [
            *(
                (one.name, one.type | UnsetType, UNSET)
                for one in fields(Destination)
                if one.name not in _KEPT
            ),
            ("name", Name | UnsetType, UNSET),
            ("secrets", dict[str, Any] | UnsetType, UNSET),
            ("enabled", bool | UnsetType, UNSET),
        ],
    )
    ToldDestination = _shown_as(DestinationItem)
    ToldDetail = _shown_as(DestinationDetail)

"""The events that people are notified of, and how: the options of destinations of kind ``notify``. Pure."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct
from msgspec.structs import replace

from gatepost.errors import SettingsError
from gatepost.forward.options.filters import Code, Filter, Word
from gatepost.store.interface import NOTICE_KINDS, NoticeKind

__all__ = ["NotifyOptions", "Quiet", "Rule", "check_notify", "with_notices"]

Mailbox = Annotated[str, Meta(max_length=254, pattern=r"^[^@\s<>,;:()]+@[^@\s<>,;:()]+\Z")]


class Rule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which events people are told of. What is left empty chooses all."""

    event: Literal["alarm", "passage", "notice"]
    kinds: Annotated[tuple[NoticeKind, ...], Meta(max_length=100)] = ()
    """Of notices."""
    codes: Annotated[tuple[Code, ...], Meta(max_length=100)] = ()
    """Of alarms their code, of passages ``abnormal_type``."""
    states: tuple[Literal["open", "clear_failed", "cleared"], ...] = ()
    """Of alarms: what the step reported."""
    recognition_types: Annotated[tuple[Code, ...], Meta(max_length=20)] = ()
    passed: bool | None = None
    users: Annotated[tuple[Word, ...], Meta(max_length=1000)] = ()
    """A watch list: ``user_id`` of persons."""
    marked: bool = False
    """Only records of a person who is marked when the message is made."""
    terminals: Annotated[tuple[Word, ...], Meta(max_length=1000)] = ()
    """Serials, names or ids."""
    sites: Annotated[tuple[Word, ...], Meta(max_length=100)] = ()
    """Names."""
    person: Literal["none", "name", "all"] = "none"
    """How much the text says of a person: nothing, the name, or the numbers too."""


Hour = Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]


class Quiet(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Hours in which people are told nothing, by the time at the terminal."""

    begin: Hour
    end: Hour
    alarms: bool = False
    """Of alarms and notices neither."""


class NotifyOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of what people are told, and how."""

    rules: Annotated[tuple[Rule, ...], Meta(min_length=1, max_length=100)] = (Rule(event="alarm"),)
    """The first that fits counts."""
    language: Literal["en", "zh"] = "en"
    quiet: Quiet | None = None
    repeat_s: Annotated[float, Meta(ge=0, le=86400)] = 300.0
    """The same is not told again within this time, unless it was over meanwhile."""
    gather_s: Annotated[float, Meta(ge=0, le=60)] = 2.0
    """For so long further events are waited for, which the same message tells of."""
    chat: Annotated[str, Meta(max_length=64)] = ""
    """The id of the chat, for Telegram."""
    to: Annotated[tuple[Mailbox, ...], Meta(max_length=50)] = ()
    sender: Mailbox | None = None
    plain: bool = False
    """Mail without TLS, to a server of your own that has none; then without a password too."""


def with_notices(chosen: Filter, options: NotifyOptions) -> Filter:
    """Return a filter with the notices that rules tell of, where it says nothing of notices itself."""
    told = [rule.kinds or NOTICE_KINDS for rule in options.rules if rule.event == "notice"]
    if chosen.notices is not None or not told:
        return chosen
    return replace(chosen, notices=tuple(kind for kind in NOTICE_KINDS if any(kind in each for each in told)))


def check_notify(url: str, options: NotifyOptions) -> None:
    if url.startswith("smtp"):
        for name in ("to", "sender"):
            if not getattr(options, name):
                raise SettingsError(f"notify.{name}", "is missing; mail needs an address there")
    if url.startswith("telegram") and not options.chat:
        raise SettingsError("notify.chat", "is missing; Telegram needs the id of the chat")

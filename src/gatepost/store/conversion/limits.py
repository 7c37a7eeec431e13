"""How much of a text that a terminal sent is listed. Pure.

A field may be as long as the body, and a page has hundreds of records. So every field is cut at
:data:`MAX_TEXT` characters, with a problem that says so. The original has all of it, unless images are not stored: then
long texts are not either.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

from gatepost.store.conversion.values import LONGEST, indexable
from gatepost.wire import Alarm, Event, Group, Problem, Record, User

__all__ = ["MAX_GROUPS", "MAX_TEXT", "cut_texts"]

MAX_TEXT = LONGEST
"""Characters of a field. What tells two people or events apart is never cut: it ends with a digest of itself then."""

MAX_GROUPS = 100
"""Groups of a person."""

_LONG = f"is longer than {MAX_TEXT} characters, and is cut"
_MANY = f"are more than {MAX_GROUPS}, or have fields of more than {MAX_TEXT} characters, and are cut"

_NUMBERS = ("user_id", "job_number", "ic_number", "id_number")
_OF_USER = (*_NUMBERS, "name", "remark")


def cut_texts(event: Event) -> tuple[Event, tuple[Problem, ...]]:
    """Return an event whose texts are no longer than is listed, and the problems that say which were."""
    if isinstance(event, Record):
        uuid, serial, user = event.uuid, event.serial, event.user
        if (
            (uuid is None or len(uuid) <= MAX_TEXT)
            and (serial is None or len(serial) <= MAX_TEXT)
            and (user is None or _is_short(user))
        ):
            return event, ()
        problems: list[Problem] = []
        if serial is not None and len(serial) > MAX_TEXT:
            event = replace(event, serial=indexable(serial))
            problems.append(Problem("data.deviceSN", _LONG))
        if uuid is not None and len(uuid) > MAX_TEXT:
            event = replace(event, uuid=indexable(uuid))
            problems.append(Problem("data.uuid", _LONG))
        if user is not None:
            event = replace(event, user=_cut_user(user, problems))
        return event, tuple(problems)
    if isinstance(event, Alarm):
        texts = {name: getattr(event, name) for name in ("trace_id", "description", "user_id")}
        found = {name: value for name, value in texts.items() if _is_long(value)}
        if not found:
            return event, ()
        cut = {name: _cut(name, value) for name, value in found.items()}
        return replace(event, **cut), tuple(Problem(f"data.{name}", _LONG) for name in found)
    return event, ()


def _is_long(value: Any) -> bool:
    return isinstance(value, str) and len(value) > MAX_TEXT


def _cut(name: str, value: str) -> str:
    return indexable(value) if name in (*_NUMBERS, "trace_id") else value[:MAX_TEXT]


def _is_short(user: User) -> bool:
    return (
        len(user.name) + len(user.user_id) + len(user.job_number) + len(user.ic_number) + len(user.id_number)
        + len(user.remark) <= MAX_TEXT
        and (not user.groups or _are_short(user.groups))
    )  # fmt: skip


def _are_short(groups: tuple[Group, ...]) -> bool:
    return len(groups) <= MAX_GROUPS and all(
        len(group.id) <= MAX_TEXT
        and len(group.name) <= MAX_TEXT
        and (not group.extra or len(msgspec.json.encode(group.extra)) <= MAX_TEXT)
        for group in groups
    )


def _cut_user(user: User, problems: list[Problem]) -> User:
    cut: dict[str, Any] = {}
    for name in _OF_USER:
        if _is_long(value := getattr(user, name)):
            cut[name] = _cut(name, value)
            problems.append(Problem(f"data.user.{name}", _LONG))
    if not _are_short(user.groups):
        cut["groups"] = tuple(map(_cut_group, user.groups[:MAX_GROUPS]))
        problems.append(Problem("data.user.groups", _MANY))
    return replace(user, **cut) if cut else user


def _cut_group(group: Group) -> Group:
    return group if _are_short((group,)) else Group(group.id[:MAX_TEXT], group.name[:MAX_TEXT])

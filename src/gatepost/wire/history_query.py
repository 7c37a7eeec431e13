"""The request ``POST /v1/event/records`` of a terminal, and the items of its reply.

Source: the maker's public integration guide, 历史通行事件查询. An item is the ``data`` of a record as it is pushed,
except that ``groups`` is next to ``user`` instead of in it. A ``pin`` is never among them.
"""

from typing import Any

import msgspec
from msgspec import Struct

from gatepost.errors import DecodeError

__all__ = [
    "HISTORY_LIMIT",
    "HISTORY_LIMIT_DEFAULT",
    "HistoryRequest",
    "decode_history_request",
    "history_item_parts",
]

HISTORY_LIMIT = 200
HISTORY_LIMIT_DEFAULT = 100

_MAX_TIME = 253_402_300_799  # the last second of the year 9999, beyond which no datetime reaches


class HistoryRequest(Struct, frozen=True, kw_only=True):
    """The choice of passages. Times are Unix seconds, both ends included; ``None``: an open end.

    At most one of ``user_id``, ``job_number`` and ``ic_number`` is set: the first that was given counts.
    """

    since: int | None = None
    until: int | None = None
    user_id: str | None = None
    job_number: str | None = None
    ic_number: str | None = None
    offset: int = 0
    limit: int = HISTORY_LIMIT_DEFAULT
    newest_first: bool = False


def decode_history_request(body: bytes) -> HistoryRequest:
    """Decode the body of the request. An empty body asks for everything, oldest first.

    Raises :class:`~gatepost.errors.DecodeError`, whose ``where`` names the field.
    """
    try:
        value = msgspec.json.decode(body) if body.strip() else {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise DecodeError("", "is no JSON") from None
    if not isinstance(value, dict):
        raise DecodeError("", "is no JSON object")
    begin = _integer(value, "begin_time", 0, _MAX_TIME) or None
    end = _integer(value, "end_time", 0, _MAX_TIME) or None
    if begin is not None and end is not None and end < begin:
        raise DecodeError("end_time", "must not be before begin_time")
    person: dict[str, str] = {}
    for name in ("user_id", "job_number", "ic_number"):
        text = _text(value, name)
        if text and not person:
            person[name] = text
    limit = _integer(value, "limit", 0, HISTORY_LIMIT)
    return HistoryRequest(
        since=begin,
        until=end,
        offset=_integer(value, "offset", 0, 2**31) or 0,
        limit=HISTORY_LIMIT_DEFAULT if limit is None else limit,
        newest_first=_integer(value, "sort", 0, 1) == 1,
        **person,
    )


def history_item_parts(head: bytes, tail: bytes) -> tuple[bytes, bytes]:
    """Turn the two parts of a record's push body (:func:`~gatepost.wire.encode_parts`) into those of its item.

    The item is ``head + base64(image) + tail``. Raises ValueError if the two are not parts of a record.
    """
    data: dict[str, Any] = msgspec.json.decode(head + tail)["data"]
    user = data.get("user")
    groups: object = []
    if isinstance(user, dict):
        groups = user.pop("groups", [])
        user.pop("pin", None)
    text = msgspec.json.encode({**data, "groups": data.get("groups", groups), "rgb_image": ""})
    mark = b'"rgb_image":"'
    cut = text.index(mark) + len(mark)  # the first one is the right one: inside strings a quote is escaped
    return text[:cut], text[cut:]


def _integer(value: dict[str, Any], name: str, least: int, most: int) -> int | None:
    number = value.get(name)
    if number is None:
        return None
    if type(number) is not int:
        raise DecodeError(name, "must be an integer")
    if not least <= number <= most:
        raise DecodeError(name, f"must be between {least} and {most}")
    return number


def _text(value: dict[str, Any], name: str) -> str | None:
    text = value.get(name)
    if text is None or isinstance(text, str):
        return text
    if type(text) is int:  # identifiers were integers before API 1.2.1
        return str(text)
    raise DecodeError(name, "must be a string")

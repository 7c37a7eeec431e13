"""Decode the body of a push, within limits.

Rules:

* A passage is never lost for a detail: the decoding is lenient, and what is wrong is noted on the event. A JSON
  object that is no event is kept raw. What is no JSON object, too large, too deep or of another content type is
  refused, and counted for its terminal: nothing of it could be kept.
* A body may become fifty times as large when it is read, if there is hardly anything in it but brackets and commas.
  So what has more values than any terminal sends is refused unread (:data:`MAX_VALUES`), and the values of all long
  bodies whose replies are not out share a budget (:data:`VALUES_AT_ONCE`); a request beyond it gets 503.
"""

from __future__ import annotations

from typing import Literal

import structlog
from msgspec.structs import replace

from gatepost.errors import DecodeError
from gatepost.receiver.ingest.push.head import BodyType
from gatepost.receiver.ingest.push.push import Push, Refuse
from gatepost.wire import Decoded, Dialect, Problem, Unknown, decode_many, without_pins

__all__ = ["LONG_TEXT", "MAX_VALUES", "VALUES_AT_ONCE", "PushDecoder", "ValueBudget", "count_values"]

log = structlog.get_logger(__name__)

MAX_VALUES = 65_536
"""Values of one body: its objects and lists, and what stands in them. A push has some forty, and a terminal's reply to
a request for its history, which is 200 records, ten thousand."""

VALUES_AT_ONCE = 8 * MAX_VALUES
"""Values of all bodies together, from their reading to their reply. They take some 40 MB; the worst of them, 75."""

LONG_TEXT = 2048
"""Bytes of a body without its image, from which on its values are counted. The usual push has a fourth of them."""

_LONG_BODY = 65_536
"""Bytes of a body with its image, from which on they are counted before it is read."""

_IMAGES = (b'"rgb_image"', b'"alarm_photo"')

NO_JSON_TYPE = Problem("Content-Type header", "is not application/json")
"""On an event that was taken all the same, because its body is JSON."""


class PushDecoder:
    """Decodes bodies into events."""

    def __init__(self, *, max_depth: int, on_invalid: Literal["quarantine", "refuse"]) -> None:
        """``max_depth``: of objects and lists in each other. ``on_invalid``: for a JSON object that is no event."""
        self._max_depth = max_depth
        self._refuses_invalid = on_invalid == "refuse"

    def decode(self, body: bytes, kind: BodyType) -> tuple[Decoded, ...]:
        """Return the event of a body, or its events. Raises :class:`Refuse`."""
        if len(body) > _LONG_BODY and count_values(body) > MAX_VALUES:
            raise Refuse(400, f"a body is limited to {MAX_VALUES} values", reason="too many values")
        try:
            events = decode_many(body, lenient=True, max_depth=self._max_depth, charset=kind.charset)
        except DecodeError as error:
            if not kind.is_json:
                why = f"the content type of an event is application/json, and this is no JSON either: {error}"
                raise Refuse(415, why, reason="content type") from None
            raise Refuse(400, str(error), reason="no JSON") from None
        except Exception as error:
            # A defect of ours must not keep a terminal's queue from moving: what it sent is kept for later.
            log.error("ingest.decoder_failed", kind=type(error).__name__)
            problem = Problem("", f"could not be decoded ({type(error).__name__})")
            events = (Decoded(Unknown({}), Dialect.V1_3_0, (problem,), without_pins(body)),)
        unknown = next((decoded for decoded in events if type(decoded.event) is Unknown), None)
        if unknown is not None and self._refuses_invalid:
            why = "; ".join(f"{problem.where} {problem.why}" for problem in unknown.problems)
            raise Refuse(400, why or "type must be 0 or 1", reason="no event")
        if not kind.is_json:
            events = tuple(replace(one, problems=(*one.problems, NO_JSON_TYPE)) for one in events)
        return events


class ValueBudget:
    """Counts the values of long bodies whose replies are not out."""

    def __init__(self) -> None:
        self.values = 0

    def hold(self, push: Push, text: bytes) -> None:
        """Count the values of a body until its reply is out. Raises :class:`Refuse` where they are too many."""
        values, answer = count_values(text), push.answer
        if self.values + values > VALUES_AT_ONCE:
            raise Refuse(503, "too much is being worked on; send it again later", reason="busy")
        self.values += values

        def answered(status: int, reply: bytes) -> None:
            self.values -= values
            answer(status, reply)

        push.answer = answered


def count_values(text: bytes) -> int:
    """Return how many values there are in a text, at most: each begins one, or follows a comma.

    Its first image is passed over, which makes up most of a body and has none of these letters in it.
    """
    start = end = 0
    for name in _IMAGES:
        at = text.find(name)
        if at >= 0:
            # Behind a name is no quote but that of its value, and in a value none but that which ends it.
            start = text.find(b'"', at + len(name)) + 1
            end = text.find(b'"', start) if start else -1
            break
    if end < 0:
        start = end = 0
    return sum([text.count(mark, 0, start) + text.count(mark, end) for mark in (b"{", b"[", b",")])

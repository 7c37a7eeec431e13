"""Bodies of several events: in a JSON array, or in lines."""

import re

from msgspec import Struct
from msgspec.structs import replace

from gatepost.errors import DecodeError
from gatepost.wire.decoding.decoded import Decoded
from gatepost.wire.decoding.decoder import decode
from gatepost.wire.decoding.fields import Problem
from gatepost.wire.decoding.json.charset import outline
from gatepost.wire.decoding.json.parser import MAX_DEPTH, Tidy, is_json, tidied, without_bom
from gatepost.wire.decoding.redact_pin import without_pins
from gatepost.wire.events import Dialect, Unknown

__all__ = ["MAX_EVENTS", "decode_many"]

MAX_EVENTS = 256
"""Events of one body, in a list or in lines."""

_BORDER = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{},"]', re.DOTALL)
"""A string, a bracket or comma, or a quote that does not end."""

_NUL_BETWEEN = re.compile(rb"(?<=\})\0++(?=\{)")


def decode_many(
    body: bytes, *, lenient: bool = False, max_depth: int = MAX_DEPTH, charset: str | None = None
) -> tuple[Decoded, ...]:
    """Decode a body of one event, of a JSON array of events, or of several events in lines.

    Each of several is decoded from its own bytes, as if it had been sent alone. With ``lenient``, one that is no JSON
    object decodes as :class:`~gatepost.wire.events.Unknown`. An array that is not JSON, and lines that do not begin
    with an object, need at least one event of the page. Raises :class:`~gatepost.errors.DecodeError` like
    :func:`decode`, and for no or more than :data:`MAX_EVENTS` events.
    """

    def element(text: bytes) -> Decoded | DecodeError:
        try:
            return decode(text, lenient=lenient, max_depth=max_depth, charset=charset)
        except DecodeError as error:
            return error

    try:
        return (decode(body, lenient=lenient, max_depth=max_depth, charset=charset),)
    except DecodeError:
        several = _several(body, lenient=lenient, charset=charset)
        if several is None:
            raise
        found = [element(text) for text in several.texts]
        if not several.is_array and isinstance(found[0], DecodeError) and not any(map(_is_event, found)):
            raise  # one event, written in several lines
        if several.is_array and not any(map(_is_event, found)) and not is_json(several.plain):
            raise
    if not 0 < several.count <= MAX_EVENTS:
        raise DecodeError("", f"has {several.count} events; a body has between 1 and {MAX_EVENTS}")
    events: list[Decoded] = []
    for text, one in zip(several.texts, found, strict=True):
        if isinstance(one, Decoded):
            problems = tuple(dict.fromkeys(several.problems + one.problems))
            events.append(replace(one, problems=problems) if several.problems else one)
        elif lenient:
            problems = (*several.problems, Problem(one.where, one.why))
            events.append(Decoded(Unknown({}), Dialect.V1_3_0, problems, without_pins(text)))
        else:
            raise one
    return tuple(events)


class _Several(Struct, frozen=True):
    """A body of several possible events."""

    texts: list[bytes]
    """At most :data:`MAX_EVENTS` texts, as they were written; UTF-16 and UTF-32 are converted to UTF-8."""
    count: int
    """Number of elements or lines."""
    is_array: bool
    plain: bytes
    """All of it, in UTF-8."""
    problems: tuple[Problem, ...]
    """Problems of the whole body."""


def _several(body: bytes, *, lenient: bool, charset: str | None) -> _Several | None:
    """Return the elements or lines of a body; ``None`` if it has neither."""
    text = without_bom(body)
    tidy = tidied(text, charset) if lenient else Tidy(text, text.strip(b" \t\r\n"), None, ())
    core = tidy.core
    borders = None
    if core.startswith(b"["):
        borders = _borders(outline(core, tidy.encoding))
        if borders is None:
            borders = _borders(outline(core, "gb18030"))  # elements in several encodings
    if borders is not None:
        if not core[slice(*borders[-1])].strip(b" \t\r\n"):
            del borders[-1]  # none, or a comma too many
        texts = [core[start:end].strip(b" \t\r\n") for start, end in borders[:MAX_EVENTS]]
        return _Several(texts, len(borders), True, tidy.plain, tidy.problems)
    # No character of several bytes contains a line end.
    lines = [line for line in _NUL_BETWEEN.sub(b"\n", core).splitlines() if line.strip(b" \t\0,")]
    texts = [line.strip(b" \t").removesuffix(b",") for line in lines[:MAX_EVENTS]]
    return _Several(texts, len(lines), False, tidy.plain, tidy.problems) if len(lines) > 1 else None


def _borders(text: bytes) -> list[tuple[int, int]] | None:
    """Return begin and end of each element of an array; ``None`` if it is none, or incomplete."""
    borders, depth, start = [], 0, 1
    for step in _BORDER.finditer(text):
        found = step[0]
        if found == b'"':
            return None
        depth += (found in (b"[", b"{")) - (found in (b"]", b"}"))
        if not depth or (depth == 1 and found == b","):
            borders.append((start, step.start()))
            start = step.end()
        if not depth:
            return None if text[start:] else borders
    return None


def _is_event(found: Decoded | DecodeError) -> bool:
    return isinstance(found, Decoded) and not isinstance(found.event, Unknown)

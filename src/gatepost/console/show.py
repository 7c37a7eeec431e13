"""How values are written for people: times in a zone, spans, sizes, codes in words, and what stands out.

Pure: the zone and the words come from the caller. Dates are written as ISO 8601 has them (2024-05-06 10:32:05), which
reads alike in both languages and sorts as it reads.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, Literal
from zoneinfo import ZoneInfo

from markupsafe import Markup, escape

from gatepost.console.words import Words
from gatepost.receiver.exports.marks import mark_words
from gatepost.store.attendance.schedules import Mark
from gatepost.store.interface import RecordRow
from gatepost.store.local_days import UnknownZone, zone
from gatepost.wire.codes import (
    AbnormalType,
    AlarmCode,
    AlarmStatus,
    Code,
    EntryMode,
    Mask,
    RecognitionType,
    UserType,
    VerificationMode,
    label,
)

__all__ = ["Kind", "Show", "kind_of", "qr_svg"]

Kind = Literal["blacklist", "stranger", "fake", "refused", "abnormal", "passed", "unsaid"]
"""What a record is at a glance, the gravest first."""

_TABLES: dict[str, type[Code]] = {
    "recognition_type": RecognitionType,
    "abnormal_type": AbnormalType,
    "entry_mode": EntryMode,
    "mask": Mask,
    "mode": VerificationMode,
    "user_type": UserType,
    "alarm_code": AlarmCode,
    "alarm_status": AlarmStatus,
}

DELIVERED_LATER = timedelta(minutes=10)


def kind_of(record: RecordRow) -> Kind:
    """Hold what a list shows of a record."""
    by_type: dict[int | None, Kind] = {
        RecognitionType.BLACKLIST: "blacklist",
        RecognitionType.STRANGER: "stranger",
        RecognitionType.NOT_LIVE: "fake",
    }
    if record.recognition_type in by_type:
        return by_type[record.recognition_type]
    if record.passed is False:
        return "refused"
    if record.abnormal_type:
        return "abnormal"
    return "unsaid" if record.passed is None else "passed"


@lru_cache(maxsize=256)
def _zone(name: str) -> ZoneInfo:
    try:
        return zone(name)
    except UnknownZone:  # an operating system without the name; better a time in UTC than none
        return ZoneInfo("UTC")


class Show:
    """Writes values in one language; ``zone`` is what holds where none is said."""

    def __init__(self, words: Words, zone: str, *, now: datetime) -> None:
        self.words = words
        self.zone = zone
        self.now = now
        self._today: dict[str | None, date] = {}

    # Times

    def local(self, at: datetime, zone: str | None = None) -> datetime:
        return at.astimezone(_zone(zone or self.zone))

    def today(self, zone: str | None = None) -> date:
        known = self._today.get(zone)
        if known is None:
            known = self._today[zone] = self.local(self.now, zone).date()
        return known

    def moment(self, at: datetime | None, zone: str | None = None) -> Markup:
        """Date and time, in an element that says the instant."""
        if at is None:
            return Markup('<span class="none">–</span>')
        return _time(at, self.local(at, zone), lambda day, clock: f"{day}\u2002{clock}")

    def clock(self, at: datetime | None, zone: str | None = None) -> Markup:
        """Return the time of day; with the date unless it is today."""
        if at is None:
            return Markup('<span class="none">–</span>')
        here = self.local(at, zone)
        if here.date() == self.today(zone):
            return _time(at, here, lambda _, clock: clock)
        return _time(at, here, lambda day, clock: f"{day[5:]}\u2002{clock}")

    def hour(self, at: datetime | None, zone: str | None = None) -> Markup:
        """Hours and minutes: of a day that is known from elsewhere."""
        if at is None:
            return Markup('<span class="none">–</span>')
        return _time(at, self.local(at, zone), lambda _, clock: clock[:5])

    def weekday(self, day: date) -> str:
        return self.words(f"frame.weekday{day.weekday()}")

    def marks(self, marks: Iterable[Mark]) -> list[str]:
        """Return marks of a shift in words."""
        return mark_words(marks, self.words.language)

    def span(self, seconds: float | None) -> str:
        """Return a length of time, in its two largest units."""
        if seconds is None:
            return "–"
        if seconds == 0:
            return "–"
        if abs(seconds) < 1:
            return self.words("frame.milliseconds", n=round(seconds * 1000))
        left = round(abs(seconds))
        parts: list[str] = []
        for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60), ("seconds", 1)):
            count, left = divmod(left, size)
            if count or parts:
                parts.append(self.words(f"frame.{unit}", n=count) if count else "")
            if len(parts) == 2:
                break
        return ("−" if seconds < 0 else "") + " ".join(part for part in parts if part)

    def hours(self, seconds: float | None) -> str:
        """Return hours and whole minutes of work, however many hours they are."""
        if seconds is None:
            return "–"
        hours, minutes = divmod(int(seconds) // 60, 60)
        shown = [self.words("frame.hours", n=hours)] if hours else []
        return " ".join([*shown, self.words("frame.minutes", n=minutes)])

    def ago(self, at: datetime | None) -> str:
        if at is None:
            return self.words("frame.never")
        seconds = (self.now - at).total_seconds()
        if seconds < 5:
            return self.words("frame.just_now")
        return self.words("frame.ago", span=self.span(seconds))

    # Quantities

    def number(self, value: float | None) -> str:
        return "–" if value is None else f"{value:,}"

    def milliseconds(self, seconds: float | None) -> str:
        """Return a short time in milliseconds; a dash for none."""
        return "–" if seconds is None else f"{seconds * 1000:,g}\u202fms"

    def share(self, part: float, whole: float) -> str:
        return "–" if not whole else f"{100 * part / whole:.1f}\u202f%"

    def size(self, count: int) -> str:
        size = float(count)
        for unit in ("B", "KiB", "MiB"):
            if size < 1024:
                return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
            size /= 1024
        return f"{size:.1f} GiB"

    def temperature(self, value: float | None) -> str:
        """Zero is what terminals send that do not measure."""
        return "" if not value else f"{value:.1f}\u202f°C"

    def score(self, value: float | None) -> str:
        return "" if value is None else f"{value:.3f}"

    # Codes and words

    def code(self, table: str, code: int | None) -> str:
        return label(_TABLES[table], code, self.words.language)

    def codes(self, table: str) -> list[tuple[int, str]]:
        """Every code of a table with its words, for a choice."""
        return [(int(code), code.label(self.words.language)) for code in _TABLES[table]]

    def yes(self, value: bool | None) -> str:
        if value is None:
            return self.words("frame.unsaid")
        return self.words("frame.yes" if value else "frame.no")

    def delivered_later(self, record: RecordRow) -> bool:
        """Return whether a record arrived long after it happened: a backlog, or a clock that is wrong."""
        return record.received_at - record.at > DELIVERED_LATER

    def json(self, original: bytes | None) -> str:
        """JSON text, indented; as it is where it is none."""
        if original is None:
            return ""
        try:
            value: Any = json.loads(original)
        except ValueError:
            return original.decode("utf-8", "replace")
        return json.dumps(value, ensure_ascii=False, indent=2)


def _time(at: datetime, here: datetime, written: Callable[[str, str], str]) -> Markup:
    """Return a time, as ``written`` makes it out of day and time of day.

    A page has thousands of them: to cut texts takes a third of what it takes to format them.
    """
    instant = at.astimezone(UTC).isoformat(timespec="seconds")[:19]
    full = here.isoformat(" ", "seconds")
    day, clock, offset = full[:10], full[11:19], full[19:].replace(":", "")
    title = escape(f"{day} {clock} {offset} {here.tzinfo}")
    return Markup(f'<time datetime="{instant}Z" title="{title}">{written(day, clock)}</time>')  # noqa: S704 - escaped


def qr_svg(text: str) -> Markup | None:
    """Return a QR code of a text, as an image that scales; ``None`` for a text that does not fit into one."""
    import segno

    try:
        code = segno.make(text, error="m", micro=False)
    except segno.DataOverflowError:
        return None
    return Markup(code.svg_inline(scale=1, border=2, omitsize=True, dark="#000", light="#fff"))  # noqa: S704 - drawn by a library out of dots

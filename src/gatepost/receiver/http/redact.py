"""Samples of refused bodies: enough to see what was wrong, without pictures, pins and secrets.

Rules:

* Nobody could decode the body, so nothing here depends on its form: JSON, a form, XML, multipart, UTF-16, a picture.
* Where it is not clear what a piece is, the piece is left out.
* Where something is called a pin or a password, however that is spelt, and it is not clear where its value stands, only
  the structure is kept: punctuation, and the words that the protocol page knows.
* The work is bounded: only the beginning of a body is looked at, and every pattern takes linear time.

Flow: beginning → no NULs → percent escapes decoded → cut where binary data begins → pins and secrets → long runs of
letters, such as base64 → what is still called a secret, unescaped → at most :data:`MAX_SAMPLE` bytes.
"""

import html
import re
import unicodedata
from urllib.parse import unquote, unquote_to_bytes

from gatepost.store.conversion.long_texts import LONG
from gatepost.wire import without_pins

__all__ = ["MAX_SAMPLE", "SAMPLED_BYTES", "redacted", "serial_in"]

MAX_SAMPLE = 4096
"""Bytes of a sample."""

SAMPLED_BYTES = 256 * 1024
"""Bytes of a body that are looked at: a usual portrait and what stands around it."""

_WORKED_ON = 4 * MAX_SAMPLE
"""Bytes that are left for the slower patterns, once the longest runs are out."""

_ESCAPES = 8
"""Percent escapes from which on a body is taken for one that is percent-encoded as a whole."""

_LEFT_OUT = "\N{HORIZONTAL ELLIPSIS}".encode()

_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_LONG_RUN = re.compile(rb"[A-Za-z0-9+/=_-]{256,}+")
_NO_ASCII = bytes(range(0x80, 0x100))
_BINARY = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")

# A run is 24 letters of base64 in a row, however they are escaped. Serials have some twenty letters, and the
# shortest token that the receiver makes has 32. Blanks and line ends stand between the runs of one picture.
_LETTER = rb"[A-Za-z0-9+/=_-]|%2[BbFf]|%3[Dd]|\\/|\\u00[0-9A-Fa-f]{2}"
_SPAN = re.compile(rb"(?:%b|\\[nrt]|\s){24,}+" % _LETTER)
_RUN = re.compile(rb"(?:%b){24}" % _LETTER)

# Quoted or wrapped pieces of one image.
_PIECES = re.compile(rb"(?:[A-Za-z0-9+/=_-]{12,}+[^A-Za-z0-9/_:<>{}]{1,8}+){2,}+[A-Za-z0-9+/=_-]*+")

_CREDENTIALS = re.compile(
    rb"(:(?:\\*+/){2})[^\s/\"'<>@]++(?=@)|\b((?i:basic|bearer|digest|negotiate)\s++)[A-Za-z0-9+/=_.~-]{6,}+"
)
_JWT = re.compile(rb"\beyJ[A-Za-z0-9_=-]*+(?:\.[A-Za-z0-9_=-]*+)++")

# Bytes written as numbers, or as the escapes of a programming language.
_BYTES = re.compile(
    rb"(?:\b(?:\d{1,3}|0[xX][0-9A-Fa-f]{2})[\s,;]{1,3}+){24,}+|(?:\\x[0-9A-Fa-f]{2}[^\\\r\n]{0,8}+){8,}+"
)

_NAME = (
    rb"(?:(?:(?<![A-Za-z])|(?<=\\[nrt]))(?i:pin)|(?<=[a-z])P(?i:in))(?i:[_-]?(?:code|number|value))?(?![A-Za-z0-9])"
    rb"|(?i:pass(?:word|wd|code|phrase)|pwd|secret|token|authorization|credentials?|api[_-]?key|cookie"
    rb"|signature|session)(?![A-Za-z])"
)
_SECRET = re.compile(
    rb"(%b)(\\*+[\"']?\s*+[:=>]*+\s*+)"
    rb"(\"(?:[^\"\\]|\\.)*+|'(?:[^'\\]|\\.)*+|\\++[\"'][^\"']*+|\{[^}]*+|\[[^\]]*+|(?:-[ \t]++[^\r\n]*+\s*+)++"
    rb"|(?:(?i:bearer|basic|digest)\s++)?[^\s\"'&<>,;}\])]++(?:[ \t]++\d++)*+(?:[\"'][^\"']*+)?)" % _NAME,
    re.DOTALL,
)
_ELEMENT = re.compile(
    rb"(<[^<>]{0,64}?(?:%b)[^<>]{0,256}+>)(?:[^<]++|<!\[CDATA\[(?:(?!\]\]>).)*+)" % _NAME, re.DOTALL
)
_PART = re.compile(rb"(\bname=\"?[^\"\r\n]{0,64}?(?:%b)[^\n]*+\n)(?:(?!\n--).)*+" % _NAME, re.DOTALL)

_CALLED = (
    r"(?:(?:(?<![A-Za-z])|(?<=\\[nrt]))(?i:pin)|(?<=[a-z])P(?i:in))(?i:[_-]?(?:s|no|nr|num|numbers?|codes?|values?|hash))?"
    r"(?![A-Za-z])"
    r"|(?i:pass[ _-]?(?:w|codes?|phrase)|pwd|secret|token|authorization|credential|api[_-]?key|cookie|signature|session"
    r"|kennwort|contrase|senha|\u043f\u0430\u0440\u043e\u043b)"
)
_FOREIGN = (
    "\u5bc6\u7801",
    "\u5bc6\u78bc",
    "\u53e3\u4ee4",
    "\u6697\u8a3c\u756a\u53f7",
    "\u30d1\u30b9\u30ef\u30fc\u30c9",
    "\ube44\ubc00\ubc88\ud638",
)
"""Words for a password in scripts without capitals."""

_FOREIGN_BYTES = [
    word.encode(charset, "ignore")
    for word in _FOREIGN
    for charset in ("gb18030", "big5", "shift_jis", "euc_kr")
    if len(word.encode(charset, "ignore")) == 2 * len(word)
]
_LEFT_OUT_PLAIN = r"\.\.\."
_HARMLESS = re.compile(
    # its value is empty or left out already; or it is the end of an element, or of a part of multipart
    rf"(?:{_CALLED})\w*\\*[\"']?\s*[:=>]+\s*(?:\\*[\"']?{_LEFT_OUT_PLAIN}|\"\"|''|\\\"\\\"|null\b|\Z)"
    rf"|<[^<>]{{0,64}}?(?:{_CALLED})[^<>]{{0,256}}>{_LEFT_OUT_PLAIN}|</\w{{0,64}}?(?:{_CALLED})\w{{0,64}}>"
    rf"|\bname=\"?[^\"\r\n]{{0,64}}?(?:{_CALLED})[^\n]{{0,256}}\n{_LEFT_OUT_PLAIN}"
)
_CALLED_SECRET = re.compile("|".join((_CALLED, *_FOREIGN)))
_ESCAPED = re.compile(r"(?<!\\)\\++(?:u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2}))")

_WORD = re.compile(rb"[A-Za-z0-9_\x80-\xff]++")
_KNOWN = frozenset(
    b"type data deviceSN TrackID recognitionType uuid recognizeScore recognizeStatus livenessScore mask mode rgb_image"
    b" pass timestamp bodyTemperature entry_mode abnormal_type user groups trace_id description code user_id event_time"
    b" status alarm_photo name ic_number job_number id_number guest_time_start guest_time_end remark pin id true false"
    b" null quot".split()
)
"""Words of the protocol page and of JSON, which say nothing of anybody."""

_SERIAL = re.compile(
    rb"[\"'](?:deviceSN|TrackID)\\?[\"']\s*+[:=]\s*+\\?[\"']([^\"'\\\x00-\x1f]{1,128})\\?[\"']", re.IGNORECASE
)


def redacted(body: bytes) -> bytes:
    """Return at most :data:`MAX_SAMPLE` bytes from the beginning of a body, without what must not be kept."""
    text = body[:SAMPLED_BYTES].replace(b"\0", b"")
    if text.count(b"%", 0, _WORKED_ON) >= _ESCAPES:
        text = unquote_to_bytes(text.replace(b"+", b" ")).replace(b"\0", b"")
    if (binary := _BINARY.search(text)) is not None:
        text = text[: binary.start()].rstrip(
            _NO_ASCII
        )  # the first bytes of a picture are none that it is cut at
    text = _LONG_RUN.sub(_LEFT_OUT, text)[:_WORKED_ON]
    text = _TEXT.sub(lambda found: found[0] if len(found[0]) < LONG else b'"%b"' % _LEFT_OUT, text)
    text = _PART.sub(rb"\1" + _LEFT_OUT, text)
    text = _ELEMENT.sub(rb"\1" + _LEFT_OUT, text)
    text = without_pins(_SECRET.sub(_without_value, text))
    text = _CREDENTIALS.sub(rb"\1\2" + _LEFT_OUT, text)
    text = _BYTES.sub(_LEFT_OUT, _JWT.sub(_LEFT_OUT, text))
    text = _PIECES.sub(_LEFT_OUT, _SPAN.sub(_without_runs, text))
    return (_structure(text) if _may_show_a_secret(text) else text)[:MAX_SAMPLE]


def serial_in(body: bytes) -> str | None:
    """Return the serial in a body that could not be decoded, if it stands near its beginning or end."""
    found = _SERIAL.search(body[:MAX_SAMPLE]) or _SERIAL.search(body[-MAX_SAMPLE:])
    return None if found is None else found[1].decode("utf-8", "replace")


def _may_show_a_secret(text: bytes) -> bool:
    """Return whether something is called a secret whose value was not left out."""
    if any(word in text for word in _FOREIGN_BYTES):
        return True
    plain = _unescaped(text)
    return _CALLED_SECRET.search(_HARMLESS.sub(" ", plain)) is not None


def _unescaped(text: bytes) -> str:
    """Return the text without the escapes of URLs, XML and JSON, one within the other, and in plain letters."""
    plain = text.decode("utf-8", "replace")
    for _ in range(3):
        plain = html.unescape(unquote(plain))
        plain = _ESCAPED.sub(lambda found: chr(int(found[1] or found[2], 16)), plain)
    return unicodedata.normalize("NFKC", plain)


def _structure(text: bytes) -> bytes:
    return _WORD.sub(lambda found: found[0] if found[0] in _KNOWN else _LEFT_OUT, text)


def _without_value(found: re.Match[bytes]) -> bytes:
    quote = re.match(rb"\\*+[\"']", found[3])
    return found[1] + found[2] + (quote[0] if quote else b"") + _LEFT_OUT


def _without_runs(span: re.Match[bytes]) -> bytes:
    return _LEFT_OUT if _RUN.search(span[0]) else span[0]

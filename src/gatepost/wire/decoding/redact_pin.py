"""Empty every ``pin`` in a JSON text, because it is never stored.

Rules:

* It works on the text alone, so that it also works if the text cannot be decoded. In valid JSON no ``pin`` remains, at
  any depth, with any escapes in its name, in any case, and with any value.
* Everything else stays byte for byte, and valid JSON stays valid.

Source: RFC 8259, section 7: besides themselves, the letters of the name have one spelling each,
``\\u`` and four digits.
"""

import re

__all__ = ["without_pins"]

_NAME = re.compile(
    rb'(?<!\\)"(?:[pP]|\\u00[57]0)(?:[iI]|\\u00[46]9)(?:[nN]|\\u00[46][eE])"\s*+:\s*+(?!null\b|"")'
)
_SCALAR = re.compile(rb'"(?:[^"\\]|\\.)*+"|[^\s\[\]{},"]++', re.DOTALL)
_STEP = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[\]{}]', re.DOTALL)


def without_pins(text: bytes) -> bytes:
    """Return the text with the empty string for each ``pin``; ``null`` stays.

    If a value does not end, as in invalid JSON, the text ends before it.
    """
    if b"\\u00" not in text and b"pin" not in text.lower():
        return text
    parts: list[bytes] = []
    at = 0
    while (name := _NAME.search(text, at)) is not None:
        parts += (text[at : name.end()], b'""')
        at = _end(text, name.end())
    return b"".join((*parts, text[at:])) if parts else text


def _end(text: bytes, start: int) -> int:
    """Return the end of the value that begins at ``start``."""
    if text[start : start + 1] not in (b"[", b"{"):
        scalar = _SCALAR.match(text, start)
        if scalar is not None:
            return scalar.end()
        return len(text) if text[start : start + 1] == b'"' else start
    depth = 0
    for step in _STEP.finditer(text, start):
        if step[0] in (b"[", b"{"):
            depth += 1
        elif step[0] in (b"]", b"}"):
            depth -= 1
            if not depth:
                return step.end()
    return len(text)

"""Ids that identify events: longer than :data:`SHORT`, and no placeholder."""

import re

__all__ = ["SHORT", "is_real_id"]

SHORT = 8
"""Characters up to which an id is a counter or a word, and not unique."""

_UUID = 36
"""Characters of a UUID (RFC 9562, section 4)."""

_PUNCTUATION = re.compile(r"urn:uuid:|[\W_]+")

_PLACEHOLDER = re.compile(
    # only words for a missing value, and for an id: "no id available", "<null pointer>"
    r"(?:null|nil|none|nan(?![au])|na|void|empty|blank|unknown|undefined|undef(?!i)|uninitiali[sz]ed|unset|unassigned"
    r"|unspecified|unavailable|invalid|missing|default|dummy|placeholder|anonymous|not|no|available|applicable|assigned"
    r"|defined|specified|initiali[sz]ed|supported|set|found|given|present|valid|yet"
    r"|object|pointer|ptr|string|value|uuid|guid|trace|id|\u672a\u77e5|\u6682\u65e0|\u6ca1\u6709|\u65e0|\u7a7a)++"
    r"|0*+x?0*+"  # zeros, decimal or hexadecimal
    r"|(.)\1{11}.\1{3}.\1{15}"  # a nil UUID, or the pattern of one, with version and variant
    r"|(.)\2*+"  # one repeated character, as in nil and max UUIDs, or nil in base64
)
"""Placeholders for a missing id, without punctuation and in lower case."""


def is_real_id(text: str) -> bool:
    """Return whether an id identifies an event: longer than :data:`SHORT`, and no placeholder."""
    if len(text) == _UUID and text[8] == "-" and text[0] != text[1]:
        return True  # the usual case, at a tenth of the cost
    text = text.strip()
    return len(text) > SHORT and not _PLACEHOLDER.fullmatch(_PUNCTUATION.sub("", text.casefold()))

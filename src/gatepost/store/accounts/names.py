"""Names of accounts and tokens, and those under which the program itself writes into the audit log.

Names are compared by their folded form (NFKC, without case, runs of blanks as one). Those of the program are taken,
and so is what looks like them.
"""

import re
import unicodedata

from gatepost.errors import SettingsError
from gatepost.store.conversion.values import text

__all__ = ["COMMAND_LINE", "PROGRAM", "TOKEN_PREFIX", "UNKNOWN", "checked_name", "folded_name"]

PROGRAM = "gatepost"
"""The actor of what the receiver does by itself."""

COMMAND_LINE = "command line"
"""The actor of what is done by a command on the machine."""

UNKNOWN = "unknown"
"""The actor of a login that was refused."""

TOKEN_PREFIX = "token:"  # noqa: S105 - no password
"""How the actors of tokens begin."""

_INVISIBLE = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
"""Unicode's categories of characters that are not shown."""

_IGNORABLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Other characters that are not shown: those of Unicode's Default_Ignorable_Code_Point, and the empty Braille one."""

_LOOKS = str.maketrans(
    # Latin, Cyrillic, Greek, Armenian and signs, each with what it looks like, also as a capital.
    "i1|0авԁегһіјкӏмнпорԛѕтуцԝхɡαβεηικμνορτυχωօոսցı∶꞉ː",
    "llloabderhljklmhnopqstyuwxgabenlkmnoptuxwonugl:::",
)


def folded_name(name: str) -> str:
    """Return the form in which names are compared: NFKC without case, and every run of blanks as one."""
    return " ".join(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).split())


def _skeleton(folded: str) -> str:
    """Return what is the same of names that look the same."""
    return folded.translate(_LOOKS)


_RESERVED = frozenset(map(_skeleton, (PROGRAM, COMMAND_LINE, UNKNOWN)))


def checked_name(name: str) -> str:
    """Return the name of an account or a token as it is stored.

    Raises :class:`~gatepost.errors.SettingsError` for a name of the program's own or one that looks like it, and for
    one that cannot be read.
    """
    folded = folded_name(name)
    is_hidden = _IGNORABLE.search(name) or any(unicodedata.category(one) in _INVISIBLE for one in name)
    if not folded or is_hidden:
        raise SettingsError("name", "must be a text that can be read, without invisible characters")
    skeleton = _skeleton(folded)
    if skeleton in _RESERVED or skeleton.startswith(TOKEN_PREFIX):
        raise SettingsError(
            "name", "is one under which the audit log has the program itself; give another one"
        )
    return text(name)

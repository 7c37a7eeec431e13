"""Every error that gatepost raises on purpose, as one tree.

``str(error)`` is a sentence for the person who has to act: what is wrong, where, and what to do next. The
command line prints it in one line. Anything else that escapes is a defect of gatepost.

::

    GatepostError
    ├── SettingsError            a setting is wrong; .setting names it
    ├── WireError                a message does not fit the protocol page; .where, .why
    │   ├── DecodeError          … as it came in
    │   └── EncodeError          … as it was to go out
    ├── OutboxError              the terminal's store
    │   ├── OutboxFull           at the cap, and the overflow setting says to refuse; nothing was accepted
    │   ├── OutboxUnavailable    disk full or read-only; nothing was accepted, try again
    │   ├── OutboxInUse          another process has it open
    │   ├── OutboxOfAnotherTerminal  its events are another terminal's; nothing was touched
    │   ├── OutboxTooNew         written by a later version
    │   ├── OutboxTooOld         written by an earlier version, which this one does not read
    │   ├── OutboxCorrupt        not an outbox; nothing was touched
    │   └── NotSubscribed        no subscription yet, so nothing is cached (by the protocol page)
    ├── JournalError             the log that both ends write before they tell anyone
    │   ├── JournalUnavailable   disk full, read-only or failing; nothing was acknowledged, try again
    │   ├── JournalTooNew        written by a later version
    │   ├── JournalGone          a file of it is not there; the others are read
    │   └── JournalCorrupt       not a journal, or damaged; nothing was touched
    ├── StoreError               the receiver's store
    │   ├── StoreUnavailable     cannot take it now; nothing was acknowledged, try again
    │   ├── ImageUnavailable     an image is not here, or damaged; its event is listed all the same
    │   ├── StoreInUse           another process has the data folder open
    │   ├── StoreTooNew          written by a later version
    │   └── StoreCorrupt         not a gatepost store, or damaged; nothing was touched
    └── ClientError              the receiver's API, from the client's side
        ├── ReceiverAway         it cannot be reached, or not now; try again; .retry_after_s
        └── RequestRefused       it will not do this; .status, .detail, .fields
"""

from collections.abc import Mapping

__all__ = [
    "GatepostError",
    "SettingsError",
    "WireError",
    "DecodeError",
    "EncodeError",
    "OutboxError",
    "OutboxFull",
    "OutboxUnavailable",
    "OutboxInUse",
    "OutboxOfAnotherTerminal",
    "OutboxTooNew",
    "OutboxTooOld",
    "OutboxCorrupt",
    "NotSubscribed",
    "JournalError",
    "JournalUnavailable",
    "JournalTooNew",
    "JournalGone",
    "JournalCorrupt",
    "StoreError",
    "StoreUnavailable",
    "ImageUnavailable",
    "StoreInUse",
    "StoreTooNew",
    "StoreCorrupt",
    "ClientError",
    "ReceiverAway",
    "RequestRefused",
]


class GatepostError(Exception):
    """The root: catch it to catch everything that gatepost raises on purpose."""


class SettingsError(GatepostError):
    """A setting cannot be used as it was given."""

    def __init__(self, setting: str, why: str) -> None:
        super().__init__(setting, why)
        self.setting = setting
        self.why = why

    def __str__(self) -> str:
        return f"setting {self.setting!r} {self.why}"


class WireError(GatepostError):
    """A message does not fit the protocol page."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(where, why)
        self.where = where
        """The path to the field, in wire names: ``data.user.type``; empty for the message as a whole."""
        self.why = why

    def __str__(self) -> str:
        return f"{self.where or 'the message'} {self.why}"


class DecodeError(WireError):
    """Input cannot be decoded. The sender is at fault, and sending it again will not help."""


class EncodeError(WireError):
    """An event cannot be encoded. The caller is at fault; nothing was stored or sent."""


class OutboxError(GatepostError):
    """The terminal's store did not do what was asked."""


class OutboxFull(OutboxError):
    """The outbox is at its cap and ``overflow`` is ``refuse-newest``. Nothing was accepted."""


class OutboxUnavailable(OutboxError):
    """The disk is full, read-only or failing. Nothing was accepted; what is stored stays, and keeps draining."""


class OutboxInUse(OutboxError):
    """Another process has this outbox open."""


class OutboxOfAnotherTerminal(OutboxError):
    """The outbox holds the events of a terminal with another serial. Nothing was touched."""


class OutboxTooNew(OutboxError):
    """The outbox was written by a later version of gatepost. Nothing was touched."""


class OutboxTooOld(OutboxError):
    """The folder holds the outbox of an earlier version of gatepost. Nothing was touched."""


class OutboxCorrupt(OutboxError):
    """This is no outbox. Nothing was touched."""


class NotSubscribed(OutboxError):
    """Refuse an event: this terminal was never subscribed to, so it does not cache events."""


class JournalError(GatepostError):
    """The journal cannot be used."""


class JournalUnavailable(JournalError):
    """The disk is full, read-only or failing. What is appended now is not acknowledged; try again."""


class JournalTooNew(JournalError):
    """A later version of gatepost wrote it."""


class JournalGone(JournalError):
    """A file of it is not there. The others are read."""


class JournalCorrupt(JournalError):
    """It is no journal, or it is damaged. Nothing was touched."""


class StoreError(GatepostError):
    """The receiver's store did not do what was asked."""


class StoreUnavailable(StoreError):
    """The store cannot take events now. Nothing was acknowledged; the terminal keeps them and tries again."""


class ImageUnavailable(StoreError):
    """An image is not here now, or its pack is damaged. Its event is listed all the same."""


class StoreInUse(StoreError):
    """Another process has this data folder open."""


class StoreTooNew(StoreError):
    """The store was written by a later version of gatepost. Nothing was touched."""


class StoreCorrupt(StoreError):
    """This is no gatepost store, or it is damaged. Nothing was touched."""


class ClientError(GatepostError):
    """The receiver's API did not do what was asked of it."""


class ReceiverAway(ClientError):
    """The receiver cannot be reached, broke off, or says that it is not now. To try again may help."""

    def __init__(self, why: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(why)
        self.retry_after_s = retry_after_s
        """How long it asked to wait."""


class RequestRefused(ClientError):
    """The receiver will not do this, and to ask again will not help."""

    def __init__(self, status: int, detail: str, fields: Mapping[str, str] | None = None) -> None:
        super().__init__(status, detail)
        self.status = status
        """The HTTP status: 401 without a login, 403 for too small a role, 404, 409, or 400 with the ``fields``."""
        self.detail = detail
        self.fields: Mapping[str, str] = fields or {}
        """What was wrong with which parameter."""

    def __str__(self) -> str:
        return f"the receiver refused it ({self.status}): {self.detail}"

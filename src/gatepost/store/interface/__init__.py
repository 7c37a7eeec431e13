"""Define the receiver's store by its promises; its values are in :mod:`gatepost.store.types`.

Two stores keep these promises: :class:`gatepost.store.sqlite.store.SqliteStore` (a data folder, one process) and
:class:`gatepost.store.postgres.store.PostgresStore` (a server, several processes at once). One suite,
``tests/store/store_suite.py``, runs on both.

Promises:

* When :meth:`Store.write` returns, every event of the batch and every image is on disk, and is listed exactly
  once, however often it was written: in one batch, by two processes, or a year later.
* When it raises :class:`~gatepost.errors.StoreUnavailable`, nothing of the batch may be acknowledged; writing
  it again later does no harm.
* The counts of a terminal are part of the same transaction, and so is how far a journal is read.

Every method blocks, and may be called from any thread.

``store``         the store as a whole, and what a user sees of it
``writing``       write batches of events
``terminals``     keep terminals, sites and receivers
``events``        read records and images, and counts of everything
``alarms``        read, acknowledge and close alarms
``feed``          read the feed, also for forwarding
``refusals``      keep pushes that were refused or not understood
``pruning``       what retention and erasure need
``transactions``  open transactions, for the store's own parts

The values that go in and come out can be imported from here, too.
"""

from gatepost.store.interface.pruning import PrunableStore
from gatepost.store.interface.store import Store
from gatepost.store.interface.transactions import ForUser, Transactions
from gatepost.store.types.arrivals import PEER_ADDRESS, SIGHTING_MS, Arrival, NewTerminal, Progress, Stored
from gatepost.store.types.events import AlarmRow, AlarmStep, AlarmStepRow, PersonRow, RecordRow
from gatepost.store.types.feed import (
    FEED_KINDS,
    FORWARD_KINDS,
    NOTICE_KINDS,
    FeedItem,
    FeedKind,
    FeedPage,
    Forwarded,
    ForwardQuery,
    Notice,
    NoticeKind,
    NoticeQuery,
    ToForward,
    happened_at,
    received_at,
)
from gatepost.store.types.lists import EVERYTHING, AlarmCounts, Counted, Page, Stats, ToAcknowledge, Visible
from gatepost.store.types.queries import AlarmQuery, QuarantineQuery, RecordQuery, StepQuery
from gatepost.store.types.refusals import (
    QuarantineRow,
    RefusalSample,
    RefusedPush,
    RefusedRow,
    RefusedTimes,
    SampleRow,
)
from gatepost.store.types.terminals import (
    Direction,
    DisagreementRow,
    ReceiverRow,
    SiteRow,
    TerminalRow,
    TerminalState,
)

__all__ = [
    "EVERYTHING",
    "PEER_ADDRESS",
    "SIGHTING_MS",
    "Arrival",
    "NewTerminal",
    "Stored",
    "Progress",
    "Direction",
    "TerminalState",
    "TerminalRow",
    "DisagreementRow",
    "RecordRow",
    "AlarmRow",
    "AlarmStep",
    "AlarmStepRow",
    "PersonRow",
    "SiteRow",
    "ReceiverRow",
    "QuarantineRow",
    "RefusedPush",
    "RefusedTimes",
    "RefusedRow",
    "RefusalSample",
    "SampleRow",
    "FEED_KINDS",
    "FORWARD_KINDS",
    "ForwardQuery",
    "received_at",
    "happened_at",
    "Forwarded",
    "Notice",
    "NOTICE_KINDS",
    "NoticeKind",
    "NoticeQuery",
    "FeedItem",
    "FeedKind",
    "FeedPage",
    "Counted",
    "ToAcknowledge",
    "ToForward",
    "Page",
    "RecordQuery",
    "AlarmCounts",
    "AlarmQuery",
    "StepQuery",
    "QuarantineQuery",
    "Stats",
    "Transactions",
    "ForUser",
    "Visible",
    "PrunableStore",
    "Store",
]

"""Define what the receiver's API returns, as values: the receiver makes them, :mod:`gatepost.client` reads them.

Both ends import them from here, so that neither can mean something else. Times are aware UTC. Codes are those of the
protocol page; :mod:`gatepost.wire.codes` puts them into words.

``destinations``  destinations, and what became of the events for them
``diagnosis``     why nothing arrives of a terminal
``events``        records and alarms
``listing``       a stretch of a list
``operation``     the receiver itself: its counts, and refused pushes
``people``        people, and who is inside
``terminals``     terminals
``views``         saved views

Each says that it is of this package: the OpenAPI document names schemas after the modules of their classes. The files
have no ``from __future__ import annotations``, for with it annotations would be looked up in this module.
"""

from gatepost.items.destinations import (
    AttemptItem,
    DeadLetterItem,
    DestinationDetail,
    DestinationItem,
    DestinationState,
    DoneItem,
    LedgerItem,
    PreviewItem,
    ReplayItem,
    RotatedItem,
    TrialItem,
)
from gatepost.items.diagnosis import FindingItem, WhyItem
from gatepost.items.events import AcknowledgedItem, AlarmItem, PersonItem, ProblemItem, RecordItem, StepItem
from gatepost.items.listing import Listing
from gatepost.items.operation import JournalItem, RefusalItem, SampleItem, StatsItem
from gatepost.items.people import (
    ErasedItem,
    FaultItem,
    InsideItem,
    JoinedNumberItem,
    MarkedPersonItem,
    PersonInsideItem,
    PersonMarkItem,
    SiteInsideItem,
    SomeoneItem,
    StaffImportItem,
)
from gatepost.items.terminals import (
    Direction,
    DisagreementItem,
    NameItem,
    NameThereItem,
    Presence,
    RemovedItem,
    TerminalDetail,
    TerminalItem,
    TerminalState,
    WouldMoveItem,
    WouldRefuseItem,
)
from gatepost.items.views import ViewItem

__all__ = [
    "AcknowledgedItem",
    "AlarmItem",
    "AttemptItem",
    "DeadLetterItem",
    "DestinationDetail",
    "DestinationItem",
    "DestinationState",
    "Direction",
    "DisagreementItem",
    "DoneItem",
    "ErasedItem",
    "FaultItem",
    "FindingItem",
    "InsideItem",
    "JoinedNumberItem",
    "JournalItem",
    "LedgerItem",
    "Listing",
    "MarkedPersonItem",
    "NameItem",
    "NameThereItem",
    "PersonInsideItem",
    "PersonItem",
    "PersonMarkItem",
    "Presence",
    "PreviewItem",
    "ProblemItem",
    "RecordItem",
    "RefusalItem",
    "RemovedItem",
    "ReplayItem",
    "RotatedItem",
    "SampleItem",
    "SiteInsideItem",
    "SomeoneItem",
    "StaffImportItem",
    "StatsItem",
    "StepItem",
    "TerminalDetail",
    "TerminalItem",
    "TerminalState",
    "TrialItem",
    "ViewItem",
    "WhyItem",
    "WouldMoveItem",
    "WouldRefuseItem",
]

for _name in __all__:
    if isinstance(_kind := globals()[_name], type):
        _kind.__module__ = __name__

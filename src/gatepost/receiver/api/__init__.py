"""The receiver's HTTP API: one file a resource.

Rules:

* A resource is a Litestar controller that reads the store through one method and shapes what it answers with a
  ``Struct`` of its own: what stands in the store and what is told to the outside change independently.
* Lists answer ``{"items": […], "next_cursor": str | null}``. A cursor is opaque, and stays valid while events
  arrive: it names a place in the order, not a number of rows.
* Times are ISO 8601 in UTC, both ways; Unix seconds are understood too.
* A wrong parameter is a 400 that names it. Nothing that a client sends makes a 500.

Who may call what is said by each route and decided in :mod:`gatepost.receiver.api.authorization`.
"""

from gatepost.receiver.api.accounts import AccountsController, AuditController, TokensController
from gatepost.receiver.api.alarms import AlarmsController
from gatepost.receiver.api.assignments import AssignmentsController
from gatepost.receiver.api.attendance import AttendanceController
from gatepost.receiver.api.corrections import CorrectionsController
from gatepost.receiver.api.counters import StatsController
from gatepost.receiver.api.destinations.controller import DestinationsController
from gatepost.receiver.api.erasure import ErasureController
from gatepost.receiver.api.exports import ExportsController
from gatepost.receiver.api.finding import FindingController
from gatepost.receiver.api.fleet import FleetController
from gatepost.receiver.api.fleet_history import FleetHistoryController
from gatepost.receiver.api.image_links import ImageLinksController
from gatepost.receiver.api.inside import InsideController
from gatepost.receiver.api.joins import JoinsController
from gatepost.receiver.api.live import LiveController
from gatepost.receiver.api.marks import MarksController
from gatepost.receiver.api.metrics import MetricsController
from gatepost.receiver.api.notices import NoticesController
from gatepost.receiver.api.people import GroupsController, PeopleController
from gatepost.receiver.api.quarantine import QuarantineController
from gatepost.receiver.api.receivers import ReceiversController
from gatepost.receiver.api.records import RecordsController
from gatepost.receiver.api.refusals import RefusalsController
from gatepost.receiver.api.retention import RetentionController
from gatepost.receiver.api.schedules import HolidaysController, SchedulesController
from gatepost.receiver.api.session import SessionController
from gatepost.receiver.api.settings import SettingsController
from gatepost.receiver.api.sites import SitesController
from gatepost.receiver.api.staff import StaffController
from gatepost.receiver.api.statistics import StatisticsController
from gatepost.receiver.api.system import SystemController
from gatepost.receiver.api.terminals import TerminalsController
from gatepost.receiver.api.terminals_chosen import ChosenTerminalsController
from gatepost.receiver.api.views import ViewsController
from gatepost.receiver.api.why import WhyController

__all__ = ["CONTROLLERS", "OPEN_CONTROLLERS"]

CONTROLLERS = (
    RecordsController,
    AlarmsController,
    ExportsController,
    TerminalsController,
    ChosenTerminalsController,
    WhyController,
    SitesController,
    PeopleController,
    MarksController,
    JoinsController,
    InsideController,
    GroupsController,
    ErasureController,
    AttendanceController,
    StaffController,
    SchedulesController,
    HolidaysController,
    AssignmentsController,
    CorrectionsController,
    StatisticsController,
    QuarantineController,
    RefusalsController,
    StatsController,
    ReceiversController,
    NoticesController,
    RetentionController,
    SettingsController,
    SystemController,
    DestinationsController,
    FleetController,
    FleetHistoryController,
    FindingController,
    LiveController,
    ViewsController,
    SessionController,
    AccountsController,
    TokensController,
    AuditController,
)
"""Each of their routes says the role that it needs; see :mod:`gatepost.receiver.api.authorization`."""

OPEN_CONTROLLERS = (MetricsController, ImageLinksController)
"""What anyone may ask, or decides by itself who may."""

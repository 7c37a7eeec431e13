"""The receiver's HTTP API: one file a resource.

``events/``           records, alarms, images, quarantine, refusals, live stream and counts
``exports/``          what lists show, as a file
``terminals/``        terminals, several of them at once, and sites
``people/``           people, attendance, schedules and corrections
``access/``           who may call, accounts, sessions and saved filters
``operation/``        metrics, system, settings, retention, receivers and notices
``destinations/``     where events are forwarded to
``fleet``             managed terminals; ``fleet_history``, ``finding`` and ``why`` go with it
``application``       all routes, as one application
``parameters``        refuses unknown query parameters
``problem_details``   errors as ``application/problem+json``
``shapes``            what resources share: times, lists and reads of the store
``streaming``         responses that are made while they are sent
``versions``          changes that are made to what their sender saw: ``ETag`` and ``If-Match``

Rules:

* A resource is a Litestar controller that reads the store through one method and shapes what it answers with a
  ``Struct`` of its own: what stands in the store and what is told to the outside change independently.
* Lists answer ``{"items": […], "next_cursor": str | null}``. A cursor is opaque, and stays valid while events
  arrive: it names a place in the order, not a number of rows.
* Times are ISO 8601 in UTC, both ways; Unix seconds are understood too.
* A wrong parameter is a 400 that names it. Nothing that a client sends makes a 500.

Who may call what is said by each route and decided in :mod:`gatepost.receiver.api.access.authorization`.
"""

from gatepost.receiver.api.access.accounts import AccountsController, AuditController, TokensController
from gatepost.receiver.api.access.session import SessionController
from gatepost.receiver.api.access.views import ViewsController
from gatepost.receiver.api.destinations.controller import DestinationsController
from gatepost.receiver.api.destinations.image_links import ImageLinksController
from gatepost.receiver.api.events.alarms import AlarmsController
from gatepost.receiver.api.events.counters import StatsController
from gatepost.receiver.api.events.live import LiveController
from gatepost.receiver.api.events.quarantine import QuarantineController
from gatepost.receiver.api.events.records import RecordsController
from gatepost.receiver.api.events.refusals import RefusalsController
from gatepost.receiver.api.events.statistics import StatisticsController
from gatepost.receiver.api.exports.controller import ExportsController
from gatepost.receiver.api.finding import FindingController
from gatepost.receiver.api.fleet import FleetController
from gatepost.receiver.api.fleet_history import FleetHistoryController
from gatepost.receiver.api.operation.metrics import MetricsController
from gatepost.receiver.api.operation.notices import NoticesController
from gatepost.receiver.api.operation.receivers import ReceiversController
from gatepost.receiver.api.operation.retention import RetentionController
from gatepost.receiver.api.operation.settings import SettingsController
from gatepost.receiver.api.operation.system import SystemController
from gatepost.receiver.api.people.assignments import AssignmentsController
from gatepost.receiver.api.people.attendance import AttendanceController
from gatepost.receiver.api.people.corrections import CorrectionsController
from gatepost.receiver.api.people.erasure import ErasureController
from gatepost.receiver.api.people.inside import InsideController
from gatepost.receiver.api.people.joins import JoinsController
from gatepost.receiver.api.people.marks import MarksController
from gatepost.receiver.api.people.people import GroupsController, PeopleController
from gatepost.receiver.api.people.schedules import HolidaysController, SchedulesController
from gatepost.receiver.api.people.staff import StaffController
from gatepost.receiver.api.terminals.chosen import ChosenTerminalsController
from gatepost.receiver.api.terminals.controller import TerminalsController
from gatepost.receiver.api.terminals.sites import SitesController
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
"""Each of their routes says the role that it needs; see :mod:`gatepost.receiver.api.access.authorization`."""

OPEN_CONTROLLERS = (MetricsController, ImageLinksController)
"""What anyone may ask, or decides by itself who may."""

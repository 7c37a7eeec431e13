"""Shape what a store returns as the values of :mod:`gatepost.items`, for replies and for what is passed on."""

from collections.abc import Iterable

from gatepost.items import PersonItem, ProblemItem, RecordItem, StepItem
from gatepost.store.interface import AlarmStep, PersonRow, RecordRow
from gatepost.wire import Problem

__all__ = ["problem_items", "record_item", "step_item"]


def record_item(
    row: RecordRow, person_id: str, *, image: str | None, original: str | None = None
) -> RecordItem:
    """Shape a record. ``person_id``: of whom it is about, if of anyone."""
    return RecordItem(
        id=row.id,
        terminal=row.serial,
        terminal_id=row.terminal_id,
        terminal_name=row.terminal_name,
        site_id=row.site_id,
        site=row.site,
        timezone=row.timezone,
        uuid=row.uuid,
        recorded_at=row.recorded_at,
        listed_at=row.at,
        received_at=row.received_at,
        recognition_type=row.recognition_type,
        passed=row.passed,
        entry_mode=row.entry_mode,
        abnormal_type=row.abnormal_type,
        score=row.score,
        temperature=row.temperature,
        mask=row.mask,
        mode=row.mode,
        person=None if row.person is None else _person_item(row.person, person_id),
        image=image,
        dialect=row.dialect,
        backfilled=row.backfilled,
        problems=problem_items(row.problems),
        original=original,
    )


def step_item(step: AlarmStep, *, image: str | None, original: str | None = None) -> StepItem:
    """Shape a step of an alarm."""
    return StepItem(
        id=step.id,
        status=step.status,
        code=step.code,
        at=step.at,
        listed_at=step.listed_at,
        received_at=step.received_at,
        description=step.description,
        user_id=step.user_id,
        image=image,
        problems=problem_items(step.problems),
        original=original,
    )


def problem_items(found: Iterable[Problem]) -> list[ProblemItem]:
    """Shape what was wrong with an event."""
    return [ProblemItem(problem.where, problem.why) for problem in found]


def _person_item(person: PersonRow, person_id: str) -> PersonItem:
    return PersonItem(
        id=person_id,
        user_id=person.user_id,
        name=person.name,
        type=person.type,
        job_number=person.job_number,
        ic_number=person.ic_number,
        id_number=person.id_number,
        remark=person.remark,
        guest_from=person.guest_from,
        guest_until=person.guest_until,
        groups=list(person.groups),
    )

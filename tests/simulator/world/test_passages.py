from datetime import timedelta

import msgspec
import pytest

from gatepost.simulator.world.passages import Door, Moment, alarm, passage
from gatepost.simulator.world.people import Site, make_site
from gatepost.simulator.world.scenario import DEFAULT_DAY as DAY
from gatepost.wire import Alarm, Dialect, Record
from gatepost.wire.codes import (
    AbnormalType,
    AlarmCode,
    AlarmStatus,
    EntryMode,
    RecognitionType,
    VerificationMode,
)

DOOR = Door(
    index=0,
    serial="SIM1",
    model="SensePass X",
    place="lobby",
    firmware=Dialect.V1_3_0,
    mode=VerificationMode.FACE_OR_CARD_OR_QR_OR_PIN,
    checks_masks=True,
    measures_temperature=True,
)


@pytest.fixture(scope="module")
def site() -> Site:
    return make_site(1, employees=20)


def records(site: Site, door: Door, count: int, *, hour: float = 10.0, image: bool = False) -> list[Record]:
    at = DAY + timedelta(hours=hour)
    return [passage(Moment(1, DAY, at, number), site, door, image=image) for number in range(count)]


def test_a_passage_depends_on_seed_door_and_number_only(site: Site) -> None:
    forward = records(site, DOOR, 5, image=True)
    at = DAY + timedelta(hours=10)
    backward = [passage(Moment(1, DAY, at, number), site, DOOR) for number in reversed(range(5))]
    assert forward == backward[::-1]


def test_every_passage_has_an_identifier_and_a_picture_of_its_own(site: Site) -> None:
    found = records(site, DOOR, 60, image=True)
    pictures = [record.image for record in found if record.image]
    assert len({record.uuid for record in found}) == 60
    assert len(set(pictures)) == len(pictures) > 40


def test_only_those_who_may_pass_and_did_nothing_wrong_pass(site: Site) -> None:
    for record in records(site, DOOR, 2000):
        known = record.recognition_type in (RecognitionType.EMPLOYEE, RecognitionType.VISITOR)
        if record.entry_mode != EntryMode.BUTTON:
            assert record.passed == (known and record.abnormal_type == AbnormalType.NONE)


def test_every_kind_of_person_turns_up(site: Site) -> None:
    kinds = {record.recognition_type for record in records(site, DOOR, 3000)}
    assert kinds == {0, *(int(kind) for kind in RecognitionType)}


def test_what_a_door_cannot_do_does_not_appear(site: Site) -> None:
    plain = msgspec.structs.replace(
        DOOR, mode=VerificationMode.FACE, checks_masks=False, measures_temperature=False
    )
    found = records(site, plain, 800)
    assert {record.mask for record in found} == {0}
    assert {record.temperature for record in found} == {0.0}
    assert {record.entry_mode for record in found} == {EntryMode.FACE, EntryMode.BUTTON}


def test_temperatures_and_scores_are_plausible_and_fever_keeps_out(site: Site) -> None:
    found = [record for record in records(site, DOOR, 4000) if record.entry_mode != EntryMode.BUTTON]
    assert all(35 <= (record.temperature or 0) < 40 for record in found)
    assert all(0 <= (record.score or 0) <= 1 for record in found)
    fever = [record for record in found if (record.temperature or 0) >= 37.3]
    assert fever
    assert not any(record.passed for record in fever)


def test_a_visitor_outside_the_visiting_hours_is_turned_away(site: Site) -> None:
    late = [record for record in records(site, DOOR, 2000, hour=22.5) if record.recognition_type == 2]
    assert late
    assert {record.abnormal_type for record in late} == {AbnormalType.VISITOR_EXPIRED}


def test_a_clock_that_is_wrong_shows_in_the_time_only(site: Site) -> None:
    wrong = msgspec.structs.replace(DOOR, clock_error=timedelta(hours=-8))
    right_record, wrong_record = records(site, DOOR, 1)[0], records(site, wrong, 1)[0]
    assert right_record.recorded_at is not None
    assert wrong_record == msgspec.structs.replace(
        right_record, recorded_at=right_record.recorded_at - timedelta(hours=8)
    )


def test_a_door_without_uuid_never_sends_one(site: Site) -> None:
    silent = msgspec.structs.replace(DOOR, defect="no uuid")
    assert {record.uuid for record in records(site, silent, 200)} == {None}


def test_a_broken_camera_sends_cut_pictures_and_no_pictures_and_good_ones(site: Site) -> None:
    broken = msgspec.structs.replace(DOOR, defect="broken image")
    pictures = [record.image for record in records(site, broken, 60, image=True) if record.image]
    assert any(not picture.startswith(b"\xff\xd8") for picture in pictures)
    assert any(picture.startswith(b"\xff\xd8") and not picture.endswith(b"\xff\xd9") for picture in pictures)
    assert any(picture.startswith(b"\xff\xd8") and picture.endswith(b"\xff\xd9") for picture in pictures)


def test_the_steps_of_an_alarm_share_its_trace_and_person(site: Site) -> None:
    began = DAY + timedelta(hours=9, milliseconds=7)
    steps: list[Alarm] = [
        alarm(
            Moment(1, DAY, began + timedelta(minutes=minutes), 0),
            site,
            DOOR,
            life=(AlarmCode.FIRE, status, began),
        )
        for minutes, status in (
            (0, AlarmStatus.OCCURRED),
            (2, AlarmStatus.CLEAR_FAILED),
            (5, AlarmStatus.CLEARED),
        )
    ]
    assert len({(step.trace_id, step.code, step.user_id, step.description) for step in steps}) == 1
    assert [step.status for step in steps] == [1, 2, 3]
    assert [step.event_time for step in steps] == [
        began + timedelta(minutes=minutes) for minutes in (0, 2, 5)
    ]

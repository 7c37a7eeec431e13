"""What an event has in the shapes in which it is passed on."""

from gatepost.forward.shapes.flat import Flat
from gatepost.items import PersonItem, RecordItem

CALLED = {"listed_at": "time", "type": "person_type", "person": "person_id"}
"""What has another name on one level."""

LEFT_OUT = {"recorded_at", "dialect", "original", "remark", "guest_from", "guest_until"}
"""What the other shapes have, and a spreadsheet has no use for."""


def test_one_level_has_what_a_record_and_its_person_have() -> None:
    fields = {*RecordItem.__struct_fields__, *PersonItem.__struct_fields__} - LEFT_OUT
    assert {CALLED.get(name, name) for name in fields} <= set(Flat.__struct_fields__)

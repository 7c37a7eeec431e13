"""Messages as published and as fleets send them, and strategies that make any valid event."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from gatepost.wire import Alarm, Group, Record, User

JPEG = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 4 + b"\xff\xd9"
JPEG_TEXT = base64.b64encode(JPEG).decode()

PAGE_RECORD: dict[str, Any] = {
    "type": 0,
    "data": {
        "deviceSN": "PSC700C0MC22F02542",
        "recognitionType": 1,
        "entry_mode": 1,
        "abnormal_type": 0,
        "uuid": "4d3987c1-a3b3-470b-9fb7-e114772c069c",
        "recognizeScore": 0.9302213788032532,
        "mask": 0,
        "mode": 3,
        "rgb_image": " ",
        "bodyTemperature": 0.0,
        "pass": True,
        "timestamp": 1685343715,
        "user": {
            "name": "王五",
            "ic_number": "12345",
            "id_number": "",
            "job_number": "23385",
            "pin": "",
            "user_id": "5",
            "remark": "",
            "guest_time_start": 0,
            "guest_time_end": 0,
            "type": 1,
            "groups": [{"id": "3", "name": "测试3"}, {"id": "4", "name": "测试4"}],
        },
    },
}
"""The record that the protocol page shows."""

PAGE_ALARM = b"""{
    "type":1,
    "data":{
        "trace_id":"SPX-1684381418208-004-3Adb4v",
        "description":" ",
        "code":10001,
        "event_time":1684381433398,
        "status":1,
        "alarm_photo":" ",
    }
}"""
"""The alarm that the protocol page shows, with its trailing comma."""


def record_body(changes: dict[str, Any] | None = None, **user: Any) -> bytes:
    """The page's record with fields of ``data`` and of ``user`` changed; ``...`` removes one."""
    data = {**PAGE_RECORD["data"], **(changes or {})}
    if user:
        data["user"] = {**PAGE_RECORD["data"]["user"], **user}
        data["user"] = {name: value for name, value in data["user"].items() if value is not ...}
    return json.dumps({"type": 0, "data": {n: v for n, v in data.items() if v is not ...}}).encode()


# JSON carries no lone surrogates.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
codes = st.one_of(st.integers(0, 12), st.integers(-(1 << 63), (1 << 63) - 1))
moments = st.integers(0, 4102444800000).map(
    lambda ms: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
)
later = moments.map(lambda moment: max(moment, datetime(1973, 6, 1, tzinfo=UTC)))
"""Times whose milliseconds cannot be taken for seconds."""
floats = st.floats(allow_nan=False, allow_infinity=False)
leaves = st.one_of(st.none(), st.booleans(), st.integers(), floats, texts)
json_values = st.recursive(
    leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=12,
)
extras = st.dictionaries(texts.map(lambda name: f"x_{name}"), json_values, max_size=3)
images = st.one_of(st.none(), st.binary(max_size=200).map(lambda tail: b"\xff\xd8\xff" + tail))

groups = st.builds(Group, id=texts, name=texts, extra=extras)
users = st.builds(
    User,
    user_id=texts,
    name=texts,
    type=st.one_of(st.none(), codes),
    job_number=texts,
    ic_number=texts,
    id_number=texts,
    guest_from=st.one_of(st.none(), later),
    guest_until=st.one_of(st.none(), later),
    remark=texts,
    pin=texts,
    groups=st.lists(groups, max_size=3).map(tuple),
    extra=extras,
)
records = st.builds(
    Record,
    serial=st.one_of(st.none(), texts),
    uuid=st.one_of(st.none(), st.uuids().map(str), texts.map(str.strip).map(lambda text: text or None)),
    recorded_at=st.one_of(st.none(), moments.map(lambda moment: moment.replace(microsecond=0))),
    recognition_type=st.one_of(st.none(), codes),
    passed=st.one_of(st.none(), st.booleans()),
    entry_mode=st.one_of(st.none(), codes),
    abnormal_type=codes,
    score=st.one_of(st.none(), floats),
    temperature=st.one_of(st.none(), floats),
    mask=st.one_of(st.none(), codes),
    mode=st.one_of(st.none(), codes),
    image=images,
    user=st.one_of(st.none(), users),
    extra=extras,
    outer=extras,
)
alarms = st.builds(
    Alarm,
    trace_id=texts.map(lambda text: f"t{text}"),
    status=codes,
    event_time=later,
    code=st.one_of(st.none(), codes),
    description=st.one_of(st.none(), texts),
    user_id=st.one_of(st.none(), codes),
    image=images,
    extra=extras,
    outer=extras,
)

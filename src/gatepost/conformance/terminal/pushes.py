"""Rules for terminals: what they push."""

from typing import Any

import pybase64

from gatepost.conformance.acknowledgement import reply_of
from gatepost.conformance.rule import (
    GUIDE,
    PAGE_PUSH,
    PAGE_SET,
    Finding,
    NotTried,
    failed,
    passed,
    rule,
    warned,
)
from gatepost.conformance.terminal.fake_receiver import ReceivedPush
from gatepost.conformance.terminal.session import TerminalSession

__all__ = [
    "delivered",
    "headers",
    "history",
    "image",
    "request",
    "seen",
    "shape",
]

NUMBER = (int, float)
RECORD: dict[str, tuple[type, ...]] = {
    "deviceSN": (str,),
    "recognitionType": (int,),
    "uuid": (str,),
    "recognizeScore": NUMBER,
    "mask": (int,),
    "mode": (int,),
    "rgb_image": (str,),
    "pass": (bool,),
    "timestamp": (int,),
    "bodyTemperature": NUMBER,
    "entry_mode": (int,),
    "abnormal_type": (int,),
    "user": (dict,),
}
USER: dict[str, tuple[type, ...]] = {
    "name": (str,),
    "user_id": (str,),
    "type": (int,),
    "ic_number": (str,),
    "job_number": (str,),
    "id_number": (str,),
    "guest_time_start": (int,),
    "guest_time_end": (int,),
    "remark": (str,),
    "pin": (str,),
    "groups": (list,),
}
ALARM: dict[str, tuple[type, ...]] = {
    "trace_id": (str,),
    "description": (str,),
    "code": (int,),
    "user_id": (int,),
    "event_time": (int,),
    "status": (int,),
    "alarm_photo": (str,),
}


@rule(
    "delivered",
    en="Events are pushed to the address that was set",
    zh="事件推送到所设置的地址",
    source=PAGE_SET,
    text="event_dest 指定事件接收的地址，采用restful回调模式",
    core=True,
)
async def delivered(session: TerminalSession) -> Finding:
    """Subscribe, cause an event, and wait for it.

    Pass: it arrives. Fail: `--cause` made one happen, and nothing arrives in time (`--patience`). Not tried: it is not
    known whether a passage happened.
    """
    before = session.caused
    try:
        push = await session.event()
    except NotTried as error:
        if session.certain and session.caused > before:
            return failed(error.words.en, error.words.zh)
        raise
    return passed(
        f"type {(push.event or {}).get('type')!r} arrived",
        f"收到 type {(push.event or {}).get('type')!r} 的事件",
    )


@rule(
    "push-request",
    en="A push is a POST of JSON to the path that was set",
    zh="以 POST 方式推送 JSON 到所设置的路径",
    source=PAGE_PUSH + " › 接收方式",
    text="POST application/json",
)
async def request(session: TerminalSession) -> Finding:
    """Look at the requests of the pushes.

    Pass: the method is POST, the path is that of `event_dest`, the Content-Type is application/json, and the body is
    one JSON object. Warning: only the Content-Type is different or missing. Fail: another of these is different.
    """
    for push in await seen(session):
        path = "/" + session.event_dest.split("/", 3)[3]
        if (push.method, push.path) != ("POST", path):
            return failed(f"{push.method} {push.path}", f"{push.method} {push.path}")
        if push.event is None:
            return failed("the body is no JSON object", "请求体不是 JSON 对象")
    kinds = {
        push.header("content-type").partition(";")[0].strip().lower() for push in session.receiver.arrived
    }
    if kinds != {"application/json"}:
        return warned(
            f"Content-Type: {', '.join(sorted(kinds))}", f"Content-Type：{', '.join(sorted(kinds))}"
        )
    return passed("POST, application/json, a JSON object", "POST，application/json，JSON 对象")


@rule(
    "push-shape",
    en="Fields have the types of the page's tables",
    zh="字段类型与文档表格一致",
    source=PAGE_PUSH,
    text="记录事件字段属性；设备告警事件对象",
)
async def shape(session: TerminalSession) -> Finding:
    """Look at `type` and `data` of every event.

    Pass: every known field has its type, records have `deviceSN`, `uuid` and `timestamp`, and alarms have their
    required fields. Warning: a record lacks one of the three (older firmware), an identifier is an integer, or a
    stranger's name is null. Fail: a field has another type, or an alarm lacks a required field.
    """
    wrong: list[str] = []
    old: list[str] = []
    for push in await seen(session):
        event = push.event or {}
        data = event.get("data")
        if (
            event.get("type") not in (0, 1)
            or isinstance(event.get("type"), bool)
            or not isinstance(data, dict)
        ):
            return failed("`type` must be 0 or 1, and `data` an object", "type 应为 0 或 1，data 应为对象")
        if event["type"] == 1:
            _types(data, ALARM, "", wrong, old)
            required = ["trace_id", "event_time", "status"] + (["code"] if data.get("status") == 1 else [])
            wrong += [f"{name} is missing" for name in required if name not in data]
            if isinstance(data.get("event_time"), int) and data["event_time"] < 10**12:
                wrong.append("event_time is not in milliseconds (13 digits)")
            continue
        _types(data, RECORD, "", wrong, old)
        if isinstance(data.get("user"), dict):
            _types(data["user"], USER, "user.", wrong, old)
        old += [f"{name} is missing" for name in ("deviceSN", "uuid", "timestamp") if name not in data]
    if wrong:
        return failed(_few(wrong), _few(wrong))
    if old:
        return warned(_few(old), _few(old))
    return passed(
        f"{len(session.receiver.names())} events as the tables have them",
        f"{len(session.receiver.names())} 条事件均符合表格",
    )


@rule(
    "push-image",
    en="Portraits are JPEG in base64",
    zh="图片为 Base64 编码的 JPEG",
    source=PAGE_PUSH,
    text="rgb_image Base64 后的jpeg格式的人脸抓拍图；alarm_photo BASE64",
)
async def image(session: TerminalSession) -> Finding:
    """Look at the image of every event.

    Pass: each is the base64 of a JPEG, empty, or absent. Fail: one is something else. Not tried: no event had an image.
    """
    found = 0
    for push in await seen(session):
        text = push.data.get("rgb_image", push.data.get("alarm_photo", ""))
        if not isinstance(text, str):
            return failed(f"an image is a {type(text).__name__}", f"图片字段类型为 {type(text).__name__}")
        if not text.strip():
            continue
        try:
            if pybase64.b64decode(text, validate=True)[:2] != b"\xff\xd8":
                return failed("an image is no JPEG", "图片不是 JPEG")
        except ValueError:
            return failed("an image is no base64", "图片不是 Base64")
        found += 1
    if not found:
        raise NotTried(
            "no event had an image; cause one that has, such as somebody before the camera",
            "没有事件带图片；请产生带图片的事件，例如有人经过摄像头",
        )
    return passed(f"{found} images", f"{found} 张图片")


@rule(
    "push-headers",
    en="Pushes tell who the terminal is",
    zh="推送请求头标明终端身份",
    source=GUIDE,
    text="push requests carry the HTTP headers sn, model, timestamp, account (since 1.2.1)",
)
async def headers(session: TerminalSession) -> Finding:
    """Look at the headers of the pushes.

    Pass: each has `sn`, `model`, `timestamp` and `account`. Warning: one is missing. Without `sn`, an alarm does not
    tell which terminal it is from.
    """
    missing = {
        name
        for push in await seen(session)
        for name in ("sn", "model", "timestamp", "account")
        if name not in dict(push.headers)
    }
    if missing:
        return warned(f"missing: {', '.join(sorted(missing))}", f"缺少：{', '.join(sorted(missing))}")
    return passed("all four are there", "四项齐全")


@rule(
    "history",
    en="What the terminal remembers was pushed",
    zh="终端历史记录均已推送",
    source=GUIDE,
    text="POST /v1/event/records answers the passage history: begin_time, end_time, offset, limit, sort",
)
async def history(session: TerminalSession) -> Finding:
    """Ask for the passages since the first one that was pushed, and compare.

    Pass: each was pushed to this check. Warning: the terminal does not return its history, or returns it without
    `uuid`. Fail: the history has a passage that was never pushed. Not tried: no record was pushed.
    """
    times = [
        push.timestamp
        for push in await seen(session)
        if push.timestamp is not None and (push.event or {}).get("type") == 0
    ]
    if not times:
        raise NotTried("no record was pushed", "没有推送过识别记录")
    asked = {"begin_time": int(min(times)), "limit": 200, "sort": 0}
    reply = reply_of(await session.ask("POST", "/v1/event/records", asked)) or {}
    data = reply.get("data")
    items = data.get("items") if isinstance(data, dict) else None
    if reply.get("code") != 200 or not isinstance(items, list):
        return warned(f"no history: code {reply.get('code')!r}", f"无历史记录：code {reply.get('code')!r}")
    named = {f"uuid {item['uuid']}" for item in items if isinstance(item, dict) and item.get("uuid")}
    if not named:
        return warned("the history has no `uuid`", "历史记录没有 uuid")
    lost = named - session.receiver.names()
    if lost:
        return failed(
            f"{len(lost)} of {len(named)} were never pushed", f"{len(named)} 条中有 {len(lost)} 条从未推送"
        )
    return passed(f"{len(named)} remembered, all pushed", f"历史 {len(named)} 条，均已推送")


async def seen(session: TerminalSession) -> list[ReceivedPush]:
    """Return the pushes so far; if there are none, cause an event first. Raises NotTried if none comes."""
    if not session.receiver.arrived:
        await session.event()
    return session.receiver.arrived


def _types(
    value: dict[str, Any], table: dict[str, tuple[type, ...]], path: str, wrong: list[str], old: list[str]
) -> None:
    for name, kinds in table.items():
        if name not in value:
            continue
        item = value[name]
        if isinstance(item, kinds) and (bool in kinds or not isinstance(item, bool)):
            continue
        what = f"{path}{name} is {'null' if item is None else type(item).__name__}"
        lax = (item is None and name in ("name", "type")) or (type(item) is int and kinds == (str,))
        (old if lax else wrong).append(what)


def _few(words: list[str]) -> str:
    unique = sorted(set(words))
    return "; ".join(unique[:4]) + (f"; and {len(unique) - 4} more" if len(unique) > 4 else "")

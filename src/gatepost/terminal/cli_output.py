"""The output of ``status``, ``outbox``, ``dead-letters`` and ``export``.

Input is the result of a command: plain JSON values. No output has a name or an image, except that of ``write_lines``:
its file has whole events, and is readable by its owner only.
"""

import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from gatepost.cli_text import t
from gatepost.terminal.outbox.reader import Reader
from gatepost.terminal.outbox.types import ALARMS, State, Stored
from gatepost.wire import without_credentials

Status = Mapping[str, Any]


def status_lines(found: Status) -> list[str]:
    """Return the status, one line per figure."""
    running = t("running", "运行中") if found.get("running", True) else t("stopped", "已停止")
    rows = [(t("terminal", "终端"), f"{found.get('serial') or ''} {running}".strip()), *_subscription(found)]
    rows += [
        (t("accepted", "已接收"), _count(found["accepted"])),
        (t("delivered", "已送达"), _count(found["delivered"])),
        (t("pending", "待推送"), _count(found["pending"])),
        (t("dead letters", "死信"), _count(found["dead"])),
        (t("dropped", "已丢弃"), _count(found["dropped"])),
        (t("oldest pending", "最早待推送"), _age(found["oldest_pending_s"])),
        (t("last success", "最近成功"), _moment(found.get("last_success_at"))),
        (t("last error", "最近错误"), _error(found)),
    ]
    backoff = found.get("backoff_s")
    if backoff:
        rows.append((t("next attempt in", "下次尝试"), _age(backoff)))
    if found.get("storage_error"):
        rows.append((t("disk", "磁盘"), str(found["storage_error"])))
    elif found.get("history_shortened"):
        shortened = _count(found["history_shortened"])
        rows.append(
            (
                t("disk", "磁盘"),
                t(
                    f"full: {shortened} delivered records left early",
                    f"已满：提前清除 {shortened} 条已送达的记录",
                ),
            )
        )
    return _table(rows)


def outbox_lines(found: Status) -> list[str]:
    """Return the backlog, one line per figure, and the drops, one line per burst."""
    rows = [
        (t("pending", "待推送"), f"{_count(found['pending'])} / {_count(found['capacity'])}"),
        (t("  records", "  通行记录"), _count(found["pending_records"])),
        (t("  alarms", "  告警"), _count(found["pending_alarms"])),
        (t("in flight", "推送中"), _count(found["in_flight"])),
        (t("oldest pending", "最早待推送"), _age(found["oldest_pending_s"])),
        (t("bytes", "字节数"), _count(found["bytes"])),
        (t("bytes on disk", "磁盘占用"), _count(found["file_bytes"])),
        (t("bytes allowed", "字节上限"), _count(found["capacity_bytes"])),
        (t("dead letters", "死信"), _count(found["dead"])),
        (t("dropped", "已丢弃"), _count(found["dropped"])),
    ]
    kept, gone = found.get("set_aside", 0), found.get("set_aside_gone", 0)
    if kept or gone:
        size = _count(found["set_aside_bytes"])
        rows.append(
            (
                t("damage set aside", "另存的损坏数据"),
                t(
                    f"{_count(kept)} files damaged-*, {size} bytes; {_count(gone)} older ones deleted",
                    f"damaged-* 文件 {_count(kept)} 个，{size} 字节；已删除较早的 {_count(gone)} 个",
                ),
            )
        )
    return _table(rows) + [_drop(drop) for drop in found["drops"]]


def letter(stored: Stored) -> dict[str, object]:
    """Return a dead letter as plain values, without its event."""
    return {
        "id": stored.id,
        "type": 1 if stored.lane == ALARMS else 0,
        "accepted_at": stored.accepted_at,
        "dead_since": stored.settled_at,
        "attempts": stored.attempts,
        "refusals": stored.refusals,
        "bytes": len(stored.head) + len(stored.tail) + len(stored.image or b""),
        "reason": stored.reason,
    }


def letter_line(about: Mapping[str, Any]) -> str:
    """Return a dead letter as one line."""
    kind = t("alarm", "告警") if about["type"] == 1 else t("record", "记录")
    refusals = t(f"refused {about['refusals']} times", f"被拒绝 {about['refusals']} 次")
    return f"{about['id']:>8}  {_moment(about['accepted_at'])}  {kind}  {refusals}: {about['reason']}"


def write_lines(file: str, reader: Reader, states: Collection[State]) -> int:
    """Write the events of ``states`` to ``file`` (``-``: standard output), one push body per line; return how many.

    The file appears complete or not at all, and only its owner may read it. Memory does not grow with the number of
    events.
    """
    if file == "-":
        return _copy(reader, states, sys.stdout.buffer)
    target = Path(file)
    temporary = target.with_name(target.name + ".part")
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as out:
            count = _copy(reader, states, out)
            out.flush()
            os.fsync(out.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return count


def _copy(reader: Reader, states: Collection[State], out: IO[bytes]) -> int:
    count, after = 0, 0
    while events := reader.step(states, after):
        for event in events:
            out.write(event.body + b"\n")
        count += len(events)
        after = events[-1].id
    return count


def _subscription(found: Status) -> list[tuple[str, str]]:
    name = t("pushes to", "推送至")
    subscription = found.get("subscription")
    if not subscription:
        return [(name, t("nowhere yet: no subscription", "尚未订阅"))]
    paused = "" if subscription["enabled"] else t(" (disabled: only keeping)", "（已停用，仅缓存）")
    return [(name, (without_credentials(subscription["event_dest"]) or t("nowhere", "无")) + paused)]


def _drop(drop: Mapping[str, Any]) -> str:
    reasons: Mapping[str, Callable[[], str]] = {
        "capacity": lambda: t("the outbox was full", "缓存已满"),
        "capacity_bytes": lambda: t("over the byte budget", "超出字节上限"),
        "disk": lambda: t("the disk was full", "磁盘已满"),
        "damaged": lambda: t("its bytes on the disk were damaged", "磁盘上的数据已损坏"),
        "dead-letters": lambda: t("too many dead letters", "死信过多"),
        "discarded": lambda: t("discarded by a person", "人工放弃"),
    }
    reason = reasons.get(drop["reason"], lambda: str(drop["reason"]))()
    when = f"{_moment(drop['first_dropped_at'])} … {_moment(drop['last_dropped_at'])}"
    kind = t("alarms", "告警") if drop["lane"] == "alarms" else t("records", "记录")
    between = f"{drop['first_id']}–{drop['last_id']}"
    return t(
        f"dropped {drop['count']:,} {kind} ({between}), {when}: {reason}",
        f"丢弃 {drop['count']:,} 条{kind}（{between}），{when}：{reason}",
    )


def _error(found: Status) -> str:
    if not found.get("last_error"):
        return t("none", "无")
    return f"{_moment(found.get('last_error_at'))}  {found['last_error']}"


def _count(number: int) -> str:
    return f"{number:,}"


def _age(seconds: float | None) -> str:
    if seconds is None:
        return t("none", "无")
    whole = round(seconds)
    if whole < 120:
        return t(f"{whole} s", f"{whole} 秒")
    if whole < 7200:
        return t(f"{whole // 60} min", f"{whole // 60} 分钟")
    return t(f"{whole // 3600} h", f"{whole // 3600} 小时")


def _moment(at: float | None) -> str:
    """Return a moment in the time zone of this machine."""
    if at is None:
        return t("never", "从未")
    return datetime.fromtimestamp(at).astimezone().isoformat(sep=" ", timespec="seconds")


def _table(rows: Sequence[tuple[str, str]]) -> list[str]:
    wide = max(_width(name) for name, _ in rows)
    return [name + " " * (wide - _width(name) + 2) + value for name, value in rows]


def _width(text: str) -> int:
    """Count the columns of a text: Chinese characters take two."""
    return sum(2 if "\u2e80" <= letter <= "\uffef" else 1 for letter in text)

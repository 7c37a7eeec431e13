"""Write terminals for a person, one in a line."""

from __future__ import annotations

from gatepost.cli_text import t
from gatepost.client.commands.options import clock, line
from gatepost.items import TerminalItem

__all__ = ["terminal_line"]


def terminal_line(terminal: TerminalItem) -> str:
    """Return a terminal in one line, for a person."""
    states = {
        "new": t("new", "新"),
        "approved": t("approved", "已批准"),
        "held": t("held", "待批准"),
        "retired": t("retired", "已停用"),
    }
    presences = {
        "online": t("online", "在线"),
        "late": t("late", "上报延迟"),
        "offline": t("offline", "离线"),
        "never": t("never seen", "从未上线"),
    }
    words = [f"#{terminal.id}", terminal.serial or terminal.anonymous_peer or "-", terminal.name or "-"]
    words += [
        states[terminal.state],
        presences[terminal.presence],
        clock(terminal.last_seen, terminal.timezone),
    ]
    words.append(t(f"{terminal.records} records", f"{terminal.records} 条记录"))
    return line(words)

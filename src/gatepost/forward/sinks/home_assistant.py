"""Describe terminals to Home Assistant, by messages of its MQTT discovery. Pure.

A terminal has an ``event`` entity for passages, a ``sensor`` with the last person, and a ``binary_sensor`` per alarm
code that it reported. The configuration of an entity and the state of an alarm are retained; passages and persons are
not.

Schema: home-assistant.io, MQTT discovery, and the pages of the three integrations.
"""

from __future__ import annotations

import re
from typing import Any, Literal

import msgspec

from gatepost import __version__
from gatepost.store.interface import AlarmStepRow, RecordRow
from gatepost.wire import AlarmCode, AlarmStatus, RecognitionType, label

__all__ = ["EVENT_TYPES", "Discovery"]

EVENT_TYPES = ("passed", "refused", "stranger", "unknown")
"""Event types of passages."""

_MAX_STATE = 255
"""Characters that a state can have in Home Assistant."""

Message = tuple[str, bytes, bool]
"""Topic, payload, and whether it is retained."""

Component = Literal["event", "sensor", "binary_sensor"]


class Discovery:
    """Announces terminals, each when its first event is published."""

    def __init__(self, prefix: str) -> None:
        """``prefix``: the discovery prefix that is set in Home Assistant."""
        self._prefix = prefix.rstrip("/")
        self.status_topic = f"{self._prefix}/status"
        """The topic on which Home Assistant publishes ``online`` after its start."""
        self.known: dict[str, bytes] = {}
        """Every configuration that was made, by topic."""

    def messages(self, row: RecordRow | AlarmStepRow, announced: set[str]) -> list[Message]:
        """Return what to publish of an event, configurations that are not in ``announced`` first; add these to it."""
        if isinstance(row, AlarmStepRow):
            return self._of_alarm(row, announced)
        return self._of_passage(row, announced)

    def _of_passage(self, row: RecordRow, announced: set[str]) -> list[Message]:
        topic = self._topic(row, "passage")
        extra = {"event_types": list(EVENT_TYPES), "icon": "mdi:door"}
        found = self._config(row, "event", "passage", "Passage", topic, announced, extra)
        person = row.person
        said = {
            "event_type": _event_type(row),
            "id": row.id,
            "time": row.at.isoformat(),
            "name": None if person is None else person.name,
            "user_id": None if person is None else person.user_id,
        }
        found.append((topic, msgspec.json.encode(said), False))
        who = "" if person is None else person.name or person.user_id
        if who:
            topic = self._topic(row, "person")
            found += self._config(
                row, "sensor", "person", "Last person", topic, announced, {"icon": "mdi:account"}
            )
            found.append((topic, who[:_MAX_STATE].encode(), False))
        return found

    def _of_alarm(self, row: AlarmStepRow, announced: set[str]) -> list[Message]:
        code = row.step.code
        name = f"alarm_{'unknown' if code is None else code}"
        topic = self._topic(row, name)
        words = label(AlarmCode, code) or "alarm"
        found = self._config(
            row, "binary_sensor", name, words.capitalize(), topic, announced, {"device_class": "problem"}
        )
        is_over = row.step.status == AlarmStatus.CLEARED
        found.append((topic, b"OFF" if is_over else b"ON", True))
        return found

    def _config(
        self,
        row: RecordRow | AlarmStepRow,
        component: Component,
        entity: str,
        name: str,
        state_topic: str,
        announced: set[str],
        extra: dict[str, Any],
    ) -> list[Message]:
        node = _node(row)
        topic = f"{self._prefix}/{component}/{node}/{entity}/config"
        values = {
            "name": name,
            "unique_id": f"{node}_{entity}",
            "state_topic": state_topic,
            "device": {
                "identifiers": [node],
                "name": row.terminal_name or row.serial or f"terminal {row.terminal_id}",
                "suggested_area": row.site,
                **({} if row.serial is None else {"serial_number": row.serial}),
            },
            "origin": {"name": "gatepost", "sw_version": __version__},
            **extra,
        }
        payload = msgspec.json.encode(values)
        if topic in announced and self.known.get(topic) == payload:
            return []
        announced.add(topic)
        self.known[topic] = payload
        return [(topic, payload, True)]

    def _topic(self, row: RecordRow | AlarmStepRow, what: str) -> str:
        return f"gatepost/home_assistant/{_node(row)}/{what}"


def _node(row: RecordRow | AlarmStepRow) -> str:
    """Return the id of a terminal in a topic of the discovery: ``[a-zA-Z0-9_-]``."""
    return "gatepost_" + re.sub(r"[^A-Za-z0-9_-]", "_", row.serial or f"terminal-{row.terminal_id}")


def _event_type(row: RecordRow) -> str:
    if row.recognition_type == RecognitionType.STRANGER:
        return "stranger"
    if row.passed is None:
        return "unknown"
    return "passed" if row.passed else "refused"

"""Periods that are asked for often: today, the last 24 hours, the last 7 days."""

from __future__ import annotations

from datetime import datetime, timedelta

from gatepost.console.desk import View

__all__ = ["since_of", "starts"]


def starts(view: View, zone: str) -> dict[str, str]:
    """Return when each period begins by the clocks of ``zone``, as an address has it."""
    today = view.show.today(zone)
    now = view.show.local(view.show.now, zone)
    midnight = datetime(today.year, today.month, today.day)  # noqa: DTZ001 - of the zone that the filter means
    found = {
        "today": midnight,
        "day": (now - timedelta(days=1)).replace(tzinfo=None, minute=0, second=0),
        "week": midnight - timedelta(days=6),
    }
    return {name: f"{since:%Y-%m-%dT%H:%M}" for name, since in found.items()}


def since_of(view: View, period: str, site: str | None) -> str:
    """Return when a period begins by the clocks of a site, or of the first one."""
    zones = {str(row.id): row.timezone for row in view.store.sites()} if site else {}
    return starts(view, zones.get(site or "", view.show.zone))[period]

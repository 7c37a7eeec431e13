"""Define what the API says of saved views."""

from datetime import datetime

from msgspec import Struct

__all__ = ["ViewItem"]


class ViewItem(Struct, frozen=True, kw_only=True):
    """Hold the filters of a page, saved under a name."""

    id: int
    page: str
    """``live``, ``records``, ``alarms``, ``people``, ``attendance``, ``statistics``, ``terminals``, ``quarantine`` or
    ``audit``."""
    name: str
    filters: dict[str, str]
    """As the address of the page has them."""
    shared: bool
    """Every user sees it whose rights allow; otherwise its owner alone."""
    start: bool
    """The page begins with it, for the user who asks."""
    may_change: bool
    made_by: str
    made_at: datetime
    link: str
    """Its address in the console, without host."""

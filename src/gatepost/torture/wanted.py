"""Tell what has to have happened in a run at least: each kind of fault once, and what follows from it. Pure."""

from collections.abc import Sequence

from gatepost.torture.fault_plan import DESTINATION, LINE, PROCESSES, STATE, Kind

__all__ = ["wanted"]

FULL = ("ENOSPC", f"met {Kind.TERMINAL_DISK_FULL}", f"met {Kind.RECEIVER_DISK_FULL}")
"""What real disks that are full bring about: the error, and events refused at either end."""
READ_ONLY = ("EROFS", "refused to start", "started read-only")
"""And those that are read-only: the error, a receiver that did not start and a terminal that did."""


def wanted(tracks: Sequence[tuple[Kind, ...]], *, real: bool = False) -> dict[str, int]:
    """Return how often each thing has to have happened at least. ``real``: real disks."""
    least = {str(kind): 1 for track in tracks for kind in track}
    least.update({"pushes": 100, "audits": 5})
    if LINE in tracks:
        least.update({"resends": 5, "duplicates recognised": 1})
        least.update({f"met {kind}": 1 for kind in LINE})
    least["audits of the destination"] = 5
    if DESTINATION in tracks:
        least.update({f"met {kind}": 1 for kind in DESTINATION if kind is not Kind.DESTINATION_REFUSE})
    if PROCESSES in tracks:
        least["interruptions"] = 1
    if STATE in tracks:
        least["refused outbox-unavailable"] = 1
    if STATE in tracks and real:
        least.update(dict.fromkeys(FULL, 1))
    if PROCESSES in tracks and real:
        least.update(dict.fromkeys(READ_ONLY, 1))
    return least

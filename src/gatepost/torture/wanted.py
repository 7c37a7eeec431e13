"""Tell what has to happen in a run at least: each kind of fault once, and what follows from it. Pure."""

from collections.abc import Sequence

from gatepost.torture.fault_plan import DESTINATION, LINE, PROCESSES, STATE, Kind

__all__ = ["wanted"]

FULL = ("ENOSPC", f"met {Kind.TERMINAL_DISK_FULL}", f"met {Kind.RECEIVER_DISK_FULL}")
"""What full real disks cause: the error, and refused events at either end."""
READ_ONLY = ("EROFS", "refused to start", "started read-only")
"""What read-only real disks cause: the error, a receiver that did not start and a terminal that did."""


def wanted(tracks: Sequence[tuple[Kind, ...]], *, real: bool = False) -> dict[str, int]:
    """Return how often each thing has to happen at least. ``real``: with real disks."""
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

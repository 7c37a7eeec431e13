"""Hand memory back to the system that a process has let go of."""

from __future__ import annotations

import contextlib
import ctypes
import gc

__all__ = ["hand_back"]


def hand_back() -> None:
    """Free what only points at itself, and return unused memory to the system. Blocks for some milliseconds."""
    gc.collect()
    # glibc has it; others give back by themselves, or do not.
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)

"""Tell of which commit this program is."""

import subprocess
from contextlib import suppress
from pathlib import Path

__all__ = ["commit"]


def commit(package: Path = Path(__file__).parent) -> str:
    """Return the commit that is checked out around the package, or of which it was built; empty if none is known."""
    if (package.parent.parent / ".git").exists():
        command = ["git", "-C", str(package), "rev-parse", "--short=10", "HEAD"]
        with suppress(OSError, subprocess.SubprocessError):
            done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=5)  # noqa: S603 - fixed arguments
            return done.stdout.strip()
    with suppress(OSError):
        return (package / "commit.txt").read_text(encoding="utf-8").strip()
    return ""

"""What every benchmark is handed: how long, how often, where."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


def _print(line: str) -> None:
    print(line, flush=True)


@dataclass(frozen=True, kw_only=True)
class Bench:
    """One invocation. `seconds` a run, `rounds` in which the peer and ours take turns, `scale` for sizes (1 = full)."""

    root: Path
    seconds: float = 5.0
    rounds: int = 3
    scale: float = 1.0
    say: Callable[[str], None] = field(default=_print)

    def folder(self, name: str) -> Path:
        """An own folder under the invocation's, made if needed."""
        path = self.root / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def sized(self, count: int) -> int:
        """`count` at the scale of this invocation, at least 1."""
        return max(1, round(count * self.scale))

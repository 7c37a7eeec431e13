"""The pages made from the settings: the reference, and the commented example file.

``python -m gatepost.settings.pages`` writes ``docs/reference/settings.md`` and ``deploy/gatepost.toml``, below the
current folder. Tests compare both with :func:`gatepost.settings.described`.
"""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from textwrap import wrap
from typing import Any

import msgspec
from msgspec import Struct

from gatepost.settings import (
    CHANGEABLE,
    PREFIX,
    ReceiverSettings,
    TerminalServiceSettings,
    TerminalSettings,
    described,
)

__all__ = ["PAGES", "example", "reference", "toml_value"]

_WIDTH = 110


def toml_value(value: Any) -> str:
    """Return a value as TOML; nothing for ``None``, which TOML does not have."""
    return "" if value is None else msgspec.json.encode(value).decode()


def _default(setting: Mapping[str, Any]) -> str:
    return toml_value(setting["default"]) if setting["default"] is not None else "not set"


def example() -> str:
    """Return a settings file for the receiver with every setting explained and none set."""
    lines = [
        "# gatepost: the receiver's settings, each with its default.",
        "#",
        "#   gatepost serve --data DIR --config gatepost.toml",
        "#",
        f"# The same names in the environment are upper case and begin with {PREFIX}; lists there have commas.",
        "# The command line wins over the environment, the environment over this file, and this file over what is",
        "# changed in the console. What is set in this file is locked there.",
    ]
    for setting in described(ReceiverSettings):
        unit = f" In {setting['unit']}." if setting["unit"] else ""
        secret = f" A secret: better {PREFIX}{setting['name'].upper()}." if setting["secret"] else ""
        lines += ["", *(f"# {line}" for line in wrap(setting["help"] + unit + secret, _WIDTH))]
        value = toml_value(setting["default"]) or '""'
        lines.append(f"# {setting['name']} = {value}")
    return "\n".join(lines) + "\n"


def reference() -> str:
    """Return the reference page of all settings."""
    return "\n".join(_reference()) + "\n"


def _reference() -> Iterator[str]:
    yield "# Settings"
    yield ""
    yield "<!-- Drawn from gatepost.settings by `python -m gatepost.settings.pages`; what is changed here is lost. -->"
    yield ""
    yield (
        "In a TOML file (`--config gatepost.toml`) under their names; in the environment in upper case, beginning"
        f" with `{PREFIX}`, lists with commas; on the command line, where there is an option, with dashes. The command"
        " line wins over the environment, the environment over the file, the file over what was changed in the console"
        " or with `PATCH /api/v1/settings`, and that over the default. A change is stored in the database and takes"
        " effect at every receiver of it within seconds, without a restart; settings that can be changed so say it"
        " below. What the command line, the environment or the file sets is locked there, and shown with its place."
        " What does not fit is said at start, with the"
        " name of the setting. `gatepost config show` prints what is in force, `gatepost config example` a file with"
        " everything in it."
    )
    kinds: tuple[tuple[str, str, type[Struct]], ...] = (
        ("Receiver", "`gatepost serve`.", ReceiverSettings),
        (
            "Terminal",
            "`gatepost terminal run`, and keyword arguments of `gatepost.terminal.Terminal`.",
            TerminalSettings,
        ),
        ("Terminal's own service", "`gatepost terminal run` only.", TerminalServiceSettings),
    )
    seen: set[str] = set()
    for title, what, kind in kinds:
        yield ""
        yield f"## {title}"
        yield ""
        yield what
        settings = [s for s in described(kind) if kind is ReceiverSettings or s["name"] not in seen]
        if kind is TerminalSettings:
            seen = {s["name"] for s in settings}
        for setting in settings:
            yield ""
            yield f"### `{setting['name']}`"
            yield ""
            yield setting["help"]
            yield ""
            facts = [
                f"Default: `{_default(setting)}`" if setting["default"] is not None else "Default: not set"
            ]
            if setting["unit"]:
                facts.append(f"unit: {setting['unit']}")
            if setting["secret"]:
                facts.append("secret: hidden in `gatepost config show`")
            if kind is ReceiverSettings and setting["name"] in CHANGEABLE:
                facts.append("can be changed without a restart")
            yield " · ".join(facts)


PAGES = {"docs/reference/settings.md": reference, "deploy/gatepost.toml": example}
"""The pages by their path in the source tree."""


def _write(root: Path) -> None:
    for name, page in PAGES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    _write(Path(sys.argv[1] if len(sys.argv) > 1 else "."))

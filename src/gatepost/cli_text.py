"""Texts of the command line, in the language of the environment.

``t(en, zh)`` returns one of its two arguments. The choice is made once, from the environment: ``GATEPOST_LANG`` if it
is set, else the first of ``LC_ALL``, ``LC_MESSAGES`` and ``LANG`` that is not empty (the order of POSIX, Base
Definitions 8.2). Whatever starts with ``zh`` is Chinese; everything else is English.

Only what a person reads is translated. What a program reads (JSON, exit codes, option names) is the same everywhere.
"""

import os
from collections.abc import Mapping
from typing import Any, Literal

Lang = Literal["en", "zh"]


def language(environ: Mapping[str, str] | None = None) -> Lang:
    """Return the language that the environment asks for; ``environ`` is ``os.environ`` unless given."""
    source = os.environ if environ is None else environ
    for name in ("GATEPOST_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        value = source.get(name, "")
        if value:
            return "zh" if value.lower().startswith("zh") else "en"
    return "en"


def t(en: str, zh: str) -> str:
    """Return ``en`` or ``zh``, as the environment asks."""
    return zh if language() == "zh" else en


def how_to_install(extra: str = "") -> str:
    """Return the sentence that tells how to install ``extra``, or gatepost itself if it is empty.

    gatepost is on no package index, so no text names it to one: a stranger could register that name there, and
    run code at our users.
    """
    command = f"pip install '.[{extra}]'" if extra else "pip install --force-reinstall ."
    return t(f"install it from a checkout: {command}", f"请在源码目录中安装：{command}")


def app_options() -> dict[str, Any]:
    """Return the arguments of every ``typer.Typer`` of this program.

    Plain help (no boxes, nothing imported for colours), no completion installer, no pretty tracebacks: a terminal on a
    wall starts these commands from scripts, on a slow processor.
    """
    return {
        "add_completion": False,
        "no_args_is_help": True,
        "rich_markup_mode": None,
        "pretty_exceptions_enable": False,
        "context_settings": {"help_option_names": ["-h", "--help"], "max_content_width": 110},
    }

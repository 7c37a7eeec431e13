"""Bundle the console's scripts and styles before a wheel, or an editable installation, is made of the package.

Node.js comes as a wheel among the build's requirements, and front-end packages come from npm, pinned in
``frontend/package-lock.json``. None of their code is committed; what is bundled of it is shipped in the wheel.
"""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FRONTEND = Path(__file__).parent / "frontend"


class ConsoleBuildHook(BuildHookInterface[Any]):
    """Run by hatchling. Set ``GATEPOST_BUILD_CONSOLE=0`` to build the package without its console."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if os.environ.get("GATEPOST_BUILD_CONSOLE") != "0":
            bundle()


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

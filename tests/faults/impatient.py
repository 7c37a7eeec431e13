"""``gatepost serve`` that finds a silent database out after two seconds: no test has the time for fifteen.

Run as ``python impatient.py PYTHON -m gatepost.cli serve …``: what follows is how it would be started otherwise.
"""

import sys

from gatepost.cli import run
from gatepost.store import deadlines

if __name__ == "__main__":
    deadlines.SILENCE_S = 2.0
    sys.exit(run(sys.argv[4:]))

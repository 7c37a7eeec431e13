"""The source of every random draw of the simulator.

A source has a name: the seed, what is drawn, and for whom. So two draws never depend on each other or on their order,
and the same seed gives the same fleet, people and events.
"""

import random


def rng(*name: object) -> random.Random:
    """Return the random source of that name. The same name gives the same numbers. Not for secrets."""
    return random.Random("/".join(map(str, name)))  # noqa: S311 (a simulation has to be repeatable)

"""Where every random draw of the simulator comes from.

A source of lots has a name: the seed, what is drawn and for whom. Two draws therefore never depend on each other or on
the order in which they are made, and the same seed gives the same fleet, people and events.
"""

import random


def lots(*name: object) -> random.Random:
    """A source of lots for what `name` says; the same name gives the same lots. No secret is ever drawn from it."""
    return random.Random("/".join(map(str, name)))  # noqa: S311 (a simulation has to be repeatable)

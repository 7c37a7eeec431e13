"""Which rules a module has, to see that none of them lacks its test."""

from types import ModuleType

from gatepost.conformance.rule import Rule


def rules_of(module: ModuleType) -> set[str]:
    """The identifiers of the rules that a module has, alone or several in a tuple."""
    found = [
        each for value in vars(module).values() for each in (value if isinstance(value, tuple) else (value,))
    ]
    return {rule.id for rule in found if isinstance(rule, Rule)}

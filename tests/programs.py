"""Find programs that the test command has installed."""

import shutil


def program(name: str) -> str:
    """Return the path of a program, also where the path of a user does not lead."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    assert found is not None, f"{name} is missing: make test installs it"
    return found

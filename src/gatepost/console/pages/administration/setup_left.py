"""Which steps of the first start are left, for the hint on the overview and the page of the steps."""

from __future__ import annotations

from typing import Literal

from gatepost.console.desk import View
from gatepost.receiver.api.access.authorization import Access
from gatepost.receiver.auth.issuing import FIRST_ACCOUNT
from gatepost.store.receivers import setup_steps

__all__ = ["Step", "steps_left"]

Step = Literal["password", "site", "terminal"]


def steps_left(view: View, access: Access) -> list[Step]:
    """Return what is left of the steps, in order; nothing for those who may not do them. Blocks.

    They are told by what is in the store, so they can be taken up from any browser and at any time.
    """
    if view.user is None or not view.may("admin", every_site=True):
        return []
    done, accounts = setup_steps.done(view.desk.whole), access.doors.accounts
    if "hidden" in done:
        return []
    left: list[Step] = []
    if (
        view.user.name == FIRST_ACCOUNT
        and not accounts.audit(limit=1, action="account.password_changed", actor=view.user.name).items
    ):
        left.append("password")
    if "site" not in done and not accounts.audit(limit=1, action="site.changed").items:
        left.append("site")
    if view.store.stats().terminals == 0:
        left.append("terminal")
    if not left:
        setup_steps.mark(view.desk.whole, "hidden")  # from now on it is not looked for any more
    return left

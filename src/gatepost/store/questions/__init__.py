"""Ask a store for a user, who may see some sites only, or no card and identity numbers.

Rules:

* Every question is asked for what :attr:`Questions.visible` says. What is not visible is answered as if it did not
  exist.
* The receiver's own work is done on a whole store. Whatever is asked for a user is asked of a :class:`UserStore`:
  the routes of API and console are handed no other.

``user_store``     the questions together, and the store of a user
``terminals``      terminals, sites and receivers
``records``        records, and counts of everything
``alarms``         alarms, to acknowledge and to close them, too
``feed``           the feed
``images``         images, and events as they were pushed
``refusals``       pushes that were refused or not understood
``visible_store``  what each of them asks: transactions, and what may be seen
"""

from gatepost.store.questions.alarms import MAX_ACKNOWLEDGED, TOO_MANY_ALARMS
from gatepost.store.questions.user_store import Questions, UserStore

__all__ = ["MAX_ACKNOWLEDGED", "TOO_MANY_ALARMS", "Questions", "UserStore"]

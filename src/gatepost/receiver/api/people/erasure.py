"""Erasing a person: ``POST /api/v1/people/{id}/erase``, and ``POST /api/v1/people/erase`` by number.

What it leaves, and what not, stands in :mod:`gatepost.store.privacy.erasure`. It cannot be taken back. The audit log
says who did it, when, and how much it was; not to whom.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated

from litestar import Controller, post
from litestar.exceptions import ClientException, NotFoundException
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from gatepost.items import ErasedItem
from gatepost.receiver.api.access.authorization import ADMIN, AnyRequest, SomeSitesOnly, TheAccess
from gatepost.receiver.api.events.live import TheLive
from gatepost.receiver.api.operation.retention import TheKeeper
from gatepost.receiver.api.shapes import MAX_ID, TheMeaning, TheStore
from gatepost.receiver.jobs.retention import RetentionJob
from gatepost.receiver.people_rules import Meaning
from gatepost.receiver.terminals.admin import site_of
from gatepost.store.people.joined import Joins
from gatepost.store.people.person import Person, Scope
from gatepost.store.privacy.erasure import Erased, Whom
from gatepost.store.questions import UserStore

__all__ = ["ErasedItem", "ErasureController", "check_reach", "erase_each", "whoms"]


class ErasureOrder(Struct, frozen=True, kw_only=True):
    """Whom to erase, by their number: for somebody who was only ever seen in alarms or in the quarantine."""

    user_id: Annotated[str, Meta(min_length=1, max_length=1024)]
    site_id: Annotated[int, Meta(ge=1, le=MAX_ID)] | None = None
    """Left out: at every site. Two sites may use the same number for two people."""
    terminal_id: Annotated[int, Meta(ge=1, le=MAX_ID)] | None = None
    """Only what this terminal sent; where ``people_scope`` is ``terminal`` it must be said."""


def whom(person: Person, scope: Scope) -> Whom:
    """Name a person who is to be erased."""
    return Whom(
        user_id=person.user_id,
        site_id=person.site_id if scope == "site" else None,
        terminal_id=person.terminal_id if scope == "terminal" else None,
        identities=person.identities,
    )


def whoms(store: UserStore, meaning: Meaning, person: Person) -> list[Whom]:
    """Return what is to be erased of a person: each of their numbers at the sites that the user sees, if joined."""
    numbers = Joins(store, meaning.rules).all_forms(person)
    if not numbers:
        return [whom(person, meaning.rules.scope)]
    return [
        Whom(user_id=user_id, site_id=site_id or None, identities=forms)
        if user_id
        else Whom(identities=forms, site_id=None)
        for (user_id, site_id), forms in numbers
    ]


def erase_each(keeper: RetentionJob, wanted: Sequence[Whom]) -> ErasedItem:
    """Erase the numbers of a person, one after the other; if it is interrupted, do it again."""
    done = [_item(keeper.erase(one)) for one in wanted]
    return ErasedItem(
        **{name: sum(getattr(one, name) for one in done) for name in ErasedItem.__struct_fields__}
    )


def check_reach(request: AnyRequest, scope: Scope) -> None:
    """Raise 403 where erasing a person concerns sites that a user has not."""
    if scope == "everywhere" and request.user.sites is not None:
        raise SomeSitesOnly(
            "here a person is one at every site, and you have some sites only; ask an administrator of every site"
        )


def _item(erased: Erased) -> ErasedItem:
    return ErasedItem(**{name: getattr(erased, name) for name in ErasedItem.__struct_fields__})


class ErasureController(Controller):
    path = "/api/v1/people"
    opt = ADMIN
    tags = ("privacy",)

    @post("/{person_id:str}/erase", status_code=200, summary="Erase a person")
    async def erase_person(
        self,
        request: AnyRequest,
        person_id: FromPath[str],
        store: TheStore,
        meaning: TheMeaning,
        keeper: TheKeeper,
        live: TheLive,
        access: TheAccess,
    ) -> ErasedItem:
        """Their images and personal fields, everywhere. It cannot be taken back.

        Of a joined person every number is erased, at the sites that you see.
        """

        check_reach(request, meaning.rules.scope)

        def do() -> ErasedItem:
            keeper.prepare_erasure()
            person = meaning.people.person(person_id)
            if person is None:
                raise NotFoundException("there is no such person")
            item = erase_each(keeper, whoms(store, meaning, person))
            access.note(request, "person.erased", person_id, **_counts(item))
            return item

        done = await asyncio.to_thread(do)
        live.forget()
        return done

    @post("/erase", status_code=200, summary="Erase whoever has a number")
    async def erase_number(
        self,
        request: AnyRequest,
        data: JSONBody[ErasureOrder],
        store: TheStore,
        meaning: TheMeaning,
        keeper: TheKeeper,
        live: TheLive,
        access: TheAccess,
    ) -> ErasedItem:
        """As to erase a person, by ``user_id``: also where only an alarm or a quarantined push has it."""
        check_reach(request, meaning.rules.scope)
        if meaning.rules.scope == "terminal" and data.terminal_id is None:
            raise ClientException("terminal_id must be given: here a number is a person within one terminal")
        if request.user.sites is not None and data.site_id is None and data.terminal_id is None:
            raise SomeSitesOnly("give the site_id: you have some sites only, and not every site")
        order = Whom(user_id=data.user_id, site_id=data.site_id, terminal_id=data.terminal_id)

        def do() -> ErasedItem:
            if data.site_id is not None and site_of(store, data.site_id) is None:
                raise ClientException(f"site_id: there is no site {data.site_id}; see /api/v1/sites")
            if data.terminal_id is not None and store.terminal(data.terminal_id) is None:
                raise ClientException(f"terminal_id: there is no terminal {data.terminal_id}")
            keeper.prepare_erasure()
            item = _item(keeper.erase(order))
            where = {"site_id": data.site_id, "terminal_id": data.terminal_id}
            access.note(request, "person.erased", "by number", **where, **_counts(item))
            return item

        done = await asyncio.to_thread(do)
        live.forget()
        return done


def _counts(item: ErasedItem) -> dict[str, int]:
    return {name: getattr(item, name) for name in ErasedItem.__struct_fields__}

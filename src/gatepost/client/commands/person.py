"""``gatepost people mark | unmark | marked | join | part | numbers``."""

from __future__ import annotations

from typing import Annotated

import typer

from gatepost.cli_text import t
from gatepost.client.commands.options import (
    DEFAULT_URL,
    AsJson,
    CaFile,
    Receiver,
    Token,
    as_json,
    asking,
    clock,
    line,
)

__all__ = ["register"]

Person = Annotated[
    str,
    typer.Argument(
        metavar="PERSON", help=t("Id of a person, from 'people list'.", "人员 id，见“people list”。")
    ),
]


def mark(
    person: Person,
    reason: Annotated[
        str, typer.Argument(help=t("Why, in at most 200 characters.", "原因，不超过 200 个字符。"))
    ],
    url: Receiver = DEFAULT_URL,
    token: Token = "",
    ca_file: CaFile = None,
    until: Annotated[
        str | None,
        typer.Option(
            "--until",
            help=t(
                "End of the mark, a time with its offset; without it, until it is taken away.",
                "截止时间，须含时区偏移；不给出则一直有效。",
            ),
        ),
    ] = None,
    json: AsJson = False,
) -> None:
    """Mark a person: the live page shows each of their records so, and sounds. Needs the role operator."""
    with asking(url, token, ca_file) as client:
        made = client.mark_person(person, reason, until=until)
    if json:
        as_json(made)
    else:
        typer.echo(t(f"marked: {made.reason}", f"已设为重点关注：{made.reason}"))


def unmark(person: Person, url: Receiver = DEFAULT_URL, token: Token = "", ca_file: CaFile = None) -> None:
    """Take the mark of a person away. Needs the role operator."""
    with asking(url, token, ca_file) as client:
        client.unmark_person(person)


def marked(
    url: Receiver = DEFAULT_URL, token: Token = "", ca_file: CaFile = None, json: AsJson = False
) -> None:
    """List marked people, the latest first: id, name, number, site, reason, until when, by whom."""
    with asking(url, token, ca_file) as client:
        for one in client.marked():
            if json:
                as_json(one)
                continue
            until = t("no end", "长期") if one.mark.until is None else clock(one.mark.until)
            words = [one.person_id, one.name or "-", one.user_id or "-", one.site, one.mark.reason]
            typer.echo(line([*words, until, one.mark.made_by]))


def join(
    person: Person,
    other: Annotated[str, typer.Argument(help=t("Id of the person who is the same.", "同一人员的另一 id。"))],
    url: Receiver = DEFAULT_URL,
    token: Token = "",
    ca_file: CaFile = None,
    json: AsJson = False,
) -> None:
    """Say that two people are one; 'people part' takes it back. Needs the role operator."""
    with asking(url, token, ca_file) as client:
        found = client.join_people(person, other)
    if json:
        as_json(found)
    else:
        typer.echo(t(f"joined: {found.id} {found.name}", f"已合并：{found.id} {found.name}"))


def part(
    person: Person,
    number: Annotated[
        int,
        typer.Argument(
            metavar="NUMBER",
            help=t("Which number, from 'people numbers'.", "要拆分的编号，见“people numbers”。"),
        ),
    ],
    url: Receiver = DEFAULT_URL,
    token: Token = "",
    ca_file: CaFile = None,
) -> None:
    """Let a number of a joined person be a person of its own again. Needs the role operator."""
    with asking(url, token, ca_file) as client:
        client.part_person(person, number)


def numbers(
    person: Person,
    url: Receiver = DEFAULT_URL,
    token: Token = "",
    ca_file: CaFile = None,
    json: AsJson = False,
) -> None:
    """List the numbers of a joined person: which, user_id, name, site, joined by whom and when."""
    with asking(url, token, ca_file) as client:
        for one in client.joined_numbers(person):
            if json:
                as_json(one)
                continue
            words = [str(one.number_id), one.user_id or "-", one.name or "-", one.site, one.made_by]
            typer.echo(line([*words, clock(one.made_at)]))


def register(group: typer.Typer) -> None:
    """Add the commands."""
    group.command("mark", help=t("Have guards look out for a person.", "将人员设为重点关注。"))(mark)
    group.command("unmark", help=t("Take the mark of a person away.", "取消重点关注。"))(unmark)
    group.command("marked", help=t("List marked people.", "列出重点关注人员。"))(marked)
    group.command("join", help=t("Say that two people are one.", "合并两名人员。"))(join)
    group.command("part", help=t("Part a number from a joined person.", "拆分已合并人员的编号。"))(part)
    group.command("numbers", help=t("List the numbers of a joined person.", "列出已合并人员的编号。"))(
        numbers
    )

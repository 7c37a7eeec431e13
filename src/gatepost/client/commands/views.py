"""``gatepost views list | show | save | rename | delete``."""

from __future__ import annotations

from typing import Annotated

import typer

from gatepost.cli_text import t
from gatepost.client.client import Client
from gatepost.client.commands.options import (
    DEFAULT_URL,
    AsJson,
    CaFile,
    Receiver,
    Token,
    as_json,
    asking,
    line,
)
from gatepost.errors import RequestRefused
from gatepost.items import ViewItem

__all__ = ["register"]

ViewId = Annotated[
    int,
    typer.Argument(metavar="VIEW", help=t("Id of a view, from 'views list'.", "视图 id，见“views list”。")),
]
Page = Annotated[
    str,
    typer.Argument(
        metavar="PAGE",
        help=t(
            "Page of the console: records, alarms, people, attendance, …",
            "控制台页面：records、alarms、people、attendance 等。",
        ),
    ),
]
Name = Annotated[str, typer.Argument(metavar="NAME", help=t("Name of the view.", "视图名称。"))]


def list_views(
    url: Receiver = DEFAULT_URL,
    token: Token = "",
    ca_file: CaFile = None,
    page: Annotated[
        str | None, typer.Option("--page", help=t("Only views of this page.", "仅限该页面的视图。"))
    ] = None,
    json: AsJson = False,
) -> None:
    """List one's own views and the shared ones: id, page, name, filters, by whom."""
    with asking(url, token, ca_file) as client:
        for one in client.views(page):
            as_json(one) if json else _tell(one)


def show(
    view: ViewId,
    url: Receiver = DEFAULT_URL,
    token: Token = "",
    ca_file: CaFile = None,
    json: AsJson = False,
) -> None:
    """Show a view, with a filter a line and its address in the console."""
    with asking(url, token, ca_file) as client:
        found = _view(client, view)
    if json:
        as_json(found)
        return
    _tell(found, with_filters=False)
    for name, value in found.filters.items():
        typer.echo(line([f"{name}={value}"]))
    typer.echo(line([found.link]))


def save(
    page: Page,
    name: Name,
    filters: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FILTER=VALUE]...",
            help=t(
                "Filters as the page's address has them, such as passed=false.",
                "筛选条件，写法同页面地址，如 passed=false。",
            ),
        ),
    ] = None,
    url: Receiver = DEFAULT_URL,
    token: Token = "",
    ca_file: CaFile = None,
    shared: Annotated[
        bool,
        typer.Option(
            "--shared",
            help=t("For all users; needs the role operator.", "供所有用户使用，需要操作员角色。"),
        ),
    ] = False,
    json: AsJson = False,
) -> None:
    """Save filters of a page under a name."""
    values = _filters(filters or [])
    with asking(url, token, ca_file) as client:
        made = client.save_view(page, name, values, shared=shared)
    as_json(made) if json else _tell(made)


def rename(
    view: ViewId,
    name: Name,
    url: Receiver = DEFAULT_URL,
    token: Token = "",
    ca_file: CaFile = None,
    json: AsJson = False,
) -> None:
    """Give a view another name."""
    with asking(url, token, ca_file) as client:
        changed = client.change_view(view, name=name)
    as_json(changed) if json else _tell(changed)


def delete(view: ViewId, url: Receiver = DEFAULT_URL, token: Token = "", ca_file: CaFile = None) -> None:
    """Delete a view. It cannot be restored."""
    with asking(url, token, ca_file) as client:
        client.delete_view(view)


def _view(client: Client, number: int) -> ViewItem:
    for one in client.views():
        if one.id == number:
            return one
    raise RequestRefused(404, t(f"there is no view {number}; see 'views list'", f"没有视图 {number}"))


def _filters(words: list[str]) -> dict[str, str]:
    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not name or not equals:
            raise typer.BadParameter(
                t(f"{word}: give a filter as name=value", f"{word}：筛选条件须写作 名称=值")
            )
        found[name] = value
    return found


def _tell(view: ViewItem, *, with_filters: bool = True) -> None:
    filters = [f"{name}={value}" for name, value in view.filters.items()] if with_filters else []
    whose = t("shared", "共享") if view.shared else t("own", "个人")
    typer.echo(line([str(view.id), view.page, view.name, *filters, whose, view.made_by]))


def register(group: typer.Typer) -> None:
    """Add the commands."""
    group.command("list", help=t("List views.", "列出视图。"))(list_views)
    group.command("show", help=t("Show one view with its address.", "显示一个视图及其地址。"))(show)
    group.command("save", help=t("Save filters of a page.", "将页面的筛选条件保存为视图。"))(save)
    group.command("rename", help=t("Give a view another name.", "重命名视图。"))(rename)
    group.command("delete", help=t("Delete a view for good.", "删除视图，不可恢复。"))(delete)

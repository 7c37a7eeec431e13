"""The people who are inside as a file, a row a person."""

from __future__ import annotations

from gatepost.receiver.exports.columns import Column, named, offset
from gatepost.store.people.inside import PersonInside
from gatepost.wire.codes import UserType

__all__ = ["DIRECTIONS", "INSIDE"]

DIRECTIONS = {"in": ("in", "进"), "out": ("out", "出"), "both": ("both ways", "进出")}
"""Directions of terminals in words, in English and Chinese."""

INSIDE: tuple[Column[PersonInside], ...] = (
    Column("site", "Site", "站点", lambda row, _: row.site, 14),
    Column("name", "Name", "姓名", lambda row, _: row.name, 16),
    Column("user_id", "Person ID", "人员编号", lambda row, _: row.user_id),
    Column("job_number", "Job number", "工号", lambda row, _: row.job_number),
    Column("person_type", "Kind of person", "人员类型", lambda row, words: words.word(UserType, row.type)),
    Column("groups", "Groups", "分组", lambda row, _: named(row.groups), 16),
    Column("last_terminal", "Last terminal", "最近终端", lambda row, _: row.terminal, 16),
    Column(
        "direction",
        "Direction",
        "方向",
        lambda row, words: DIRECTIONS[row.direction][words.language == "zh"],
    ),
    Column(
        "last_passage",
        "Last passage",
        "最近通行",
        lambda row, words: words.wall(row.at, words.of(row.timezone)),
        19,
    ),
    Column("time_zone", "Time zone", "时区", lambda row, words: words.of(row.timezone).key, 14),
    Column(
        "utc_offset", "UTC offset", "UTC 偏移", lambda row, words: offset(row.at, words.of(row.timezone)), 11
    ),
)

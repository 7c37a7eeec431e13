"""A site and the people who pass its doors, drawn from a seed. None of them is a real person.

Rules:

- Every name is made of common parts of names of many languages. A real person with the same name is a coincidence.
- The same seed and sizes give the same site. A larger site begins with the people of the smaller one.
- Employees, visitors and the blacklist are known to the terminals and have numbers. Strangers have a face only.

Flow: `make_site(seed)` → `Site.people` → `Person.user()` for the event, `Person.portrait(…)` for its image.
"""

from __future__ import annotations

import base64
import random
from collections.abc import Iterator
from datetime import datetime, timedelta

from msgspec import Struct

from gatepost.simulator.world.face import FaceTraits
from gatepost.simulator.world.portraits import draw, look
from gatepost.simulator.world.rng import rng
from gatepost.wire import Group, User
from gatepost.wire.codes import UserType

GROUPS: tuple[Group, ...] = tuple(
    Group(id=str(number), name=name)
    for number, name in enumerate(
        (
            "研发部",
            "Engineering",
            "行政部",
            "Facilities",
            "财务部",
            "Sales",
            "仓储",
            "Night shift",
            "保安",
            "Visitors",
        ),
        start=1,
    )
)
VISITORS_GROUP = GROUPS[-1]


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.replace("+", " ") for part in text.split())


_FAMILY_ZH = _parts("""
    王 李 张 刘 陈 杨 黄 赵 吴 周 徐 孙 马 朱 胡 郭 何 高 林 罗 郑 梁 谢 宋 唐 许 韩
    冯 邓 曹 彭 曾 肖 田 董 袁 潘 于 蒋 蔡 余 杜 叶 程 苏 魏 吕 丁 任 沈 欧阳 司徒 上官
""")
_GIVEN_ZH = _parts("""
    伟 芳 娜 敏 静 丽 强 磊 军 洋 勇 艳 杰 娟 涛 明 超 霞 平 刚 建国 文辉 宇浩 欣怡 雨泽 子轩 梓涵
    思远 嘉琪 晨曦 一诺 俊杰 浩然 雨桐 诗涵 志强 秀英 桂兰 海燕 晓东 晓明 雪梅 玉兰 建华 建军 丽华
    志远 美玲 婷婷 佳怡 天宇 家豪 雅婷 国强 春梅
""")

# Two lists of parts and what joins them, in the order in which the language writes them; "+" is a space inside a part.
_INTERNATIONAL = (
    (
        "James Mary Robert Susan David Karen Emily Thomas",
        "Smith Jones Taylor Brown Wilson Walker O'Brien",
        " ",
    ),
    ("María José Lucía Carlos Sofía Andrés Inés", "García Martínez López Núñez Pérez Sánchez+Ruiz", " "),
    ("François Hélène Éric Chloé Benoît Amélie", "Dubois Lefèvre Moreau Girard Fontaine", " "),
    ("Jürgen Anna Björn Käthe Lukas Sabine", "Müller Schmidt Weiß Krämer Vogel", " "),
    ("Ahmed Fatima Omar Layla Yusuf Mariam", "Hassan Khalil Mansour Haddad Saleh", " "),
    ("أحمد فاطمة يوسف مريم", "حسن منصور حداد صالح", " "),
    ("Priya Rahul Ananya Vikram Lakshmi Arjun", "Sharma Patel Nair Reddy Iyer Singh", " "),
    ("Иван Дмитрий Сергей Андрей", "Петров Соколов Кузнецов Морозов", " "),
    ("Olga Natalia Elena Irina", "Petrova Sokolova Ivanova Morozova", " "),
    ("Chidi Amara Kwame Zainab Tunde Wanjiru", "Okafor Mensah Adeyemi Kamau Diallo", " "),
    ("João Beatriz Tiago Conceição", "Silva Souza Araújo Gonçalves", " "),
    ("田中 佐藤 鈴木 高橋", "花子 健太 陽菜 さくら 翔", " "),
    ("김 이 박 최", "민준 서연 지훈 하은", ""),
    ("Nguyễn Trần Lê Phạm", "Thị+Lan Văn+Minh Thu+Hà Quốc+Anh", " "),
)


class Person(Struct, frozen=True):
    """A person of the site. `number` counts from 1 and is unique in the site; `kind` is ``None`` for a stranger."""

    number: int
    kind: UserType | None
    look: FaceTraits
    name: str | None = None
    job_number: str = ""
    ic_number: str = ""
    id_number: str = ""
    pin: str = ""
    remark: str = ""
    groups: tuple[Group, ...] = ()
    visit: tuple[float, float] | None = None
    """A visitor's permitted hours of the day, from and until."""

    def user(self, day: datetime) -> User | None:
        """Return what a terminal sends as the person on `day` (midnight, aware); ``None`` for a stranger."""
        if self.kind is None:
            return None
        guest: tuple[datetime | None, datetime | None] = (None, None)
        if self.visit:
            guest = (day + timedelta(hours=self.visit[0]), day + timedelta(hours=self.visit[1]))
        return User(
            user_id=str(self.number),
            name=self.name or "",
            type=int(self.kind),
            job_number=self.job_number,
            ic_number=self.ic_number,
            id_number=self.id_number,
            guest_from=guest[0],
            guest_until=guest[1],
            remark=self.remark,
            pin=self.pin,
            groups=self.groups,
        )

    def portrait(self, *, mask: bool = False, shot: int = 0) -> bytes:
        """Return a capture of this person as JPEG; see `portraits.draw`."""
        return draw(self.look, mask=mask, shot=shot)


class Site(Struct, frozen=True):
    """All people who may come to the doors of a site."""

    seed: int
    employees: tuple[Person, ...]
    visitors: tuple[Person, ...]
    blacklist: tuple[Person, ...]
    strangers: tuple[Person, ...]

    @property
    def people(self) -> tuple[Person, ...]:
        return (*self.employees, *self.visitors, *self.blacklist, *self.strangers)


def make_site(
    seed: int, *, employees: int = 120, visitors: int = 16, blacklist: int = 4, strangers: int = 12
) -> Site:
    """Draw a site with at least one employee. Numbers: employees from 1, visitors from 100,001, and so on."""
    return Site(
        seed=seed,
        employees=tuple(_people(seed, UserType.EMPLOYEE, 1, employees)),
        visitors=tuple(_people(seed, UserType.VISITOR, 100_001, visitors)),
        blacklist=tuple(_people(seed, UserType.BLACKLIST, 200_001, blacklist)),
        strangers=tuple(_people(seed, None, 300_001, strangers)),
    )


def _people(seed: int, kind: UserType | None, first: int, count: int) -> Iterator[Person]:
    for number in range(first, first + count):
        rand = rng("person", seed, number)
        face = look(rand)
        if kind is None:
            yield Person(number=number, kind=None, look=face)
            continue
        yield Person(
            number=number,
            kind=kind,
            look=face,
            name=_name(rand),
            visit=_visit(rand) if kind is UserType.VISITOR else None,
            groups=_groups(rand, kind),
            **_numbers(rand, kind, number),
        )


def _name(rand: random.Random) -> str:
    if rand.random() < 0.6:
        return rand.choice(_FAMILY_ZH) + rand.choice(_GIVEN_ZH)
    first, second, joint = rand.choice(_INTERNATIONAL)
    return rand.choice(_parts(first)) + joint + rand.choice(_parts(second))


def _numbers(rand: random.Random, kind: UserType, number: int) -> dict[str, str]:
    """Return card, staff and identity numbers. Any may be missing, and an `id_number` may itself be base64 text."""
    card = f"{rand.randrange(10**10):010d}" if rand.random() < 0.8 else ""
    badge = f"{rand.randrange(10**8):08d}" if rand.random() < 0.3 else ""
    if badge and rand.random() < 0.3:
        badge = base64.b64encode(badge.encode()).decode()
    pin = f"{rand.randrange(10**6):06d}" if rand.random() < 0.3 else ""
    if kind is UserType.EMPLOYEE:
        remark = rand.choice(("", "", "", "", "夜班 · night shift", "carries a wheelchair pass", "外包"))
        return {
            "ic_number": card,
            "id_number": badge,
            "pin": pin,
            "job_number": f"{20_000 + number * 7}",
            "remark": remark,
        }
    if kind is UserType.VISITOR:
        return {
            "ic_number": card if rand.random() < 0.3 else "",
            "remark": rand.choice(("interview", "送货", "维修", "meeting", "")),
        }
    return {"remark": rand.choice(("禁止入内", "not to be admitted"))}


def _groups(rand: random.Random, kind: UserType) -> tuple[Group, ...]:
    if kind is UserType.VISITOR:
        return (VISITORS_GROUP,)
    if kind is UserType.BLACKLIST:
        return ()
    return tuple(rand.sample(GROUPS[:-1], rand.choices((1, 2, 3), (70, 24, 6))[0]))


def _visit(rand: random.Random) -> tuple[float, float]:
    begin = rand.choice((8.0, 9.0, 9.5, 10.0, 13.5, 14.0))
    return begin, begin + rand.choice((2.0, 3.0, 4.0, 8.0))

"""Write the page that documents every rule: ``python -m gatepost.conformance.reference en|zh > FILE``.

A test compares the pages in ``docs/reference/`` with the output, so that no rule changes without its page. Titles are
in both languages. What a rule does, and what each verdict means, is the docstring of the rule, in English.
"""

import sys
from collections.abc import Sequence
from typing import Any

from gatepost.conformance.receiver.rules import RULES as RECEIVER_RULES
from gatepost.conformance.rule import Rule
from gatepost.conformance.terminal.rules import RULES as TERMINAL_RULES

__all__ = ["page"]

_TOP = {
    "en": """# Conformance rules

<!-- Written by `python -m gatepost.conformance.reference en`; change the rules' docstrings, not this page. -->

`gatepost check receiver URL` and `gatepost check terminal URL --listen HOST:PORT` hold the other end against the
protocol page, rule by rule. *Fail* means that events are lost, or pushed for ever, or that the page is broken in so
many words; *warning* means that no event is lost, and says what it costs; *not tried* means that there was nothing to
look at, and says what to do so that there is. The exit code is 0 if nothing fails and the rules marked *core* were
tried, 1 otherwise. Both take `--json FILE`, `--junit FILE`, `--only RULE` and `--verbose`.
""",
    "zh": """# 一致性规则（判定标准为英文）

<!-- 由 `python -m gatepost.conformance.reference zh` 生成；请修改规则的文档字符串，不要直接修改本页。 -->

`gatepost check receiver URL` 与 `gatepost check terminal URL --listen HOST:PORT` 按协议文档逐条检查对端。
“未通过”表示会丢失事件、无限重推，或明确违反文档；“警告”表示不会丢失事件，并说明其代价；
“未检查”表示缺少检查所需的条件，并说明如何满足。
没有“未通过”且标有“核心”的规则均已检查时退出码为 0，否则为 1。两者均支持 `--json FILE`、`--junit FILE`、
`--only RULE` 与 `--verbose`。每条规则的做法与判定标准以英文给出。
""",
}

_PARTS = {
    "en": (
        "Receivers",
        "A check leaves some four hundred events in the receiver, all with a serial that begins with `GATEPOST-CHECK`.",
        "Terminals",
        "The check becomes the receiver of the terminal, and at the end restores the subscription that it found.",
    ),
    "zh": (
        "接收端",
        "检查会在接收端留下约四百条事件，序列号均以 `GATEPOST-CHECK` 开头。",
        "终端",
        "检查期间由本程序充当该终端的接收端，结束时恢复原有的推送配置。",
    ),
}


def page(lang: str) -> str:
    """Return the page in ``en`` or ``zh``, as Markdown."""
    receivers, about_receivers, terminals, about_terminals = _PARTS[lang]
    return "\n".join(
        [
            _TOP[lang],
            f"## {receivers}\n\n{about_receivers}\n",
            *_rules(RECEIVER_RULES, lang),
            f"## {terminals}\n\n{about_terminals}\n",
            *_rules(TERMINAL_RULES, lang),
        ]
    )


def _rules(rules: Sequence[Rule[Any]], lang: str) -> list[str]:
    rests = "依据" if lang == "zh" else "Rests on"
    core = {True: "（核心）" if lang == "zh" else " (core)", False: ""}
    return [
        f"### `{rule.id}`\n\n**{getattr(rule.title, lang)}**{core[rule.core]}\n\n"
        f"{rests}: {rule.citation.source}: “{rule.citation.text}”\n\n{rule.doc}\n"
        for rule in rules
    ]


if __name__ == "__main__":
    sys.stdout.write(page(sys.argv[1] if len(sys.argv) > 1 else "en"))

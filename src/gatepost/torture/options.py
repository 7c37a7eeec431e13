"""The options of ``gatepost torture``."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gatepost.cli_text import t


class DiskChoice(StrEnum):
    """Which disks become full and read-only."""

    AUTO = "auto"
    REAL = "real"
    LIMIT = "limit"


class AcknowledgeAfter(StrEnum):
    """The moment at which receivers of the cell acknowledge."""

    JOURNAL = "journal"
    STORE = "store"


Seed = Annotated[int, typer.Option("--seed", help=t("Seed of the plan of faults.", "故障计划的随机种子。"))]

Minutes = Annotated[
    float,
    typer.Option("--minutes", min=0.1, help=t("Minutes during which faults happen.", "故障持续的分钟数。")),
]

ReportFile = Annotated[
    Path | None,
    typer.Option("--report", help=t("File that the result is written to, as JSON.", "结果文件（JSON）。")),
]

Terminals = Annotated[
    int, typer.Option("--terminals", min=1, max=20, help=t("Number of terminals.", "终端数量。"))
]

Rate = Annotated[
    float,
    typer.Option("--rate", min=0.1, help=t("Events per second of each terminal.", "每台终端每秒的事件数。")),
]

PowerCuts = Annotated[
    int,
    typer.Option(
        "--power-cuts",
        min=0,
        help=t(
            "Number of simulated power cuts at each end, after the run.", "运行结束后，两端各模拟断电的次数。"
        ),
    ),
]

DisksOption = Annotated[
    DiskChoice,
    typer.Option(
        "--disks",
        help=t(
            "What becomes full and read-only. real: disks in a mount namespace of the run's own; limit: a limit on "
            "the process; auto: real where that is possible.",
            "磁盘满与只读的实现方式：real 为独立挂载命名空间中的真实磁盘，limit 为进程限制，auto 优先真实磁盘。",
        ),
    ),
]

Cluster = Annotated[
    bool,
    typer.Option(
        "--cluster",
        help=t(
            "Run three receivers, PostgreSQL on three nodes and a bucket on this machine instead, and kill each part.",
            "改为在本机运行三个接收端、三节点 PostgreSQL 与一个存储桶，并逐一终止其各部分。",
        ),
    ),
]

AcknowledgeAfterOption = Annotated[
    AcknowledgeAfter,
    typer.Option(
        "--acknowledge-after",
        help=t(
            "With --cluster: the receivers' setting of that name. With store, disks of nodes are deleted as well.",
            "与 --cluster 同用：接收端的同名设置；为 store 时还会删除节点的磁盘数据。",
        ),
    ),
]

Times = Annotated[
    int,
    typer.Option(
        "--times",
        min=1,
        help=t(
            "With --cluster: how often each kind of fault happens at least.",
            "与 --cluster 同用：每种故障至少执行的次数，未满则继续。",
        ),
    ),
]

Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        help=t(
            "Empty folder for what the ends write, which is kept [default: a temporary one].",
            "用于保留两端数据的空目录 [默认使用临时目录并在结束后删除]。",
        ),
    ),
]

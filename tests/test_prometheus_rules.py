"""The rules in ``deploy/prometheus-rules.yml`` fire when they should, and at no restart; ``promtool`` tries them."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent
RULES = ROOT / "deploy" / "prometheus-rules.yml"
ONE, OTHER = 'job="gatepost",instance="one"', 'job="gatepost",instance="other"'

FIRES = {
    "Down": {f"up{{{ONE}}}": "0x10"},
    "JournalNotWritten": {f"gatepost_commit_failed_events_total{{{ONE}}}": "0x8 3x2"},
    "DiskSlow": {f"gatepost_queue_events{{{ONE}}}": "1001x10"},
    "JournalNotListed": {f"gatepost_journal_oldest_seconds{{{ONE}}}": "61+60x10"},
    "JournalFilling": {f"gatepost_journal_bytes{{{ONE}}}": "5e9x10"},
    "JournalDamaged": {f"gatepost_journal_damaged_total{{{ONE}}}": "0 1+0x10"},
    "EventSetAside": {f"gatepost_journal_set_aside_total{{{ONE}}}": "0 1+0x10"},
    "RepliesSlow": {
        f'gatepost_reply_seconds_bucket{{{ONE},le="1.0"}}': "0+1x40",
        f'gatepost_reply_seconds_bucket{{{ONE},le="2.0"}}': "0+10x40",
        f'gatepost_reply_seconds_bucket{{{ONE},le="+Inf"}}': "0+10x40",
    },
    "ReceiverSilent": {
        f"gatepost_receivers_silent{{{ONE}}}": "1x10",
        f"gatepost_receivers_silent{{{OTHER}}}": "1x10",
    },
    "TerminalOffline": {
        f'gatepost_terminals{{{ONE},presence="offline"}}': "1x40",
        f'gatepost_terminals{{{OTHER},presence="offline"}}': "1x40",
    },
    "AlarmOpen": {f'gatepost_open_alarms{{{ONE},acknowledged="false"}}': "1x10"},
    "TerminalRepeats": {
        f'gatepost_terminal_events_total{{{ONE},terminal="SN-1",outcome="duplicates"}}': "0+120x40"
    },
    "RetentionLate": {
        f"gatepost_retention_finished_timestamp_seconds{{{ONE}}}": "0x90",
        f"process_start_time_seconds{{{ONE}}}": "0x90",
        f"gatepost_build_info{{{ONE}}}": "1x90",
        'process_start_time_seconds{job="node",instance="one"}': "0x90",
    },
    "RetentionAsks": {f"gatepost_retention_asks{{{ONE}}}": "1x10"},
    "DestinationDown": {f'gatepost_forward_up{{{ONE},destination="HR"}}': "0x20"},
    "DestinationBehind": {f'gatepost_forward_lag_seconds{{{ONE},destination="HR"}}': "601+60x20"},
    "DeadLetters": {f'gatepost_forward_dead{{{ONE},destination="HR"}}': "0 1+0x10"},
    "FleetStopped": {f'gatepost_fleet_terminals{{{ONE},state="stopped"}}': "1x10"},
    "FleetContested": {f'gatepost_fleet_terminals{{{ONE},state="contested"}}': "1x10"},
    "FleetAway": {f'gatepost_fleet_terminals{{{ONE},state="away"}}': "1x20"},
}
"""For each rule, samples a minute apart of which the last one has to set it off, once."""

RESTART = {
    f"up{{{ONE}}}": "1x10 0 0 0 1x80",
    f"gatepost_commit_failed_events_total{{{ONE}}}": "7x10 _ _ _ 0x80",
    f"gatepost_journal_damaged_total{{{ONE}}}": "2x10 _ _ _ 0x80",
    f"gatepost_journal_set_aside_total{{{ONE}}}": "1x10 _ _ _ 0x80",
    f"gatepost_queue_events{{{ONE}}}": "0x10 _ _ _ 2000 0x79",
    f"gatepost_journal_oldest_seconds{{{ONE}}}": "0x10 _ _ _ 180 120 70 0x77",
    f"gatepost_receivers_silent{{{OTHER}}}": "0x10 0 1 1 1 0x79",
    f'gatepost_terminals{{{ONE},presence="offline"}}': "0x10 _ _ _ 40 40 20 5 0x76",
    f"gatepost_build_info{{{ONE}}}": "1x10 _ _ _ 1x80",
    f"process_start_time_seconds{{{ONE}}}": "-7200x10 _ _ _ 780x80",
    f"gatepost_retention_finished_timestamp_seconds{{{ONE}}}": "500x10 _ _ _ 0x30 2600x50",
    f'gatepost_forward_up{{{ONE},destination="HR"}}': "1x10 _ _ _ 0 0 1x78",
    f'gatepost_forward_lag_seconds{{{ONE},destination="HR"}}': "0x10 _ _ _ 700 650 0x78",
    f'gatepost_forward_dead{{{ONE},destination="HR"}}': "4x10 _ _ _ 4x80",
    f'gatepost_fleet_terminals{{{ONE},state="away"}}': "0x10 _ _ _ 3 3 0x78",
}
"""A receiver that stops after ten minutes, starts three minutes later and has a backlog."""


def rules() -> dict[str, dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return {rule["alert"]: rule for rule in group["rules"]}


def series(samples: dict[str, str]) -> list[dict[str, str]]:
    return [{"series": name, "values": values} for name, values in samples.items()]


def minutes(samples: dict[str, str]) -> int:
    """Return when the last sample is: ``AxN`` and ``A+BxN`` are N + 1 samples."""
    lengths = [
        sum(int(part.partition("x")[2] or 0) + 1 for part in values.split()) for values in samples.values()
    ]
    return min(lengths) - 1


def counted(name: str, samples: dict[str, str], times: int) -> dict[str, Any]:
    """Return a question to Prometheus: how many of a rule fire at the end of some samples."""
    fires = f'count(ALERTS{{alertname="Gatepost{name}",alertstate="firing"}})'
    return {
        "expr": fires,
        "eval_time": f"{minutes(samples)}m",
        "exp_samples": [{"labels": "{}", "value": times}] if times else [],
    }


def promtool(tmp_path: Path, *cases: dict[str, Any]) -> None:
    file = tmp_path / "cases.yml"
    file.write_text(
        yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": list(cases)}),
        encoding="utf-8",
    )
    program = shutil.which("promtool")
    assert program, "apt-get install prometheus"
    done = subprocess.run([program, "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_rule_fires_once_however_many_receivers_know(tmp_path: Path) -> None:
    assert {f"Gatepost{name}" for name in FIRES} == set(rules())
    promtool(
        tmp_path,
        *(
            {
                "interval": "1m",
                "input_series": series(samples),
                "promql_expr_test": [counted(name, samples, 1)],
            }
            for name, samples in FIRES.items()
        ),
    )


def test_no_rule_fires_at_a_restart(tmp_path: Path) -> None:
    asked = [
        {"expr": 'ALERTS{alertstate="firing"}', "eval_time": f"{minute}m", "exp_samples": []}
        for minute in range(minutes(RESTART) + 1)
    ]
    promtool(tmp_path, {"interval": "1m", "input_series": series(RESTART), "promql_expr_test": asked})


@pytest.mark.parametrize("page", ["deploy.md", "deploy.zh.md"])
def test_the_page_tells_what_each_rule_means(page: str) -> None:
    text = (ROOT / "docs" / "how-to" / page).read_text(encoding="utf-8")
    assert re.findall(r"^\| `(Gatepost\w+)` \|", text, re.MULTILINE) == list(rules())

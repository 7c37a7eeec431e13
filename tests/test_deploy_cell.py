"""What stands in ``deploy/cell/`` fits together, and fits what there is: settings, commands, programs that check it."""

import configparser
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.programs import program

from gatepost.settings import PREFIX, ReceiverSettings, described, load

ROOT = Path(__file__).parent.parent
CELL = ROOT / "deploy/cell"
NAMES = {PREFIX + setting["name"].upper() for setting in described(ReceiverSettings)}

OF_A_MACHINE = (
    "etcd3.hosts",
    "restapi.",
    "postgresql.connect_address",
    "postgresql.bin_dir",
    "postgresql.listen",
)
"""What Patroni looks for on the machine itself, or is told by the environment."""


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((CELL / "compose.yaml").read_text(encoding="utf-8"))
    return found


def patroni() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((CELL / "patroni.yaml").read_text(encoding="utf-8"))
    return found


def test_the_compose_file_names_only_services_volumes_and_files_that_are_there() -> None:
    value = compose()
    services = value["services"]
    assert {key for key in value if not key.startswith("x-")} == {"name", "services", "networks", "volumes"}
    mounted = set()
    for name, service in services.items():
        assert ("image" in service) != ("build" in service), name
        assert set(service.get("depends_on", ())) <= services.keys(), name
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (CELL / source).is_file(), source
            else:
                mounted.add(source)
        if "build" in service:
            assert (CELL / service["build"]["context"] / service["build"]["dockerfile"]).is_file(), name
    assert mounted == value["volumes"].keys()
    for kind, count in {"etcd": 3, "db": 3, "receiver": 3, "bucket": 1, "proxy": 1}.items():
        assert sum(name.rstrip("123") == kind for name in services) == count


def test_what_the_receivers_are_told_are_settings_and_keep_what_is_acknowledged() -> None:
    services = compose()["services"]
    for number in (1, 2, 3):
        told = services[f"receiver{number}"]["environment"]
        assert {name for name in told if name.startswith(PREFIX)} <= NAMES
        assert told["GATEPOST_ACKNOWLEDGE_AFTER"] == "store"
        database = told["GATEPOST_DATABASE"].partition("@")[2]
        assert database == "db1,db2,db3/gatepost?connect_timeout=2"
    in_file = tomllib.loads((CELL / "gatepost.toml").read_text(encoding="utf-8"))
    load(ReceiverSettings, file=CELL / "gatepost.toml", environ={})
    assert in_file["acknowledge_after"] == "store"


def test_every_password_is_asked_for() -> None:
    asked = {
        line.partition("=")[0] for line in (CELL / "cell.env.example").read_text().splitlines() if "=" in line
    }
    used = set(re.findall(r"\$\{?([A-Z_]+)", "".join(
        (CELL / name).read_text(encoding="utf-8") for name in ("compose.yaml", "make-database", "start-bucket.sh")
    )))  # fmt: skip
    assert used == asked


def test_patroni_takes_its_settings_and_no_commit_is_on_one_node_alone() -> None:
    settings = patroni()
    dcs = settings["bootstrap"]["dcs"]
    assert (dcs["synchronous_mode"], dcs["synchronous_mode_strict"]) == ("quorum", True)
    assert dcs["loop_wait"] + 2 * dcs["retry_timeout"] <= dcs["ttl"] == 20
    hosts = [f"{name}:2379" for name in compose()["services"] if name.startswith("etcd")]
    assert settings["etcd3"]["hosts"] == hosts
    from patroni.validator import schema  # type: ignore[import-untyped]

    faults = [str(fault) for fault in schema({**settings, "name": "db1"})]
    assert [fault for fault in faults if not fault.startswith(OF_A_MACHINE)] == []


@pytest.mark.parametrize("name", ["patroni.service", "gatepost.service.d/cell.conf"])
def test_every_unit_is_one_for_systemd(name: str, tmp_path: Path) -> None:
    unit = configparser.RawConfigParser(strict=False)
    unit.read_string((CELL / name).read_text(encoding="utf-8"))
    assert unit["Service"]["Restart"] == "always"
    folder = tmp_path / "units"
    shutil.copytree(CELL / "gatepost.service.d", folder / "gatepost.service.d")
    for unit_file in (ROOT / "deploy/gatepost.service", CELL / "patroni.service"):
        text = unit_file.read_text(encoding="utf-8")
        # Neither is installed where tests run.
        (folder / unit_file.name).write_text(re.sub(r"/opt/\w+/bin/\w+", "/bin/true", text), encoding="utf-8")
    checked = folder / ("patroni.service" if name == "patroni.service" else "gatepost.service")
    done = subprocess.run(
        [program("systemd-analyze"), "verify", "--man=no", "--recursive-errors=no", checked],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_nginx_takes_its_settings(tmp_path: Path) -> None:
    text = (CELL / "nginx.conf").read_text(encoding="utf-8")
    servers = re.findall(r"server (\w+):8080", text)
    assert servers == [name for name in compose()["services"] if name.startswith("receiver")]
    config = tmp_path / "nginx.conf"
    here = re.sub(r"receiver\d", "127.0.0.1", text).replace("listen 8080", f"listen unix:{tmp_path}/s")
    config.write_text(f"pid {tmp_path}/pid; error_log {tmp_path}/log;\n{here}", encoding="utf-8")
    done = subprocess.run([program("nginx"), "-t", "-c", config], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["make-database", "start-bucket.sh"])
def test_scripts_are_scripts(name: str) -> None:
    subprocess.run(["sh", "-n", CELL / name], check=True)


def test_both_languages_have_the_same_sections() -> None:
    pages = [(ROOT / f"docs/how-to/cell{kind}.md").read_text(encoding="utf-8") for kind in ("", ".zh")]
    shapes = [re.findall(r"^(#+ |```\w*$|\| --- )", page, re.MULTILINE) for page in pages]
    assert shapes[0] == shapes[1]

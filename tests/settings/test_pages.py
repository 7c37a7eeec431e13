import tomllib
from pathlib import Path

import pytest

from gatepost.cli import run
from gatepost.settings import HIDDEN, ReceiverSettings, TerminalServiceSettings, described, load
from gatepost.settings.pages import PAGES, example, reference, toml_value

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", sorted(PAGES))
def test_the_pages_in_the_tree_are_those_that_the_settings_give(name: str) -> None:
    """If it fails: ``python -m gatepost.settings.pages`` writes them anew."""
    assert (ROOT / name).read_text(encoding="utf-8") == PAGES[name]()


def test_every_setting_has_its_heading_once() -> None:
    page = reference()
    for kind in (ReceiverSettings, TerminalServiceSettings):
        for setting in described(kind):
            assert page.count(f"\n### `{setting['name']}`\n") >= 1
    headings = [line for line in page.splitlines() if line.startswith("### ")]
    receiver = headings[: len(described(ReceiverSettings))]
    assert len(set(receiver)) == len(receiver)
    terminal = headings[len(receiver) :]
    assert len(set(terminal)) == len(terminal) == len(described(TerminalServiceSettings))


def test_the_example_sets_nothing_and_everything_in_it_may_be_uncommented(tmp_path: Path) -> None:
    assert tomllib.loads(example()) == {}
    names = {setting["name"] for setting in described(ReceiverSettings)}
    lines = [line.removeprefix("# ") for line in example().splitlines()]
    settings = "\n".join(line for line in lines if line.partition(" = ")[0] in names)
    assert set(tomllib.loads(settings)) == names
    file = tmp_path / "gatepost.toml"
    file.write_text(settings)
    loaded = load(ReceiverSettings, file=file)
    assert all((getattr(loaded, n) or None) == (getattr(ReceiverSettings(), n) or None) for n in names)


def test_a_value_is_written_as_toml_has_it() -> None:
    for value in (True, 5, 0.5, 'a "quoted" text', ["a", "b"]):
        assert tomllib.loads(f"x = {toml_value(value)}")["x"] == value
    assert toml_value(None) == ""


def test_config_show_prints_every_setting_in_force_and_hides_what_is_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "gatepost.toml"
    file.write_text('listen = "1.1.1.1:1"\nimage_keys = ["a secret key"]\nrepeat_s = 3\n')
    monkeypatch.setenv("GATEPOST_DATABASE", "postgresql://anna:geheim@db/gatepost")
    monkeypatch.setenv("GATEPOST_ADMIN_PASSWORD", "another secret")
    assert run(["config", "show", "--config", str(file)]) == 0
    told = capsys.readouterr().out
    shown = tomllib.loads(told)
    unset = {s["name"] for s in described(ReceiverSettings) if f"# {s['name']} is not set" in told}
    assert set(shown) | unset == {setting["name"] for setting in described(ReceiverSettings)}
    assert (shown["listen"], shown["repeat_s"]) == ("1.1.1.1:1", 3.0)
    assert {shown[name] for name in ("database", "image_keys", "admin_password")} == {HIDDEN}
    for secret in ("geheim", "a secret key", "another secret"):
        assert secret not in told


def test_config_example_prints_what_stands_in_the_tree(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "example"]) == 0
    assert capsys.readouterr().out == (ROOT / "deploy/gatepost.toml").read_text(encoding="utf-8")


def test_config_show_names_the_setting_that_does_not_fit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "gatepost.toml"
    file.write_text("retention_images_days = -1\n")
    assert run(["config", "show", "--config", str(file)]) == 1
    assert "retention_images_days" in capsys.readouterr().err

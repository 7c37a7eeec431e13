import tomllib
from pathlib import Path

import pytest

from gatepost.cli import run
from gatepost.errors import SettingsError
from gatepost.receiver.commands.config import receiver_settings
from gatepost.settings import PREFIX, ReceiverSettings, described, load


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the environment of the tests says of a receiver, it says to others."""
    for setting in described(ReceiverSettings):
        monkeypatch.delenv(PREFIX + setting["name"].upper(), raising=False)
    monkeypatch.setenv("GATEPOST_LANG", "en")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "gatepost.toml"
    file.write_text(
        'listen = "1.1.1.1:1"\nmax_terminals = 11\ningest_paths = ["/in", "/门"]\n', encoding="utf-8"
    )
    return file


def test_where_nothing_is_said_every_setting_has_its_default() -> None:
    assert receiver_settings(None) == ReceiverSettings()


def test_the_command_line_wins_over_this_processs_environment_and_that_over_the_file(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEPOST_LISTEN", "2.2.2.2:2")
    monkeypatch.setenv("GATEPOST_MAX_TERMINALS", "22")
    settings = receiver_settings(config, listen="3.3.3.3:3", database=None)
    assert (settings.listen, settings.max_terminals, settings.database) == ("3.3.3.3:3", 22, "")
    assert settings.ingest_paths == ("/in", "/门")


def test_an_option_that_is_not_given_leaves_what_was_said_elsewhere(config: Path) -> None:
    assert receiver_settings(config, listen=None).listen == "1.1.1.1:1"


@pytest.mark.parametrize(
    ("given", "name"), [({"listem": "x"}, "listem"), ({"max_terminals": 0}, "max_terminals")]
)
def test_a_setting_that_cannot_be_is_named(given: dict[str, object], name: str) -> None:
    with pytest.raises(SettingsError) as raised:
        receiver_settings(None, **given)
    assert raised.value.setting == name


def test_what_is_shown_is_a_file_that_says_the_same(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEPOST_INGEST_URL", 'https://x.example/"\\\t')
    assert run(["config", "show", "--config", str(config)]) == 0
    shown = tmp_path / "shown.toml"
    shown.write_text(capsys.readouterr().out, encoding="utf-8")
    told = tomllib.loads(shown.read_text(encoding="utf-8"))
    assert told["ingest_url"] == 'https://x.example/"\\\t'
    secrets = {setting["name"] for setting in described(ReceiverSettings) if setting["secret"]}
    assert not [name for name in secrets if told.get(name)]
    assert load(ReceiverSettings, file=shown) == receiver_settings(config)


def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = tmp_path / "none.toml"
    assert run(["config", "show", "--config", str(missing)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"gatepost: setting 'config' cannot be read: {missing}: No such file or directory\n"


@pytest.mark.parametrize(
    ("language", "words"), [("en", "Show the settings in force."), ("zh", "显示生效的设置。")]
)
def test_the_help_lists_what_can_be_done_with_settings_in_the_persons_language(
    language: str, words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEPOST_LANG", language)
    assert run(["config", "--help"]) == 0
    told = capsys.readouterr().out
    assert words in told
    assert {"show", "example"} <= set(told.split())


def test_config_alone_and_with_a_word_that_it_does_not_know_is_a_wrong_call(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["config"]) == 2
    assert run(["config", "fly"]) == 2
    assert "fly" in capsys.readouterr().err

from pathlib import Path

import pytest

from gatepost.errors import SettingsError
from gatepost.settings import ReceiverSettings, TerminalSettings, described, load, shown


def test_without_anything_said_every_setting_has_its_default() -> None:
    assert load(TerminalSettings) == TerminalSettings()
    assert load(ReceiverSettings).listen == "127.0.0.1:8080"


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "gatepost.toml"
    file.write_text('listen = "1.1.1.1:1"\nmax_body_bytes = 2048\non_invalid = "refuse"\n')
    settings = load(
        ReceiverSettings,
        file=file,
        environ={"GATEPOST_MAX_BODY_BYTES": "4096", "GATEPOST_LISTEN": "2.2.2.2:2", "OTHER": "x"},
        given={"listen": "3.3.3.3:3", "on_invalid": None},
    )
    assert (settings.listen, settings.max_body_bytes, settings.on_invalid) == ("3.3.3.3:3", 4096, "refuse")


def test_the_environment_lists_with_commas() -> None:
    settings = load(ReceiverSettings, environ={"GATEPOST_INGEST_PATHS": "/Record, /push"})
    assert settings.ingest_paths == ("/Record", "/push")


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"capacity": 0}, "capacity"),
        ({"capacity": "many"}, "capacity"),
        ({"overflow": "explode"}, "overflow"),
        ({"retry_cap_s": -1}, "retry_cap_s"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_a_setting_that_does_not_fit_is_named(given: dict[str, object], name: str) -> None:
    with pytest.raises(SettingsError) as raised:
        load(TerminalSettings, given=given)
    assert raised.value.setting == name
    assert repr(name) in str(raised.value)


@pytest.mark.parametrize("text", ["unknown = 1", "listen = [", 'ingest_paths = ["/a", 5]'])
def test_a_file_that_does_not_fit_is_refused_with_a_sentence(tmp_path: Path, text: str) -> None:
    file = tmp_path / "gatepost.toml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=r"setting '(unknown|config|ingest_paths)'"):
        load(ReceiverSettings, file=file)


def test_a_setting_of_an_earlier_version_says_why_it_is_gone(tmp_path: Path) -> None:
    file = tmp_path / "gatepost.toml"
    file.write_text('day_starts_at = "12:00"\n')
    with pytest.raises(SettingsError, match=f"attendance is by shifts; take it out of {file}"):
        load(ReceiverSettings, file=file)
    with pytest.raises(SettingsError, match="attendance is by shifts; take it out"):
        load(ReceiverSettings, given={"day_starts_at": "12:00"})


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"cannot be read"):
        load(ReceiverSettings, file=tmp_path / "none.toml")


def test_secrets_are_hidden_wherever_settings_are_shown() -> None:
    settings = load(
        ReceiverSettings, given={"database": "postgresql://u:hidden@h/d", "oidc_client_secret": "hidden"}
    )
    assert "hidden" not in str(shown(settings))
    assert shown(settings)["listen"] == "127.0.0.1:8080"
    with pytest.raises(SettingsError) as raised:
        load(ReceiverSettings, given={"database": ["secret"]})
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("kind", [TerminalSettings, ReceiverSettings])
def test_every_setting_says_what_it_does_and_a_number_its_unit(kind: type[TerminalSettings]) -> None:
    for setting in described(kind):
        assert setting["help"].endswith(".")
        if isinstance(setting["default"], int | float) and not isinstance(setting["default"], bool):
            assert setting["unit"]

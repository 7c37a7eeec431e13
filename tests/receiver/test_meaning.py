import pytest

from gatepost.errors import SettingsError
from gatepost.receiver.meaning import rules_of
from gatepost.settings import ReceiverSettings
from gatepost.store.people import Rules


def test_the_settings_say_how_events_are_read() -> None:
    settings = ReceiverSettings(people_scope="everywhere", repeat_s=2.5, day_starts_at="04:30")
    assert rules_of(settings) == Rules(scope="everywhere", repeat_ms=2500, day_starts_min=270)
    assert rules_of(ReceiverSettings()) == Rules()


@pytest.mark.parametrize("text", ["", "4:30", "24:00", "04:60", "04:30:00", "noon", "０4:00"])
def test_a_boundary_that_is_no_time_is_named(text: str) -> None:
    with pytest.raises(SettingsError, match="'day_starts_at' must be HH:MM"):
        rules_of(ReceiverSettings(day_starts_at=text))

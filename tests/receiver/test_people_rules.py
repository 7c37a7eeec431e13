from gatepost.receiver.people_rules import rules_of
from gatepost.settings import ReceiverSettings
from gatepost.store.people.person import Rules


def test_the_settings_say_how_events_are_read() -> None:
    settings = ReceiverSettings(people_scope="everywhere", repeat_s=2.5)
    assert rules_of(settings) == Rules(scope="everywhere", repeat_ms=2500)
    assert rules_of(ReceiverSettings()) == Rules()

"""Open the sink of a destination, and check that it can be opened."""

from collections.abc import Callable, Iterable, Mapping
from urllib.parse import urlsplit

from gatepost.egress import Egress, Forbidden
from gatepost.errors import SettingsError
from gatepost.forward.forwarder.reader import questions
from gatepost.forward.image_links import ImageLinks
from gatepost.forward.options.destination import Destination
from gatepost.forward.options.secrets import Secrets
from gatepost.forward.sinks import Sink
from gatepost.forward.sinks.kafka import Kafka
from gatepost.forward.sinks.mqtt import Mqtt
from gatepost.forward.sinks.nats import Nats
from gatepost.forward.sinks.notify.notify import Notify
from gatepost.forward.sinks.receiver import UpperReceiver
from gatepost.forward.sinks.webhook import Webhook
from gatepost.store.interface import SiteRow

__all__ = ["check_told", "open_sink"]


def open_sink(told: Destination, secrets: Secrets, egress: Egress) -> Sink:
    """Return the sink of a destination. Raises :class:`~gatepost.errors.SettingsError`."""
    makers: Mapping[str, Callable[[Destination, Secrets, Egress], Sink]] = {
        "webhook": Webhook,
        "receiver": UpperReceiver,
        "mqtt": Mqtt,
        "nats": Nats,
        "kafka": Kafka,
        "notify": Notify,
    }
    return makers[told.kind](told, secrets, egress)


def check_told(
    told: Destination, kept: Secrets, sites: Iterable[SiteRow], egress: Egress, links: ImageLinks
) -> None:
    """Raise :class:`~gatepost.errors.SettingsError` for settings that cannot be used. Makes no connection."""
    if told.images == "link":
        links.check()
    try:
        egress.check_literal(urlsplit(told.url).hostname or "")
    except Forbidden as error:
        raise SettingsError("url", f"cannot be used: {error}") from None
    questions(told, sites)
    open_sink(told, kept, egress)

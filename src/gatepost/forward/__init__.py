"""Pass events on: to webhooks, brokers, another receiver, and people's telephones.

A destination is a place in the store's feed and a row for each event behind it that waits or is dead. Why it is so,
and what was weighed: ``docs/decisions/forwarding.md``.

``forwarding``   all destinations of a receiver: starts and stops forwarders, holds their leases
``opening``      what sends to a destination, opened and checked
``forwarder``    one destination: reads the feed, sends, and commits what came of it
``progress``     what of one destination is sent next, and what is settled; pure
``sinks``        a file for each kind of destination: how it is sent to, and what the reply means
``shapes``       an event as the bytes that are sent; pure
``options``      what a destination is told: kind, address, filter, shape, order, limits, secrets; pure
``admin``        what people do about destinations, whichever way they say it
``trial``        a made-up event that is sent, and a real one as it would be
``state``        whether events go out, and if not, why; pure
``rates``        how many events a minute were delivered; pure
``check``        the ledger of a destination, recounted from the events
``image_links``  addresses of images that expire; pure
"""

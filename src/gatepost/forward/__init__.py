"""Pass events on: to webhooks, brokers, another receiver, chat services and mail.

A destination is a position in the store's feed, and a row for each earlier event that waits or is dead. The reasons and
the alternatives: ``docs/decisions/forwarding.md``.

``forwarding``   all destinations of a receiver: starts and stops forwarders, holds their leases
``opening``      opens and checks the sink of a destination
``forwarder/``   one destination: reads the feed, sends, and commits the results
``progress/``    what a destination is sent next, and what is settled; pure
``sinks/``       a file per kind of destination: how to send, and what the reply means
``shapes/``      an event as the bytes that are sent; pure
``options/``     the settings of a destination: kind, address, filter, shape, order, limits, secrets; pure
``admin``        changes of destinations, for API, console and command line
``trial``        a test event that is sent, and a real event as it would be sent
``state``        the state of a destination, and the reason; pure
``rates``        delivered events per minute; pure
``check``        the ledger of a destination, recounted from the events
``image_links``  addresses of images that expire; pure
"""

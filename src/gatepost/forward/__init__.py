"""Pass events on: to webhooks, brokers, another receiver, and people's telephones.

A destination is a place in the store's feed and a row for each event behind it that waits or is dead. Why it is so,
and what was weighed: ``docs/decisions/forwarding.md``.

==================  ==================================================================================================
``destination``     What a destination is told: kind, address, filter, shape, order, limits. Pure.
``progress``        What is sent next and what is settled, by ``tracks`` and ``passing``. Pure.
``gate``            Whether the destination can be reached. Pure.
``shape``           An event as the bytes that are sent: ``cloudevents``, ``flat``, ``push``. Pure.
``egress``          To which addresses requests may go.
``rules``           Of which events people are told, and in which words. Pure.
``sinks``           One file for each kind: how it is sent, and what the reply means.
``forwarder``       One destination: ``reading``, ``rendering``, ``outcomes`` and ``commits`` are the steps of a turn;
                    ``pace`` says when, ``parcels`` what is sent together.
``schemas``         The shapes as JSON Schemas.
``image_links``     Addresses of images that expire. Pure.
``check``           The ledger of a destination, recounted from the events.
``forwarding``      All destinations of a receiver: starts and stops forwarders, holds their leases.
==================  ==================================================================================================
"""

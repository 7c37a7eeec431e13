"""Serve ``/api/v1/image-links``: images for who has a link that a destination was sent, without a login.

What is no link of ours, is over, or leads to an image that left, is the same 404.
"""

from __future__ import annotations

from litestar import Controller, Response, get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from gatepost.forward.image_links import PATH
from gatepost.receiver.api.access.authorization import OPEN, AnyoneRequest, TheAccess
from gatepost.receiver.api.destinations.asking import TheForwarding
from gatepost.receiver.api.destinations.audit import called
from gatepost.receiver.api.events.images import IMAGES, NOT_MODIFIED, image_response
from gatepost.receiver.api.parameters import KnownParameters
from gatepost.receiver.api.shapes import read

__all__ = ["ImageLinksController"]


class ImageLinksController(Controller):
    path = PATH
    tags = ("forwarding",)
    guards = [KnownParameters()]  # noqa: RUF012 - as Litestar has it

    @get(
        "/{link:str}",
        sync_to_thread=True,
        summary="The image that a link leads to",
        opt=OPEN | IMAGES,
        media_type="image/jpeg",
        responses=NOT_MODIFIED,
        raises=[NotFoundException],
    )
    def linked_image(
        self,
        request: AnyoneRequest,
        access: TheAccess,
        forwarding: TheForwarding,
        link: FromPath[str],
    ) -> Response[bytes]:
        """Return it until the link is over. That it was opened is in the audit log."""
        found = read(lambda: forwarding.linked_image(link))
        if found is None:
            raise NotFoundException("there is no such image, or the link to it is over")
        row, event_id, image = found
        access.groups.add(f"link: {called(row)}", access.address(request), "images.opened", event_id=event_id)
        return image_response(request, image, event_id, keep="no-store")

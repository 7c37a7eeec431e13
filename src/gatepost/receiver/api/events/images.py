"""Images as answers: of a record, of an alarm's step, whole or small.

Rules:

* The image of an event never changes. So a browser may keep it without asking (``immutable``), but only for a day:
  faces leave when their time is over, from browsers too. A shared cache keeps none (RFC 9213). What did not come over
  TLS no browser keeps: there a logout cannot have it forgotten.
* That an image was opened, or the whole of what was pushed, is in the audit log before it is sent, in groups of a
  minute.
* ``ETag`` is a digest of the content. 304 is only said of an image that is still there.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Annotated

from litestar import Response
from litestar.exceptions import NotFoundException
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import QueryParameter

from gatepost.errors import ImageUnavailable
from gatepost.receiver.api.access.authorization import PARTS, Access, AnyoneRequest, AnyRequest
from gatepost.receiver.api.shapes import MAX_ID, read
from gatepost.receiver.thumbnails import SIZES, NotAPicture, thumbnail
from gatepost.store.questions import UserStore
from gatepost.wire import media_type

__all__ = [
    "IMAGES",
    "NOT_MODIFIED",
    "ThumbnailSize",
    "event_image",
    "image_response",
    "note_original",
    "suffix_of",
    "whole_original",
]

NOT_MODIFIED = {
    304: ResponseSpec(data_container=None, generate_examples=False, description="Still the same.")
}

ThumbnailSize = Annotated[int, QueryParameter(ge=SIZES[0], le=SIZES[1])]

_SUFFIXES = {"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp", "image/bmp": "bmp"}

IMAGES = {"types": tuple(_SUFFIXES)}
"""Responses of the image routes in the OpenAPI document: see :mod:`gatepost.receiver.api.problem_details`."""

_KEEP = "private, max-age=86400, immutable"


def suffix_of(image: bytes) -> str:
    """Return how the name of a file with this image ends, without the dot."""
    return _SUFFIXES.get(media_type(image) or "", "bin")


def event_image(
    request: AnyRequest, store: UserStore, event_id: int, *, size: int | None = None
) -> Response[bytes]:
    """Return the image of an event, or a thumbnail of it; 404 where there is none."""
    data = read(lambda: store.image(event_id)) if 0 < event_id <= MAX_ID else None
    if data is None:
        raise NotFoundException("there is no such image")
    access = _access(request)
    access.note_again(request, "images.opened", event_id=event_id)
    return image_response(
        request, data, event_id, keep=_KEEP if access.secure(request) else "no-store", size=size
    )


def image_response(
    request: AnyoneRequest, data: bytes, event_id: int, *, keep: str, size: int | None = None
) -> Response[bytes]:
    """Return an image, or a thumbnail of it. ``keep``: for how long a browser keeps it, as ``Cache-Control`` says."""
    tag = f'"{blake2b(data, digest_size=12).hexdigest()}{"" if size is None else f"-{size}"}"'
    headers = {
        "etag": tag,
        "cache-control": keep,
        "cdn-cache-control": "no-store",
    }
    if _same(request.headers.get("if-none-match"), tag):
        return Response(b"", status_code=304, headers=headers)
    if size is not None:
        try:
            data = thumbnail(data, size)
        except NotAPicture as error:
            raise NotFoundException(str(error)) from None
    # What strangers sent: a browser must take it for an image and for nothing else, and what is none for a file.
    kind = media_type(data)
    how = "attachment" if kind is None else "inline"
    headers["content-disposition"] = f'{how}; filename="{event_id}.{suffix_of(data)}"'
    headers["x-content-type-options"] = "nosniff"
    return Response(data, media_type=kind or "application/octet-stream", headers=headers)


def whole_original(
    request: AnyRequest, store: UserStore, event_id: int, shortened: bytes | None
) -> bytes | None:
    """Return what was pushed but for the image; without its long texts where they are not here.

    A field that is not known may hold a face, so it is noted as an image is.
    """
    if shortened is None:
        return None
    note_original(request, event_id)
    try:
        return read(lambda: store.original(event_id, shortened))
    except ImageUnavailable:
        return shortened


def note_original(request: AnyRequest, event_id: int) -> None:
    """Note in the audit log that what was pushed is read as a whole."""
    _access(request).note_again(request, "originals.opened", event_id=event_id)


def _access(request: AnyRequest) -> Access:
    return request.scope[PARTS]["access"]  # type: ignore[literal-required,no-any-return]  # a key of ours


def _same(asked: str | None, tag: str) -> bool:
    """``If-None-Match``: a list of tags, compared weakly, or ``*`` (RFC 9110, section 13.1.2)."""
    if asked is None:
        return False
    return any(one.strip().removeprefix("W/") in (tag, "*") for one in asked.split(","))

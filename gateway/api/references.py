"""Pictures that come with a call: as a file of a form, an address, a ``data:`` URI or an object that holds one."""

from __future__ import annotations

from dataclasses import replace

from engines.codec import CodecError
from engines.pictures import size_of, sniff_picture
from gateway.api.fields import Upload
from gateway.errors import InvalidRequest
from providers.base.contract import Reference
from providers.base.packed import unpacked

MOST_PICTURES = 16
PICTURE_LIMIT = 50_000_000
MASK_LIMIT = 4_000_000
"""Bytes, as OpenAI documents them."""

_PICTURES = ("image/png", "image/jpeg", "image/webp")


def reference(given: object, param: str) -> Reference | None:
    """What a field refers to; its bytes are not looked at. Raises ``InvalidRequest`` naming ``param``."""
    if isinstance(given, dict) and set(given) == {"image_url"}:
        given = given["image_url"]
    if given is None:
        return None
    if isinstance(given, Upload):
        return Reference(data=given.data)
    if isinstance(given, str) and given.startswith("data:"):
        head, _, text = given.partition(",")
        try:
            return Reference(data=unpacked(text), media_type=head[5:].partition(";")[0])
        except ValueError:
            pass
    elif isinstance(given, str) and given.startswith(("https://", "http://")) and len(given) <= 8192:
        return Reference(url=given)
    raise InvalidRequest(
        f"{param} must be a file, an address that begins with https://, a base64 data: URI, "
        "or an object with image_url.",
        param=param,
    )


def pictures(given: object, param: str) -> tuple[Reference, ...]:
    """1 to 16 pictures (png, jpeg, webp; 50 MB each), with their types as sniffed. Raises ``InvalidRequest``."""
    items = given if isinstance(given, list) else [] if given is None else [given]
    if not items:
        raise InvalidRequest(f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter")
    if len(items) > MOST_PICTURES:
        raise InvalidRequest(f"{param} may be up to {MOST_PICTURES} pictures, not {len(items)}.", param=param)
    return tuple(_picture(each, param, PICTURE_LIMIT, _PICTURES) for each in items)


def mask_of(given: object, pictures: tuple[Reference, ...]) -> Reference | None:
    """A png of 4 MB at most, as large as the first of ``pictures``. Raises ``InvalidRequest``."""
    if given is None:
        return None
    mask = _picture(given, "mask", MASK_LIMIT, ("image/png",))
    first = pictures[0].data
    if mask.data is not None and first is not None and size_of(mask.data) != size_of(first):
        wide, high = size_of(first)
        raise InvalidRequest(f"mask must have the size of the first picture, {wide}x{high}.", param="mask")
    return mask


def _picture(given: object, param: str, limit: int, kinds: tuple[str, ...]) -> Reference:
    found = reference(given, param)
    if found is None:
        raise InvalidRequest(f"{param} must not hold null.", param=param)
    if found.data is None:
        return found
    if len(found.data) > limit:
        raise InvalidRequest(f"{param} may have {limit // 1_000_000} MB, not {len(found.data):,} bytes.", param=param)
    kind = sniff_picture(found.data)
    if kind not in kinds:
        wished = ", ".join(each.removeprefix("image/") for each in kinds)
        raise InvalidRequest(f"{param} must be a picture ({wished}), whatever its file name says.", param=param)
    try:
        size_of(found.data)
    except CodecError as error:
        raise InvalidRequest(f"{param} cannot be read: {error}.", param=param) from None
    return replace(found, media_type=kind)

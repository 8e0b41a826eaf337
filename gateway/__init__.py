"""Who may ask whom: the OpenAI-compatible face, routing, configuration.

The functions of ``gateway.sdk`` can be imported from here too; they are loaded when one of them is first named.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gateway.sdk import (
        aimage_edit as aimage_edit,
    )
    from gateway.sdk import (
        aimage_generation as aimage_generation,
    )
    from gateway.sdk import (
        aspeech as aspeech,
    )
    from gateway.sdk import (
        atranscription as atranscription,
    )
    from gateway.sdk import (
        avideo_content as avideo_content,
    )
    from gateway.sdk import (
        avideo_delete as avideo_delete,
    )
    from gateway.sdk import (
        avideo_generation as avideo_generation,
    )
    from gateway.sdk import (
        avideo_list as avideo_list,
    )
    from gateway.sdk import (
        avideo_remix as avideo_remix,
    )
    from gateway.sdk import (
        avideo_status as avideo_status,
    )
    from gateway.sdk import (
        completion_cost as completion_cost,
    )
    from gateway.sdk import (
        configure as configure,
    )
    from gateway.sdk import (
        image_edit as image_edit,
    )
    from gateway.sdk import (
        image_generation as image_generation,
    )
    from gateway.sdk import (
        speech as speech,
    )
    from gateway.sdk import (
        transcription as transcription,
    )
    from gateway.sdk import (
        video_content as video_content,
    )
    from gateway.sdk import (
        video_delete as video_delete,
    )
    from gateway.sdk import (
        video_generation as video_generation,
    )
    from gateway.sdk import (
        video_list as video_list,
    )
    from gateway.sdk import (
        video_remix as video_remix,
    )
    from gateway.sdk import (
        video_status as video_status,
    )


_FUNCTIONS = frozenset(
    """
    speech aspeech image_generation aimage_generation image_edit aimage_edit video_generation avideo_generation
    video_status avideo_status video_content avideo_content video_list avideo_list video_remix avideo_remix
    video_delete avideo_delete transcription atranscription completion_cost configure
    """.split()
)


def __getattr__(name: str) -> Any:
    if name in _FUNCTIONS:
        return getattr(import_module("gateway.sdk"), name)
    raise AttributeError(f"module 'gateway' has no attribute {name!r}")

"""What can go wrong while this machine makes media. One small tree; the floor above translates it."""

from __future__ import annotations


class EngineError(Exception):
    """Base of every error that an engine raises on purpose. ``str(error)`` may be shown to a caller."""


class EngineUnavailable(EngineError):
    """The engine cannot run here now: a package, weights or a voice file is missing. ``hint`` says what mends it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class EngineBusy(EngineError):
    """The queue is full. ``retry_after`` is in seconds."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class EngineRefused(EngineError):
    """The request can never work on this engine. ``param`` names the field of the utterance: text, voice or speed."""

    def __init__(self, message: str, param: str) -> None:
        super().__init__(message)
        self.param = param


class EngineFailed(EngineError):
    """The engine broke while it worked, or was closed under the request."""


class CodecError(EngineError):
    """Audio bytes that cannot be decoded, or an encoder that failed."""

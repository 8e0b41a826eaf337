"""The guards of a config, at work: each call's texts go through those that are on, before anything else happens."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from gateway.config.content_filter import ContentFilterSettings
from gateway.config.guardrails import Guardrail, HookSettings, LengthSettings, PiiSettings
from gateway.errors import ContentRefused, GuardFailed, InvalidRequest
from gateway.policy.guards import Refusal, TextGuard
from gateway.policy.guards.content import ContentFilter, Length
from gateway.policy.guards.patterns import Pattern
from gateway.policy.guards.pii import Pii
from gateway.policy.guards.words import Words
from gateway.services.caller import Caller
from gateway.services.hooks import Asked, Hook, Texts, load_hook
from providers.base.contract import ImageRequest, MediaRequest, SpeechRequest, TranscriptionRequest

_log = logging.getLogger(__name__)

R = TypeVar("R", bound=MediaRequest)

THREADS = 4
"""Of guards that take long: what waits for one of them is a call, whose guard has a timeout."""

AT_ONCE = 500
"""Characters that the quick guards look at on the event loop: under a millisecond."""


class Guards:
    """``screen`` for every use-case. ``load`` once, before it; ``close`` at the end."""

    def __init__(self, guardrails: Sequence[Guardrail] = ()) -> None:
        self._guardrails = guardrails
        self._hooks: dict[str, Hook] = {}
        self._pool = ThreadPoolExecutor(THREADS, "guard")

    async def load(self) -> None:
        """Build every guard. Raises ``HookError``."""
        for guard in self._guardrails:
            if isinstance(guard.settings, HookSettings):
                self._hooks[guard.name] = await load_hook(guard, guard.settings, self._pool)
            elif guard.settings is not None:
                slow = isinstance(guard.settings, PiiSettings)
                built = await asyncio.get_running_loop().run_in_executor(self._pool, _built, guard.settings)
                self._hooks[guard.name] = _each(built, self._pool, AT_ONCE if not slow else 0)

    def close(self) -> None:
        """Let go of the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def screen(self, model: str, request: R, caller: Caller, call_type: str = "") -> R:
        """``request`` with its texts as they may pass on; who looked at them stands in the caller's record.

        ``call_type`` is LiteLLM's word for the call, where the request does not tell.
        Raises ``ContentRefused``, ``GuardFailed``, or ``InvalidRequest`` for a guard that there is not.
        """
        chosen = list(self._chosen(caller.guardrails))
        texts, usual = _texts(request)
        if not chosen or not texts:
            caller.record.texts = texts
            return request
        asked = Asked(model, call_type or usual, caller.record.who)
        for guard in chosen:
            caller.record.guardrails = (*caller.record.guardrails, guard.name)
            texts = await self._ask(guard, texts, asked)
        caller.record.texts = texts
        return _with(request, texts)

    def _chosen(self, wished: Sequence[str]) -> Iterator[Guardrail]:
        for name in wished:
            if not any(guard.name == name for guard in self._guardrails):
                raise InvalidRequest(f"There is no guardrail '{name[:200]}'.", param="guardrails")
        for guard in self._guardrails:
            if guard.name in self._hooks and (guard.default_on or guard.name in wished):
                yield guard

    async def _ask(self, guard: Guardrail, texts: Texts, asked: Asked) -> Texts:
        """One guard. What it raises is looked at where it ends: the code of others may raise anything."""
        task = asyncio.ensure_future(self._hooks[guard.name](dict(texts), asked))
        task.add_done_callback(_seen)
        try:
            await asyncio.wait({task}, timeout=guard.timeout)
        finally:
            done = task.done()
            task.cancel()
        if not done or task.cancelled():
            _log.error("the guardrail %s took more than %g s", guard.name, guard.timeout)
            raise GuardFailed(guard.name)
        error = task.exception()
        if error is not None:
            raise _answer(guard.name, error, texts) from None
        return _checked(guard.name, task.result(), texts)


def _built(settings: ContentFilterSettings | PiiSettings | LengthSettings) -> TextGuard:
    if isinstance(settings, LengthSettings):
        return Length(settings.max_characters)
    if isinstance(settings, PiiSettings):
        denied = settings.presidio_entities_deny_list
        entities = {name: what for name, what in settings.pii_entities_config.items() if name not in denied}
        return Pii(entities, settings.presidio_score_thresholds)
    words, found = settings.blocked_words, settings.patterns
    tag = settings.pattern_redaction_format
    return ContentFilter(
        Words(word.keyword for word in words if word.action == "BLOCK"),
        Words(word.keyword for word in words if word.action == "MASK"),
        settings.keyword_redaction_tag,
        [Pattern(each.expression) for each in found if each.action == "BLOCK"],
        [
            (Pattern(each.expression), tag.replace("{pattern_name}", each.called))
            for each in found
            if each.action == "MASK"
        ],
    )


def _each(guard: TextGuard, pool: Executor, at_once: int) -> Hook:
    """A rule for one text, for all the texts of a call."""

    async def each(texts: Texts, _asked: Asked) -> Texts:
        passed = {}
        for field, text in texts.items():
            try:
                if len(text) <= at_once:
                    passed[field] = guard(text)
                else:
                    passed[field] = await asyncio.get_running_loop().run_in_executor(pool, guard, text)
            except Refusal as refusal:
                refusal.add_note(field)
                raise
        return passed

    return each


def _texts(request: MediaRequest) -> tuple[Texts, str]:
    """The texts of a request by their fields in OpenAI's words, and LiteLLM's word for the call."""
    if isinstance(request, SpeechRequest):
        more = {"instructions": request.instructions} if request.instructions else {}
        return {"input": request.text, **more}, "aspeech"
    if isinstance(request, TranscriptionRequest):
        return {"prompt": request.prompt} if request.prompt else {}, "atranscription"
    return {"prompt": request.prompt}, "image_generation" if isinstance(request, ImageRequest) else "avideo_generation"


def _with(request: R, texts: Texts) -> R:
    if isinstance(request, SpeechRequest):
        return replace(request, text=texts["input"], instructions=texts.get("instructions") or None)
    return replace(request, prompt=texts["prompt"])


def _answer(name: str, error: BaseException, texts: Texts) -> ContentRefused | GuardFailed:
    """What the caller is told. An exception's own words may quote the text: only ours are passed on."""
    if isinstance(error, Refusal):
        fields = [note for note in getattr(error, "__notes__", ()) if note in texts]
        return ContentRefused(name, next(iter([*fields, *texts])), str(error))
    status = getattr(error, "status_code", None)
    if isinstance(status, int) and 400 <= status < 500:
        return ContentRefused(name, next(iter(texts)))
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(frame.filename).name}:{frame.lineno}"
    _log.error("the guardrail %s failed: %s at %s", name, type(error).__name__, place)
    return GuardFailed(name)


def _checked(name: str, passed: Texts, texts: Texts) -> Texts:
    """What a guard gave back. It may empty the instructions, but not what is to be spoken or shown."""
    if set(passed) != set(texts) or not all(isinstance(text, str) for text in passed.values()):
        _log.error("the guardrail %s gave back something else than text", name)
        raise GuardFailed(name)
    main = next(iter(texts))
    if not passed[main].strip():
        raise ContentRefused(name, main, "it leaves nothing of it")
    return passed


def _seen(task: asyncio.Future[Texts]) -> None:
    """Else asyncio complains of an exception that nobody looked at, where the caller had gone."""
    if not task.cancelled():
        task.exception()

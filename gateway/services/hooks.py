"""Guards that are somebody's own Python code: LiteLLM's ``CustomGuardrail`` or a plain function, by import path."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import inspect
import logging
import sys
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from gateway.config.guardrails import Guardrail, HookSettings
from gateway.errors import GatewayError
from gateway.policy.guards import Refusal
from gateway.record import Who

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Asked:
    """The call that a text is part of. ``call_type`` is LiteLLM's word for it."""

    model: str
    call_type: str
    who: Who


Texts = dict[str, str]
"""The texts of a call by their fields: ``input`` and ``instructions``, or ``prompt``."""

Hook = Callable[[Texts, Asked], Awaitable[Texts]]


class HookError(GatewayError):
    """A hook that cannot be loaded."""


async def load_hook(guard: Guardrail, settings: HookSettings, pool: Executor) -> Hook:
    """Import it and, if it is a class, make one. Raises ``HookError``: whatever its code may raise."""
    # On a thread, whose future holds any exception: what the code of others raises cannot be listed.
    loading = asyncio.wrap_future(pool.submit(_load, guard, settings))
    await asyncio.wait({loading})
    if (error := loading.exception()) is not None:
        where = f"the guardrail '{guard.name}' cannot be loaded from {settings.path}"
        raise HookError(f"{where}: {type(error).__name__}: {error}") from error
    found = loading.result()
    method = _method(found, moderation=settings.moderation)
    if method is not None:
        return _litellm(*method)
    if callable(found):
        return _plain(found, pool)
    raise HookError(
        f"the guardrail '{guard.name}': {settings.path} is neither a function that takes a text nor has it "
        "async_pre_call_hook, async_moderation_hook (for during_call) or apply_guardrail"
    )


def _load(guard: Guardrail, settings: HookSettings) -> Any:
    found = imported(settings.path, settings.folder)
    if not inspect.isclass(found):
        return found
    mode = "during_call" if settings.moderation else "pre_call"
    known = {"guardrail_name": guard.name, "event_hook": mode, "default_on": guard.default_on}
    given = {**known, **settings.params}
    parameters = inspect.signature(found).parameters.values()
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        # A class of one's own need not take what LiteLLM's base class takes; its own parameters must fit.
        taken = {parameter.name for parameter in parameters}
        given = {key: value for key, value in given.items() if key in taken or key not in known}
    return found(**given)


def imported(path: str, folder: Path) -> Any:
    """What ``module.name`` stands for: in a file in ``folder``, else installed, as LiteLLM looks. Raises anything."""
    module, _, name = path.rpartition(".")
    return getattr(_module(module, folder), name)


def _module(name: str, folder: Path) -> ModuleType:
    base = folder.joinpath(*name.split("."))
    for file in (base.with_suffix(".py"), base / "__init__.py"):
        if file.is_file():
            spec = importlib.util.spec_from_file_location(name, file)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            sys.modules.setdefault(name, module)  # dataclasses and the like look their module up
            spec.loader.exec_module(module)
            return module
    return importlib.import_module(name)


def _method(found: object, *, moderation: bool) -> tuple[str, Callable[..., Awaitable[Any]]] | None:
    """The hook of LiteLLM's that ``found`` has of its own: its base class has all of them, doing nothing."""
    hook = "async_moderation_hook" if moderation else "async_pre_call_hook"
    for name in (hook, "apply_guardrail"):
        method = getattr(found, name, None)
        if inspect.iscoroutinefunction(method) and not method.__module__.startswith("litellm."):
            return name, method
    return None


def _litellm(name: str, method: Callable[..., Awaitable[Any]]) -> Hook:
    """Called by keyword, as LiteLLM calls it."""

    async def pre_call(texts: Texts, asked: Asked) -> Texts:
        data = _data(texts, asked)
        key = _key(asked.who)
        answer = await method(user_api_key_dict=key, cache=None, data=data, call_type=asked.call_type)
        if isinstance(answer, BaseException):
            raise answer
        if isinstance(answer, str):  # LiteLLM's way of refusing
            raise Refusal
        return _taken(data if answer is None else answer, texts, asked)

    async def moderation(texts: Texts, asked: Asked) -> Texts:
        data = _data(texts, asked)
        await method(data=data, user_api_key_dict=_key(asked.who), call_type=asked.call_type)
        return texts

    async def apply(texts: Texts, asked: Asked) -> Texts:
        data = _data(texts, asked)
        taken = inspect.signature(method).parameters
        if "inputs" in taken:
            inputs = {"texts": list(texts.values())}
            answer = await method(inputs=inputs, request_data=data, input_type="request", logging_obj=None)
            return dict(zip(texts, answer["texts"], strict=True))
        more = {"request_data": data} if "request_data" in taken else {}
        return {field: await method(text=text, **more) for field, text in texts.items()}

    return {"async_pre_call_hook": pre_call, "async_moderation_hook": moderation, "apply_guardrail": apply}[name]


def _data(texts: Texts, asked: Asked) -> dict[str, Any]:
    """The body, as far as it concerns a guard."""
    return {"model": asked.model, **texts, "user": asked.who.end_user or None, "metadata": {}}


def _key(who: Who) -> SimpleNamespace:
    """Of LiteLLM's ``UserAPIKeyAuth`` what is known here. ``api_key`` is the key's digest."""
    return SimpleNamespace(
        api_key=who.key or None,
        token=who.key or None,
        key_alias=who.alias or None,
        end_user_id=who.end_user or None,
        user_id=None,
        team_id=None,
        request_route=None,
        metadata={},
    )


def _taken(data: Mapping[str, Any], texts: Texts, asked: Asked) -> Texts:
    before = _data(texts, asked)
    changed = [key for key in before if key not in (*texts, "metadata") and data.get(key) != before[key]]
    if changed:
        _log.warning("a guardrail changed %s of a call: only its texts can be changed", ", ".join(changed))
    return {field: data[field] for field in texts}


def _plain(function: Callable[[str], Any], pool: Executor) -> Hook:
    """A function from a text to a text, or to ``None`` for the same text. It may be ``async``."""

    async def each(texts: Texts, _asked: Asked) -> Texts:
        passed = {}
        for field, text in texts.items():
            answer = await asyncio.get_running_loop().run_in_executor(pool, function, text)
            if inspect.isawaitable(answer):
                answer = await answer
            passed[field] = text if answer is None else answer
        return passed

    return each

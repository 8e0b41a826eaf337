"""Sound to text: passed through to the first deployment that begins to answer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from gateway.ledger.cost import failed, maybe
from gateway.ledger.quote import quoted
from gateway.services.asking import Asker, Turn
from gateway.services.caller import Caller
from gateway.services.flow import Flow
from gateway.services.guards import Guards
from gateway.services.served import Served
from gateway.services.tasks import TaskService
from providers.base.contract import TranscriptionProvider, TranscriptionRequest, Usage
from providers.base.errors import ProviderError


@dataclass(slots=True)
class Written:
    """Text on its way, in the form that was asked for: ``chunks`` must be closed by whoever stops reading them."""

    media_type: str
    chunks: Flow
    served: Served


class TranscriptionService:
    """``transcribe`` for the server and for programs alike."""

    def __init__(self, asker: Asker, tasks: TaskService, guards: Guards) -> None:
        self._asker = asker
        self._tasks = tasks
        self._guards = guards

    async def transcribe(self, model: str, request: TranscriptionRequest, caller: Caller | None = None) -> Written:
        """The first deployment of ``model`` that begins to answer.

        Raises what ``Guards.screen`` (of the prompt), ``TaskService.admit`` and ``Asker.first`` raise.
        """
        caller = caller or Caller()
        request = await self._guards.screen(model, request, caller)
        record = caller.record
        async with await self._tasks.admit(caller, model, [request]) as admitted:
            ask = partial(self._ask, request, caller)
            made = await self._asker.first(model, "transcription", (record, caller.wishes), ask)
            made.chunks.at_end.append(admitted.carry(record, record.usage or Usage()))
            return made

    async def _ask(self, request: TranscriptionRequest, caller: Caller, turn: Turn) -> Written:
        record, deployment = caller.record, turn.deployment
        entry, provider, price = deployment.entry, deployment.provider, deployment.price
        assert isinstance(provider, TranscriptionProvider), "only those that transcribe are asked to"
        if caller.dry_run:
            raise quoted(entry, price, [request])
        record.asks()
        try:
            made = await provider.transcribe(request)
        except BaseException as error:
            record.costs.append(failed(error, None) if isinstance(error, ProviderError) else maybe(None))
            raise
        record.served_by(turn.group, deployment.key, entry.vendor)
        record.price, record.usage = price, made.usage
        return Written(made.media_type, Flow(made.chunks), turn.served())

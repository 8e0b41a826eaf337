"""Sound to text: passed through to the first deployment that begins to answer."""

from __future__ import annotations

from dataclasses import dataclass

from engines.media import ByteStream
from gateway.ledger.cost import failed, maybe
from gateway.ledger.quote import Quoted
from gateway.record import Used
from gateway.services.asking import Asker, Turn
from gateway.services.guards import Guards
from gateway.services.served import Served
from gateway.services.caller import Caller
from providers.base.contract import TranscriptionProvider, TranscriptionRequest
from providers.base.errors import ProviderError


@dataclass(slots=True)
class Written:
    """Text on its way, in the form that was asked for: ``chunks`` must be closed by whoever stops reading them."""

    media_type: str
    chunks: ByteStream
    served: Served


class TranscriptionService:
    """``transcribe`` for the server and for programs alike."""

    def __init__(self, asker: Asker, guards: Guards) -> None:
        self._asker = asker
        self._guards = guards

    async def transcribe(self, model: str, request: TranscriptionRequest, caller: Caller | None = None) -> Written:
        """The first deployment of ``model`` that begins to answer.

        Raises what ``Guards.screen`` (of the prompt) and ``Asker.first`` raise.
        """
        caller = caller or Caller()
        request = await self._guards.screen(model, request, caller)
        about = (caller.record, caller.wishes)
        return await self._asker.first(model, "transcription", about, lambda turn: self._ask(turn, request, caller))

    async def _ask(self, turn: Turn, request: TranscriptionRequest, caller: Caller) -> Written:
        candidate, record = turn.candidate, caller.record
        entry, provider, price = candidate.deployment.entry, candidate.deployment.provider, candidate.deployment.price
        assert isinstance(provider, TranscriptionProvider), "only those that transcribe are asked to"
        if caller.dry_run:  # how long the sound is nobody has looked at
            raise Quoted(entry.model_name, entry.vendor, None, price, Used())
        record.asks()
        try:
            made = await provider.transcribe(request)
        except BaseException as error:
            record.costs.append(failed(error, None) if isinstance(error, ProviderError) else maybe(None))
            raise
        key = candidate.deployment.key
        record.served_by(candidate.group, key, entry.vendor)
        record.price, record.usage = price, made.usage
        why = turn.reason if candidate.stands_in_for else None
        served = Served(candidate.group, entry.vendor, candidate.stands_in_for, why, deployment=key)
        return Written(made.media_type, made.chunks, served)

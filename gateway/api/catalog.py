"""``/v1/models``, ``/v1/audio/voices`` and ``/v1/audio/models``, each with and without ``/v1``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Depends, FastAPI, Request
from pydantic import BaseModel

from gateway.errors import UnknownModel
from gateway.record import Who
from gateway.services.catalog import Catalog, Listed

RequireKey = Callable[[Request], Awaitable[None]]


class Model(BaseModel):
    """OpenAI's Model object; ``mode`` is LiteLLM's."""

    id: str
    object: str = "model"
    created: int
    owned_by: str
    mode: str


class ModelList(BaseModel):
    """OpenAI's list of models."""

    object: str = "list"
    data: list[Model]


class VoiceItem(BaseModel):
    """One voice: ``id`` and ``name`` are what Open WebUI reads."""

    id: str
    name: str
    language: str
    gender: str
    models: list[str]


class VoiceList(BaseModel):
    """The de-facto answer of ``GET /audio/voices``."""

    voices: list[VoiceItem]


class SpeechModel(BaseModel):
    """A model that speaks."""

    id: str


class SpeechModelList(BaseModel):
    """The de-facto answer of ``GET /audio/models``."""

    models: list[SpeechModel]


class CatalogRoutes:
    """The read-only routes, which show what the caller's key may use.

    ``created`` is the time that OpenAI's Model object wants: when the config was loaded.
    """

    def __init__(self, catalog: Callable[[], Catalog], may_use: Callable[[Who, str], bool], created: int) -> None:
        self._catalog = catalog
        self._may_use = may_use
        self._created = created

    def lay(self, app: FastAPI, require_key: RequireKey, public: tuple[str, ...]) -> None:
        """Register every route, behind ``require_key`` unless its path is in ``public``."""
        self._add(app, "/models", self.models, require_key, public)
        self._add(app, "/models/{model:path}", self.model, require_key, public)
        self._add(app, "/audio/voices", self.voices, require_key, public)
        self._add(app, "/audio/models", self.speech_models, require_key, public)

    def _add(
        self, app: FastAPI, path: str, endpoint: Callable[..., Any], require_key: RequireKey, public: tuple[str, ...]
    ) -> None:
        needs = [] if f"/v1{path}" in public else [Depends(require_key)]
        for full, shown in ((f"/v1{path}", True), (path, False)):
            app.add_api_route(
                full, endpoint, methods=["GET"], dependencies=needs, include_in_schema=shown, tags=["catalog"]
            )

    async def models(self, request: Request) -> ModelList:
        """The names that may be used as `model`."""
        return ModelList(data=[self._model(listed) for listed in self._listed(request)])

    async def model(self, request: Request, model: str) -> Model:
        """One of them."""
        self._check(request, model)
        return self._model(self._catalog().model(model))

    async def voices(self, request: Request, model: str | None = None) -> VoiceList:
        """Every voice, or those of one model."""
        if model is not None:
            self._check(request, model)
        voices = []
        for voice, of in self._catalog().voices(model):
            names = [name for name in of if self._may_use(_who(request), name)]
            # A model that was asked for by its alias may be used under that name alone.
            if names or model is not None:
                item = {"id": voice.id, "name": voice.name, "language": voice.language, "gender": voice.gender}
                voices.append(VoiceItem(**item, models=names))
        return VoiceList(voices=voices)

    async def speech_models(self, request: Request) -> SpeechModelList:
        """The models that speak."""
        return SpeechModelList(models=[SpeechModel(id=listed.id) for listed in self._listed(request, "audio_speech")])

    def _listed(self, request: Request, making: str | None = None) -> list[Listed]:
        return [each for each in self._catalog().models(making) if self._may_use(_who(request), each.id)]

    def _check(self, request: Request, model: str) -> None:
        if not self._may_use(_who(request), model):
            raise UnknownModel(
                f"The model '{model[:200]}' does not exist, or your key may not use it. "
                "GET /v1/models lists those that it may use.",
                param="model",
            )

    def _model(self, listed: Listed) -> Model:
        return Model(id=listed.id, created=self._created, owned_by=listed.provider, mode=listed.mode)


def _who(request: Request) -> Who:
    who: Who = request.scope["state"]["call"].record.who
    return who

"""The application: FastAPI for what is read now and then, plain ASGI for the media routes."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from prometheus_client import CollectorRegistry
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from gateway.api.auth import KeyCheck
from gateway.api.catalog import CatalogRoutes, RequireKey
from gateway.api.errors import error_body, error_headers
from gateway.api.fastlane import UNKEPT, Fastlane, FastRoute
from gateway.api.health import lay_health
from gateway.api.images import ImageRoutes
from gateway.api.keys import KeyRoutes
from gateway.api.media import Links, lay_media
from gateway.api.metrics import lay_metrics
from gateway.api.models import ModelRoutes
from gateway.api.openapi import (
    describe,
    edit_operation,
    image_operation,
    speech_operation,
    transcription_operation,
    variation_operation,
    video_operation,
)
from gateway.api.speech import speech_endpoint
from gateway.api.spend import lay_spend
from gateway.api.transcriptions import TRANSCRIBE, TRANSLATE, TranscriptionRoutes
from gateway.api.videos import VideoRoutes
from gateway.build import Services, open_services
from gateway.config import Config, GeneralSettings
from gateway.data import data_folder
from gateway.database import StoreError
from gateway.errors import GatewayError, InvalidRequest, MethodNotAllowed, NotFound, Overloaded
from gateway.ledger.quote import Quoted
from gateway.record import Record, Who
from gateway.services.catalog import Catalog
from gateway.telemetry.observing import metrics_of, open_observers
from gateway.telemetry.telling import Telling
from gateway.telemetry.workers import WorkersMetrics
from gateway.version import __version__
from gateway.workers.crew import Crew
from providers.base.errors import ProviderError

_log = logging.getLogger(__name__)


class _House:
    """What is open while the application runs."""

    services: Services | None = None

    def __init__(self, config: Config, crew: Crew | None) -> None:
        self.config = config
        self.crew = crew
        self.metrics = metrics_of(config)
        self.metrics.jobs(lambda: None if self.services is None else self.services.tally)
        self.metrics.deployments(lambda: {} if self.services is None else self.services.conditions())
        self.telling = Telling()
        self.of_all = None if crew is None else WorkersMetrics(self.metrics.registry, crew.place)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        async with (
            open_observers(self.config, self.metrics) as self.telling.observers,
            open_services(self.config, data_folder(self.config.general), crew=self.crew) as services,
            nullcontext() if self.of_all is None else self.of_all.answering(self.telling),
        ):
            self.services = services
            services.catalog.warm()
            if self.crew is None or self.crew.leads:  # once is enough
                services.catalog.announce()
            services.health.start()
            yield
            self.services = None
            self.telling.now()

    def lay_lists(self, app: FastAPI, require_key: RequireKey, general: GeneralSettings) -> None:
        lists = CatalogRoutes(lambda: self.opened().catalog, self.may_use, int(time.time()))
        lists.lay(app, require_key, general.public_routes)
        ModelRoutes(lambda: self.opened().catalog, lambda: self.opened().health, self.may_use).lay(app, require_key)

    def opened(self) -> Services:
        assert self.services is not None, "the application's lifespan has not begun"
        return self.services

    def registry(self) -> CollectorRegistry:
        """What ``/metrics`` shows."""
        return self.metrics.registry if self.of_all is None else self.of_all.registry()

    def links(self, general: GeneralSettings) -> Callable[[], Links]:
        seconds = general.output_retention_days * 86_400
        return lambda: Links(self.opened().secret, general.public_url, seconds)

    def keep(self, record: Record) -> Awaitable[object] | None:
        return None if self.services is None else self.services.book.write(record)

    def key_check(self, general: GeneralSettings, *, everybody: bool) -> KeyCheck:
        key = general.master_key
        return KeyCheck(
            None if key is None else key.get_secret_value(),
            lambda: None if self.services is None else self.services.ring,
            header=general.litellm_key_header_name,
            user_header=general.user_header_name,
            everybody=everybody,
        )

    def enter(self, who: Who) -> Callable[[], None]:
        return self.opened().admission.enter(who)

    def may_use(self, who: Who, model: str) -> bool:
        return self.opened().admission.may_use(who, model)

    def catalog(self) -> Catalog | None:
        return None if self.services is None else self.services.catalog


def create_app(config: Config, *, everybody: bool = False, crew: Crew | None = None) -> Fastlane:
    """The ASGI application of a config. Everything is opened when its lifespan begins, and closed when it ends.

    ``everybody``: without a master key, pages of other sites may call too. ``crew``: other processes serve as well.
    """
    house = _House(config, crew)
    general = config.general
    keys = house.key_check(general, everybody=everybody)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with house.open():
            yield

    async def require_key(request: Request) -> None:
        request.scope["state"]["call"].record.who = keys.check(request.scope["state"]["call"].headers)

    async def require_admin(request: Request) -> None:
        request.scope["state"]["call"].record.who = keys.check_admin(request.scope["state"]["call"].headers)

    app = FastAPI(title="media-gateway", version=__version__, lifespan=lifespan, redirect_slashes=False)
    speech = speech_endpoint(lambda: house.opened().speech, general, keys)
    images = ImageRoutes(lambda: house.opened().images, house.links(general), general, keys)
    videos = VideoRoutes(lambda: house.opened().videos, lambda: house.opened().blobs, general, keys)
    transcripts = TranscriptionRoutes(lambda: house.opened().transcriptions, general, keys)
    fast = [
        FastRoute("POST", f"{base}{path}", endpoint, operation, also=also)
        for base in ("/v1", "")
        for path, endpoint, operation, also in (
            ("/audio/speech", speech, speech_operation(), ()),
            ("/audio/transcriptions", transcripts.create, transcription_operation(*TRANSCRIBE), ()),
            ("/audio/translations", transcripts.translate, transcription_operation(*TRANSLATE), ()),
            ("/images/generations", images.create, image_operation(), ()),
            ("/images/edits", images.edit, edit_operation(), ()),
            ("/images/variations", images.variation, variation_operation(), ()),
            ("/videos", videos.create, video_operation(), ("GET",)),
        )
    ]
    lane = Fastlane(app, fast, keys, (house.keep, house.enter, house.telling))
    house.metrics.gauge("litellm_in_flight_requests", "Calls under way.", lambda: lane.active)
    lay_metrics(app, house.registry(), require_admin if config.litellm.require_auth_for_metrics_endpoint else None)
    lay_health(app, house.catalog, lambda: lane.draining, keys, None if crew is None else crew.place)
    house.lay_lists(app, require_key, general)
    videos.lay(app, require_key)
    lay_spend(app, require_admin, lambda: house.opened().book)
    KeyRoutes(lambda: house.opened().keys).lay(app, require_key, require_admin)
    lay_media(app, house.links(general), lambda: house.opened().blobs)
    _shape_errors(app)
    describe(app, fast)
    return lane


def _shape_errors(app: FastAPI) -> None:
    """FastAPI's own errors in OpenAI's shape."""

    async def known(request: Request, error: Exception) -> Response:
        assert isinstance(error, GatewayError | ProviderError)
        return _response(request, error)

    async def quoted(_request: Request, found: Exception) -> Response:
        assert isinstance(found, Quoted)
        return JSONResponse(found.answer())

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        method, path = request.method, request.url.path
        if error.status_code == 405:
            allowed = tuple((error.headers or {}).get("Allow", "GET").split(", "))
            return _response(request, MethodNotAllowed(f"Not allowed to {method} on {path}.", allowed))
        return _response(request, NotFound(f"Invalid URL ({method} {path}). GET /docs lists the routes."))

    async def validation(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        fault = error.errors()[0]
        return _response(request, InvalidRequest(str(fault["msg"]), param=str(fault["loc"][-1])))

    async def unkept(request: Request, error: Exception) -> Response:
        _log.error("%s %s: %s", request.method, request.url.path, error)
        return _response(request, Overloaded(UNKEPT))

    async def crash(request: Request, _error: Exception) -> Response:
        # Starlette raises it again afterwards, and the fast lane logs it.
        request_id = request.scope["state"]["call"].record.id
        return _response(request, GatewayError(f"The gateway failed. Its log has more under {request_id}."))

    app.add_exception_handler(GatewayError, known)
    app.add_exception_handler(ProviderError, known)
    app.add_exception_handler(Quoted, quoted)
    app.add_exception_handler(StoreError, unkept)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, validation)
    app.add_exception_handler(Exception, crash)


def _response(request: Request, error: GatewayError | ProviderError) -> Response:
    record = request.scope["state"]["call"].record
    record.code, record.outcome = error.code, f"{error.code}: {error}"
    return JSONResponse(error_body(error), error.status, dict(error_headers(error)))

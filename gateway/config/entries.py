"""``model_list``: deployments, each with the settings type of its vendor."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from types import MappingProxyType
from typing import Annotated, Any, NamedTuple, Protocol

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field

from gateway.config import litellm_keys
from gateway.config.guardrails import none_elsewhere
from gateway.config.model import ModelEntry
from gateway.config.problems import Place
from gateway.config.reading import Reading
from gateway.config.report import Report, did_you_mean, listing
from gateway.config.routing import BESIDE_PARAMS, IN_MODEL_INFO, DeploymentKeys, read_deployment
from gateway.config.shapes import Unfit, names_of
from gateway.ledger.cost import NAMES as PRICES
from providers.base.settings import VendorSettings
from providers.base.vendor import Facts, Vendor

_PARAMS = ("litellm_params", "params")


class Vendors(Protocol):
    """Where vendors come from; ``providers.base.registry`` is one."""

    def names(self) -> tuple[str, ...]:
        """Every vendor, sorted."""

    def load(self, name: str) -> Vendor:
        """One of them. Raises ``LookupError`` if there is none of this name."""


def _printable(name: str) -> str:
    if not name.isprintable() or name != name.strip():
        raise Unfit("must hold no control characters, nor spaces at its ends", "write it as callers shall send it")
    return name


def _known_mode(mode: str) -> str:
    if mode not in litellm_keys.MODES:
        near = did_you_mean(mode, litellm_keys.MODES)
        raise Unfit("is no mode that LiteLLM knows", near or listing("modes", sorted(litellm_keys.MODES)))
    return mode


def _number_as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


class _Entry(BaseModel):
    model_name: Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_printable)]


class _Target(BaseModel):
    model: Annotated[str, Field(min_length=1, max_length=512), AfterValidator(_printable)]
    custom_llm_provider: Annotated[str, Field(min_length=1, max_length=100)] | None = None


_NEEDED = frozenset(("model", "input", "voice", "prompt", "response_format", "stream_format"))


def _optional(name: str) -> str:
    if name in _NEEDED:
        raise Unfit(f"{name} cannot be left out", "name parameters that a model can do without, such as instructions")
    return name


class _Options(BaseModel):
    voice: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    drop_params: bool | None = None
    additional_drop_params: tuple[Annotated[str, AfterValidator(_optional)], ...] = ()


class _Info(BaseModel):
    id: Annotated[str, Field(min_length=1, max_length=256), BeforeValidator(_number_as_text)] | None = None
    mode: Annotated[str, AfterValidator(_known_mode)] | None = None
    base_model: str | None = None
    health_check_timeout: Annotated[float, Field(gt=0, le=600)] | None = None
    disable_background_health_check: bool | None = None


class _Chosen(NamedTuple):
    """``model`` as written, with the settings type of each model meant: one, or those that its ``*`` stands for."""

    vendor: str
    model: str
    kinds: Mapping[str, type[VendorSettings]]
    spread: bool = False

    @property
    def keys(self) -> set[str]:
        """The keys of the vendor's own, of all these types."""
        return {key for kind in self.kinds.values() for key in names_of(kind)}


class _Read(NamedTuple):
    """``each`` has the settings of each model that the entry's ``*`` stands for; empty where it has none."""

    entry: ModelEntry
    each: Mapping[str, VendorSettings]


def read_models(reading: Reading, vendors: Vendors, data: Any) -> tuple[tuple[ModelEntry, ...], set[str]]:
    """The good entries, and the names of all of them, so that one fault is not told again wherever the name stands."""
    place = ("model_list",)
    names = set[str]()
    if isinstance(data, list) and data:
        found = [_read_entry(reading, vendors, (*place, index), item, names) for index, item in enumerate(data)]
        return _spread([read for read in found if read is not None], names), names
    message = "is missing" if data is None else "is empty"
    if data is not None and data != []:
        message = f"must be a list, got {reading.report.shown(place, data)}"
    hint = "write `- model_name: …` and under it `litellm_params:` with a `model:`"
    reading.report.error(place, message, hint, at_key=data is None)
    return (), names


def _spread(found: list[_Read], names: set[str]) -> tuple[ModelEntry, ...]:
    """Entries with a ``*`` as one for each known model it stands for; those written out win. ``names`` follow."""
    written = {entry.model_name for entry, each in found if not each}
    names -= {entry.model_name for entry, each in found if each} - written
    spread: list[ModelEntry] = []
    for entry, each in found:
        before, _, after = entry.model.partition("*")
        for model, settings in each.items():
            name = entry.model_name.replace("*", model[len(before) : len(model) - len(after)])
            if name not in written:
                spread.append(replace(entry, model=model, model_name=name, settings=settings))
        spread += [] if each else [entry]
    names |= {entry.model_name for entry in spread}
    return tuple(spread)


def _stood_for(models: Mapping[str, Facts], pattern: str) -> list[str]:
    """The models that the one ``*`` of ``pattern`` stands for. A vendor's own ``*`` (any name) is no model."""
    before, star, after = pattern.partition("*")
    if not star or "*" in after:
        return []
    fits = (model for model in models if model.startswith(before) and model.endswith(after))
    return [model for model in fits if not model.endswith("*") and len(model) > len(before + after)]


def _read_entry(reading: Reading, vendors: Vendors, place: Place, item: Any, names: set[str]) -> _Read | None:
    written = reading.mapping(place, {} if item is None else item)
    written = reading.sort(place, written, ("model_name", *_PARAMS, "model_info", "rpm"), litellm_keys.MODEL_ENTRY)
    if not isinstance(item, dict | None):
        return None
    entry = reading.part(_Entry, place, written)
    if entry is not None:
        names.add(entry.model_name)
    where = _params_place(reading.report, place, written)
    params = None if where is None else none_elsewhere(reading, where, reading.mapping(where, written[str(where[-1])]))
    info = _read_info(reading, (*place, "model_info"), written.get("model_info"))
    if where is None or params is None:
        return None
    options = reading.part(_Options, where, params)
    chosen, settings = _read_vendor(reading, vendors, where, params)
    routing = _read_routing(reading, place, written, where, chosen)
    prices = _read_prices(reading, where, {key: params[key] for key in params if key in PRICES})
    if prices is None or routing is None:
        return None
    if entry is None or info is None or options is None or chosen is None or settings is None:
        return None
    if not _stars_agree(reading.report, place, entry.model_name, chosen):
        return None
    made = ModelEntry(
        **entry.model_dump(),
        vendor=chosen.vendor,
        model=chosen.model,
        settings=next(iter(settings.values())),
        **options.model_dump(),
        routing=routing,
        model_info=MappingProxyType({**prices, **info}),
        line=reading.report.line(place),
    )
    return _Read(made, settings if chosen.spread else {})


def _stars_agree(report: Report, place: Place, name: str, chosen: _Chosen) -> bool:
    """Whether each model that a ``*`` stands for has a name of its own; a ``*`` in the name alone is warned of."""
    where = (*place, "model_name")
    if chosen.spread and name.count("*") != 1:
        report.error(where, "must have one *, as the model has", "such as vendor/* for both")
        return False
    if "*" in name and not chosen.spread:
        report.warn(where, "the * stands for no models that are known here: the name counts as it stands")
    return True


def _read_routing(
    reading: Reading, place: Place, written: Mapping[str, Any], where: Place, chosen: _Chosen | None
) -> DeploymentKeys | None:
    """What is said of routing in the parameters, beside them and in ``model_info``."""
    own = set() if chosen is None else chosen.keys
    params, info = (
        given if isinstance(given, dict) else {} for given in (written[str(where[-1])], written.get("model_info"))
    )
    return read_deployment(
        reading,
        {
            (*place, "model_info"): {key: value for key, value in info.items() if key in IN_MODEL_INFO},
            place: {key: value for key, value in written.items() if key in BESIDE_PARAMS},
            where: {key: value for key, value in params.items() if key not in own},
        },
    )


def _params_place(report: Report, place: Place, written: Mapping[str, Any]) -> Place | None:
    given = [key for key in _PARAMS if key in written]
    if not given:
        report.error(
            (*place, _PARAMS[0]), "is missing", "write `litellm_params:` with a `model:` under it", at_key=True
        )
        return None
    if len(given) > 1:
        hint = "move everything under one of the two"
        report.error((*place, given[1]), "litellm_params and params are the same thing", hint, at_key=True)
    return (*place, given[0])


def _read_vendor(
    reading: Reading, vendors: Vendors, place: Place, params: Mapping[str, Any]
) -> tuple[_Chosen | None, Mapping[str, VendorSettings] | None]:
    target = reading.part(_Target, place, params)
    chosen = None if target is None else _choose(reading.report, vendors, place, target)
    if chosen is None:
        return None, None  # what other keys there may be is the vendor's to say
    ours = {**names_of(_Target), **names_of(_Options), **dict.fromkeys(PRICES, "")}
    # A vendor that has a key of its own by one of these names keeps it.
    ours |= {key: field for key, field in names_of(DeploymentKeys).items() if key not in chosen.keys}
    rest = {key: value for key, value in params.items() if key not in ours}
    known = {*litellm_keys.PARAMS, *ours, *filter(litellm_keys.is_cost, rest)}
    by_kind: dict[type[VendorSettings], VendorSettings] = {}
    for kind in chosen.kinds.values():
        if kind not in by_kind:
            # Keys of the other types are theirs, and those of nobody are told of once.
            nobodys = set() if by_kind else rest.keys() - chosen.keys
            mine = {key: value for key, value in rest.items() if key in nobodys or key in names_of(kind)}
            if (settings := reading.fill(kind, place, mine, known)) is None:
                return chosen, None
            by_kind[kind] = settings
    return chosen, {model: by_kind[kind] for model, kind in chosen.kinds.items()}


def _choose(report: Report, vendors: Vendors, place: Place, target: _Target) -> _Chosen | None:
    """The vendor and its model by LiteLLM's rule: ``<vendor>/<model>``, unless ``custom_llm_provider`` names one, or
    the model is one that needs no vendor before it."""
    given = target.custom_llm_provider or _bare(vendors, target.model)
    name, model = target.model.partition("/")[::2]
    where = (*place, "model")
    if given is not None:
        name, model = given, target.model.removeprefix(f"{given}/")
    there_are = listing("the vendors are", vendors.names())
    if not name or not model:
        got = report.shown(where, target.model)
        report.error(where, f"must be <vendor>/<model>, got {got}", there_are)
        return None
    if name not in vendors.names():
        at = where if target.custom_llm_provider is None else (*place, "custom_llm_provider")
        hint = " ".join(filter(None, (did_you_mean(name, vendors.names()), there_are)))
        report.error(at, f"no vendor{report.named(at, name)}", hint)
        return None
    try:
        known = vendors.load(name)
    except ImportError as error:
        message = f"the vendor {name} needs the Python package {error.name}, which is not installed"
        report.error(where, message, "install it, or take this entry out")
        return None
    if spread := _stood_for(known.models, model):
        return _Chosen(name, model, {each: known.models[each].settings for each in spread}, spread=True)
    facts = known.facts(model)
    if known.models and facts is None:
        hint = did_you_mean(model, known.models) or listing("its models are", sorted(known.models))
        report.error(where, f"{name} has no model{report.named(where, model)}", hint)
        return None
    return _Chosen(name, model, {model: VendorSettings if facts is None else facts.settings})


def _bare(vendors: Vendors, model: str) -> str | None:
    """The vendor of a model that is named alone."""
    for name in vendors.names() if "/" not in model else ():
        with suppress(ImportError):  # an extra that is not installed
            vendor = vendors.load(name)
            if vendor.bare and model != "*" and model in vendor.models:
                return name
    return None


def _read_info(reading: Reading, place: Place, data: Any) -> Mapping[str, Any] | None:
    written = reading.mapping(place, data)
    costs = {key for key in written if litellm_keys.is_cost(key) and key not in litellm_keys.MODEL_INFO}
    known = litellm_keys.MODEL_INFO | litellm_keys.COMMON_COSTS
    kept = reading.sort(place, written, {*names_of(_Info), *costs, *IN_MODEL_INFO}, known)
    info = reading.part(_Info, place, kept)
    prices = _read_prices(reading, place, {key: kept[key] for key in kept if key in costs})
    if info is None or prices is None:
        return None
    others = {key: value for key, value in written.items() if key in litellm_keys.MODEL_INFO}
    return MappingProxyType({**others, **info.model_dump(exclude_none=True), **prices})


def _read_prices(reading: Reading, place: Place, written: Mapping[str, Any]) -> dict[str, float] | None:
    given, failed = reading.resolve(place, {key: value for key, value in written.items() if value is not None})
    prices = {key: _price(reading.report, (*place, key), value) for key, value in given.items()}
    known = {key: price for key, price in prices.items() if price is not None}
    for key in known.keys() - PRICES:
        reading.report.not_acted_on((*place, key))
    return None if failed or len(known) < len(prices) else known


def _price(report: Report, place: Place, value: Any) -> float | None:
    """A price as a number. ``1e-05`` without a point is text to YAML 1.1."""
    try:
        price = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        price = math.nan
    if price >= 0 and math.isfinite(price):
        return price
    report.error(place, f"must be a price in USD, got {report.shown(place, value)}", "write a number, 0 or more")
    return None

"""Names that stand for other names: aliases and fallbacks, checked against the names there are."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from gateway.config.model import LitellmSettings, RouterSettings
from gateway.config.problems import Place
from gateway.config.report import Report, chain, did_you_mean, listing, quoted

ANY = "*"
MAX_CHAIN = 20


def read_aliases(report: Report, router: RouterSettings, names: Collection[str]) -> dict[str, str]:
    """Each alias with the ``model_name`` at the end of its chain; those that are wrong are reported and left out."""
    table = router.model_group_alias
    found, in_loops = {}, set[str]()
    for alias, target in table.items():
        place = ("router_settings", "model_group_alias", alias)
        if alias in names:
            message = f"the alias hides the model_name {quoted(alias)}"
            report.error(place, message, "give one of the two another name", at_key=True)
            continue
        path = [alias]
        while path[-1] not in names and path[-1] in table and path[-1] not in path[:-1] and len(path) <= MAX_CHAIN:
            path.append(table[path[-1]])
        end = path[-1]
        if end in names:
            found[alias] = end
        elif len(path) > MAX_CHAIN:
            message = f"more than {MAX_CHAIN} aliases between this one and a model_name"
            report.error(place, message, "let it name the model_name itself")
        elif end not in table and target == end:
            longer = (*place, "model")
            _unknown(report, longer if report.written(longer) else place, end, [*names, *table])
        elif end == alias and alias not in in_loops:
            in_loops.update(path)
            report.error(place, f"aliases in a circle: {chain(path)}", "let one of them name a model_name")
    return found


class Names(NamedTuple):
    """The names there are: each ``model_name``, and each alias with what it stands for."""

    models: Collection[str]
    aliases: Mapping[str, str]


def read_fallbacks(
    report: Report, router: RouterSettings, litellm: LitellmSettings, there: Names, key: str = "fallbacks"
) -> dict[str, tuple[str, ...]]:
    """Each group with the groups asked after it; aliases are replaced by what they stand for.

    What stands under ``router_settings`` wins over ``litellm_settings`` (LiteLLM's proxy config reference). ``key`` is
    ``fallbacks`` or ``content_policy_fallbacks``.
    """
    merged: dict[str, tuple[str, ...]] = {}
    aliases = there.aliases
    known = {*there.models, *router.model_group_alias}
    for section, settings in (("router_settings", router), ("litellm_settings", litellm)):
        own: dict[str, tuple[str, ...]] = {}
        for place, group, targets in _rules(section, settings, key):
            if group != ANY and group not in known:
                _unknown(report, place, group, known, at_key=True)
            real = aliases.get(group, group)
            good = _targets(report, place, real, targets, aliases, known)
            if real in own:
                hint = "put all of them into one list"
                report.error(place, f"{quoted(group)} has fallbacks already", hint, at_key=True)
            elif real in merged:
                report.warn(place, "router_settings has other fallbacks for it, which win", "take one of the two out")
            own.setdefault(real, good)
        merged = {**own, **merged}
    return merged


def check_groups(report: Report, place: Place, groups: Iterable[str], there: Names) -> None:
    """Report each of ``groups`` that is no name there is."""
    for group in groups:
        if group not in there.models and group not in there.aliases:
            _unknown(report, (*place, group), group, {*there.models, *there.aliases}, at_key=True)


def _rules(
    section: str, settings: RouterSettings | LitellmSettings, key: str
) -> Iterator[tuple[Place, str, Sequence[str]]]:
    for index, rules in enumerate(getattr(settings, key)):
        for group, targets in rules.items():
            yield (section, key, index, group), group, targets
    if settings.default_fallbacks and key == "fallbacks":
        yield (section, "default_fallbacks"), ANY, settings.default_fallbacks


def _targets(
    report: Report, place: Place, group: str, targets: Sequence[str], aliases: Mapping[str, str], known: Collection[str]
) -> tuple[str, ...]:
    good = []
    for index, target in enumerate(targets):
        real = aliases.get(target, target)
        if target not in known:
            _unknown(report, (*place, index), target, known)
        elif real == group:
            report.error((*place, index), "the group falls back to itself", "name another model, or take it out")
        elif real not in good:
            good.append(real)
    return tuple(good)


def _unknown(report: Report, place: Place, name: str, known: Collection[str], *, at_key: bool = False) -> None:
    if report.full:
        return
    names = report.public(known)
    hint = did_you_mean(name, names) or listing("the names are", names)
    report.error(place, f"no model_name or alias{report.named(place, name)}", hint, at_key=at_key)

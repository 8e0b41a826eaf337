"""The guard ``litellm_content_filter``: words and patterns, each refused or masked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field

from gateway.config import litellm_keys
from gateway.config.problems import ConfigError, Place
from gateway.config.reading import Reading
from gateway.config.report import did_you_mean, listing
from gateway.config.shapes import Unfit
from gateway.config.source import parse, read
from gateway.policy.guards import patterns
from gateway.policy.guards.folding import fold

Action = Literal["BLOCK", "MASK"]


def _word(word: str) -> str:
    if not fold(word, words=True).text.strip():
        raise Unfit("must hold something to look for", "write a word, or take the entry out")
    return word


def _format(text: str) -> str:
    if "{pattern_name}" not in text:
        raise Unfit("must hold {pattern_name}", "such as [{pattern_name}_REDACTED]")
    return text


class BlockedWord(BaseModel):
    """A word or a phrase."""

    keyword: Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_word)]
    action: Action
    description: str | None = None


class FilterPattern(BaseModel):
    """``expression`` and ``called`` are what the two spellings, prebuilt and one's own, come to."""

    pattern_type: Literal["prebuilt", "regex"]
    action: Action
    pattern_name: str | None = None
    pattern: str | None = None
    name: str | None = None

    @property
    def expression(self) -> str:
        """In RE2's syntax."""
        return self.pattern or patterns.PREBUILT[self.pattern_name or ""]

    @property
    def called(self) -> str:
        """As it stands in what replaces a match."""
        return (self.pattern_name or self.name or "custom_regex").upper()


class _Tags(BaseModel):
    pattern_redaction_format: Annotated[str, AfterValidator(_format)] = "[{pattern_name}_REDACTED]"
    keyword_redaction_tag: str = "[KEYWORD_REDACTED]"


class ContentFilterSettings(_Tags):
    """All of it, with the words of ``blocked_words_file``."""

    patterns: tuple[FilterPattern, ...] = ()
    blocked_words: tuple[BlockedWord, ...] = ()


def read_content_filter(
    reading: Reading, place: Place, data: dict[str, Any], folder: Path
) -> ContentFilterSettings | None:
    """The settings; ``None``, with the faults reported, where one is wrong. ``folder``: of the config."""
    report = reading.report
    lists = {key: value for key, value in data.items() if key in ("patterns", "blocked_words") and value is not None}
    for key in ("categories", "competitor_intent_config"):
        if data.get(key):
            hint = "LiteLLM's word lists are not here: write your own under blocked_words"
            report.error((*place, key), "is not supported", hint, at_key=True)
    lost = {"categories", "competitor_intent_config", "blocked_words_file", "blocked_words", "patterns"}
    rest = {key: value for key, value in data.items() if key not in lost}
    tags = reading.fill(_Tags, place, rest, litellm_keys.GUARDRAIL_PARAMS)
    words = _items(reading, (*place, "blocked_words"), lists.get("blocked_words", []), BlockedWord)
    found = _items(reading, (*place, "patterns"), lists.get("patterns", []), FilterPattern)
    more = _file(reading, (*place, "blocked_words_file"), data.get("blocked_words_file"), folder)
    if any(data.get(key) for key in ("categories", "competitor_intent_config")):
        return None
    if tags is None or words is None or found is None or more is None:
        return None
    if not words and not found and not more:
        report.error(place, "this filter looks for nothing", "write blocked_words: or patterns: under it")
        return None
    if not _usable(reading, (*place, "patterns"), found):
        return None
    return ContentFilterSettings(patterns=tuple(found), blocked_words=(*words, *more), **tags.model_dump())


def _items(reading: Reading, place: Place, data: Any, shape: Any) -> list[Any] | None:
    if not isinstance(data, list):
        got = reading.report.shown(place, data)
        reading.report.error(place, f"must be a list, got {got}", "write one `- ` for each")
        return None
    found = []
    for index, item in enumerate(data):
        where = (*place, index)
        written = reading.mapping(where, item)
        found.append(reading.fill(shape, where, written) if isinstance(item, dict) else None)
    return None if None in found else found


def _file(reading: Reading, place: Place, given: Any, folder: Path) -> list[BlockedWord] | None:
    """The words of a YAML file beside the config: its ``blocked_words``."""
    if given is None:
        return []
    values, failed = reading.resolve(place[:-1], {"blocked_words_file": given})
    name = values.get("blocked_words_file")
    if failed or not isinstance(name, str) or not name:
        if not failed:
            reading.report.error(place, f"must be a path, got {reading.report.shown(place, name)}", "write text")
        return None
    path = folder / name
    try:
        listed = parse(read(path), str(path)).data.get("blocked_words")
        if not isinstance(listed, list):
            raise Unfit("has no list blocked_words", "begin it with `blocked_words:`")
        return [_from_file(item, number) for number, item in enumerate(listed, 1)]
    except ConfigError as error:
        first = error.problems[0]
        reading.report.error(place, f"line {first.line} of this file: {first.message}", first.hint)
    except Unfit as error:
        reading.report.error(place, f"this file {error}", error.hint)
    return None


def _from_file(item: Any, number: int) -> BlockedWord:
    try:
        return BlockedWord.model_validate(item)
    except ValueError:
        hint = "each is {keyword: text, action: BLOCK or MASK}"
        raise Unfit(f"has something else than a word as entry {number}", hint) from None


def _usable(reading: Reading, place: Place, found: list[FilterPattern]) -> bool:
    """Whether each pattern is known, and RE2 is there to look for it."""
    report = reading.report
    if found and not patterns.available():
        message = "patterns need the Python package google-re2, which is not installed"
        report.error(place, message, 'pip install "media-gateway[guards]"', at_key=True)
        return False
    good = True
    for index, each in enumerate(found):
        needed = "pattern_name" if each.pattern_type == "prebuilt" else "pattern"
        where = (*place, index, needed)
        given = getattr(each, needed)
        if not given:
            report.error(where, "is missing", f"a {each.pattern_type} pattern needs it", at_key=True)
        elif needed == "pattern_name" and given not in patterns.PREBUILT:
            hint = did_you_mean(given, patterns.PREBUILT) or listing("there are", sorted(patterns.PREBUILT))
            report.error(where, f"no prebuilt pattern{report.named(where, given)}", f"{hint}; or write your own")
        else:
            try:
                patterns.Pattern(each.expression)
                continue
            except patterns.BadPattern as error:
                hint = "RE2's syntax: github.com/google/re2/wiki/Syntax (no look-around, no back-references)"
                report.error(where, f"is no pattern: {error}", hint)
        good = False
    return good

"""Text to the phonemes that Kokoro reads, one language at a time, without ever calling the network.

English goes through misaki's dictionary where spaCy's ``en_core_web_sm`` is installed, else through eSpeak NG with
misaki's own table from eSpeak's phonemes to Kokoro's. Japanese and Mandarin need misaki's extras.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from engines.errors import EngineUnavailable
from engines.text import pieces

_log = logging.getLogger(__name__)

SPACY_MODEL = "en_core_web_sm"
"""What misaki tags English with. Its constructor downloads it when it is missing, so it is looked for first."""

# eSpeak NG's voice by language letter, as in kokoro.pipeline.LANG_CODES.
_ESPEAK = {"a": "en-us", "b": "en-gb", "e": "es", "f": "fr-fr", "h": "hi", "i": "it", "p": "pt-br"}
_EXTRAS = {"j": ("Japanese", "ja"), "z": ("Mandarin", "zh")}

# misaki raises these on odd input: it looks up characters and tags that it takes for granted.
_ODD_INPUT = (AssertionError, AttributeError, IndexError, KeyError, TypeError, ValueError)

# eSpeak takes a C string, and lone surrogates (which JSON can carry) have no UTF-8.
_UNSPEAKABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_LATIN = re.compile(r"([A-Za-z](?:[A-Za-z'’ -]*[A-Za-z])?)")
_LINE_END = re.compile(r"(?<=\w)\s*[\n\r]\s*")
_INSIDE_NUMBER = re.compile(r"(?<=\d)[.,:](?=\d)")
_HIDE = {".": "\ue000", ",": "\ue001", ":": "\ue002"}
_SHOW = str.maketrans({hidden: mark for mark, hidden in _HIDE.items()})

# eSpeak NG drops what exceeds some 190 phonemes in one word and 1,000 in one call (measured with 1.52.0), so long runs
# get spaces: between digits; every 10 characters in what is spelled out (no vowels, accents, symbols); else every 40.
_LONG_RUN = re.compile(
    r"(?P<digits>\d(?:[.,:]?\d){24,})"
    r"|(?P<spelled>[b-df-hj-np-tv-xz]{11,}|[\u00c0-\u024f]{11,}|[^\w\s]{11,})"
    r"|(?P<letters>[^\W\d_]{46,})",
    re.IGNORECASE,
)
_RUN_STEP = {"digits": 1, "spelled": 10, "letters": 40}
_BY_NAME = re.compile(r"[^\sA-Za-z\u0900-\u097f!-/:-?]")  # spoken by its name: up to 15 phonemes each
_NAMED_LIMIT = 60

G2P = Callable[[str], str]


def has_spacy_model() -> bool:
    """Whether English can be tagged here, found out as misaki does before it downloads."""
    import spacy

    return bool(spacy.util.is_package(SPACY_MODEL))


class Phonemiser:
    """Phonemes of any text in any of Kokoro's languages. Each language is set up at its first use and kept."""

    def __init__(self) -> None:
        self._languages: dict[str, G2P] = {}

    def prepare(self, language: str) -> G2P:
        """The converter for a language letter. Raises ``EngineUnavailable`` with a hint when a package is missing."""
        if language not in self._languages:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._languages[language] = _make(language)
        return self._languages[language]

    def __call__(self, language: str, text: str) -> str:
        """The phonemes of ``text``, punctuation kept; empty when there is nothing to say."""
        return self.prepare(language)(spoken_form(text))


def spoken_form(text: str) -> str:
    """``text`` on one line, a line end being a full stop, without characters that eSpeak NG trips over."""
    text = _LINE_END.sub(". ", _UNSPEAKABLE.sub(" ", text).strip())
    return _LONG_RUN.sub(_spaced, " ".join(text.split()))


def _spaced(match: re.Match[str]) -> str:
    run, step = match[0], _RUN_STEP[match.lastgroup or "letters"]
    return " ".join(run[start : start + step] for start in range(0, len(run), step)) + " "


def _make(language: str) -> G2P:
    if language in _EXTRAS:
        return _asian(language)
    if language not in "ab":
        return _plain(language)
    if has_spacy_model():
        try:
            return _tagged_english(language)
        except (*_ODD_INPUT, OSError, ImportError) as error:
            _log.warning("spaCy's %s cannot be used, eSpeak NG phonemises English instead: %s", SPACY_MODEL, error)
    return _espeak_english(language)


def _asian(language: str) -> G2P:
    name, extra = _EXTRAS[language]
    hint = f'pip install "media-gateway[kokoro-{extra}]"'
    try:
        if language == "j":
            from misaki import ja

            convert = ja.JAG2P()
        else:
            from misaki import zh

            convert = zh.ZHG2P()
            logging.getLogger("jieba").setLevel(logging.WARNING)  # it would report on stderr what it loads
        convert("一")  # loads the dictionary
    except ImportError as error:
        raise EngineUnavailable(f"{name} needs packages that are not installed ({error.name}).", hint) from error
    except (OSError, RuntimeError) as error:
        # fugashi finds no dictionary: the unidic package is only a downloader for it.
        raise EngineUnavailable(f"{name} cannot be set up: {error}", "python -m unidic download") from error

    def phonemes(text: str) -> str:
        return str(convert(text)[0]) if text else ""

    return phonemes if language == "j" else _with_english(phonemes)


def _with_english(mandarin: G2P) -> G2P:
    """misaki takes Latin letters among Chinese text for phonemes; they are English words."""
    english = _make("a")

    def phonemes(text: str) -> str:
        runs = enumerate(_LATIN.split(text))
        return " ".join(english(run) if index % 2 else mandarin(run) for index, run in runs).strip()

    return phonemes


def _tagged_english(language: str) -> G2P:
    from misaki import en

    espeak_only = _espeak_english(language)
    # For words that are not in misaki's dictionary; 2 is how much misaki trusts eSpeak.
    convert = en.G2P(trf=False, british=language == "b", fallback=lambda token: (espeak_only(token.text), 2), unk="")

    def phonemes(text: str) -> str:
        try:
            return str(convert(text)[0])
        except _ODD_INPUT:
            return espeak_only(text)

    return phonemes


def _espeak_english(language: str) -> G2P:
    from misaki import espeak

    convert = espeak.EspeakFallback(british=language == "b")
    convert.backend = _backend(language)
    return _in_parts(lambda text: convert(SimpleNamespace(text=text))[0] or "")


def _plain(language: str) -> G2P:
    from misaki import espeak

    convert = espeak.EspeakG2P(_ESPEAK[language])
    convert.backend = _backend(language)
    return _in_parts(lambda text: convert(text)[0])


def _in_parts(convert: G2P) -> G2P:
    """``convert`` by parts short enough for eSpeak NG, with the marks inside numbers kept from the phonemiser."""

    def phonemes(text: str) -> str:
        text = _INSIDE_NUMBER.sub(lambda match: _HIDE[match[0]], text)
        if len(text) <= _NAMED_LIMIT or 2 * len(_BY_NAME.findall(text)) < len(text):
            return convert(text) if text else ""
        return " ".join(convert(part) for part in pieces(text, (_NAMED_LIMIT,)))

    return phonemes


def _backend(language: str) -> Any:
    """The phonemizer package's eSpeak NG as misaki sets it up, but reading 1,234.5 and 10:30 as one number.

    The package cuts at every punctuation mark, so marks inside a number come in disguise and are shown to eSpeak alone.
    """
    from misaki import espeak

    class Backend(espeak.phonemizer.backend.EspeakBackend):  # type: ignore[misc, name-defined, unused-ignore]
        def _phonemize_aux(self, text: list[str], *rest: Any) -> tuple[list[str], list[int]]:
            lines, switches = super()._phonemize_aux([line.translate(_SHOW) for line in text], *rest)
            if language == "b":
                # misaki's table has these two, but looks for them after its rules for the single letters.
                lines = [line.replace("e^ə", "ɛː").replace("i^ə", "ɪə") for line in lines]
            return lines, switches

    quiet = logging.getLogger(f"{__name__}.phonemizer")
    quiet.setLevel(logging.ERROR)  # it warns of every word that eSpeak reads in another language
    return Backend(
        _ESPEAK[language],
        preserve_punctuation=True,
        with_stress=True,
        tie="^",
        language_switch="remove-flags",
        logger=quiet,
    )

"""``guardrails:`` of a config: what each comes to, and that no guard is left out in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config import Config, ConfigError, parse_config
from gateway.config.content_filter import ContentFilterSettings
from gateway.config.guardrails import Guardrail, HookSettings, LengthSettings, PiiSettings
from gateway.policy.guards import patterns, pii
from tests.config.fakes import CANARY, FakeVendors, parse, problems, the_problem

ONE = "model_list:\n- model_name: one\n  params: {model: anything/x}\nguardrails:\n"


def guard(params: str, more: str = "") -> str:
    return f"{ONE}- guardrail_name: g\n  litellm_params: {{{params}}}\n  {more}"


def read(text: str, folder: Path) -> Config:
    return parse_config(text, folder / "config.yaml", env={"KEY": CANARY}, vendors=FakeVendors())


def test_none() -> None:
    assert parse(ONE).guardrails == ()
    assert parse(f"{ONE} []").guardrails == ()


def test_length() -> None:
    config = parse(guard("guardrail: media_gateway/length, mode: pre_call, max_characters: 500, default_on: true"))
    assert config.guardrails == (Guardrail("g", True, 5.0, LengthSettings(max_characters=500)),)
    assert config.warnings == ()


def test_content_filter(tmp_path: Path) -> None:
    (tmp_path / "more.yaml").write_text("blocked_words:\n- {keyword: third, action: BLOCK, description: x}\n")
    text = guard(
        "guardrail: litellm_content_filter, mode: PRE_CALL, timeout: 2, keyword_redaction_tag: '*', "
        "blocked_words: [{keyword: first, action: BLOCK}, {keyword: second, action: MASK, description: why}], "
        "blocked_words_file: more.yaml"
    )
    (found,) = read(text, tmp_path).guardrails
    assert (found.default_on, found.timeout) == (False, 2)
    assert isinstance(found.settings, ContentFilterSettings)
    words = [(word.keyword, word.action) for word in found.settings.blocked_words]
    assert words == [("first", "BLOCK"), ("second", "MASK"), ("third", "BLOCK")]
    assert (found.settings.keyword_redaction_tag, found.settings.patterns) == ("*", ())


def test_patterns() -> None:
    pytest.importorskip("re2")
    text = guard(
        "guardrail: litellm_content_filter, mode: pre_call, patterns: ["
        "{pattern_type: prebuilt, pattern_name: email, action: MASK}, "
        "{pattern_type: regex, pattern: 'PRO-\\d+', name: project, action: BLOCK}, "
        "{pattern_type: regex, pattern: 'X-\\d+', action: MASK}]"
    )
    (found,) = parse(text).guardrails
    assert isinstance(found.settings, ContentFilterSettings)
    assert [each.called for each in found.settings.patterns] == ["EMAIL", "PROJECT", "CUSTOM_REGEX"]
    assert [each.expression for each in found.settings.patterns][1:] == ["PRO-\\d+", "X-\\d+"]


def test_presidio() -> None:
    pytest.importorskip("presidio_analyzer")
    text = guard(
        "guardrail: presidio, mode: pre_call, pii_entities_config: {EMAIL_ADDRESS: MASK, CREDIT_CARD: BLOCK}, "
        "presidio_score_thresholds: {ALL: 0.5}, presidio_filter_scope: both, presidio_language: en"
    )
    config = parse(text)
    (found,) = config.guardrails
    assert isinstance(found.settings, PiiSettings)
    assert found.settings.pii_entities_config == {"EMAIL_ADDRESS": "MASK", "CREDIT_CARD": "BLOCK"}
    assert [warning.where for warning in config.warnings] == ["guardrails[0].litellm_params.presidio_language"]


def test_the_documented_example(tmp_path: Path) -> None:
    pytest.importorskip("re2")
    pytest.importorskip("presidio_analyzer")
    page = (Path(__file__).parents[2] / "docs/guardrails.md").read_text()
    example = page.partition("```yaml\n")[2].partition("```")[0]
    (tmp_path / "my_module.py").touch()
    config = read(ONE.replace("guardrails:\n", example), tmp_path)
    assert [guard.name for guard in config.guardrails] == ["words", "no-novels", "personal-data", "mine"]
    assert config.warnings == ()


def test_hooks(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("raise AssertionError('reading a config runs no code')")
    (tmp_path / "package").mkdir()
    (tmp_path / "package/inner.py").touch()
    for path, modes, moderation in (
        ("beside.Guard", "pre_call", False),
        ("package.inner.guard", "[pre_call, during_call]", False),
        ("json.dumps", "during_call", True),
    ):
        params = f"guardrail: {path}, mode: {modes}, api_key: os.environ/KEY, threshold: 0.5"
        config = read(guard(params), tmp_path)
        settings = HookSettings(path, tmp_path, {"api_key": CANARY, "threshold": 0.5}, moderation)
        assert config.guardrails == (Guardrail("g", settings=settings),)
        assert CANARY not in repr(config)


@pytest.mark.parametrize("kind", ["bedrock", "presidio", "litellm_content_filter", "nowhere_at_all.Guard"])
@pytest.mark.parametrize("mode", ["post_call", "logging_only", "[post_call, pre_mcp_call]"])
def test_a_guard_on_answers_does_nothing_and_says_so(kind: str, mode: str) -> None:
    text = guard(f"guardrail: {kind}, mode: {mode}, guardrailIdentifier: x, default_on: true")
    problem = the_problem(text)
    assert (problem.severity, problem.where) == ("warning", "guardrails[0].litellm_params.mode")
    assert "it does nothing here" in problem.message
    assert parse(text).guardrails == (Guardrail("g"),)
    both = guard("guardrail: presidio, mode: pre_call, presidio_filter_scope: output")
    assert "it does nothing here" in the_problem(both).message


def test_what_is_otherwise_than_in_litellm_is_warned_of() -> None:
    length = "guardrail: media_gateway/length, max_characters: 5"
    assert "before the call" in the_problem(guard(f"{length}, mode: during_call")).message
    assert "post_call is not acted on" in the_problem(guard(f"{length}, mode: [pre_call, post_call]")).message
    for key in ("fail_on_error: false", "unreachable_fallback: fail_open", "violation_message_template: x"):
        problem = the_problem(guard(f"{length}, mode: pre_call, {key}"))
        assert problem.message == "known to LiteLLM, not acted on here"
    problem = the_problem(guard(f"{length}, mode: pre_call", "guardrail_info: {params: []}"))
    assert (problem.severity, problem.where) == ("warning", "guardrails[0].guardrail_info")


WORDS = "guardrail: litellm_content_filter, mode: pre_call"
LENGTH = "guardrail: media_gateway/length, mode: pre_call"
FAULTS = [
    ("guardrail: aporia, mode: pre_call", "guardrail", "no guardrail 'aporia'", "module.name"),
    ("guardrail: presidia, mode: pre_call", "guardrail", "no guardrail", "did you mean 'presidio'?"),
    ("guardrail: nowhere_at_all.Guard, mode: pre_call", "guardrail", "no Python module 'nowhere_at_all'", "folder"),
    ("mode: pre_call", "guardrail", "is missing", "add it"),
    ("guardrail: presidio", "mode", "is missing", "mode: pre_call"),
    ("guardrail: presidio, mode: precall", "mode", "no mode 'precall'", "did you mean 'pre_call'?"),
    ("guardrail: presidio, mode: {tags: {a: pre_call}}", "mode", "must be a mode or a list", "mode: pre_call"),
    (f"{LENGTH}", "max_characters", "is missing", "add it"),
    (f"{LENGTH}, max_characters: 0", "max_characters", "must be 1 or more", "range"),
    (f"{LENGTH}, max_characters: 5, timeout: 0", "timeout", "must be more than 0", "range"),
    (f"{LENGTH}, max_characters: 5, max_words: 5", "max_words", "unknown key", "max_characters"),
    (f"{LENGTH}, max_characters: 5, default_on: maybe", "default_on", "must be true or false", "true or"),
    (f"{WORDS}", "", "looks for nothing", "blocked_words"),
    (f"{WORDS}, blocked_words: x", "blocked_words", "must be a list", "for each"),
    (f"{WORDS}, blocked_words: [x]", "blocked_words[0]", "must be a mapping", "name"),
    (f"{WORDS}, blocked_words: [{{keyword: x, action: block}}]", "blocked_words[0].action", "'BLOCK'", "'BLOCK'?"),
    (f'{WORDS}, blocked_words: [{{keyword: "\\u200b ", action: MASK}}]', "blocked_words[0].keyword", "must", "write"),
    (f"{WORDS}, blocked_words: [{{word: x, keyword: x, action: MASK}}]", "blocked_words[0].word", "unknown", "keyword"),
    (f"{WORDS}, blocked_words_file: none.yaml", "blocked_words_file", "No such file", "path"),
    (f"{WORDS}, blocked_words_file: empty.yaml", "blocked_words_file", "has no list", "blocked_words:"),
    (f"{WORDS}, blocked_words_file: wrong.yaml", "blocked_words_file", "entry 2", "keyword: text"),
    (f"{WORDS}, blocked_words_file: broken.yaml", "blocked_words_file", "line 2", ""),
    (f"{WORDS}, categories: [{{category: harmful_violence}}]", "categories", "is not supported", "word lists"),
    (f"{WORDS}, keyword_redaction_tag: 5, blocked_words: []", "keyword_redaction_tag", "must be text", "quotes"),
    (f"{WORDS}, pattern_redaction_format: x", "pattern_redaction_format", "must hold {pattern_name}", "REDACTED"),
    ("guardrail: presidio, mode: pre_call", "pii_entities_config", "is missing", "add it"),
    ("guardrail: presidio, mode: pre_call, pii_entities_config: {}", "pii_entities_config", "1 or more", "add"),
    (
        "guardrail: presidio, mode: pre_call, pii_entities_config: {EMAIL_ADDRESS: HIDE}",
        "pii_entities_config.EMAIL_ADDRESS",
        "'MASK'",
        "one of these",
    ),
]


@pytest.mark.parametrize(("params", "where", "message", "hint"), FAULTS)
def test_each_fault(tmp_path: Path, params: str, where: str, message: str, hint: str) -> None:
    (tmp_path / "empty.yaml").write_text("words: []")
    (tmp_path / "wrong.yaml").write_text("blocked_words: [{keyword: x, action: MASK}, {keyword: 5}]")
    (tmp_path / "broken.yaml").write_text("blocked_words:\n\t- x")
    with pytest.raises(ConfigError) as caught:
        read(guard(params), tmp_path)
    (problem,) = caught.value.problems
    assert problem.severity == "error"
    assert problem.where == f"guardrails[0].litellm_params.{where}".removesuffix(".")
    assert message in problem.message
    assert hint in problem.hint


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        ("guardrails: {a: b}", "guardrails", "must be a list"),
        ("guardrails: [x]", "guardrails[0]", "must be a mapping"),
        ("guardrails: [{}]", "guardrails[0]", "is not a guardrail"),
        ("guardrails: [{guardrail_name: g}]", "guardrails[0].litellm_params", "is missing"),
        (
            f"guardrails: [{{litellm_params: {{{LENGTH}, max_characters: 5}}}}]",
            "guardrails[0].guardrail_name",
            "is missing",
        ),
        (
            f"guardrails: [{{guardrail_name: 'a,b', litellm_params: {{{LENGTH}, max_characters: 5}}}}]",
            "guardrails[0].guardrail_name",
            "must hold no",
        ),
        (
            f"guardrails: [&a {{guardrail_name: a, litellm_params: {{{LENGTH}, max_characters: 5}}}}, *a]",
            "guardrails[1].guardrail_name",
            "is the name of an earlier",
        ),
    ],
)
def test_each_fault_of_an_entry(text: str, where: str, message: str) -> None:
    found = [problem for problem in problems(ONE.replace("guardrails:\n", text)) if where in problem.where]
    assert [problem.severity for problem in found] == ["error"] * len(found)
    assert message in found[0].message


def test_without_an_extra_its_guards_are_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "available", lambda: False)
    monkeypatch.setattr(pii, "available", lambda: False)
    text = guard(f"{WORDS}, patterns: [{{pattern_type: prebuilt, pattern_name: email, action: MASK}}]")
    problem = the_problem(text)
    assert (problem.severity, problem.hint) == ("error", 'pip install "media-gateway[guards]"')
    problem = the_problem(guard("guardrail: presidio, mode: pre_call, pii_entities_config: {CREDIT_CARD: MASK}"))
    assert (problem.severity, problem.hint) == ("error", 'pip install "media-gateway[pii]"')


@pytest.mark.parametrize(
    ("pattern", "where", "message"),
    [
        ("pattern_type: regex, pattern: '(', action: MASK", "pattern", "is no pattern: missing )"),
        ("pattern_type: regex, pattern: 'a*', action: MASK", "pattern", "it matches every text"),
        ("pattern_type: regex, pattern_name: email, action: MASK", "pattern", "is missing"),
        ("pattern_type: prebuilt, pattern: x, action: MASK", "pattern_name", "is missing"),
        ("pattern_type: prebuilt, pattern_name: emial, action: MASK", "pattern_name", "no prebuilt pattern 'emial'"),
    ],
)
def test_faults_of_patterns(pattern: str, where: str, message: str) -> None:
    pytest.importorskip("re2")
    problem = the_problem(guard(f"{WORDS}, patterns: [{{{pattern}}}]"))
    assert problem.where == f"guardrails[0].litellm_params.patterns[0].{where}"
    assert message in problem.message


def test_faults_of_entities() -> None:
    pytest.importorskip("presidio_analyzer")
    text = guard("guardrail: presidio, mode: pre_call, pii_entities_config: {PERSON: MASK, EMAIL_ADRESS: MASK}")
    person, address = problems(text)
    assert "language model" in person.message
    assert address.hint == "did you mean 'EMAIL_ADDRESS'?"
    wider = guard("guardrail: presidio, mode: pre_call, presidio_ad_hoc_recognizers: x.json")
    assert "is not supported" in problems(wider)[-1].message or "is not supported" in problems(wider)[0].message


def test_a_list_without_a_value_is_none() -> None:
    text = guard(
        "guardrail: litellm_content_filter, mode: pre_call, patterns: , blocked_words: [{keyword: a, action: MASK}]"
    )
    assert parse(text).warnings == ()


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (
            "model_list: [{model_name: a, params: {model: anything/x, guardrails: [words]}}]",
            "model_list[0].params.guardrails",
        ),
        (ONE + "litellm_settings: {guardrails: [{words: {callbacks: [presidio]}}]}", "litellm_settings.guardrails"),
        (ONE + "policies: {all: {guardrails: {add: [words]}}}", "policies"),
        (ONE + "policy_attachments: [{policy: all, scope: '*'}]", "policy_attachments"),
    ],
)
def test_guards_that_would_not_run_are_errors(text: str, where: str) -> None:
    problem = the_problem(text)
    assert (problem.severity, problem.where) == ("error", where)
    assert "would not run" in problem.message

"""From PyYAML's nodes to plain data: bounded, without Python objects, and with the position of everything."""

from __future__ import annotations

from typing import Any

import yaml
from yaml.constructor import SafeConstructor

from gateway.config.problems import Mark, Place, dotted, spelled

MAX_NODES = 50_000
MAX_DEPTH = 40
# Python reads a number of n digits in n² steps.
MAX_DIGITS = 100

_CORE = "tag:yaml.org,2002:"
_MERGE = f"{_CORE}merge"
_SCALARS = ("null", "bool", "int", "float")
_TEXTS = ("str", "merge", "value")
_WORDS = {"seq": "a list", "map": "a mapping"}


class Fault(Exception):
    """Something wrong at a position; raised where the reading cannot go on."""

    def __init__(self, mark: Mark, message: str, hint: str, where: str = "") -> None:
        super().__init__(message)
        self.mark = mark
        self.message = message
        self.hint = hint
        self.where = where


def mark_of(node: yaml.Node | yaml.Event) -> Mark:
    """Where it starts."""
    at = node.start_mark
    return Mark(1, 1) if at is None else Mark(at.line + 1, at.column + 1)


class _Composer(yaml.SafeLoader):
    """PyYAML's composer, which by itself recurses as deep as the text does and lets a node contain itself."""

    # Without the dates.
    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [(tag, pattern) for tag, pattern in resolvers if tag != f"{_CORE}timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._open: list[str | None] = []
        self._count = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        parser: Any = self
        event = parser.peek_event()
        mark = mark_of(event)
        if isinstance(event, yaml.AliasEvent):
            if event.anchor in self._open:
                raise Fault(mark, "an alias stands inside the value that it repeats", "a value cannot contain itself")
            return super().compose_node(parent, index)
        self._count += 1
        if self._count > MAX_NODES:
            raise Fault(mark, f"the file holds more than {MAX_NODES:,} values", "is this the right file?")
        if len(self._open) >= MAX_DEPTH:
            raise _too_deep(mark)
        self._open.append(event.anchor)
        node = super().compose_node(parent, index)
        self._open.pop()
        return node


def _too_deep(mark: Mark) -> Fault:
    return Fault(mark, f"nested more than {MAX_DEPTH} levels deep", "close the brackets, or write it flatter")


def compose(text: str) -> yaml.Node | None:
    """The node at the top, ``None`` in an empty file. Raises ``Fault``, or one of PyYAML's own errors."""
    loader: Any = _Composer(text)
    try:
        root: yaml.Node | None = loader.get_node() if loader.check_node() else None
        if loader.check_node():
            mark = mark_of(loader.peek_event())
            raise Fault(mark, "a second document begins here", "keep one document in the file: take out the `---`")
    except (ValueError, OverflowError):
        # PyYAML turns escapes such as "\U00110000" into characters without a look at their range.
        at = loader.get_mark()
        mark = Mark(at.line + 1, at.column + 1)
        raise Fault(mark, "an escape or a number is out of range", "look at what stands just before") from None
    finally:
        loader.dispose()
    return root


class Walker:
    """Builds the data of a node tree. ``faults`` collects what does not end the reading."""

    def __init__(self) -> None:
        self.keys: dict[Place, Mark] = {}
        self.values: dict[Place, Mark] = {}
        self.faults: list[Fault] = []
        self._said: set[tuple[Mark, str]] = set()
        self._spent = 0
        self._scalars: Any = SafeConstructor()

    def build(self, node: yaml.Node, place: Place) -> Any:
        """The data of ``node``, which stands at ``place``. Raises ``Fault`` where there is too much of it."""
        self._spend(node, len(place))
        self.values[place] = mark_of(node)
        if isinstance(node, yaml.MappingNode):
            self._check_tag(node, place, "map")
            return self._mapping(node, place)
        if isinstance(node, yaml.SequenceNode):
            self._check_tag(node, place, "seq")
            return [self.build(child, (*place, index)) for index, child in enumerate(node.value)]
        return self._scalar(node, place)

    def _spend(self, node: yaml.Node, depth: int) -> None:
        # The composer has bounded what is written; this bounds what aliases and merges make of it.
        self._spent += 1
        if self._spent > MAX_NODES:
            message = f"aliases (*name) blow the file up to more than {MAX_NODES:,} values"
            raise Fault(mark_of(node), message, "repeat less, or write it out")
        if depth > MAX_DEPTH:
            raise _too_deep(mark_of(node))

    def _complain(self, node: yaml.Node, place: Place, message: str, hint: str) -> None:
        mark = mark_of(node)
        if (mark, message) not in self._said:  # a value that is repeated by alias is wrong only once
            self._said.add((mark, message))
            self.faults.append(Fault(mark, message, hint, dotted(place)))

    def _check_tag(self, node: yaml.Node, place: Place, *allowed: str) -> bool:
        if node.tag.removeprefix(_CORE) in allowed:
            return True
        if node.tag.startswith(f"{_CORE}python/"):
            self._complain(node, place, "tags for Python objects (!!python/…) are not allowed", "write plain data")
        elif node.tag.removeprefix(_CORE) in _WORDS | dict.fromkeys((*_SCALARS, "str")):
            self._complain(node, place, "the tag (!!…) does not fit the value", "take the tag out")
        else:
            hint = "take it out, or put quotes around a value that starts with !"
            self._complain(node, place, "tags (!…) are not supported", hint)
        return False

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, Any]:
        result = {}
        for key, (key_node, value_node) in self._items(node, place).items():
            self.keys[*place, key] = mark_of(key_node)
            result[key] = self.build(value_node, (*place, key))
        return result

    def _items(self, node: yaml.MappingNode, place: Place, depth: int = 0) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        """The entries of a mapping, those that it takes over by ``<<`` first; its own win."""
        own: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        taken_over: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for key_node, value_node in node.value:
            self._spend(key_node, depth)
            key = "<<" if key_node.tag == _MERGE else self._key(key_node, place)
            if key is None:
                continue
            if key in own:
                hint = f"it stands on line {mark_of(own[key][0]).line} already: take one out"
                self._complain(key_node, (*place, key), f"the key {spelled(key)} stands twice", hint)
                continue
            own[key] = (key_node, value_node)
            if key_node.tag == _MERGE:
                for base in self._bases(value_node, (*place, "<<")):
                    self._spend(base, depth)
                    for name, item in self._items(base, (*place, "<<"), depth + 1).items():
                        taken_over.setdefault(name, item)
        own = {key: item for key, item in own.items() if item[0].tag != _MERGE}
        return {**taken_over, **own}

    def _bases(self, node: yaml.Node, place: Place) -> list[yaml.MappingNode]:
        candidates = node.value if isinstance(node, yaml.SequenceNode) else [node]
        bases = [base for base in candidates if isinstance(base, yaml.MappingNode)]
        if len(bases) < len(candidates):
            self._complain(node, place, "<< takes a mapping, or a list of mappings", "write `<<: *name`")
        return bases

    def _key(self, node: yaml.Node, place: Place) -> str | None:
        """A key as text; ``None`` where there is none to go on with."""
        if not isinstance(node, yaml.ScalarNode):
            self._complain(node, place, "a list or mapping cannot be a key", "write a name before the `:`")
            return None
        if not self._is_text(node, place):
            return None
        kind = node.tag.removeprefix(_CORE)
        if kind in _SCALARS:
            word = {"null": "nothing", "bool": "true or false"}.get(kind, "a number")
            hint = f"put quotes around it: '{spelled(node.value)}'" if node.value else "write a name before the `:`"
            self._complain(node, (*place, node.value), f"a key must be text, and YAML reads this one as {word}", hint)
        else:
            self._check_tag(node, place, *_TEXTS)
        return str(node.value)

    def _is_text(self, node: yaml.ScalarNode, place: Place) -> bool:
        if any("\ud800" <= character <= "\udfff" for character in node.value):
            self._complain(node, place, "half a character (a lone surrogate escape)", "write the character itself")
            return False
        return True

    def _scalar(self, node: yaml.Node, place: Place) -> Any:
        assert isinstance(node, yaml.ScalarNode)
        kind = node.tag.removeprefix(_CORE)
        if kind in _SCALARS:
            return self._converted(node, place, kind)
        if not self._is_text(node, place):
            return ""
        self._check_tag(node, place, *_TEXTS)
        return node.value

    def _converted(self, node: yaml.ScalarNode, place: Place, kind: str) -> Any:
        try:
            if len(node.value) > MAX_DIGITS:
                raise ValueError
            return getattr(self._scalars, f"construct_yaml_{kind}")(node)
        except (ValueError, LookupError, OverflowError):
            self._complain(node, place, "this is not a number or flag that can be used", "put quotes around it")
        return node.value

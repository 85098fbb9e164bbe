"""Text to values: YAML (or JSON) documents become OrchestClusters, or every problem in them with its line.

In: (name, text) pairs, as a source read them. Out: clusters in that order, or one DesiredStateError with all problems
of all files. YAML 1.2's core schema decides types; where tools disagree (a leading zero) the text is refused.
Never: a guess at what was meant beyond a suggestion, or a secret in a message.

This is the only home of ruamel.yaml, whose parser knows the lines; nodes are built here, to keep them.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
    StreamStartEvent,
)
from ruamel.yaml.reader import ReaderError

from desired_state.cluster_manifest import API_VERSION, KIND, located, read_cluster
from desired_state.errors import DesiredStateError, Problem, path_text
from desired_state.metadata import DEFAULT_NAMESPACE
from desired_state.nodes import Entry, MappingNode, Node, ScalarNode, SequenceNode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from desired_state.cluster import OrchestCluster


def load_clusters(documents: Iterable[tuple[str, str]], *, namespace: str = "") -> tuple[OrchestCluster, ...]:
    """Every OrchestCluster in `documents`: (file name, text) pairs, a text with one document or more.

    `namespace` is for manifests that name none; "" means `orchest`. Raises DesiredStateError with every problem of
    every file, also when there is no cluster at all, or one twice.
    """
    files = tuple(documents)
    problems: list[Problem] = []
    clusters: list[_Located] = []
    for file, text in files:
        nodes, syntax = _compose(file, text)
        here = list(syntax)
        for node in nodes:
            cluster, findings = read_cluster(node, namespace or DEFAULT_NAMESPACE)
            here.extend(located(file, node, finding) for finding in findings)
            clusters.extend([_Located(file, node.line, cluster)] if cluster else [])
        problems.extend(sorted(here, key=lambda problem: (problem.line, problem.column)))
    problems.extend(_repeated(clusters))
    if not clusters and not problems:
        problems.append(_nothing(files))
    if problems:
        raise DesiredStateError(tuple(problems))
    return tuple(found.cluster for found in clusters)


class _Located(NamedTuple):
    file: str
    line: int
    cluster: OrchestCluster


def _repeated(clusters: Iterable[_Located]) -> Iterator[Problem]:
    first: dict[tuple[str, str], _Located] = {}
    for later in clusters:
        key = (later.cluster.namespace, later.cluster.name)
        earlier = first.setdefault(key, later)
        if earlier is not later:
            message = f"{KIND} {'/'.join(key)} stands twice, first at {earlier.file}:{earlier.line}"
            yield Problem(
                later.file, later.line, 1, "metadata.name", message, mend="keep one, or give them different names"
            )


def _nothing(files: tuple[tuple[str, str], ...]) -> Problem:
    mend = f"add a manifest with apiVersion {API_VERSION} and kind {KIND}"
    if len(files) == 1:
        return Problem(files[0][0], 0, 0, "", f"holds no {KIND}", mend=mend)
    where = f"no {KIND} in {len(files)} files" if files else f"nothing to read: no manifest of an {KIND} was found"
    return Problem("", 0, 0, "", where, mend=mend)


_MAX_NODES = 100_000
_MAX_DEPTH = 100


class _Refused(Exception):
    """A document that cannot be read further; carries its problem up to `_compose`."""

    def __init__(self, line: int, column: int, message: str, mend: str = "") -> None:
        super().__init__(message)
        self.line, self.column, self.message, self.mend = line, column, message, mend


def _compose(file: str, text: str) -> tuple[tuple[Node, ...], tuple[Problem, ...]]:
    """The documents of one file (a List's items each for itself, empty ones left out), and why others are not."""
    composer = _Composer(file, text)
    nodes: list[Node] = []
    try:
        for root in composer.roots():
            nodes.extend(_manifests(root))
    except _Refused as refused:
        composer.problems.append(Problem(file, refused.line, refused.column, "", refused.message, mend=refused.mend))
    except MarkedYAMLError as error:
        composer.problems.append(_syntax_problem(file, error))
    except ReaderError as error:
        composer.problems.append(_character_problem(file, text, error))
    return tuple(nodes), tuple(composer.problems)


def _manifests(root: Node) -> tuple[Node, ...]:
    if isinstance(root, ScalarNode) and root.value is None:
        return ()
    if isinstance(root, MappingNode) and "kind" in root.entries and "items" in root.entries:
        kind, items = root.entries["kind"].node, root.entries["items"].node
        if isinstance(kind, ScalarNode) and kind.value in {"List", f"{KIND}List"} and isinstance(items, SequenceNode):
            return items.items
    return (root,)


class _Composer:
    """Builds nodes from ruamel's events. Collects what is wrong but readable in `problems`, raises for what is not."""

    def __init__(self, file: str, text: str) -> None:
        self._file = file
        self._events: Iterator[Event] = YAML(typ="safe", pure=True).parse(text)
        self._anchors: dict[str, Node | None] = {}
        self._path: list[str | int] = []
        self.problems: list[Problem] = []

    def roots(self) -> Iterator[Node]:
        for event in self._events:
            if isinstance(event, StreamStartEvent | StreamEndEvent | DocumentEndEvent):
                continue
            if isinstance(event, DocumentStartEvent):
                self._anchors.clear()
                continue
            yield self._node(event)

    def _node(self, event: Event) -> Node:
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        if isinstance(event, AliasEvent):
            return self._aliased(event.anchor, line, column)
        assert isinstance(event, NodeEvent)
        if len(self._path) > _MAX_DEPTH:
            raise _Refused(line, column, f"nested more than {_MAX_DEPTH} levels deep", "no manifest needs that")
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        if isinstance(event, MappingStartEvent):
            node: Node = self._mapping(event, line, column)
        elif isinstance(event, SequenceStartEvent):
            node = self._sequence(event, line, column)
        else:
            assert isinstance(event, ScalarEvent)
            node = self._scalar(event, line, column)
        if node.size > _MAX_NODES or node.depth > _MAX_DEPTH:
            raise _Refused(line, column, "its aliases expand to more than a manifest can hold", "write the values out")
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _aliased(self, anchor: str, line: int, column: int) -> Node:
        if anchor not in self._anchors:
            raise _Refused(
                line,
                column,
                f"alias *{anchor} has no anchor before it",
                f"write &{anchor} where the value stands first",
            )
        node = self._anchors[anchor]
        if node is None:
            raise _Refused(line, column, f"alias *{anchor} stands inside its own anchor", "write the values out")
        return node._replace(line=line, column=column)

    def _sequence(self, event: SequenceStartEvent, line: int, column: int) -> SequenceNode:
        self._check_tag(event, "tag:yaml.org,2002:seq")
        items: list[Node] = []
        while not isinstance(child := next(self._events), SequenceEndEvent):
            self._path.append(len(items))
            items.append(self._node(child))
            self._path.pop()
        return SequenceNode(line, column, tuple(items), *_extent(items))

    def _mapping(self, event: MappingStartEvent, line: int, column: int) -> MappingNode:
        self._check_tag(event, "tag:yaml.org,2002:map")
        entries: dict[str, Entry] = {}
        merged: list[MappingNode] = []
        while not isinstance(child := next(self._events), MappingEndEvent):
            key = self._node(child)
            if not isinstance(key, ScalarNode):
                raise _Refused(
                    key.line, key.column, "a mapping or list as a key", 'a key is a word before ":"; quote "{" and "["'
                )
            self._path.append(key.text)
            node = self._node(next(self._events))
            if key.text == "<<" and isinstance(child, ScalarEvent) and child.style is None:
                merged.extend(self._merged(node))
            elif key.text in entries:
                first = entries[key.text].line
                self._report(
                    key.line, key.column, f'key "{key.text}" stands twice, first in line {first}', "remove one of them"
                )
            else:
                entries[key.text] = Entry(key.line, key.column, node)
            self._path.pop()
        for mapping in merged:
            entries = {**mapping.entries, **entries}
        return MappingNode(line, column, entries, *_extent([entry.node for entry in entries.values()]))

    def _merged(self, node: Node) -> tuple[MappingNode, ...]:
        """The mappings behind `<<`, the ones that count most first."""
        mappings = node.items if isinstance(node, SequenceNode) else (node,)
        if not all(isinstance(mapping, MappingNode) for mapping in mappings):
            raise _Refused(
                node.line, node.column, '"<<" merges something that is not a mapping', "merge an alias of a mapping"
            )
        return tuple(mapping for mapping in mappings if isinstance(mapping, MappingNode))

    def _scalar(self, event: ScalarEvent, line: int, column: int) -> ScalarNode:
        tag = str(event.tag) if event.tag is not None else ""
        text: str = event.value
        if not text.isascii():
            text = self._characters(text, line, column)
        if event.style is not None or tag in {"!", _STRING_TAG}:
            self._check_tag(event, "!", _STRING_TAG)
            return ScalarNode(line, column, text, text)
        self._check_tag(event, *_SCALAR_TAGS)
        value = _resolved(text)
        if _AMBIGUOUS.fullmatch(text):
            octal = f"{text} has a leading zero: some tools read it as octal, others as decimal"
            self._report(line, column, octal, f'write the number without it, or quote it: "{text}"')
        if isinstance(value, float) and not math.isfinite(value):
            self._report(
                line, column, f"{text} is not a number that JSON knows", f'write a number, or quote it: "{text}"'
            )
            value = None
        return ScalarNode(line, column, value, text)

    def _characters(self, text: str, line: int, column: int) -> str:
        r"""JSON escapes one character beyond U+FFFF as two (`\ud83d\ude00`); YAML leaves them apart."""
        try:
            return text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            raise _Refused(
                line, column, "half of an escaped character", "write both halves, or the character itself"
            ) from None

    def _check_tag(self, event: MappingStartEvent | SequenceStartEvent | ScalarEvent, *known: str) -> None:
        if event.tag is not None and str(event.tag) not in known:
            mark = event.start_mark
            tag = str(event.tag).replace("tag:yaml.org,2002:", "!!")
            raise _Refused(
                mark.line + 1, mark.column + 1, f"the tag {tag} does not fit here", "remove it; manifests need no tags"
            )

    def _report(self, line: int, column: int, message: str, mend: str) -> None:
        self.problems.append(Problem(self._file, line, column, path_text(tuple(self._path)), message, mend=mend))


def _extent(children: list[Node]) -> tuple[int, int]:
    """Size and depth of a node with these children."""
    return 1 + sum(child.size for child in children), 1 + max((child.depth for child in children), default=0)


_STRING_TAG = "tag:yaml.org,2002:str"
_SCALAR_TAGS = tuple(f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float"))
_CONSTANTS: Mapping[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?[0-9]{1,400}")
_BASED = re.compile(r"0o[0-7]{1,400}|0x[0-9A-Fa-f]{1,400}")
_FLOAT = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
_AMBIGUOUS = re.compile(r"[-+]?0[0-9]+")


def _resolved(text: str) -> Any:
    """A plain scalar by the core schema of YAML 1.2: `yes`, `on` and dates are strings."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if text[0] not in "+-.0123456789":
        return text
    if _INTEGER.fullmatch(text):
        return int(text)
    if _BASED.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text.replace(".inf", "inf").replace(".nan", "nan"))
    return text


_HINTS = (
    ("'\\t'", "a tab cannot indent in YAML", "use spaces"),
    (
        "mapping values are not allowed",
        'a second ":" in one value, or a line that is indented too far',
        'quote a value that holds ": ", or mend the indentation',
    ),
    (
        "could not find expected ':'",
        'a line without ":"',
        "write key: value, and quote text that runs over several lines",
    ),
    (
        "expected <block end>",
        "this line does not fit the indentation of the lines above",
        "indent it like its neighbours",
    ),
    ("unexpected end of stream", "a quote is never closed", "close it"),
    (
        "expected ',' or",
        "a bracket is never closed, or a comma is missing",
        'close "[" and "{", and separate items by commas',
    ),
    ("cannot start any token", "a value cannot begin with this character", "quote the value"),
    ("unknown escape character", "an unknown escape in double quotes", "double the backslash, or use single quotes"),
)


def _syntax_problem(file: str, error: MarkedYAMLError) -> Problem:
    problem = error.problem or "cannot be read"
    mark = error.problem_mark or error.context_mark
    message, mend = next(((message, mend) for part, message, mend in _HINTS if part in problem), (problem, ""))
    if "never closed" in message and error.context_mark is not None:
        message += f": it opens in line {error.context_mark.line + 1}"
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else (0, 0)
    return Problem(file, line, column, "", f"not YAML: {message}", mend=mend)


def _character_problem(file: str, text: str, error: ReaderError) -> Problem:
    before = text[: error.position]
    line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
    message = f"not YAML: the control character U+{ord(text[error.position]):04X}"
    return Problem(file, line, column, "", message, mend="remove it, or write it as an escape in double quotes")

"""Swift as far as it can be had without a compiler: its grammar, and the few expressions that build a CSR.

An expression that this does not know raises KeyError: nothing is passed over.
"""

import base64
import operator
import textwrap
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import tree_sitter_swift
from tree_sitter import Language, Node, Parser

_PARSER = Parser(Language(tree_sitter_swift.language()))
_OPERATORS = {"+": operator.add, "<": operator.lt, ">>": operator.rshift, "&": operator.and_}


class _Returned(Exception):
    """A `return`, on its way out of a function."""


def parsed(source: bytes) -> Node:
    return _PARSER.parse(source).root_node


def faults(source: bytes) -> list[str]:
    """What in a file is not Swift, by tree-sitter's grammar."""
    found, nodes = [], [parsed(source)]
    while nodes:
        node = nodes.pop()
        if node.is_error or node.is_missing:
            found.append(f"{node.start_point.row + 1}: {node.text.decode()}")
        nodes += node.children
    return found


def functions(source: bytes) -> dict[str, Callable[..., Any]]:
    """The functions of a file and of the enums in it, to be called by the order of their parameters.

    Data is bytes, and an enum is a dict of what it has.
    """
    names: dict[str, Any] = {"Data": _data, "UInt8": _byte}
    _declare(parsed(source), names)
    return names


def _data(value: bytes | list[int] = b"") -> bytes:
    return bytes(value)


def _byte(value: int) -> int:
    # Swift traps as well.
    assert 0 <= value <= 0xFF, value
    return value


def _declare(scope: Node, names: dict[str, Any]) -> None:
    for node in scope.named_children:
        if node.type == "function_declaration":
            names[_name(node)] = _function(node, names)
        elif node.type == "property_declaration":
            _let(node, names)
        elif node.type == "class_declaration":
            members = dict(names)
            _declare(node.named_children[-1], members)
            names[_name(node)] = members


def _name(node: Node) -> str:
    return node.child_by_field_name("name").text.decode()


def _function(node: Node, outside: Mapping[str, Any]) -> Callable[..., Any]:
    parameters = [_name(child) for child in node.named_children if child.type == "parameter"]
    (body,) = node.named_children[-1].named_children

    def called(*values: Any) -> Any:
        names = {**outside, **dict(zip(parameters, values, strict=True))}
        try:
            return _run(body, names)
        except _Returned as returned:
            return returned.args[0]

    return called


def _run(body: Node, names: dict[str, Any]) -> Any:
    value = None
    for node in body.named_children:
        if node.type == "property_declaration":
            _let(node, names)
        elif node.type == "if_statement":
            if _value(node.named_children[0], names):
                _run(node.named_children[1], names)
        elif node.type == "control_transfer_statement":
            raise _Returned(_value(node.named_children[0], names))
        else:
            value = _value(node, names)  # of a function that is one expression
    return value


def _let(node: Node, names: dict[str, Any]) -> None:
    pattern = next(child for child in node.named_children if child.type == "pattern")
    names[pattern.text.decode()] = _value(node.named_children[-1], names)


def _value(node: Node, names: Mapping[str, Any]) -> Any:
    children, text = node.named_children, node.text.decode()
    match node.type:
        case "hex_literal" | "integer_literal":
            return int(text, 0)
        case "simple_identifier":
            return names[text]
        case "array_literal":
            return [_value(child, names) for child in children]
        case "try_expression":
            return _value(children[-1], names)
        case "additive_expression" | "comparison_expression" | "bitwise_operation":
            return _OPERATORS[node.children[1].type](_value(children[0], names), _value(children[1], names))
        case "prefix_expression" if text.startswith("."):
            return text
        case "+":
            return operator.add
        case "line_string_literal":
            return "".join(_part(child, names) for child in children)
        case "navigation_expression":
            return _member(_value(children[0], names), children[1].named_children[0].text.decode())
        case "call_expression":
            (arguments,) = children[1].named_children
            words = [child.children[-1] for child in arguments.named_children]
            return _value(children[0], names)(*(_value(word, names) for word in words))
    raise KeyError(node.type, text)


def _part(node: Node, names: Mapping[str, Any]) -> str:
    match node.type:
        case "line_str_text":
            return node.text.decode()
        case "str_escaped_char":
            return {r"\n": "\n"}[node.text.decode()]
        case "interpolated_expression":
            return str(_value(node.named_children[0], names))
    raise KeyError(node.type)


def _member(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return value[name]
    match name:
        case "count":
            return len(value)
        case "utf8":
            return value.encode()
        case "reduce":
            return lambda start, joined: reduce(joined, value, start)
        case "base64EncodedString":
            return lambda options: _base64(value, options)
    raise KeyError(name)


def _base64(value: bytes, options: list[str]) -> str:
    assert options == [".lineLength64Characters", ".endLineWithLineFeed"]
    return "\n".join(textwrap.wrap(base64.b64encode(value).decode(), 64))

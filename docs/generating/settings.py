"""docs/reference/settings.md: what .env.example says of each setting, and what portal/settings.py takes."""

import ast
import re
from pathlib import Path
from typing import Any

from docs.generating.markdown import code, page
from portal import settings

ROOT = Path(__file__).resolve().parents[2]
_SECTION = re.compile(r"^# --- (?P<title>.+?) -+$", re.M)
_SETTING = re.compile(r"^# (?P<name>[A-Z][A-Z_]+)=(?P<value>.*)$")

ABOUT = """All come from the environment or from `.env` in the project's folder; the environment wins. A
value that makes no sense stops the start with one sentence that names it, and `manage.py check --deploy`
warns of what does not suit production. Each is shown as [.env.example](../../.env.example) has it: with
its default, or with an example where it has none."""


def names() -> list[str]:
    """Every setting, in the order of .env.example."""
    lines = (ROOT / ".env.example").read_text().splitlines()
    return [match["name"] for line in lines if (match := _SETTING.match(line))]


def settings_page() -> str:
    _, *rest = _SECTION.split((ROOT / ".env.example").read_text())
    parts = [_section(title, text) for title, text in zip(rest[::2], rest[1::2], strict=True)]
    return page("Settings", ABOUT, *parts)


def _section(title: str, text: str) -> str:
    return "\n\n".join([f"## {title}", *(_paragraph(each) for each in text.strip().split("\n\n"))])


def _paragraph(text: str) -> str:
    """The settings of a paragraph, and what it says of them."""
    taken, settings_, words = what_is_taken(), [], []
    for line in text.splitlines():
        match = _SETTING.match(line)
        if match is None:
            words.append(line.removeprefix("#").strip())
            continue
        limits = taken.get(match["name"], "")
        settings_.append(f"- {code(match['name'] + '=' + match['value'])}{limits and f': {limits}'}")
    return "\n\n".join(filter(None, ["\n".join(settings_), _linked(" ".join(words))]))


def _linked(text: str) -> str:
    text = re.sub(r"docs/([a-z]+\.md)", r"[\1](../\1)", text)
    return text.replace("<", "&lt;").replace(">", "&gt;")


def what_is_taken() -> dict[str, str]:
    """Setting → the values that it may have, by how portal/settings.py reads it."""
    tree = ast.parse((ROOT / "portal" / "settings.py").read_text())
    found = {}
    for call in ast.walk(tree):
        match call:
            case ast.Call(func=ast.Name(reads), args=[ast.Constant(name), *limits]) if reads in _TAKEN:
                found[name] = _TAKEN[reads](*map(_value, limits))
    return found


_TAKEN = {
    "number": lambda default, least, most, what: f"{what} from {least:,} to {most:,}",
    "port": lambda default: "a port",
    "optional_port": lambda: "a port",
    "flag": lambda: "on or off",
    "choice": lambda *choices: " or ".join(choices),
}


def _value(node: ast.expr) -> Any:
    """What an argument is: a constant, or computed from constants and other settings."""
    return eval(ast.unparse(node), vars(settings))  # noqa: S307 - our own source, and no more than arithmetic

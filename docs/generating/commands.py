"""docs/reference/commands.md: what the commands say of themselves."""

import argparse
from collections.abc import Iterator

from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand

from docs.generating.markdown import code, page, table

OURS = ("portal", "pki")
ABOUT = """Run as `.venv/bin/python manage.py COMMAND`, in the project's folder and with the settings of
the server. Each ends with 0 if it did what it says, and otherwise with one sentence on standard error and
1, or 2 if its words were not understood. Django's own commands (`changepassword`,
`clearsessions`, `check --deploy`, …) are there as well, and so are its options for all commands
(`--settings`, `--verbosity`, `--traceback`, …)."""


def commands_page() -> str:
    names = sorted(name for name, app in get_commands().items() if app in OURS)
    return page("Commands", ABOUT, *(part for name in names for part in _command(name)))


def _command(name: str) -> Iterator[str]:
    command = load_command_class(get_commands()[name], name)
    yield f"## {code(name)}"
    yield command.help
    parser = command.create_parser("manage.py", name)
    yield from _arguments(parser, f"{name} ")


def _arguments(parser: argparse.ArgumentParser, before: str) -> Iterator[str]:
    rows, below = [], []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            below.append(action)
        elif not _is_everybodys(action):
            rows.append((_written(action), _said(action, parser)))
    if rows:
        yield table(("argument", "what"), rows)
    for action in below:
        about = {each.dest: each.help or "" for each in action._choices_actions}
        for word, inner in action.choices.items():
            yield f"### {code(before + word)}"
            yield f"{about[word][:1].upper()}{about[word][1:]}."
            yield from _arguments(inner, f"{before}{word} ")


def _is_everybodys(action: argparse.Action) -> bool:
    usual = BaseCommand().create_parser("manage.py", "")
    return set(action.option_strings) <= set(usual._option_string_actions) and bool(action.option_strings)


def _written(action: argparse.Action) -> str:
    metavar = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    if not action.option_strings:
        return code(metavar)
    value = "" if action.nargs == 0 else f" {metavar}"
    return ", ".join(code(f"{option}{value}") for option in action.option_strings)


def _said(action: argparse.Action, parser: argparse.ArgumentParser) -> str:
    says = [action.help % {**vars(action), "prog": ""} if action.help else ""]
    if action.required and action.option_strings:
        says.append("required")
    for group in parser._mutually_exclusive_groups:
        if action in group._group_actions:
            others = [code(each.option_strings[0]) for each in group._group_actions if each is not action]
            says.append(f"{'or' if group.required else 'not with'} {', '.join(others)}")
    if action.default not in (None, False, argparse.SUPPRESS) and action.option_strings:
        says.append(f"by default {code(action.default)}")
    return "; ".join(filter(None, says))

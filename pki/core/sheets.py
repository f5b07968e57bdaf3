"""Sheets of rows as people keep them: CSV, or one name a line."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pki.core.errors import Refusal

_SEPARATORS = ",;\t"
# What makes a spreadsheet run a cell instead of showing it.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class SheetRefused(Refusal):
    """What was pasted or uploaded cannot be read as rows."""

    code = "sheet_refused"


@dataclass(frozen=True)
class Row:
    """One row, its cells without surrounding blanks, and the line that it begins on, from 1."""

    line: int
    cells: tuple[str, ...]


def decoded(data: bytes) -> str:
    """The text of an uploaded file: UTF-8, with or without a byte order mark. Raises SheetRefused."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise SheetRefused("The file is UTF-16; save it as “CSV UTF-8”.")
    if b"\0" in data:
        raise SheetRefused("The file is no text; save the sheet as “CSV UTF-8”.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SheetRefused(f"Line {line} of the file is not UTF-8; save it as “CSV UTF-8”.") from None


def rows(text: str) -> list[Row]:
    """The rows of a sheet, without empty ones. Raises SheetRefused.

    Commas, semicolons or tabs separate its cells (RFC 4180, and what spreadsheets make of it).
    """
    text = text.removeprefix("\ufeff")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_separator(text), strict=True)
    found = []
    line = 1
    try:
        for cells in reader:
            stripped = tuple(cell.strip() for cell in cells)
            if any(stripped):
                found.append(Row(line, stripped))
            line = reader.line_num + 1
    except csv.Error:
        raise SheetRefused(
            f"The row that begins on line {line} has a quotation mark that is not closed, or text after one."
        ) from None
    return found


def _separator(text: str) -> str:
    """The separator that the first row has most of, outside of quotes."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    bare = "".join(first.split('"')[::2])
    return max(_SEPARATORS, key=bare.count)


def written(header: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    """A CSV of which no cell can run as a formula when a spreadsheet opens it."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(header)
    writer.writerows([f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in row] for row in body)
    return text.getvalue()

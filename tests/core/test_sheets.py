"""Sheets: what people paste and upload, and what is written for their spreadsheets."""

import csv
import io

import pytest

from pki.core import sheets

SEPARATED = {
    "by commas": "a,b,c",
    "by semicolons": "a;b;c",
    "by tabs": "a\tb\tc",
    "with blanks around": " a , b ,c ",
    "in quotes": '"a","b","c"',
    "with line ends of DOS": "a,b,c\r\n",
    "after empty lines": "\n\r\n  \na,b,c",
    "after a byte order mark": "\ufeffa,b,c",
}


@pytest.mark.parametrize("text", SEPARATED.values(), ids=SEPARATED)
def test_cells_are_read(text):
    (row,) = sheets.rows(text)
    assert row.cells == ("a", "b", "c")


def test_other_separators_in_quotes_do_not_count():
    (row,) = sheets.rows('door;"a,b,c,d";x')
    assert row.cells == ("door", "a,b,c,d", "x")


def test_rows_know_their_lines():
    text = 'name\n\ndoor-1\n"two\nlines",x\ndoor-3'
    assert [(row.line, row.cells[0]) for row in sheets.rows(text)] == [
        (1, "name"),
        (3, "door-1"),
        (4, "two\nlines"),
        (6, "door-3"),
    ]


@pytest.mark.parametrize("text", ['door-1\n"door-2', '"door-1" x', 'a\n"' + "x" * 200_000 + '"'])
def test_quotes_that_do_not_fit_are_refused_with_their_line(text):
    with pytest.raises(sheets.SheetRefused, match=r"line [12]"):
        sheets.rows(text)


def test_no_rows_are_no_error():
    assert sheets.rows(" \n,,\n\n") == []


DECODED = {
    "UTF-8": "straße".encode(),
    "UTF-8 with a byte order mark": "straße".encode("utf-8-sig"),
}


@pytest.mark.parametrize("data", DECODED.values(), ids=DECODED)
def test_utf_8_is_decoded(data):
    assert sheets.decoded(data) == "straße"


WRONG = {
    "Latin-1": ("door-1\nstraße".encode("latin-1"), "Line 2"),
    "UTF-16": ("door-1".encode("utf-16"), "UTF-16"),
    "UTF-16 without a mark": ("door-1".encode("utf-16-le"), "no text"),
    "a workbook": (b"PK\x03\x04\x14\0\0", "no text"),
}


@pytest.mark.parametrize(("data", "what"), WRONG.values(), ids=WRONG)
def test_another_encoding_is_refused_with_what_to_do(data, what):
    with pytest.raises(sheets.SheetRefused, match=what) as refused:
        sheets.decoded(data)
    assert "CSV UTF-8" in refused.value.detail


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_cell_that_is_written_runs_as_a_formula(cell):
    (_, (written,)) = csv.reader(io.StringIO(sheets.written(["name"], [[cell]]), newline=""))
    assert written == "'" + cell


def test_what_is_written_is_read_again():
    body = [("door-1", 'a "quoted", cell'), ("door-2", "x")]
    again = sheets.rows(sheets.written(("name", "text"), body))
    assert [row.cells for row in again] == [("name", "text"), *body]

"""Tables as spreadsheets and people write them: CSV with a line of headings, whatever separates its cells.

Read are commas, semicolons and tabs as separators, Excel's line `sep=;`, blank lines, rows and columns that are empty,
headings in any case, and blanks around cells. What cannot be read is a problem with its line and its cause.
"""

from __future__ import annotations

import csv
import difflib
import io
from collections.abc import Collection, Iterator

SEPARATORS = ",;\t"
"""Characters that may separate the cells; the first is taken where the headings do not tell."""
_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs"}
LONGEST_SHOWN = 60
"""Characters of a heading or a cell that a message repeats."""


def column_name(heading: str) -> str:
    """The name of a column from its heading: without blanks around it, in lower case, its words joined by _."""
    return "_".join(heading.strip("\ufeff \t\r\n\xa0\u3000").replace("-", " ").replace("_", " ").split()).lower()


def read_rows(
    text: str, columns: Collection[str], required: Collection[str], problems: list[str]
) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a table below its headings, each with the number of its line.

    Args:
        text: of the whole file.
        columns: names that headings may have.
        required: those of them that have to be there.
        problems: what is wrong with the table is added here, each with its line; reading goes on where it can.

    Yields:
        Cells by the name of their column, without blanks around them and without the empty ones. Rows that are empty
        are left out, and so are columns that are empty and have no heading or an unknown one.
    """
    first, separator = _first_line(text, columns)
    headings: list[str] | None = None
    told: set[str] = set()
    for line, cells in _cells(text, first, separator, problems):
        if headings is None:
            headings = [column_name(cell) for cell in cells]
            wrong = _heading_problem(headings, cells, columns, required)
            if wrong:
                problems.append(f"line {line}: {wrong}")
                return
            headings_line = line
            continue
        row = _row(headings, cells, separator)
        if isinstance(row, str):
            problems.append(f"line {line}: {row}")
            continue
        unknown = [name for name in row if name not in columns]
        problems += [f"line {headings_line}: {unknown_column(name, columns)}" for name in unknown if name not in told]
        told.update(unknown)
        yield line, {name: cell for name, cell in row.items() if name in columns}


def unknown_column(name: str, columns: Collection[str]) -> str:
    """That there is no column of a name, with the one that was probably meant."""
    near = difflib.get_close_matches(name, columns, n=1)
    meant = f"; is {near[0]!r} meant?" if near else f"; there are {', '.join(columns)}"
    return f"there is no column {name[:LONGEST_SHOWN]!r}{meant}"


def _first_line(text: str, columns: Collection[str]) -> tuple[int, str]:
    """Number of lines before the headings, and the separator: of a line `sep=`, or that which finds most columns."""
    for number, content in enumerate(io.StringIO(text, newline=None)):
        told = content.strip().strip('"')
        if told.lower().startswith("sep=") and len(told) <= 5:
            # A tab at the end of the line is stripped as blank.
            return number + 1, told[4:] or ("\t" if "\t" in content else SEPARATORS[0])
        if content.strip(SEPARATORS + ' \n"\ufeff'):

            def found(separator: str, heading: str = content) -> int:
                return sum(column_name(cell.strip(' "')) in columns for cell in heading.split(separator))

            return number, max(SEPARATORS, key=found)
    return 0, SEPARATORS[0]


def _cells(text: str, first: int, separator: str, problems: list[str]) -> Iterator[tuple[int, list[str]]]:
    """The cells of each row that is not empty, from line `first` (from 0) on, with the number of its line from 1."""
    lines = io.StringIO(text, newline="")
    for _ in range(first):
        lines.readline()
    line = first + 1
    try:
        reader = csv.reader(lines, delimiter=separator, strict=True, skipinitialspace=True)
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if any(stripped):
                yield line, stripped
            line = first + reader.line_num + 1
    except csv.Error as error:
        problems.append(f"line {line}: this is not CSV: {error}")


def _heading_problem(
    headings: list[str], shown: list[str], columns: Collection[str], required: Collection[str]
) -> str | None:
    """What is wrong with the headings, as names of columns and as they are shown; None where nothing is."""
    named = [name for name in headings if name]
    twice = next((name for name in named if named.count(name) > 1), None)
    if twice is not None:
        return f"two columns have the same name, {twice[:LONGEST_SHOWN]!r}"
    if not any(name in columns for name in named):
        first = next(cell for cell in shown if cell)
        return f"no headings: {first[:LONGEST_SHOWN]!r} is no column; the first line names them: {', '.join(columns)}"
    missing = [name for name in required if name not in named]
    if missing:
        return f"the heading {' and '.join(missing)} is missing"
    return None


def _row(headings: list[str], cells: list[str], separator: str) -> dict[str, str] | str:
    """The cells of a row that are not empty, by their column; or what is wrong with it."""
    beyond = [cell for cell in cells[len(headings) :] if cell]
    if beyond:
        return (
            f"there are {len(cells)} cells for {len(headings)} columns; "
            f"put a text with {_NAMES.get(separator, repr(separator))} in it between double quotes"
        )
    row = {}
    for number, (name, cell) in enumerate(zip(headings, cells, strict=False), 1):
        if cell and not name:
            return f"cell {number}, {cell[:LONGEST_SHOWN]!r}, has no heading"
        if cell:
            row[name] = cell
    return row

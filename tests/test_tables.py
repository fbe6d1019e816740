"""Tables as Excel and people write them: each form gives the same rows, or a problem that names line and cause."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkinghead.tables import column_name, read_rows

COLUMNS = ("id", "speech", "text", "attack_ms")
ROWS = [{"id": "one", "speech": "a.wav"}, {"id": "two", "text": "Good, evening."}]
PLAIN = 'id,speech,text\none,a.wav,\ntwo,,"Good, evening."\n'


def read(text: str) -> tuple[list[tuple[int, dict[str, str]]], list[str]]:
    problems: list[str] = []
    return list(read_rows(text, COLUMNS, ("id",), problems)), problems


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        "\ufeff" + PLAIN,
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("\n", "\r"),
        "id;speech;text\none;a.wav;\ntwo;;Good, evening.\n",
        "id\tspeech\ttext\none\ta.wav\t\ntwo\t\tGood, evening.\n",
        "sep=;\nid;speech;text\none;a.wav;\ntwo;;Good, evening.\n",
        '"sep=,"\r\n' + PLAIN,
        "sep=\t\nid\tspeech\ttext\none\ta.wav\t\ntwo\t\tGood, evening.\n",
        "SEP=|\nid|speech|text\none|a.wav|\ntwo||Good, evening.\n",
        "\n\n" + PLAIN + "\n\n",
        ",,,\n ,\n" + PLAIN,
        'id,speech,text,,\none,a.wav,,,\n,,,,\ntwo,,"Good, evening.",,\n , ,, ,\n',
        'id,,speech,text\none,,a.wav,\ntwo,,,"Good, evening."\n',
        'ID , Speech, TEXT\n one , a.wav ,\ntwo,, "Good, evening."\n',
        'id,speech,text,remark\none,a.wav,,\ntwo,,"Good, evening.",\n',
    ],
)
def test_whatever_it_was_written_with_the_rows_are_the_same(text: str) -> None:
    rows, problems = read(text)
    assert ([row for _, row in rows], problems) == (ROWS, [])


def test_lines_are_counted_as_an_editor_shows_them() -> None:
    rows, _ = read('\nsep=,\n\nid,text\n1,"two\nlines"\n\n2,x\n')
    assert [line for line, _ in rows] == [5, 8]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("id,text,id\n1,2,3\n", "line 1: two columns have the same name, 'id'"),
        ("id,text,ID\n1,2,3\n", "line 1: two columns have the same name, 'id'"),
        ("one,presenter,a.wav\n", "line 1: no headings: 'one' is no column; the first line names them: id, speech"),
        ("\n\nid|text\n1|2\n", "line 3: no headings: 'id|text' is no column"),
        ("speech,text\na.wav,\n", "line 1: the heading id is missing"),
        ("id,text\n1,Good evening, and welcome\n", "line 2: there are 3 cells for 2 columns; put a text with commas"),
        ("id;text\n1;Good; evening\n", "put a text with semicolons in it between double quotes"),
        ("id,text,\n1,x,remark\n", "line 2: cell 3, 'remark', has no heading"),
        ("id,speach\n1,a.wav\n2,b.wav\n", "line 1: there is no column 'speach'; is 'speech' meant?"),
        ("id,zzz\n1,a.wav\n", "line 1: there is no column 'zzz'; there are id, speech"),
        ('id,text\n1,"never closed\n', "line 2: this is not CSV: unexpected end of data"),
    ],
)
def test_one_problem_names_line_and_cause(text: str, problem: str) -> None:
    _, problems = read(text)
    assert len(problems) == 1 and problem in problems[0]


def test_headings_of_several_words() -> None:
    assert {column_name(text) for text in ("attack_ms", " Attack ms", "attack-ms\ufeff", "ATTACK__MS\xa0")} == {
        "attack_ms"
    }


CELLS = st.text(alphabet=st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=12)


@given(texts=st.lists(CELLS, min_size=1, max_size=4), separator=st.sampled_from(",;\t"))
def test_what_a_program_writes_is_read_whole(texts: list[str], separator: str) -> None:
    """Cells hold any text, separators and line ends too; blanks around it do not count."""
    file = io.StringIO()
    writer = csv.writer(file, delimiter=separator, quoting=csv.QUOTE_ALL)
    writer.writerows([["id", "text"], *([f"j{number}", text] for number, text in enumerate(texts))])
    rows, problems = read(file.getvalue())
    wanted = [{"id": f"j{number}", "text": text.strip()} for number, text in enumerate(texts)]
    assert problems == [] and [row for _, row in rows] == [
        {name: cell for name, cell in row.items() if cell} for row in wanted
    ]


@given(st.text(max_size=60))
def test_any_text_gives_rows_or_problems(text: str) -> None:
    rows, _ = read(text)
    assert all(row and row.keys() <= {*COLUMNS} for _, row in rows)

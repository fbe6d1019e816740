"""Formats of texts: what is read of Markdown, subtitles and SSML, and what is refused."""

from __future__ import annotations

import pytest

from talkinghead.errors import TextError
from talkinghead.text_to_speech.formats.document import read_document, recognize
from talkinghead.text_to_speech.formats.subtitles import shown_time
from talkinghead.text_to_speech.passages import Document
from talkinghead.text_to_speech.phones import PhonedWord, PhonedWords
from talkinghead.text_to_speech.sentences import Break

MARKDOWN = """---
title: Hidden
---
# Evening *news*

Some **bold** text with [a link](https://example.org/x) and `code`.
It goes on.

- first item
- second item!

3. third
4. 你好

| city | degrees |
|---|---|
| Rome | 25 |

![a picture](x.png)

```python
print("left out")
```

<!-- a comment -->
"""
SUBTITLES = """1
00:00:01,000 --> 00:00:02,000
<i>Hello</i> &amp; welcome.

2
00:00:03,500 --> 00:00:05,000 position:50%
{\\an8}Two
lines
"""


def read(text: str, text_format: str = "auto", language: str = "en-US") -> Document:
    return read_document(text, text_format, language, PhonedWords())


def test_markdown_is_read_as_prose() -> None:
    document = read(MARKDOWN)
    assert document.format == "markdown"
    assert document.passages[0].text.split("\n\n") == [
        "Evening news.",
        "Some bold text with a link and code.\nIt goes on.",
        "first item.",
        "second item!",
        "3. third.",
        "4. 你好。",
        "city, degrees.",
        "Rome, 25.",
        "a picture.",
    ]
    assert document.left_out == ('print("left out")\n',)
    assert document.without_effect == ("Markdown front matter",)


def test_nested_lists_keep_their_numbers() -> None:
    document = read("1. one\n   - inner\n2. two\n", "markdown")
    assert document.passages[0].text.split("\n\n") == ["1. one.", "inner.", "2. two."]


def test_subtitles_have_their_times() -> None:
    document = read(SUBTITLES)
    assert document.format == "srt"
    assert [(passage.text, passage.start_s) for passage in document.passages] == [
        ("Hello & welcome.", 1.0),
        ("Two\nlines", 3.5),
    ]
    assert document.passages[1].name == "Cue 2 (00:00:03.500)"


def test_webvtt_is_read_as_subtitles() -> None:
    text = "WEBVTT\n\nNOTE a comment\n\n00:01.000 --> 00:02.000\nHi\n\nnamed\n01:00:03.000 --> 01:00:04.000\nthere\n"
    assert [(passage.text, passage.start_s) for passage in read(text).passages] == [("Hi", 1.0), ("there", 3603.0)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1\n00:00:01 --> 00:00:02\nHi", "Line 2 of the subtitles"),
        ("1\nHi", "Line 1 of the subtitles"),
        ("1\n00:00:05,000 --> 00:00:06,000\na\n\n2\n00:00:01,000 --> 00:00:02,000\nb", "Cue 2 .00:00:01.000. .*before"),
        ("1\n00:00:05,000 --> 00:00:01,000\na", "Cue 1 .* ends before it starts"),
    ],
)
def test_subtitles_that_cannot_be_read(text: str, message: str) -> None:
    with pytest.raises(TextError, match=message):
        read(text, "srt")


def test_ssml() -> None:
    words = PhonedWords()
    document = read_document(
        '<?xml version="1.0"?><speak xmlns="http://www.w3.org/2001/10/synthesis"><p><s>One</s><s>two</s></p>'
        'three <break time="1500ms"/>four <sub alias="World Wide Web">WWW</sub>'
        '<say-as interpret-as="characters">ab</say-as> <prosody rate="+50%" volume="loud">fast</prosody> slow'
        '<phoneme alphabet="ipa" ph="təˈmɑːtoʊ">tomato</phoneme><emphasis>x</emphasis><break time="2s"/></speak>',
        "auto",
        "en-US",
        words,
    )
    shown = [(passage.text.strip(), passage.ends, passage.rate, passage.pause_s) for passage in document.passages]
    assert shown[:4] == [
        ("One", Break.SENTENCE, 1.0, None),
        ("two", Break.PARAGRAPH, 1.0, None),
        ("three", Break.CLAUSE, 1.0, None),
        ("four World Wide Webay B", Break.CLAUSE, 1.0, 1.5),
    ]
    assert shown[4] == ("fast", Break.CLAUSE, 1.5, 0.0)
    assert words.words == [PhonedWord("tomato", "təˈmɑːtoʊ")]
    assert document.without_effect == ("SSML prosody volume", "SSML emphasis")
    assert document.tail_s == 2.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<speak>a", "not well-formed"),
        ('<!DOCTYPE speak [<!ENTITY a "b">]><speak>&a;</speak>', "document type"),
        ("<p>a</p>", "speak as its outermost"),
        ('<speak><break time="soon"/></speak>', "500ms"),
        ('<speak><break strength="mighty"/></speak>', "x-strong"),
        ('<speak><prosody rate="quickly">a</prosody></speak>', "slow"),
        ('<speak><prosody rate="900%">a</prosody></speak>', "from 0.5 to 3"),
    ],
)
def test_ssml_that_cannot_be_read(text: str, message: str) -> None:
    with pytest.raises(TextError, match=message) as raised:
        read(text, "ssml")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "text_format"),
    [
        ("Good evening. Here is the news.", "plain"),
        ("Hello\n\n***\n\nBob", "plain"),
        ("- a dash begins this line.", "plain"),
        ("#1 in the charts, 5 * 3 * 2, a_b_c and [note] (1)", "plain"),
        ("1. First. 2. Second.", "plain"),
        ("", "plain"),
        ("I said x < y > z.", "plain"),
        ("# Title", "markdown"),
        ("- a\n- b", "markdown"),
        ("see [this](https://x.org)", "markdown"),
        ("a **very** good day", "markdown"),
        ("\ufeff" + SUBTITLES.replace("\n", "\r\n"), "srt"),
        ("<speak>hi</speak>", "ssml"),
    ],
)
def test_formats_are_recognized(text: str, text_format: str) -> None:
    assert recognize(text) == text_format


def test_plain_keeps_every_mark() -> None:
    assert read("# Title", "plain").passages[0].text == "# Title"


def test_shown_times() -> None:
    assert shown_time(3661.0015) == "01:01:01.002" and shown_time(0) == "00:00:00.000"

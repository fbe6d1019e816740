"""Outputs in the old encodings of Windows, which lack most characters.

Click takes ASCII for a terminal that is not set up, and writes messages in UTF-8 there; JSON it must still be.
"""

import json
import os

import pytest
from click.testing import CliRunner

from talkinghead.cli.main import main


@pytest.mark.parametrize("encoding", ["cp1252", "cp437", "utf-8"])
def test_what_cannot_be_encoded_is_escaped(encoding: str) -> None:
    done = CliRunner(charset=encoding).invoke(main, ["consent", "語.anchor"])
    assert done.exit_code == 66 and not isinstance(done.exception, UnicodeError)
    shown = done.stderr_bytes.decode(encoding)
    assert ("語.anchor" if encoding == "utf-8" else "\\u8a9e.anchor") in shown


def test_tables_are_printed_in_any_encoding() -> None:
    done = CliRunner(charset="cp1252").invoke(main, ["voices"])
    assert done.exit_code == 0, done.exception
    assert b"hibari" in done.stdout_bytes


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_json_stays_json(encoding: str) -> None:
    name = "ā 中 😀"
    done = CliRunner(charset=encoding).invoke(main, ["models", "--json"], env={"TALKINGHEAD_MODELS": f"{os.sep}{name}"})
    assert done.exit_code == 0, done.exception
    text = done.stdout_bytes.decode(encoding)
    assert name in str(json.loads(text))
    assert ("\\u4e2d" in text) == (encoding != "utf-8")

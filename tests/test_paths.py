"""Public functions take paths as texts too, and built-in anchors by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import talkinghead
from talkinghead.errors import MissingFileError, OptionError
from talkinghead.evaluation.pairs import Pair
from talkinghead.generation.config import GenerationConfig
from talkinghead.text_to_speech import Script


def test_a_built_in_anchor_is_loaded_by_its_name() -> None:
    by_name, by_object = talkinghead.load_anchor("presenter"), talkinghead.load_anchor(Path("presenter"))
    assert by_name.folder == by_object.folder
    np.testing.assert_array_equal(by_name.reconstruction.expression, by_object.reconstruction.expression)


def test_texts_are_paths(tmp_path: Path) -> None:
    missing = str(tmp_path / "nothing")
    with pytest.raises(MissingFileError, match="nothing"):
        talkinghead.load_anchor(missing)
    with pytest.raises(MissingFileError, match="nothing"):
        talkinghead.generate("presenter", missing, str(tmp_path / "out.mp4"))
    with pytest.raises(MissingFileError, match="nothing"):
        talkinghead.generate(missing, Script("Good evening."), str(tmp_path / "out.mp4"))
    with pytest.raises(MissingFileError, match="nothing"):
        talkinghead.train(missing, str(tmp_path / "anchor"), steps=1)
    with pytest.raises(MissingFileError, match="nothing"):
        talkinghead.evaluate([Pair(missing, missing)])  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_options_that_are_paths_take_texts() -> None:
    assert GenerationConfig(clip="a.mp4").clip == Path("a.mp4")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="clip"):
        GenerationConfig(clip=5)  # type: ignore[arg-type]

"""Feature extractors side by side."""

from __future__ import annotations

import numpy as np
import pytest
from speech_models import babble
from training_tools import ConstantExtractor

from talkinghead.training.speech.feature_extractors import ConcatenatedExtractor, chosen_layers


def test_layers_of_several_extractors_become_those_of_one() -> None:
    narrow, wide = ConstantExtractor(12), ConstantExtractor(10, width=5)
    both = ConcatenatedExtractor([(narrow, (2,)), (wide, (1, 2))])
    assert (both.layer_count, both.width) == (3, 5)
    features = both.encode(babble(1), (1, 2, 3))
    assert features.values.shape == (10, 3, 5)
    np.testing.assert_array_equal(features.values[0], [[20, 20, 20, 0, 0], [10] * 5, [20] * 5])
    np.testing.assert_array_equal(both.encode(babble(1), (3,)).values, features.values[:, 2:])
    late = ConstantExtractor()
    late.first_s = 0.01
    with pytest.raises(ValueError, match="same times"):
        ConcatenatedExtractor([(narrow, (1,)), (late, (1,))])


def test_chosen_layers() -> None:
    assert [chosen_layers(last) for last in (1, 3, 6, 12, 24)] == [(1,), (3,), (3, 6), (6, 12), (12, 24)]

"""Garbage collection while a command loads what it needs."""

import gc
import sys

import pytest

from talkinghead.processes.collection import collection_paused


@pytest.mark.parametrize("is_enabled", [True, False])
def test_collection_is_paused_and_then_as_it_was(is_enabled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    was_enabled = gc.isenabled()
    try:
        (gc.enable if is_enabled else gc.disable)()
        frozen = gc.get_freeze_count()
        with collection_paused():
            assert not gc.isenabled()
        assert gc.isenabled() == is_enabled
        assert gc.get_freeze_count() == frozen  # nothing was imported: what there is may be garbage
        with pytest.raises(ImportError), collection_paused():
            monkeypatch.setitem(sys.modules, "imported_by_a_test", gc)
            raise ImportError
        assert gc.isenabled() == is_enabled and gc.get_freeze_count() > frozen
    finally:
        gc.unfreeze()
        (gc.enable if was_enabled else gc.disable)()

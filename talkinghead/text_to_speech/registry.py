"""Registry of the text-to-speech engines and their voices.

An engine is built in, or added by `register_engine`, or by another package through an entry point of the group
`talkinghead.text_to_speech`: a function without arguments that returns an `Engine`.
"""

from __future__ import annotations

import difflib
import importlib.metadata
from collections.abc import Iterator

from talkinghead.errors import VoiceUnavailableError
from talkinghead.text_to_speech.engine import Engine, Voice
from talkinghead.text_to_speech.espeak import EspeakEngine
from talkinghead.text_to_speech.hibari import HibariEngine
from talkinghead.text_to_speech.kokoro import KokoroEngine

ENTRY_POINT_GROUP = "talkinghead.text_to_speech"
DEFAULT_VOICE = "hibari"

_engines: dict[str, Engine] = {engine.name: engine for engine in (HibariEngine(), KokoroEngine(), EspeakEngine())}
_loaded_entry_points: set[str] = set()


def register_engine(engine: Engine) -> None:
    """Add an engine.

    Raises:
        TypeError: it lacks something that an `Engine` has.
        ValueError: there is an engine of its name.
    """
    if not isinstance(engine, Engine):
        raise TypeError(f"{engine!r} lacks something that an Engine has.")
    if engine.name in _engines:
        raise ValueError(f"There is an engine {engine.name} already.")
    _engines[engine.name] = engine


def engines() -> tuple[Engine, ...]:
    """All engines, also those whose voices are not installed.

    Raises:
        VoiceUnavailableError: another package's engine cannot be loaded.
    """
    for entry_point in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
        if entry_point.value not in _loaded_entry_points:
            try:
                register_engine(entry_point.load()())
            except Exception as error:  # another package's code may raise anything; the message names the package
                raise VoiceUnavailableError(
                    f"The engine {entry_point.name} ({entry_point.value}) cannot be loaded: {error}; uninstall it"
                ) from error
            _loaded_entry_points.add(entry_point.value)
    return tuple(_engines.values())


def all_voices() -> Iterator[tuple[Engine, Voice]]:
    """Every voice that can be used now, with its engine. Raises what `engines` raises."""
    return ((engine, voice) for engine in engines() for voice in engine.voices())


def find_voice(name: str) -> tuple[Engine, Voice]:
    """Find a voice and its engine by the voice's name, or by ENGINE/NAME where two engines have a voice of that name.

    Raises:
        VoiceUnavailableError: there is no such voice, or two, or it is not installed; the message says what to do.
    """
    wanted_engine, slash, wanted = name.rpartition("/")
    found = [
        (engine, voice)
        for engine, voice in all_voices()
        if voice.name == wanted and (not slash or engine.name == wanted_engine)
    ]
    if len(found) == 1:
        return found[0]
    if found:
        choices = " or ".join(f"{engine.name}/{wanted}" for engine, _ in found)
        raise VoiceUnavailableError(f"More than one engine has a voice {wanted}; name it {choices}.")
    raise VoiceUnavailableError(_why_not(wanted_engine or wanted.partition("-")[0], name))


def _why_not(engine_name: str, name: str) -> str:
    """Message for a voice that was not found: how to install its engine, or which name is close to it."""
    for engine in engines():
        if engine.name == engine_name and engine.missing():
            return f"The voice {name} is not installed: {engine.missing()}"
    names = [voice.name for _, voice in all_voices()]
    # A language without its country means any of its voices; the code of another language is no misspelling.
    near = [one for one in names if one.startswith(f"{name}-")][:3]
    near = near or difflib.get_close_matches(name, names, 1, 0.9 if "-" in name else 0.6)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    return f"There is no voice {name}.{hint} `talkinghead voices` lists them."

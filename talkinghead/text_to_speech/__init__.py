"""Text to speech: engines with voices, which synthesize one sentence at a time.

    for utterance in speak(Script("Good evening. Here is the news.")): ...

No model is loaded before the first sentence is synthesized.
"""

from talkinghead.text_to_speech.config import SpeakingConfig
from talkinghead.text_to_speech.engine import PAUSE, Engine, Phone, Utterance, Voice, join
from talkinghead.text_to_speech.hibari import HibariEngine
from talkinghead.text_to_speech.registry import DEFAULT_VOICE, all_voices, engines, find_voice, register_engine
from talkinghead.text_to_speech.speaking import Script, speak

__all__ = [
    "DEFAULT_VOICE",
    "PAUSE",
    "Engine",
    "HibariEngine",
    "Phone",
    "Script",
    "SpeakingConfig",
    "Utterance",
    "Voice",
    "all_voices",
    "engines",
    "find_voice",
    "join",
    "register_engine",
    "speak",
]

"""Text in, speech out: engines with voices, one sentence at a time.

Nothing here loads a model before something is spoken.
"""

from talkinghead.text_to_speech.engine import PAUSE, Engine, Phone, Utterance, Voice
from talkinghead.text_to_speech.hibari import HibariEngine

__all__ = ["PAUSE", "Engine", "HibariEngine", "Phone", "Utterance", "Voice"]

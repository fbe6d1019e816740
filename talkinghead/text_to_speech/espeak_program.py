"""espeak-ng's library, run as a program of its own: speech with the times of its phones and words.

The program espeak-ng does not tell them. This file needs the standard library alone and is started by its path, so that
it starts at once, and so that the library (GPL-3.0-or-later) is not loaded into the process of this package.

    python espeak_program.py LANGUAGE WORDS_PER_MINUTE < TEXT > LINE_AND_SAMPLES

It writes one line of JSON, {"rate_hz": R, "events": [[kind, sample, position, length, symbol], ...]}, and then the
samples, 16 bits each, little-endian. `kind` is "phone" or "word"; `position` (from 1) and `length` are in characters of
the text; `symbol` is IPA, empty for pauses and for phones that have no symbol. It exits with 3 where there is no
library, and with 4 where the library refuses the language.

The structures are those of speak_lib.h of espeak-ng 1.50 to 1.52.
"""

import ctypes
import ctypes.util
import json
import sys

NO_LIBRARY, NO_LANGUAGE = 3, 4
"""Exit codes."""
RETRIEVAL = 1
"""AUDIO_OUTPUT_RETRIEVAL: samples are handed over, not played."""
OPTIONS = 1 | 2 | 0x8000
"""espeakINITIALIZE_PHONEME_EVENTS, espeakINITIALIZE_PHONEME_IPA, espeakINITIALIZE_DONT_EXIT."""
FLAGS = 1 | 0x100
"""espeakCHARS_UTF8; espeakPHONEMES: mnemonics of phones in [[ ]]."""
RATE_PARAMETER = 1
"""espeakRATE."""
KINDS = {1: "word", 7: "phone"}
"""espeakEVENT_WORD, espeakEVENT_PHONEME; 0 ends a list."""


class Voice(ctypes.Structure):
    """espeak_VOICE."""

    _fields_ = [
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_char_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("reserved", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    ]


class Event(ctypes.Structure):
    """espeak_EVENT. Its last member is a union, of which the string is used."""

    _fields_ = [
        ("type", ctypes.c_int),
        ("identifier", ctypes.c_uint),
        ("position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("time_ms", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("symbol", ctypes.c_char * 8),
    ]


def main(language: str, words_per_minute: int, text: bytes) -> int:
    """Speak; returns the exit code."""
    try:
        library = ctypes.CDLL(ctypes.util.find_library("espeak-ng") or "libespeak-ng.so.1")
    except OSError:
        return NO_LIBRARY
    rate_hz = library.espeak_Initialize(RETRIEVAL, 0, None, OPTIONS)
    if rate_hz <= 0:
        return NO_LIBRARY
    samples, events = bytearray(), []

    def take(block, count, found):  # type: ignore[no-untyped-def]
        if block and count > 0:
            samples.extend(ctypes.string_at(block, 2 * count))
        number = 0
        while found[number].type:
            event = found[number]
            if event.type in KINDS:
                symbol = event.symbol.decode("utf-8", "ignore") if KINDS[event.type] == "phone" else ""
                events.append((KINDS[event.type], event.sample, event.position, event.length, symbol))
            number += 1
        return 0

    callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(Event))(take)
    library.espeak_SetSynthCallback(callback)
    name = language.encode()
    if library.espeak_SetVoiceByName(name) and library.espeak_SetVoiceByProperties(ctypes.byref(Voice(None, name))):
        return NO_LANGUAGE
    library.espeak_SetParameter(RATE_PARAMETER, words_per_minute, 0)
    library.espeak_Synth(text, len(text) + 1, 0, 0, 0, FLAGS, None, None)
    library.espeak_Synchronize()
    sys.stdout.buffer.write(json.dumps({"rate_hz": rate_hz, "events": events}).encode() + b"\n" + samples)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), sys.stdin.buffer.read()))

"""How the mouth follows text-to-speech: whether it closes, opens and rests where the phones say.

    python benchmarks/speech_voices.py [--anchor ANCHOR] [--voice NAME ...]

Every voice speaks a text that nothing was trained on, and gives the time of each phone. The expression is the one that
`generate` would drive ANCHOR with, at its own frame rate: once from the sound alone, as for a recording, and once with
the phones, as for a text. In each row:

- closed: share of the p, b and m at whose time the gap between the lips falls below 15 % of the anchor's range;
- touched: share of the f and v at whose time it falls below 35 %, where the lower lip is at the teeth;
- openness: correlation of the gap with what the phones require by their class, joined over 100 ms
  (`talkinghead.training.speech.phone_openness`; the networks were trained by the same classes, on other texts);
- silence: standard deviation of the gap where the mouth is at rest in a pause, over that in speech. It is given from
  the end of the release to the beginning of the attack, and over the whole of each pause.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import torch
import torchaudio
from numpy.typing import NDArray

from talkinghead import metrics
from talkinghead.anchor import Anchor, load_anchor
from talkinghead.errors import VoiceUnavailableError
from talkinghead.generation.driving import expression_from_speech, load_speech_model
from talkinghead.speech.articulation import KnownPhones
from talkinghead.speech.front_ends import RATE_HZ
from talkinghead.speech.model import SpeechModel
from talkinghead.speech.voice_activity import VoiceActivityConfig
from talkinghead.structures import Audio
from talkinghead.text_to_speech import PAUSE, Phone, Script, Utterance, find_voice, join, speak
from talkinghead.training.speech.phone_openness import openness_of
from talkinghead.weights.bundled import anchor_folder

ENGLISH = (
    "The mayor opened the bridge in bright sunshine this morning. Opponents of the plan remained behind the barrier. "
    "From Monday, buses will be free for pupils and pensioners. A spokesman promised that both bypasses would be "
    "complete by November. More about that after the weather: mild in most parts, with a bit of fog by the river."
)
CHINESE = (
    "市长今天上午为大桥揭幕。许多市民冒雨参加了庆祝活动。从明年八月起，学生可以免费乘坐公共汽车。"
    "发言人保证，北面的新路将在冬天之前完工。天气方面，大部分地区温暖，河边可能有薄雾。"
)
GERMAN = (
    "Der Bürgermeister hat am Vormittag bei strahlender Sonne die neue Brücke freigegeben. Gegner des Plans blieben "
    "hinter der Absperrung. Ab Montag fahren Busse für Schüler und Rentner umsonst. Beide Umgehungen sollen bis "
    "November fertig sein. Mehr davon nach dem Wetter: meist mild, am Fluss etwas Nebel."
)
FRENCH = (
    "Le maire a ouvert le pont ce matin sous un beau soleil. Les opposants au projet sont restés derrière la barrière. "
    "Dès lundi, le bus sera gratuit pour les élèves et les personnes âgées. Un porte-parole promet que les deux "
    "boulevards seront prêts en novembre. La suite après la météo : il fera doux, avec un peu de brume près du fleuve."
)
SPANISH = (
    "El alcalde abrió el puente esta mañana con mucho sol. Los opositores al plan permanecieron detrás de la barrera. "
    "Desde el lunes, el autobús será gratis para alumnos y pensionistas. Un portavoz prometió que ambas avenidas "
    "estarán completas en noviembre. Más sobre esto después del tiempo: ambiente suave y un poco de bruma junto al río."
)
JAPANESE = (
    "しちょうは けさ、あたらしい はしの ひらきぞめを しました。はんたいする ひとびとは さくの むこうで みまもりました。"
    "げつようびから、バスは こどもと おとしよりに むりょうです。ふたつの みちも、ふゆまえに できあがる みこみです。"
    "てんきは おおむね おだやかで、かわべには きりが でるでしょう。"
)
VOICES = {
    "hibari": ENGLISH,
    "kokoro-alpha-en": ENGLISH,
    "kokoro-kumo-en": ENGLISH,
    "kokoro-alpha-zh": CHINESE,
    "kokoro-gongitsune-zh": CHINESE,
    "kokoro-kumo-zh": CHINESE,
    "espeak-en-us": ENGLISH,
    "espeak-de": GERMAN,
    "espeak-fr-fr": FRENCH,
    "espeak-es": SPANISH,
    "espeak-ja": JAPANESE,
}
CLOSED, CLOSED_SHARE = "pbm", 0.15
LABIODENTAL, TOUCHED_SHARE = "fv", 0.35
NEARNESS_S = 0.02
"""A closure may come a frame before or after the phone's own time."""


@dataclass(frozen=True)
class Row:
    """One voice; see the module's text for what each number is."""

    closed: float
    touched: float
    openness: float
    lag_ms: float
    rest: float
    pause: float
    phones: int


def score_voice(anchor: Anchor, speech_model: SpeechModel, spoken: Utterance, *, knows_phones: bool) -> Row:
    """Score one voice; whether the driving knows its phones, or hears the audio alone."""
    assert spoken.phones is not None
    samples = torch.from_numpy(spoken.audio.samples)
    audio = Audio(torchaudio.functional.resample(samples, spoken.audio.rate_hz, RATE_HZ).numpy(), RATE_HZ)
    step_s = float(np.median(np.diff(anchor.reconstruction.times_s)))
    times_s = np.arange(0, spoken.audio.duration_s, step_s)
    own = anchor.reconstruction
    phones = KnownPhones(spoken.phones, is_synthetic=True) if knows_phones else None
    expression = expression_from_speech(anchor, speech_model, audio, times_s, phones=phones)
    gap = anchor.face.opening(expression).astype(float)
    low, high = np.quantile(anchor.face.opening(own.expression[own.valid]), [0.02, 0.98])

    share = (gap - low) / (high - low)
    closures = [p for p in spoken.phones if p.symbol[0] in CLOSED]
    touches = [p for p in spoken.phones if p.symbol[0] in LABIODENTAL]

    required = openness_of(spoken.phones, times_s)
    speaking = np.ones(len(times_s), np.bool_)
    resting = np.zeros(len(times_s), np.bool_)
    config = VoiceActivityConfig()
    before_s, after_s = (config.attack_ms + config.lead_ms) / 1000, config.release_ms / 1000
    for phone in spoken.phones:
        if phone.symbol == PAUSE and phone.duration_s * 1000 >= config.shortest_pause_ms:
            speaking[(times_s >= phone.start_s) & (times_s < phone.end_s)] = False
            resting |= (times_s >= phone.start_s + after_s) & (times_s < phone.end_s - before_s)
    lag = metrics.best_lag(gap[speaking], times_s[speaking], required[speaking], times_s[speaking])
    return Row(
        _reached(share, times_s, closures, CLOSED_SHARE),
        _reached(share, times_s, touches, TOUCHED_SHARE),
        metrics.pearson_r(gap, required),
        lag.lag_ms,
        float(gap[resting].std() / gap[speaking].std()),
        float(gap[~speaking].std() / gap[speaking].std()),
        len(closures),
    )


def _reached(share: NDArray[np.float64], times_s: NDArray[np.float64], phones: list[Phone], below: float) -> float:
    """Share of phones near whose time the opening, a share (T,) of the anchor's range, falls below a value."""
    near = [(times_s >= phone.start_s - NEARNESS_S) & (times_s <= phone.end_s + NEARNESS_S) for phone in phones]
    reached = [share[inside].min() < below for inside in near if inside.any()]
    return float(np.mean(reached)) if reached else float("nan")


def voices_here(chosen: Sequence[str]) -> dict[str, str]:
    """Voices that are installed, and the text of each; only those chosen, if any are. A line names those that lack."""
    found, lacking = {}, []
    for voice, text in VOICES.items():
        if chosen and voice not in chosen:
            continue
        try:
            find_voice(voice)
        except VoiceUnavailableError:
            lacking.append(voice)
        else:
            found[voice] = text
    if lacking:
        print(f"Not installed: {', '.join(lacking)}.", file=sys.stderr)
    return found


@click.command()
@click.option("--anchor", "folder", type=click.Path(path_type=Path), default="presenter", show_default=True)
@click.option("--voice", "chosen", multiple=True, help="These voices alone.")
def main(folder: Path, chosen: tuple[str, ...]) -> None:
    """Print the table as Markdown."""
    anchor = load_anchor(anchor_folder(folder))
    speech_model = load_speech_model(anchor, None, torch.device("cpu"))
    print("| voice | known | p, b, m | closed | touched | openness r | lag ms | std at rest / in speech | in pauses |")
    print("|---|---|---:|---:|---:|---:|---:|---:|---:|")
    for voice, text in voices_here(chosen).items():
        spoken = join(list(speak(Script(text, voice))))
        for known, knows_phones in (("sound", False), ("phones", True)):
            row = score_voice(anchor, speech_model, spoken, knows_phones=knows_phones)
            shares = [f"{100 * value:.0f} %" for value in (row.closed, row.touched)]
            cells = [*shares, f"{row.openness:.2f}", f"{row.lag_ms:+.0f}", f"{row.rest:.3f}", f"{row.pause:.2f}"]
            print("| " + " | ".join([voice, known, str(row.phones), *cells]) + " |", flush=True)


if __name__ == "__main__":
    main()

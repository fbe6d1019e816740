"""A speech encoder's folder in Hugging Face's format: checked, bounded, loaded without pickle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from talkinghead.errors import ModelUnavailableError
from talkinghead.files import sha256_of
from talkinghead.speech.front_ends import (
    LOG_MEL,
    FilterBankFrontEnd,
    FrontEnd,
    LogMelFrontEnd,
    WaveformFrontEnd,
    WhisperFrontEnd,
)

# transformers, huggingface_hub and librosa are imported where they are used: together they take three seconds.
if TYPE_CHECKING:
    from transformers import PreTrainedModel

FAMILY = ("wav2vec2", "hubert", "wavlm", "wav2vec2-bert", "wav2vec2-conformer", "unispeech", "unispeech-sat", "whisper")
"""Values of `model_type` in config.json that can be loaded; XLS-R is a wav2vec2."""
WEIGHT_FILE = "model.safetensors"
FRONT_END_FILE = "preprocessor_config.json"
FILES = ("config.json", FRONT_END_FILE, WEIGHT_FILE)
LAYOUT = f"{', '.join(FILES[:-1])} and {FILES[-1]} of a Hugging Face model of the kinds {', '.join(FAMILY)}"
PICKLED_FILE = "pytorch_model.bin"
"""Never opened: loading it may run code."""
LARGEST_NUMBER = 1e6
"""In an encoder's configuration."""
MOST_LAYERS = 100


def encoder_sha256(folder: Path) -> str:
    """One hash for an encoder's folder: over the hashes of its configuration, front end and weights."""
    parts = [sha256_of(folder / name) for name in FILES]
    return hashlib.sha256("".join(parts).encode()).hexdigest()


def load_with_transformers(folder: Path) -> tuple[PreTrainedModel, FrontEnd]:
    from transformers import AutoModel, WhisperModel

    config = _configuration(folder)
    with _quiet_transformers():
        model, report = AutoModel.from_pretrained(
            folder,
            config=config,
            local_files_only=True,
            use_safetensors=True,
            dtype=torch.float32,  # the weights may be stored in half precision
            output_loading_info=True,
        )
    _check_weights(folder, report["missing_keys"])
    if isinstance(model, WhisperModel):
        model = model.get_encoder()
    return model, _front_end(folder, config)


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """No progress bar for a second of loading, no table of weights left over; those lacking are checked."""
    from transformers.utils import logging

    shown, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if shown:
            logging.enable_progress_bar()


def _check_weights(folder: Path, missing: Iterable[str]) -> None:
    """What a file lacks, transformers makes up at random; that may be Whisper's decoder and the mask of pretraining."""
    needed = sorted(name for name in missing if not name.startswith("decoder.") and "masked_spec_embed" not in name)
    if needed:
        raise ModelUnavailableError(f"{folder / WEIGHT_FILE} lacks {len(needed)} weights, {needed[0]} among them.")


def local_folder(name: str) -> Path:
    """The folder itself, or the cached snapshot of a hub name."""
    if Path(name).is_dir():
        return Path(name)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError, HfHubHTTPError, OSError, ValueError) as error:
        raise ModelUnavailableError(
            f"{name} is neither a folder nor a model in the local Hugging Face cache, and none is fetched from here; "
            f"give a folder with {LAYOUT}: hf download {name} {' '.join(FILES)} --local-dir FOLDER"
        ) from error


def check_layout(folder: Path) -> None:
    """Whether the folder is complete."""
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise ModelUnavailableError(
            f"{folder} lacks {' and '.join(missing)}; a speech encoder is a folder with {LAYOUT}."
            + _conversion_hint(folder, missing)
        )


def _configuration(folder: Path) -> Any:
    """The model's configuration, where it is of the family."""
    from transformers import AutoConfig

    try:
        _check_numbers(json.loads((folder / "config.json").read_text("utf-8")))
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # anything can be wrong with a configuration, and transformers checks little of it
        raise ModelUnavailableError(
            f"{folder}/config.json cannot be used ({one_line(error)}); needed are {LAYOUT}."
        ) from error
    if config.model_type not in FAMILY:
        raise ModelUnavailableError(f"{folder} holds a {config.model_type} model; needed are {LAYOUT}.")
    return config


def _check_numbers(described: Any) -> None:
    """No size that is taken from a configuration is one that would fill the memory by itself.

    Raises:
        ValueError: there is a number beyond reason, or more layers than any model of the family has.
    """
    parts = described.items() if isinstance(described, dict) else enumerate(described)
    for name, value in parts:
        if isinstance(value, (dict, list)):
            _check_numbers(value)
        elif isinstance(value, (int, float)):
            largest = MOST_LAYERS if str(name).endswith("layers") else LARGEST_NUMBER
            if not abs(value) <= largest:
                raise ValueError(f"{name} is {value}")


def one_line(error: Exception) -> str:
    """One line."""
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]


def _conversion_hint(folder: Path, missing: list[str]) -> str:
    """What to do where there are weights, but pickled ones."""
    if WEIGHT_FILE not in missing or not (folder / PICKLED_FILE).is_file():
        return ""
    return (
        f" {PICKLED_FILE} may run code when it is loaded, so it is not; "
        "if you trust it, convert it by transformers' from_pretrained and save_pretrained."
    )


def _front_end(folder: Path, config: Any) -> FrontEnd:
    described = dict(json.loads((folder / FRONT_END_FILE).read_text("utf-8")))
    if config.model_type == "whisper":
        return WhisperFrontEnd(config.num_mel_bins)
    if config.model_type != "wav2vec2-bert":
        unit_variance = bool(described.get("do_normalize", True))
        return WaveformFrontEnd(list(config.conv_kernel), list(config.conv_stride), unit_variance=unit_variance)
    if described.get("feature_extractor_type") == LOG_MEL:
        return LogMelFrontEnd()
    return FilterBankFrontEnd(folder)

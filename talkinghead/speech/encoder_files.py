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
from talkinghead.speech.adapters import ADAPTERS, FRONT_END_FILE
from talkinghead.speech.front_ends import FrontEnd

# transformers and huggingface_hub are imported where they are used: together they take two seconds.
if TYPE_CHECKING:
    from transformers import PreTrainedModel

WEIGHT_FILE = "model.safetensors"
FILES = ("config.json", FRONT_END_FILE, WEIGHT_FILE)
"""Files of an encoder's folder."""
LAYOUT = f"{', '.join(FILES[:-1])} and {FILES[-1]} of a Hugging Face model of the kinds {', '.join(ADAPTERS)}"
"""What a folder must hold, for messages."""
PICKLED_FILE = "pytorch_model.bin"
"""Weights in pickled form, which are never opened: loading them may run code."""
LARGEST_NUMBER = 1e6
"""No number in an encoder's configuration is larger."""
MOST_LAYERS = 100
"""No model of the family has more layers."""


def encoder_sha256(folder: Path) -> str:
    """One hash for an encoder's folder: over the hashes of its configuration, front end and weights."""
    parts = [sha256_of(folder / name) for name in FILES]
    return hashlib.sha256("".join(parts).encode()).hexdigest()


def load_with_transformers(folder: Path) -> tuple[PreTrainedModel, FrontEnd]:
    """The model of a checked folder, on the CPU in float32, and its front end.

    Raises:
        ModelUnavailableError: the configuration is of no use, or weights are missing.
    """
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
    return model, ADAPTERS[config.model_type].front_end(folder, config)


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Keep transformers from printing a progress bar and a table of unused weights."""
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
    """Refuse a file that lacks weights, which transformers would draw at random.

    Whisper's decoder and the mask of pretraining are not needed.
    """
    needed = sorted(name for name in missing if not name.startswith("decoder.") and "masked_spec_embed" not in name)
    if needed:
        raise ModelUnavailableError(f"{folder / WEIGHT_FILE} lacks {len(needed)} weights, {needed[0]} among them.")


def local_folder(name: str) -> Path:
    """The folder itself, or the cached snapshot of a hub name.

    Raises:
        ModelUnavailableError: it is neither.
    """
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
    """Check that a folder is complete.

    Raises:
        ModelUnavailableError: files are missing; the message names them.
    """
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise ModelUnavailableError(
            f"{folder} lacks {' and '.join(missing)}; a speech encoder is a folder with {LAYOUT}."
            + _conversion_hint(folder, missing)
        )


def _configuration(folder: Path) -> Any:
    """The model's configuration, of one of the types of `ADAPTERS`."""
    from transformers import AutoConfig

    try:
        _check_numbers(json.loads((folder / "config.json").read_text("utf-8")))
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # anything can be wrong with a configuration, and transformers checks little of it
        raise ModelUnavailableError(
            f"{folder}/config.json cannot be used ({one_line(error)}); needed are {LAYOUT}."
        ) from error
    if config.model_type not in ADAPTERS:
        raise ModelUnavailableError(f"{folder} holds a {config.model_type} model; needed are {LAYOUT}.")
    return config


def _check_numbers(described: Any) -> None:
    """Check that no size in a configuration would fill the memory by itself.

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
    """An exception's type and message in one line."""
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]


def _conversion_hint(folder: Path, missing: list[str]) -> str:
    """What to do where there are pickled weights only."""
    if WEIGHT_FILE not in missing or not (folder / PICKLED_FILE).is_file():
        return ""
    return (
        f" {PICKLED_FILE} may run code when it is loaded, so it is not; "
        "if you trust it, convert it by transformers' from_pretrained and save_pretrained."
    )

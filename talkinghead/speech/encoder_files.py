"""Folders of speech encoders in Hugging Face's format: completeness, bounds, and loading without pickle."""

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
from talkinghead.speech.conformer import Conformer, ConformerConfig, load_conformer
from talkinghead.speech.front_ends import FrontEnd

# transformers and huggingface_hub are imported where they are used: together they take two seconds.
if TYPE_CHECKING:
    from transformers import PreTrainedModel

WEIGHT_FILE = "model.safetensors"
"""File of the weights in an encoder's folder."""
FILES = ("config.json", FRONT_END_FILE, WEIGHT_FILE)
"""Files that an encoder's folder must hold."""
LAYOUT = f"{', '.join(FILES[:-1])} and {FILES[-1]} of a Hugging Face model of the kinds {', '.join(ADAPTERS)}"
"""Description of an encoder's folder for error messages."""
PICKLED_FILE = "pytorch_model.bin"
"""File of pickled weights, which is never opened: unpickling can run code."""
LARGEST_NUMBER = 1e6
"""Largest number in the configuration of a usable encoder."""
MOST_LAYERS = 100
"""Largest number of layers in the configuration of a usable encoder."""


def encoder_sha256(folder: Path) -> str:
    """Hash of an encoder's folder, over the hashes of its configuration, front end and weights."""
    parts = [sha256_of(folder / name) for name in FILES]
    return hashlib.sha256("".join(parts).encode()).hexdigest()


def load_model(folder: Path) -> tuple[PreTrainedModel | Conformer, FrontEnd]:
    """Load the model of a folder, on the CPU in float32, and its front end.

    One of the default encoder's kind is loaded as plain modules, every other one by transformers.

    Args:
        folder: with all of `FILES`, see `check_layout`.

    Raises:
        ModelUnavailableError: the configuration cannot be used, or weights are missing.
    """
    own = ConformerConfig.of(_described(folder))
    if own is None:
        return _load_with_transformers(folder)
    model, missing = load_conformer(own, folder / WEIGHT_FILE)
    _check_weights(folder, missing)
    return model, ADAPTERS[own.model_type].front_end(folder, own)


def _load_with_transformers(folder: Path) -> tuple[PreTrainedModel, FrontEnd]:
    """`load_model` for every encoder that transformers runs."""
    from transformers import AutoModel

    config = _configuration(folder)
    with _quiet_transformers():
        model, report = AutoModel.from_pretrained(
            folder,
            config=config,
            local_files_only=True,
            use_safetensors=True,
            dtype=torch.float32,  # weights in half precision are converted
            output_loading_info=True,
        )
    _check_weights(folder, report["missing_keys"])
    if config.model_type == "whisper":
        model = model.get_encoder()
    return model, ADAPTERS[config.model_type].front_end(folder, config)


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Suppress transformers' progress bar and its table of unused weights."""
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
    """Refuse a file that lacks weights, which transformers would initialize at random.

    Whisper's decoder and the mask of pretraining are not used, so they may be missing.

    Raises:
        ModelUnavailableError: weights are missing.
    """
    needed = sorted(name for name in missing if not name.startswith("decoder.") and "masked_spec_embed" not in name)
    if needed:
        raise ModelUnavailableError(
            f"{folder / WEIGHT_FILE} lacks {len(needed)} weights, {needed[0]} among them; fetch it again."
        )


def local_folder(name: str) -> Path:
    """Find an encoder's folder. Nothing is downloaded.

    Args:
        name: a folder, or a hub name that is in the local Hugging Face cache.

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
            f"{name} is neither a folder nor a model in the local Hugging Face cache, and nothing is downloaded here; "
            f"give a folder with {LAYOUT}: hf download {name} {' '.join(FILES)} --local-dir FOLDER"
        ) from error


def check_layout(folder: Path) -> None:
    """Check that an encoder's folder is complete.

    Raises:
        ModelUnavailableError: files are missing; the message names them.
    """
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise ModelUnavailableError(
            f"{folder} lacks {' and '.join(missing)}; a speech encoder is a folder with {LAYOUT}."
            + _conversion_hint(folder, missing)
        )


def _described(folder: Path) -> Any:
    """The content of config.json.

    Raises:
        ModelUnavailableError: it cannot be read, or a number in it is too large.
    """
    try:
        described = json.loads((folder / "config.json").read_text("utf-8"))
        _check_numbers(described)
    except Exception as error:  # such as of what is nested too deeply
        raise _unusable(folder, error) from error
    return described


def _configuration(folder: Path) -> Any:
    """A model's configuration as transformers reads it.

    Raises:
        ModelUnavailableError: it cannot be read, or its model type is not one of `ADAPTERS`.
    """
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # transformers checks little of a configuration, and can raise anything
        raise _unusable(folder, error) from error
    if config.model_type not in ADAPTERS:
        raise ModelUnavailableError(
            f"{folder} holds a {config.model_type} model; a speech encoder is a folder with {LAYOUT}."
        )
    return config


def _unusable(folder: Path, error: Exception) -> ModelUnavailableError:
    """The error for a configuration that cannot be used."""
    return ModelUnavailableError(
        f"{folder}/config.json cannot be used ({one_line(error)}); a speech encoder is a folder with {LAYOUT}."
    )


def _check_numbers(described: Any) -> None:
    """Check that no size in a configuration would exhaust the memory.

    Args:
        described: content of config.json, or of a part of it.

    Raises:
        ValueError: a number is above `LARGEST_NUMBER`, or a number of layers above `MOST_LAYERS`.
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
    """Type and message of an exception in one line of at most 200 characters."""
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]


def _conversion_hint(folder: Path, missing: list[str]) -> str:
    """Advice for a folder that has pickled weights only; empty for others."""
    if WEIGHT_FILE not in missing or not (folder / PICKLED_FILE).is_file():
        return ""
    return (
        f" {PICKLED_FILE} is not loaded, since it may run code; "
        "if you trust it, convert it with transformers' from_pretrained and save_pretrained."
    )

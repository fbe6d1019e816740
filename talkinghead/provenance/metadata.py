"""Labels of AI-generated video: written into every output, and read back.

Three of them are on by default and machine-readable:

- container tags: `comment` in words, `DigitalSourceType` with IPTC's term, and `AIGC`, the implicit label of
  GB 45438-2025 as a JSON text;
- an XMP packet in the file (ISO 16684-1; in MP4 a `uuid` box) with `Iptc4xmpExt:DigitalSourceType`, where IPTC's Video
  Metadata Hub puts it, and the AI system with its version;
- on demand a signed C2PA manifest (`Signer`), which ties the label to these very bytes.

`VisibleLabel` draws a text for people. Labels are cut off by whoever wants to; a signed manifest at least tells that
nothing was changed since.
"""

from __future__ import annotations

import json
import mimetypes
import os
import re
import struct
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from xml.sax.saxutils import escape

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from talkinghead import __version__
from talkinghead.errors import LabelError, MissingFileError, OutputError
from talkinghead.media.video_writer import read_tags
from talkinghead.structures import ByteArray

SENTENCE = "AI-generated: the lower face was synthesised by talkinghead"
SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
DIGITAL_SOURCE_TYPE = SOURCE_TYPES + "compositeWithTrainedAlgorithmicMedia"
"""IPTC's term for existing media into which generative AI has put something: here a lower face into filmed frames."""
AI_SOURCE_TYPES = frozenset(
    SOURCE_TYPES + term
    for term in ("trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia", "compositeSynthetic")
)
ASSERTION = "org.talkinghead.generation"
REQUIREMENT = "pip install 'talkinghead[sign]'"

_XMP_BOX = uuid.UUID("be7acfcb-97a9-42e8-9c71-999491e3afac").bytes
"""Type of the box that holds XMP in an ISO base media file (XMP specification, part 3)."""
_LARGEST_XMP_BYTES = 1 << 20
_LARGEST_BOXES = 10_000
_LARGEST_PEM_BYTES = 1 << 20
_SOURCE_TYPE_IN_XMP = re.compile(rb"DigitalSourceType\s*(?:>|=\s*[\"'])\s*([^<\"'\s]{1,300})")
# Nothing is fetched, neither a manifest that a file names nor a certificate's revocation list.
_C2PA_SETTINGS = {"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}}


@dataclass(frozen=True)
class Origin:
    """What an output was made from."""

    anchor_sha256: str
    """Hexadecimal, of the anchor's network weights."""
    speech_sha256: str
    """Hexadecimal, of the sound file."""

    @property
    def number(self) -> str:
        """One and the same for the same anchor, speech and version."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{__version__}/{self.anchor_sha256}/{self.speech_sha256}"))


def tags(origin: Origin) -> dict[str, str]:
    """Container tags of an output. GB 45438-2025 wants the producer's own name or code: whoever publishes sets it."""
    implicit = {"Label": "1", "ContentProducer": f"talkinghead {__version__}", "ProduceID": origin.number}
    return {
        "comment": SENTENCE,
        "DigitalSourceType": DIGITAL_SOURCE_TYPE,
        "AIGC": json.dumps(implicit, separators=(",", ":")),
    }


def add_xmp(path: Path) -> None:
    """Append the XMP packet to a finished MP4 or QuickTime file; no offset in the file changes by it."""
    packet = _xmp_packet().encode()
    with path.open("ab") as file:
        file.write(struct.pack(">I4s", 8 + len(_XMP_BOX) + len(packet), b"uuid") + _XMP_BOX + packet)


def _xmp_packet() -> str:
    properties = {
        "Iptc4xmpExt:DigitalSourceType": DIGITAL_SOURCE_TYPE,
        "Iptc4xmpExt:AISystemUsed": "talkinghead",
        "Iptc4xmpExt:AISystemVersionUsed": __version__,
        "xmp:CreatorTool": f"talkinghead {__version__}",
    }
    lines = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in properties.items())
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""'
        ' xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
        f' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/">{lines}</rdf:Description></rdf:RDF>'
        '</x:xmpmeta><?xpacket end="r"?>'
    )


@dataclass(frozen=True)
class Signer:
    """Signs outputs with a C2PA manifest."""

    certificate: str
    """PEM, the signing certificate first, then those between it and the root."""
    key: str
    """PEM, PKCS#8 without a password."""
    algorithm: str
    """COSE name: es256, es384, es512, ps256 or ed25519."""

    @classmethod
    def load(cls, certificate: Path, key: Path) -> Signer:
        """Read both from PEM files, and make sure that they sign.

        Raises:
            MissingFileError: no such file.
            LabelError: no C2PA library is installed, or the two are of no use for signing.
        """
        _c2pa()  # what cryptography is a part of
        chain, secret = _read_pem(certificate), _read_pem(key)
        _check_pair(chain, secret, f"{certificate} and {key}")
        return cls(chain, secret, _algorithm(secret))

    def sign(self, path: Path, title: str, origin: Origin) -> None:
        """Put a signed manifest into a finished file.

        Raises:
            LabelError: the certificate is not one for signing content.
            OutputError: the file cannot be written.
        """
        c2pa = _c2pa()
        signed = path.with_name(f"{path.stem}.signed{path.suffix}")
        try:
            with (
                c2pa.Context.from_dict(_C2PA_SETTINGS) as context,
                c2pa.Builder(_manifest(title, origin), context) as builder,
                self._native() as signer,
                path.open("rb") as source,
                signed.open("w+b") as target,
            ):
                builder.sign(signer, _media_type(path), source, target)
            os.replace(signed, path)
        except c2pa.C2paError as error:
            raise LabelError(f"{title} cannot be signed: {error}") from error
        except OSError as error:
            raise OutputError(f"Cannot write {title}: {error.strerror}.") from error
        finally:
            signed.unlink(missing_ok=True)

    def _native(self) -> Any:
        c2pa = _c2pa()
        # Without a time stamping authority, which would have to be asked over the network.
        texts = (self.algorithm, self.certificate, self.key)
        return c2pa.Signer.from_info(c2pa.C2paSignerInfo(*(text.encode() for text in texts), None))


def _manifest(title: str, origin: Origin) -> dict[str, Any]:
    agent = {"name": "talkinghead", "version": __version__}
    action = {"action": "c2pa.created", "digitalSourceType": DIGITAL_SOURCE_TYPE, "softwareAgent": agent}
    made_from = {
        "anchor_sha256": origin.anchor_sha256,
        "speech_sha256": origin.speech_sha256,
        "talkinghead": __version__,
    }
    return {
        "claim_generator_info": [agent],
        "title": title,
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": [action]}},
            {"label": ASSERTION, "data": made_from},
        ],
    }


def _c2pa() -> Any:
    try:
        import c2pa
    except ImportError as error:
        raise LabelError(f"C2PA manifests need one more package: {REQUIREMENT}") from error
    return c2pa


def _read_pem(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_LARGEST_PEM_BYTES).decode("ascii")
    except OSError as error:
        raise MissingFileError(f"Cannot read {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise LabelError(f"{path} is not in PEM form.") from error


def _check_pair(certificates: str, key: str, names: str) -> None:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from cryptography.x509 import load_pem_x509_certificates

    try:
        signing = load_pem_x509_certificates(certificates.encode())[0]
        fits = signing.public_key() == load_pem_private_key(key.encode(), password=None).public_key()
    except (ValueError, TypeError) as error:
        raise LabelError(f"{names} are not a certificate and a private key without a password in PEM form.") from error
    if not fits:
        raise LabelError(f"{names} do not belong together.")


def _algorithm(key: str) -> str:
    """COSE's name of the signature that a private key makes."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    loaded = load_pem_private_key(key.encode(), password=None)
    curves = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
    if isinstance(loaded, ec.EllipticCurvePrivateKey) and loaded.curve.name in curves:
        return curves[loaded.curve.name]
    if isinstance(loaded, rsa.RSAPrivateKey):
        return "ps256"
    if isinstance(loaded, ed25519.Ed25519PrivateKey):
        return "ed25519"
    raise LabelError("C2PA does not know this kind of key; use ES256, ES384, ES512, PS256 or Ed25519.")


def _media_type(path: Path) -> str:
    return {".m4v": "video/mp4"}.get(path.suffix.lower()) or mimetypes.guess_type(path.name)[0] or "video/mp4"


@dataclass(frozen=True)
class Labels:
    """What a file says about how it was made."""

    tags: dict[str, str]
    """Of the container, those that label."""
    digital_source_type: str | None
    """IPTC's term, from the XMP packet or else from the tags or the manifest."""
    manifest: dict[str, Any] | None
    """The C2PA manifest: `state` (Trusted, Valid, Invalid), `issuer`, `actions`, `origin`, `problems`; None if none."""
    notes: tuple[str, ...]
    """What could not be looked at, and why."""

    @property
    def ai_generated(self) -> bool:
        """Whether any of the labels says so."""
        return self.digital_source_type in AI_SOURCE_TYPES or "AI-generated" in self.tags.get("comment", "")

    @property
    def intact(self) -> bool:
        """Whether no manifest is there that does not fit the file."""
        return self.manifest is None or self.manifest["state"] != "Invalid"

    def as_json(self) -> dict[str, Any]:
        return {
            "ai_generated": self.ai_generated,
            "digital_source_type": self.digital_source_type,
            "tags": self.tags,
            "c2pa": self.manifest,
            "notes": list(self.notes),
        }


def read_labels(path: Path) -> Labels:
    """Look for every label that this module writes. Nothing is fetched from anywhere.

    Raises:
        MissingFileError, MediaError: no such file, or no media file.
    """
    found = {name: value for name, value in read_tags(path).items() if name in tags(Origin("", ""))}
    manifest, notes = None, []
    try:
        manifest = _read_manifest(path)
    except LabelError as error:
        notes.append(str(error))
    declared = _source_type_in_xmp(path) or found.get("DigitalSourceType")
    if declared is None and manifest is not None:
        declared = next((action["digitalSourceType"] for action in manifest["actions"]), None)
    return Labels(found, declared, manifest, tuple(notes))


def _source_type_in_xmp(path: Path) -> str | None:
    with path.open("rb") as file:
        for kind, length in _top_boxes(file):
            if kind != b"uuid" or length < len(_XMP_BOX) or file.read(len(_XMP_BOX)) != _XMP_BOX:
                continue
            packet = file.read(min(length - len(_XMP_BOX), _LARGEST_XMP_BYTES))
            found = _SOURCE_TYPE_IN_XMP.search(packet)
            if found:
                return found[1].decode("ascii", "replace")
    return None


def _top_boxes(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Type and length of the content of each top-level box of an ISO base media file, the file standing before it."""
    end = file.seek(0, os.SEEK_END)
    position = 0
    for _ in range(_LARGEST_BOXES):
        file.seek(position)
        header = file.read(16)
        if len(header) < 8:
            return
        length, kind, start = int.from_bytes(header[:4]), header[4:8], 8
        if length == 1:
            length, start = int.from_bytes(header[8:16]), 16
        elif length == 0:
            length = end - position
        if length < start or position + length > end:
            return
        file.seek(position + start)
        yield kind, length - start
        position += length


def _read_manifest(path: Path) -> dict[str, Any] | None:
    c2pa = _c2pa()
    try:
        with (
            c2pa.Context.from_dict(_C2PA_SETTINGS) as context,
            path.open("rb") as file,
            c2pa.Reader(_media_type(path), file, context=context) as reader,
        ):
            store = json.loads(reader.json())
    except c2pa.C2paError.ManifestNotFound:
        return None
    except c2pa.C2paError as error:
        raise LabelError(f"no C2PA manifest can be read: {error}") from error
    active = store.get("manifests", {}).get(store.get("active_manifest"), {})
    assertions = {one["label"]: one.get("data", {}) for one in active.get("assertions", [])}
    actions = [one for label, data in assertions.items() if label.startswith("c2pa.actions") for one in data["actions"]]
    return {
        "state": store.get("validation_state", "Invalid"),
        "issuer": active.get("signature_info", {}).get("issuer"),
        "actions": [one for one in actions if "digitalSourceType" in one],
        "origin": assertions.get(ASSERTION),
        "problems": [one.get("code") for one in store.get("validation_status", [])],
    }


class VisibleLabel:
    """A short text in the corner of every frame.

    The letters are 5 % of the frame's shorter side high, the least that GB 45438-2025 asks for in pictures.
    """

    SHARE = 0.05
    LONGEST = 80

    def __init__(self, text: str, width: int, height: int, font: Path | None = None) -> None:
        """Draw the text once.

        Args:
            text: one line.
            width, height: of the frames, pixels.
            font: TrueType or OpenType file; None takes a built-in font, which has Latin letters only.

        Raises:
            LabelError: the text is empty, too long or wider than the frame, or the font lacks its letters.
            MissingFileError: there is no such font.
        """
        if not text.strip() or len(text) > self.LONGEST or not text.isprintable():
            raise LabelError(f"The visible label has to be one line of 1 to {self.LONGEST} characters.")
        if font is None and not text.isascii():
            raise LabelError(
                "The built-in font of the visible label has Latin letters only; name a font that has more."
            )
        size_px = self.SHARE * min(width, height)
        letters = _load_font(font, size_px)
        left, top, right, bottom = (round(side) for side in letters.getbbox(text))
        margin = max(2, round(size_px / 3))
        box = (right - left + 2 * margin, bottom - top + 2 * margin)
        if box[0] > width or box[1] > height:
            raise LabelError(f"The visible label {text!r} is wider than the picture; make it shorter.")
        picture = Image.new("L", box, 0)
        ImageDraw.Draw(picture).text((margin - left, margin - top), text, fill=255, font=letters)
        self._letters = np.asarray(picture, np.float32)[..., None] / 255
        self._corner = (slice(height - box[1], height), slice(width - box[0], width))

    def drawn_on(self, image: ByteArray) -> ByteArray:
        """A copy of a frame, (H, W, 3) uint8, with the text in white on a darkened ground at the lower right."""
        labelled = image.copy()
        ground = image[self._corner] * np.float32(0.35)
        labelled[self._corner] = np.round(ground + self._letters * (255 - ground)).astype(np.uint8)
        return labelled


def _load_font(path: Path | None, letter_px: float) -> ImageFont.FreeTypeFont:
    """A font whose capital letters are so many pixels high."""
    if path is not None and not path.is_file():
        raise MissingFileError(f"There is no font {path}.")
    try:
        trial = _font_of_size(path, 100.0)
        top, bottom = trial.getbbox("H")[1::2]
        return _font_of_size(path, 100.0 * letter_px / max(bottom - top, 1))
    except (OSError, ValueError) as error:
        raise LabelError(f"{path} is not a font that can be read.") from error


def _font_of_size(path: Path | None, size_px: float) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size_px) if path is None else ImageFont.truetype(str(path), size_px)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise LabelError("This build of Pillow draws no scalable letters; install Pillow from its wheel.")
    return font

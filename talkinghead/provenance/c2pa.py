"""C2PA manifests (C2PA technical specification 2): signing a complete file, and reading a file's manifest."""

from __future__ import annotations

import json
import mimetypes
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from talkinghead import __version__
from talkinghead.errors import LabelError, MissingFileError, OutputError
from talkinghead.files import replacing
from talkinghead.provenance.origin import DIGITAL_SOURCE_TYPE, Origin

ASSERTION = "org.talkinghead.generation"
"""Name of the manifest's assertion that holds the `Origin`."""
REQUIREMENT = "pip install 'talkinghead[sign]'"
_MAX_PEM_BYTES = 1 << 20
"""How much of a certificate or key file is read."""
_C2PA_SETTINGS = {"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}}
"""Nothing is fetched from the network: no manifest that a file refers to, no certificate's revocation list."""


@dataclass(frozen=True)
class Signer:
    """A certificate and its key, which sign outputs with a C2PA manifest."""

    certificate: str
    """PEM text: the signing certificate first, then those between it and the root."""
    key: str
    """PEM text of the private key, without a password."""
    algorithm: str
    """Name in COSE (RFC 9053): es256, es384, es512, ps256 or ed25519."""

    @classmethod
    def load(cls, certificate: Path, key: Path) -> Signer:
        """Read both from PEM files, and check that they belong together.

        Raises:
            MissingFileError: there is no such file.
            LabelError: c2pa-python is not installed, or the two cannot be used for signing.
        """
        c2pa_library()  # first, because the package that reads certificates is installed with it
        chain, secret = _read_pem(certificate), _read_pem(key)
        _check_key_pair(chain, secret, f"{certificate} and {key}")
        return cls(chain, secret, _algorithm(secret))

    def sign(self, path: Path, title: str, origin: Origin) -> None:
        """Put a signed manifest into a complete media file.

        Args:
            path: the file, which is replaced when it is signed; its suffix tells the media type.
            title: name of the file as the manifest and error messages give it.
            origin: what the file was made from.

        Raises:
            LabelError: the certificate is not one for signing content.
            OutputError: the file cannot be written.
        """
        c2pa = c2pa_library()
        try:
            with (
                replacing(path) as signed,
                c2pa.Context.from_dict(_C2PA_SETTINGS) as context,
                c2pa.Builder(_manifest(title, origin), context) as builder,
                self._native() as signer,
                path.open("rb") as source,
                signed.open("w+b") as target,
            ):
                builder.sign(signer, _media_type(path), source, target)
        except c2pa.C2paError as error:
            raise LabelError(f"{title} cannot be signed: {error}") from error
        except OSError as error:
            raise OutputError(f"Cannot write {title}: {error.strerror}.") from error

    def _native(self) -> Any:
        """c2pa-python's signer; it uses no time stamping authority, which is asked over the network."""
        c2pa = c2pa_library()
        texts = (self.algorithm, self.certificate, self.key)
        return c2pa.Signer.from_info(c2pa.C2paSignerInfo(*(text.encode() for text in texts), None))


def _manifest(title: str, origin: Origin) -> dict[str, Any]:
    """The manifest that is signed, as c2pa-python takes it: the action that made the file, and the `Origin`."""
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


def c2pa_library() -> Any:
    """The module of c2pa-python. Raises LabelError if it is not installed."""
    try:
        import c2pa
    except ImportError as error:
        raise LabelError(f"C2PA manifests need one more package: {REQUIREMENT}") from error
    return c2pa


def _read_pem(path: Path) -> str:
    """A text of ASCII. Raises MissingFileError, LabelError."""
    try:
        with path.open("rb") as file:
            return file.read(_MAX_PEM_BYTES).decode("ascii")
    except OSError as error:
        raise MissingFileError(f"Cannot read {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise LabelError(f"{path} is not in PEM form.") from error


def _check_key_pair(certificates: str, key: str, names: str) -> None:
    """Raise LabelError if a key is not that of the first certificate; `names` says in the message whose they are."""
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
    """Name in COSE of the signatures that a private key makes. Raises LabelError for a kind that C2PA lacks."""
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
    """MIME type by the suffix of a file's name."""
    return {".m4v": "video/mp4"}.get(path.suffix.lower()) or mimetypes.guess_type(path.name)[0] or "video/mp4"


def read_manifest(path: Path) -> dict[str, Any] | None:
    """The active C2PA manifest of a media file; None if it has none. Nothing is fetched from the network.

    Returns:
        state: "Trusted", "Valid" (intact, but the signer is on no list of trusted ones) or "Invalid".
        issuer: who issued the signing certificate.
        actions: those that name a `digitalSourceType`.
        origin: what `Signer.sign` wrote of the `Origin`; None in another's manifest.
        problems: codes of what does not hold.

    Raises:
        LabelError: c2pa-python is not installed, or the manifest cannot be read.
    """
    c2pa = c2pa_library()
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
    assertions = {item["label"]: item.get("data", {}) for item in active.get("assertions", [])}
    actions = [
        action
        for label, data in assertions.items()
        if label.startswith("c2pa.actions")
        for action in data["actions"]
        if "digitalSourceType" in action
    ]
    return {
        "state": store.get("validation_state", "Invalid"),
        "issuer": active.get("signature_info", {}).get("issuer"),
        "actions": actions,
        "origin": assertions.get(ASSERTION),
        "problems": [item.get("code") for item in store.get("validation_status", [])],
    }

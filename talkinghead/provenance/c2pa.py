"""C2PA manifests: signing a finished file, and reading its manifest."""

from __future__ import annotations

import json
import mimetypes
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from talkinghead import __version__
from talkinghead.errors import LabelError, MissingFileError, OutputError
from talkinghead.provenance.origin import DIGITAL_SOURCE_TYPE, Origin

ASSERTION = "org.talkinghead.generation"
REQUIREMENT = "pip install 'talkinghead[sign]'"
_LARGEST_PEM_BYTES = 1 << 20
# Nothing is fetched, neither a manifest that a file names nor a certificate's revocation list.
_C2PA_SETTINGS = {"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}}


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
        c2pa_library()  # what cryptography is a part of
        chain, secret = _read_pem(certificate), _read_pem(key)
        _check_pair(chain, secret, f"{certificate} and {key}")
        return cls(chain, secret, _algorithm(secret))

    def sign(self, path: Path, title: str, origin: Origin) -> None:
        """Put a signed manifest into a finished file.

        Raises:
            LabelError: the certificate is not one for signing content.
            OutputError: the file cannot be written.
        """
        c2pa = c2pa_library()
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
        c2pa = c2pa_library()
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


def c2pa_library() -> Any:
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


def read_manifest(path: Path) -> dict[str, Any] | None:
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
    assertions = {one["label"]: one.get("data", {}) for one in active.get("assertions", [])}
    actions = [one for label, data in assertions.items() if label.startswith("c2pa.actions") for one in data["actions"]]
    return {
        "state": store.get("validation_state", "Invalid"),
        "issuer": active.get("signature_info", {}).get("issuer"),
        "actions": [one for one in actions if "digitalSourceType" in one],
        "origin": assertions.get(ASSERTION),
        "problems": [one.get("code") for one in store.get("validation_status", [])],
    }

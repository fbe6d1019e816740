"""Provenance is written into every output and read back; a change of a signed file is detected."""

from __future__ import annotations

import datetime
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from drawn_face import DrawnClip

from talkinghead.anchor import read_description
from talkinghead.cli.main import main
from talkinghead.errors import LabelError, MediaError, MissingFileError
from talkinghead.generation.pipeline import generate
from talkinghead.media.containers import read_tags
from talkinghead.media.video_reader import VideoReader
from talkinghead.media.video_writer import ContainerMetadata, VideoWriter
from talkinghead.provenance import c2pa as c2pa_module
from talkinghead.provenance.c2pa import Signer
from talkinghead.provenance.metadata import append_xmp, container_tags
from talkinghead.provenance.origin import AI_SOURCE_TYPES, DIGITAL_SOURCE_TYPE, Origin
from talkinghead.provenance.reader import read_provenance
from talkinghead.provenance.visible_label import VisibleLabel
from talkinghead.structures import Frame
from talkinghead.training.face_update.config import TrainingConfig

ORIGIN = Origin("a" * 64, "b" * 64)
SIZE = 128


def write_video(path: Path, metadata: ContainerMetadata) -> Path:
    with VideoWriter(path, SIZE, SIZE, frame_rate=Fraction(25), metadata=metadata) as writer:
        for number in range(5):
            writer.write(Frame(np.full((SIZE, SIZE, 3), 40 * number, np.uint8), number / 25))
    return path


@pytest.fixture
def labeled(tmp_path: Path) -> Path:
    return write_video(tmp_path / "labeled.mp4", ContainerMetadata(container_tags(ORIGIN), append_xmp))


@pytest.fixture(scope="module")
def credentials(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for signing content, with the authority that issued it, and its key: made for the test."""
    x509 = pytest.importorskip("cryptography.x509", reason="signing is an extra")
    pytest.importorskip("c2pa", reason="signing is an extra")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    def name(common: str) -> object:
        pairs = [(x509.NameOID.ORGANIZATION_NAME, "Test"), (x509.NameOID.COMMON_NAME, common)]
        return x509.Name([x509.NameAttribute(*pair) for pair in pairs])

    now = datetime.datetime.now(datetime.UTC)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    built = []
    for subject, key, is_authority in (("authority", keys[0], True), ("signer", keys[1], False)):
        usage = dict.fromkeys(
            (
                "content_commitment",
                "key_encipherment",
                "data_encipherment",
                "key_agreement",
                "encipher_only",
                "decipher_only",
            ),
            False,
        )
        builder = (
            x509.CertificateBuilder()
            .subject_name(name(subject))
            .issuer_name(name("authority"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(
                x509.KeyUsage(
                    digital_signature=not is_authority, key_cert_sign=is_authority, crl_sign=is_authority, **usage
                ),
                critical=True,
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(keys[0].public_key()), critical=False)
        )
        if not is_authority:
            purpose = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.EMAIL_PROTECTION])
            builder = builder.add_extension(purpose, critical=False)
        built.append(builder.sign(keys[0], hashes.SHA256()))
    folder = tmp_path_factory.mktemp("credentials")
    chain = [certificate.public_bytes(serialization.Encoding.PEM) for certificate in reversed(built)]
    (folder / "certificate.pem").write_bytes(b"".join(chain))
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(keys[1].private_bytes(*form))
    return folder / "certificate.pem", folder / "key.pem"


def test_tags_and_xmp_are_read_back(labeled: Path) -> None:
    found = read_provenance(labeled)
    assert found.ai_generated and found.intact and found.manifest is None
    assert found.digital_source_type == DIGITAL_SOURCE_TYPE
    assert found.tags == container_tags(ORIGIN)
    assert json.loads(found.tags["AIGC"])["Label"] == "1"
    with VideoReader(labeled) as reader:
        assert len(list(reader)) == 5


def test_the_xmp_packet_alone_is_enough(tmp_path: Path) -> None:
    found = read_provenance(write_video(tmp_path / "xmp.mp4", ContainerMetadata(add_to_file=append_xmp)))
    assert found.tags == {} and found.digital_source_type == DIGITAL_SOURCE_TYPE and found.ai_generated


def test_a_video_that_says_nothing(tmp_path: Path) -> None:
    plain = write_video(tmp_path / "plain.mp4", ContainerMetadata({"comment": "a holiday"}))
    found = read_provenance(plain)
    assert not found.ai_generated and found.digital_source_type is None
    assert CliRunner().invoke(main, ["verify", str(plain)]).exit_code == 1


def test_the_term_is_one_of_iptcs() -> None:
    assert DIGITAL_SOURCE_TYPE in AI_SOURCE_TYPES


def test_the_same_origin_has_the_same_identifier() -> None:
    assert Origin("a", "b").identifier == Origin("a", "b").identifier != Origin("a", "c").identifier


def test_every_output_is_labeled(
    anchor_folder: Path, expression_file: Path, speech: Path, tmp_path: Path, own_caches: None
) -> None:
    output = tmp_path / "output.mp4"
    plain = tmp_path / "plain.mp4"
    generate(anchor_folder, speech, plain, expression=expression_file, device="cpu")
    generate(anchor_folder, speech, output, expression=expression_file, device="cpu", visible_label="AI")
    result = CliRunner().invoke(main, ["verify", str(output), "--json"])
    answer = json.loads(result.stdout)
    assert result.exit_code == 0
    assert answer["ai_generated"] and answer["digital_source_type"] == DIGITAL_SOURCE_TYPE
    with VideoReader(output) as drawn, VideoReader(plain) as bare:
        changes = [np.abs(a.image.astype(int) - b.image).mean(2) for a, b in zip(drawn, bare, strict=True)]
    assert len(changes) > 20
    for change in changes:
        assert change[-12:, -20:].mean() > 30 > 3 > change[: len(change) // 2].mean()


def test_a_signed_output_is_valid_until_it_is_changed(labeled: Path, credentials: tuple[Path, Path]) -> None:
    Signer.load(*credentials).sign(labeled, "labeled.mp4", ORIGIN)
    found = read_provenance(labeled)
    assert found.manifest is not None and found.manifest["state"] == "Valid"  # not Trusted: no list knows the test
    assert found.manifest["issuer"] == "Test"
    assert found.manifest["origin"]["anchor_sha256"] == "a" * 64
    assert found.manifest["origin"]["speech_sha256"] == "b" * 64
    assert [one["digitalSourceType"] for one in found.manifest["actions"]] == [DIGITAL_SOURCE_TYPE]
    assert found.digital_source_type == DIGITAL_SOURCE_TYPE and found.tags == container_tags(ORIGIN)
    with VideoReader(labeled) as reader:
        assert len(list(reader)) == 5
    assert CliRunner().invoke(main, ["verify", str(labeled)]).exit_code == 0
    assert sorted(path.name for path in labeled.parent.iterdir()) == ["labeled.mp4"]

    content = bytearray(labeled.read_bytes())
    place = content.index(b"mdat") + 40
    content[place] ^= 1
    labeled.write_bytes(content)
    changed = read_provenance(labeled)
    assert changed.manifest is not None and changed.manifest["state"] == "Invalid"
    assert any("mismatch" in problem for problem in changed.manifest["problems"])
    assert CliRunner().invoke(main, ["verify", str(labeled)]).exit_code == 1


def test_files_that_cannot_sign_are_refused(credentials: tuple[Path, Path], tmp_path: Path) -> None:
    certificate, key = credentials
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("nonsense", "ascii")
    for pair in ((nonsense, key), (certificate, nonsense), (certificate, certificate)):
        with pytest.raises(LabelError):
            Signer.load(*pair)
    with pytest.raises(MissingFileError):
        Signer.load(tmp_path / "none.pem", key)


def test_a_manifest_that_cannot_be_signed_leaves_no_output(
    credentials: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signer = Signer.load(*credentials)
    monkeypatch.setattr(c2pa_module, "_manifest", lambda *_: {"assertions": "none"})
    with pytest.raises(LabelError):
        write_video(
            tmp_path / "output.mp4",
            ContainerMetadata(add_to_file=lambda path: signer.sign(path, "output.mp4", ORIGIN)),
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("width", "height"), [(512, 512), (1080, 1920), (640, 360)])
def test_visible_letters_are_a_twentieth_of_the_shorter_side(width: int, height: int) -> None:
    dark = np.zeros((height, width, 3), np.uint8)
    drawn = VisibleLabel("H", width, height).drawn_on(dark)
    rows = np.flatnonzero((drawn > 128).any((1, 2)))
    assert abs(np.ptp(rows) + 1 - 0.05 * min(width, height)) <= 1.5
    assert not dark.any()
    assert not drawn[: height * 3 // 4].any() and not drawn[:, : width * 3 // 4].any()


@pytest.mark.parametrize("text", ["", "  ", "two\nlines", "x" * 81, "AI生成", "W" * 60])
def test_visible_labels_that_cannot_be_drawn(text: str) -> None:
    with pytest.raises(LabelError):
        VisibleLabel(text, 256, 256)


def test_files_that_are_no_fonts(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError):
        VisibleLabel("AI", 256, 256, tmp_path / "none.ttf")
    (tmp_path / "bad.ttf").write_bytes(b"\x00" * 100)
    with pytest.raises(LabelError, match="bad.ttf"):
        VisibleLabel("AI", 256, 256, tmp_path / "bad.ttf")


def test_a_file_that_is_no_media(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("nothing", "utf-8")
    with pytest.raises(MediaError):
        read_tags(tmp_path / "text.mp4")
    assert CliRunner().invoke(main, ["verify", str(tmp_path / "text.mp4")]).exit_code == MediaError.exit_code


def test_texts_of_a_hostile_file_are_escaped_on_the_terminal(tmp_path: Path) -> None:
    hostile = write_video(tmp_path / "hostile.mp4", ContainerMetadata({"comment": "\x1b[2J[red]AI-generated[/red]"}))
    shown = CliRunner().invoke(main, ["verify", str(hostile)]).stdout
    assert "\x1b" not in shown and "[red]AI-generated[/red]" in shown


def test_consent_is_recorded_and_its_absence_warned_of(
    clip: DrawnClip, anchor_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_caches: None
) -> None:
    asked: list[str | None] = []
    made = {"audio": {"lag_ms": None, "r": None}, "training": {"steps": 5000}}

    def train(*_: object, config: TrainingConfig, **__: object) -> dict[str, object]:
        asked.append(config.consent)
        return made

    monkeypatch.setattr("talkinghead.training.face_update.train.train", train)
    command = ["train", str(clip.path), "-o", str(tmp_path / "me.anchor")]
    assert "consent" in CliRunner().invoke(main, command).stderr
    agreed = CliRunner().invoke(main, [*command, "--consent", "Jo Doe, in writing, 1 May 2026"])
    assert "consent" not in agreed.stderr
    assert asked == [None, "Jo Doe, in writing, 1 May 2026"]

    assert read_description(anchor_folder)["consent"] == "The drawn person is nobody."
    assert "The drawn person is nobody." in CliRunner().invoke(main, ["info", str(anchor_folder)]).stdout
    described = json.loads(CliRunner().invoke(main, ["info", str(anchor_folder), "--json"]).stdout)
    assert described["consent"] == "The drawn person is nobody."

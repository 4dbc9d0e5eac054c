"""A mapping file in its other form: a YAML document as an LQL statement, and back. Comments are lost."""

from __future__ import annotations

import json
import re
from pathlib import Path

from etl.errors import MappingError
from etl.mapping.check import default_kind
from etl.mapping.document import faults_of, read_draft
from etl.mapping.draft import Draft, DraftField, Faults, Placed, truth_of
from etl.mapping.parser import parse
from etl.mapping.write import write, write_key, write_text

_PLAIN = re.compile(r"[A-Za-z_$][\w.$/()-]*(?: [A-Za-z_][\w.()/-]*)*")
_YAML_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}


def convert_file(source: Path, to: str) -> str:
    """The text of the mapping in the form `to`, `yaml` or `lql`. Raises MappingError where the file has faults."""
    text = source.read_text(encoding="utf-8-sig")
    faults = Faults(source.name, text)
    draft = read_draft(source, text, faults)
    if not faults.found:
        _check(draft, faults)
    if faults.found:
        raise MappingError(faults_of(source, faults), next_step=f"correct {source}")
    return to_yaml(draft) if to == "yaml" else to_lql(draft, source.stem)


def to_yaml(draft: Draft) -> str:
    """The draft as a document, a line for each field."""
    lines = [f"{name}: {_quoted(value)}" for name, value in _tops(draft)]
    for name, listed in (("by", draft.by), ("extends", draft.extends)):
        lines += [f"{name}: [{', '.join(_quoted(one.text) for one in listed)}]"] if listed else []
    lines.append("fields:")
    lines += ["  - {" + ", ".join(f"{key}: {_quoted(value)}" for key, value in _row(field)) + "}" for field in draft.fields]
    return "\n".join(lines) + "\n"


def to_lql(draft: Draft, alias: str) -> str:
    """The draft as a statement, a line for each column."""
    columns = [_column(field) for field in draft.fields]
    width = min(max((len(source) for source, _ in columns), default=0), 70)
    lines = ["SELECT", ",\n".join(f"    {source:<{width}} {rest}" for source, rest in columns)]
    lines += [f"FROM {write_key((draft.stream.text,))}"] if draft.stream else []
    lines += [f"INTO {write_key((draft.into.text if draft.into else 'user',))}"]
    lines += [f"BY {' OR '.join(write_key((one.text,)) for one in draft.by)}"] if draft.by else []
    lines += [f"EXTENDS {', '.join(write_key((one.text,)) for one in draft.extends)}"] if draft.extends else []
    for name, placed in (("TIME", draft.time), ("KEY", draft.key), ("WHERE", draft.where)):
        lines += [f"{name} {_one_line(placed)}"] if placed else []
    return "\n".join([*lines, f"ALIAS {write_key((alias,))}"]) + "\n"


def _check(draft: Draft, faults: Faults) -> None:
    """Expressions must at least be read: a kind may have to be told from one."""
    from etl.mapping.assemble import check_texts

    check_texts(draft, faults)


def _tops(draft: Draft) -> list[tuple[str, str]]:
    found = [("stream", draft.stream and draft.stream.text)]
    if draft.into and draft.into.text != "user":
        found.append(("into", draft.into.text))
    found += [(name, placed and _one_line(placed)) for name, placed in (("time", draft.time), ("key", draft.key), ("where", draft.where))]
    return [(name, value) for name, value in found if value]


def _row(field: DraftField) -> list[tuple[str, str]]:
    assert field.name is not None and field.source is not None
    kind = field.kind.text if field.kind else default_kind(parse(field.source.text)).name
    found = [
        ("field", field.name.text),
        ("from", _one_line(field.source)),
        ("if", field.guard and _one_line(field.guard)),
        ("kind", kind),
        *((key, placed and placed.text) for key, placed in (("merge", field.merge), ("capacity", field.capacity))),
        ("pii", "true" if field.pii and truth_of(field.pii.text) else None),
        *((key, placed and placed.text) for key, placed in (("label", field.label), ("description", field.description))),
    ]
    return [(key, value) for key, value in found if value]


def _column(field: DraftField) -> tuple[str, str]:
    assert field.name is not None and field.source is not None
    parts = [f"AS {write_key((field.name.text,))}"]
    parts += [f"IF {_one_line(field.guard)}"] if field.guard else []
    parts += [f"KIND {field.kind.text}"] if field.kind else []
    parts += [f"MERGEOP {field.merge.text}"] if field.merge else []
    parts += [f"CAPACITY {field.capacity.text}"] if field.capacity else []
    parts += ["PII"] if field.pii and truth_of(field.pii.text) else []
    parts += [f"SHORTDESC {write_text(field.label.text)}"] if field.label else []
    parts += [f"LONGDESC {write_text(field.description.text)}"] if field.description else []
    return _one_line(field.source), " ".join(parts)


def _one_line(placed: Placed) -> str:
    """An expression as written, where that is one line without comments; else in the one spelling of `write`."""
    text = placed.text.strip()
    return write(parse(text)) if "\n" in text or any(mark in text for mark in ("--", "#", "//", "/*")) else text


def _quoted(text: str) -> str:
    if text.isdigit() or (_PLAIN.fullmatch(text) and text.lower() not in _YAML_WORDS) or text == "true":
        return text
    if not text.isprintable():  # in single quotes YAML folds line ends
        return json.dumps(text, ensure_ascii=False)
    return "'" + text.replace("'", "''") + "'"

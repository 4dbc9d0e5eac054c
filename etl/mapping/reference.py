"""`mappings/README.md`, made from the specifications: `python -m etl.mapping.reference` writes it, a test compares it."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from etl.mapping.registry import functions
from etl.mapping.kinds import DEFAULT_MATCH_CAPACITY, KINDS
from etl.mapping.model import GUARD_VALUES, MAP_MERGES, SCALAR_MERGES, default_merge

_HEAD = """# The mapping language

A mapping is a YAML file that says what a record of a stream gives to a profile. `profilemill map NAME FILE` shows what it makes of a file,
`profilemill map NAME --explain` the SQL it compiles to, `profilemill check` every fault at once. A file of the same
name in `mappings/` beside
`jobs.yaml` takes the place of one here.

```yaml
stream: amplitude_events              # the records it reads
time: event_time                      # a record's own time; else server_upload_time, else the load's hour
key: uuid                             # rows of one load with the same key count once, the last one
by: [amplitude_user_id, amplitude_id] # identifiers, most trusted first; the first belongs to one person only
extends: [other]                      # optional: all fields of another mapping, and its stream, time, key and by
fields:
  - {field: amplitude_id, from: amplitude_id, kind: string, label: Amplitude ID}
  - {field: amplitude_events, from: valuect(event_type), kind: 'map[string]intsum'}
```

A field has `field`, `from` and `kind`; it may have `merge`, `label`, `capacity` and `pii`.

## Expressions

- A name is a key of the record: `city`. Dots reach into objects, unless the key itself has dots: `user_properties.plan`. Back-ticks quote
  any other key: `` `$insert_id` ``, `` `gp plan` ``.
- Text stands in single or double quotes, numbers are written as in JSON, and `true`, `false` and `null` are constants.
- A missing value writes nothing and never clears an older one. Null, an absent key and an empty list are missing; empty text, `false` and
  `0` are values.
- The text form of a value: `true`, `false`, all digits of an integer, the shortest decimal text of a float without an exponent (`12.0`
  is `12`), a list of scalars joined by comma, an object as compact JSON.
"""


def reference() -> str:
    """The page."""
    parts = [_HEAD, "## Functions\n"]
    for name, function in functions().items():
        parts.append(f"### `{function.signature}`\n\n{function.summary}\n")
        rows = [
            f"| `{_code(example.expression)}` | `{_json(example.record)}` | `{_value(example.value)}` |" for example in function.examples
        ]
        parts.append("\n".join(["| expression | record | value |", "| --- | --- | --- |", *rows]) + "\n")
        assert name in function.signature
    parts.append(_kinds())
    parts.append(_merging())
    return "\n".join(parts)


def _kinds() -> str:
    rows = [f"| `{kind.name}` | `{kind.sql}` | {default_merge(kind)} |" for kind in KINDS.values()]
    table = "\n".join(["| kind | column | default merge |", "| --- | --- | --- |", *rows])
    return f"""## Kinds

{table}

A value that does not fit its kind is null; it is counted by field and shown in the report. `int` truncates toward
zero. `bool` takes `1 t T TRUE true
True` and `0 f F FALSE false False`. `date` takes what `todate(x)` takes. `map[string]intsum` counts: its values add up.
"""


def _merging() -> str:
    guards = ", ".join(f"`{guard}`" for guard in GUARD_VALUES if guard)
    return f"""## Merging

Scalars: {", ".join(f"`{name}`" for name in SCALAR_MERGES)}. Maps, key by key: {", ".join(f"`{name}`" for name in MAP_MERGES)}.
`latest` takes the value of the greatest record time, and of several at one time the one with the greatest text;
`oldest` the other way round.
`capacity` keeps the keys with the greatest (time, key); maps from `match` have {DEFAULT_MATCH_CAPACITY:,} by default, counters have none.

## Identifiers

Records that share an identifier are one person, but two values of the first name in `by` never are: such a link is not
followed and stands in
the table `conflicts`. These texts identify nobody, whatever their case: {guards}, empty text and the zero UUID.
"""


def _json(value: Any) -> str:
    return _code(json.dumps(value, ensure_ascii=False))


def _value(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else "missing" if value == "missing" else _json(value)


def _code(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    (Path(__file__).parents[2] / "mappings" / "README.md").write_text(reference(), encoding="utf-8")

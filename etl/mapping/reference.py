"""`mappings/README.md`, made from the specifications: `python -m etl.mapping.reference` writes it, a test compares it."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from etl.mapping.kinds import DEFAULT_MATCH_CAPACITY, KINDS
from etl.mapping.model import GUARD_VALUES, LIST_MERGES, MAP_MERGES, SCALAR_MERGES, default_merge
from etl.mapping.registry import functions
from etl.mapping.specification import Function
from etl.mapping.tree import Name

_HEAD = """# The mapping language

A mapping is a YAML file that says what a record of a stream gives to a profile. `profilemill map NAME FILE` shows what it makes of a file,
`profilemill map NAME --explain` the SQL it compiles to, `profilemill check` every fault at once. A file of the same name in `mappings/`
beside `jobs.yaml` takes the place of one here.

```yaml
stream: amplitude_events              # the records it reads
time: event_time                      # a record's own time; else server_upload_time, else the load's hour
key: uuid                             # rows of one load with the same key count once, the last one
by: [amplitude_user_id, amplitude_id] # identifiers, most trusted first; the first belongs to one person only
where: event_type != "Test"           # optional: other records are left out, and counted
extends: [other]                      # optional: all fields of another mapping, and its stream, time, key, by and where
fields:
  - {field: amplitude_id, from: amplitude_id, kind: string, label: Amplitude ID}
  - {field: first_order, from: 'todate("2006-01-02 15:04:05", event_time)', if: event_type == "Order Completed", kind: date, merge: min}
  - {field: amplitude_events, from: valuect(event_type), kind: 'map[string]intsum'}
```

Inside `{ }` a value with a comma, brackets or back-ticks stands in single quotes, as does one with `: `; a text constant then has its own
double quotes: `from: '"web"'`. `x == NULL` and `x != NULL` ask whether there is a value, as `IS NULL` does.

A field has `field`, `from` and `kind`; it may have `if`, `merge`, `label`, `description`, `capacity` and `pii`. A field may be mapped several
times, with one kind and one merge operator: of the sources whose `if` is true, the last that gives a value counts.

## Expressions

- A name is a key of the record: `city`. Dots reach into objects, unless the key itself has dots: `user_properties.plan`. Back-ticks quote
  any other key: `` `$insert_id` ``, `` `gp plan` ``; so do brackets: `[gp plan]`. Where there is no such key, a dot in
  back-ticks reaches into objects too, and `` `items[0].price` `` into a list of objects.
- Text stands in single or double quotes, one of which inside it is written twice or as `\\"`; numbers are written as in JSON,
  lists as `["a", "b"]` (of one key as `[city,]`), and `true`, `false` and `NULL` are constants.
- Comments: `-- text`, `# text`, `// text`, `/* text */`. Subtraction and division need blanks around their sign, since `a-b` is a key.
- A missing value writes nothing and never clears an older one. Null and an absent key are missing; empty text, `false` and `0` are values.
- The text form of a value: `true`, `false`, all digits of an integer, the shortest decimal text of a float without an exponent (`12.0`
  is `12`), a list of scalars joined by comma, an object as compact JSON, a date as its epoch milliseconds.

Operators, loosest first:

| operator | meaning |
| --- | --- |
| `OR` `\\|\\|`, then `AND` `&&` | of bools; anything else counts as false, and `AND` of two missing sides is missing |
| `NOT` `!` | takes one whole comparison: `NOT city == "Oslo"`. Of missing it is missing |
| `==` `=` `!=` `<>` | text exactly, a number with a text as numbers, `x == true` takes the words of a bool too (`true == x` and `x == "true"` do not); `5 == list`: whether an element is 5. A missing side: `==` false, `!=` true |
| `>` `>=` `<` `<=` | numbers and numeric text; dates with dates, date text or `"now-3d"`, by whole seconds. Two other texts: missing |
| `x IN ["a", "b"]`, `INTERSECTS` | x or one of its elements is in the list; with a map on one side, one of its keys |
| `x CONTAINS "part"` | a part of the text, or of an element |
| `x LIKE "a*"` | the whole text: `*` (or `%`) any run without `/`, `**` any run, `?` one character, `[a-z]` a class |
| `x BETWEEN 1 AND 10` | both ends exclusive; of ints, floats and dates |
| `x IS NULL`, `x IS NOT NULL` | missing or empty text, or not |
| `+` `-`, then `*` `/` `%` | of numbers and numeric text; ints stay ints (`/` cuts off), `4.0` is a float. Text is put together by `join` |
| `-x`, `EXISTS x` | the negative; whether there is a value (empty text is one) |

`NOT IN`, `NOT LIKE` and so on negate. Date math is `now`, a sign, a number and a unit (`y M w d h m s`), from the record's time: `"now-3d"`;
only `todate` takes `NOW` and `Now`. `IN`, `INTERSECTS`, `LIKE` and `CONTAINS` also take a list in round brackets: `x IN ("a", "b")`.

Conditions can be written as a group: `AND (a == 1, b == 2)`, `OR (..)`, `NOT AND (..)`. Its items are separated by commas or line breaks; a
new line that begins with `(`, `AND (` or `OR (` begins an item, one that begins with `OR b == 2` goes on with the item before it. Anywhere,
a name and the `(` on the next line are no call.

A condition (`if`, `where`) lets a record through only when it is `true`.

"""

_EVENTS = """## Events

With `into: event` (in LQL `INTO event`) a record gives an event of its own, to be sent on to another API, and nothing to a profile:

```yaml
stream: nami
into: event
fields:
  - {field: user_id, from: added.user_id, kind: string}
  - {field: insert_id, from: id, kind: string}
  - {field: event_properties, from: 'match("payload.")', kind: 'map[string]value'}
  - {field: user_properties.skus, from: added.sku_ref_ids, kind: '[]string'}
  - {field: 'lines[0].amount', from: amount, kind: number}
```

A field's name is the place of its value: dots nest, `[0]` is a member of a list. A field may reach into the map of another and is then written over
its member. Nothing is merged, so there is no `by`, `key`, `merge`, `capacity` or `pii`. Of several sources the last that gives a value counts, as ever.

A field without a value is not in the event. An empty list is a value: it says that there is nothing any more. Lists keep the order of the record. A date is
ISO text, or epoch milliseconds as `kind: int`. Two kinds are for events alone: `value`, any JSON value as the record has it, and `map[string]value`, a map
of such; without them `match` and other functions give texts.
"""

_GROUPS = {
    "records": "Records",
    "logic": "Logic",
    "text": "Text",
    "numbers": "Numbers",
    "dates": "Dates",
    "collections": "Lists and maps",
    "web": "Mail, web addresses, user agents",
    "hashing": "Hashes and encodings",
}


def reference() -> str:
    """The page."""
    known = list(functions().values())
    table = ["| function | gives | what |", "| --- | --- | --- |", *(_row(function) for function in known)]
    parts = [_HEAD, "## Functions\n", "Names in any case. Each is explained, with examples that are run, below.\n", "\n".join(table) + "\n"]
    for group, title in _GROUPS.items():
        parts.append(f"### {title}\n")
        parts += [_explained(function) for function in known if function.group == group]
    assert {function.group for function in known} <= _GROUPS.keys()
    parts.append(_kinds())
    parts.append(_merging())
    parts.append(_EVENTS)
    return "\n".join(parts)


def _row(function: Function) -> str:
    first = function.summary.split(". ")[0].removesuffix(".")
    return f"| `{_code(function.signature)}` | {function.gives} | {_code(first)} |"


def _explained(function: Function) -> str:
    also = f" Also `{'`, `'.join(function.aliases)}`." if function.aliases else ""
    rows = [f"| `{_code(one.expression)}` | `{_json(one.record)}` | `{_value(one.value)}` |" for one in function.examples]
    table = "\n".join(["| expression | record | value |", "| --- | --- | --- |", *rows])
    return f"#### `{function.signature}`\n\n{function.summary}{also}\n\n{table}\n"


def _kinds() -> str:
    name = Name(("x",), 0, 0)
    rows = [f"| `{kind.name}` | `{kind.sql}` | {default_merge(name, kind)} |" for kind in KINDS.values()]
    table = "\n".join(["| kind | column | default merge |", "| --- | --- | --- |", *rows])
    return f"""## Kinds

{table}

A value that does not fit its kind is null; it is counted by field and shown in the report and by `profilemill status --fields`. `int` cuts
fractions off. `bool` takes `1 t T TRUE true True` and `0 f F FALSE false False`. `date` takes what `todate(x)` takes. A single value makes a
list of one. `ts[]string` is in the order in which its members were last seen, the other lists are sorted. Further spellings: `long`, `integer`,
`float`, `double`, `boolean`, `time`, `datetime`.
"""


def _merging() -> str:
    guards = ", ".join(f"`{guard}`" for guard in GUARD_VALUES if guard)

    def names(operators: tuple[str, ...]) -> str:
        return ", ".join(f"`{operator}`" for operator in operators)

    return f"""## Merging

Scalars: {names(SCALAR_MERGES)}. Maps, key by key: {names(MAP_MERGES)}. Lists: {names(LIST_MERGES)}, their union.
Without `merge` the default of the table above holds; of `count(x)` as an int it is `sum`.

`latest` takes the value of the greatest record time, and of several at one time the one with the greatest text; `oldest` the other way round.
`sum` adds, `count` counts the records that give a value; each record counts once, whatever is imported again. A sum of ints stops at the ends of
64 bits; one of floats is the exact sum, rounded once, whatever the order. `min` and `max` are for numbers and dates. Names from LQL files: `latestmap`, `oldestmap`, `mapmin`, `mapmax`, `capped` (with a capacity).

`capacity` keeps the keys or members with the greatest (time, key), where the time is that of the key's last record, for `oldest` that of its first.
Maps from `match` have {DEFAULT_MATCH_CAPACITY:,} by default, counters have none. `latest` and lists forget what is beyond it; all other operators
cut it off where profiles are published, since a key that comes back needs its whole past. `capacity: 0` keeps everything.

## Identifiers

Records that share an identifier are one person, but two values of the first name in `by` never are: such a link is not followed and stands in
the table `conflicts`. These texts identify nobody, whatever their case: {guards}, empty text and the zero UUID.
"""


def _json(value: Any) -> str:
    return _code(json.dumps(value, ensure_ascii=False, default=_plain))


def _value(value: Any) -> str:
    return _plain(value) if isinstance(value, datetime) else "missing" if value == "missing" else _json(value)


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _code(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", "\\n")


if __name__ == "__main__":
    (Path(__file__).parents[2] / "mappings" / "README.md").write_text(reference(), encoding="utf-8")

"""What people of SQL and of other languages most likely meant where an expression cannot be read on."""

from __future__ import annotations

import re

from etl.faults import nearest

_OPERATORS = ("and", "or", "not", "in", "like", "contains", "between", "intersects", "is")
_STATEMENT_WORDS = ("as", "if", "kind", "mergeop", "shortdesc", "longdesc", "capacity", "pii", "from", "into", "by", "where", "alias")
_WORDS = {
    "ilike": 'LIKE is case-sensitive: tolower(x) LIKE "*oslo*"',
    "rlike": "there are no regular expressions; LIKE knows *, ? and [a-z]",
    "regexp": "there are no regular expressions; LIKE knows *, ? and [a-z]",
    "similar": "there are no regular expressions; LIKE knows *, ? and [a-z]",
    "notnull": "write x IS NOT NULL",
    "isnull": "write x IS NULL",
    "when": "there is no CASE: write the field several times, each time with its own `if`",
    "over": "there are no windows: `merge` says what becomes of several records",
    "as": "the field's name is a key beside it, `field`",
    "then": "there is no CASE: write the field several times, each time with its own `if`",
}
_VALUECT = "valuect(x) counts by value; set(x) with the kind '[]string' keeps each value once"
_FIRST_WORDS = {
    "case": _WORDS["when"],
    "select": "an expression stands alone: the field's name and kind are keys beside it, `field` and `kind`",
    "distinct": _VALUECT,
}
_CURLY = "“”„‘’‚«»"

# The name here of what other languages call a function. Where it is no function, what to do instead.
FUNCTIONS = {
    **dict.fromkeys(("coalesce", "ifnull", "nvl", "isnull", "firstnonnull"), "oneof(a, b) gives the first that is there"),
    **dict.fromkeys(("upper", "ucase", "toupper", "to_upper"), "did you mean 'string.uppercase'?"),
    **dict.fromkeys(("lower", "lcase", "to_lower"), "did you mean 'tolower'?"),
    **dict.fromkeys(("length", "size", "cardinality", "array_length", "strlen"), "did you mean 'len'?"),
    **dict.fromkeys(("concat", "concat_ws", "string_agg", "listagg"), 'join(a, b, " ") puts texts together, the separator last'),
    **dict.fromkeys(("substring", "substr", "mid", "left", "right"), "did you mean 'string.substr'?"),
    **dict.fromkeys(("trim", "ltrim", "rtrim"), "did you mean 'strip'?"),
    **dict.fromkeys(("position", "strpos", "instr", "charindex"), "did you mean 'string.index'?"),
    **dict.fromkeys(("initcap", "titlecase", "capitalize"), "did you mean 'string.titlecase'?"),
    **{f"{name}": f"did you mean 'hash.{name}'?" for name in ("md5", "sha1", "sha256", "sha512")},
    **dict.fromkeys(("year",), "did you mean 'yy'?"),
    **dict.fromkeys(("month",), "did you mean 'mm'?"),
    **dict.fromkeys(("hour",), "did you mean 'hourofday'?"),
    **dict.fromkeys(("weekday", "dow", "day_of_week"), "did you mean 'dayofweek'?"),
    **dict.fromkeys(("current_timestamp", "getdate", "current_date", "sysdate", "localtimestamp"), "now() is the record's message time"),
    **dict.fromkeys(("to_date", "date", "timestamp", "to_timestamp", "strptime", "parse_date"), "did you mean 'todate'?"),
    **dict.fromkeys(("date_format", "format_date", "to_char"), 'strftime(x, "%Y-%m-%d") gives a date as text'),
    **dict.fromkeys(("date_trunc",), 'strftime(x, "%Y-%m-%d") gives the day as text'),
    **dict.fromkeys(("min", "least"), "the least of all records: the merge operator `min`"),
    **dict.fromkeys(("max", "greatest"), "the greatest of all records: the merge operator `max`"),
    **dict.fromkeys(("first", "first_value"), "the first of all records: the merge operator `oldest`"),
    **dict.fromkeys(("last", "last_value"), "the last of all records: the merge operator `latest`, which is the default"),
    **dict.fromkeys(("array_agg", "collect_set", "collect_list"), "set(x) with the kind '[]string' collects the values of all records"),
    **dict.fromkeys(("json_extract", "json_value", "get_json_object", "json_query"), "json.jmespath(x, path) reads inside JSON"),
    **dict.fromkeys(("if", "iif", "decode", "case"), "the field's `if` says for which records it is; a field may stand several times"),
    **dict.fromkeys(("regexp_match", "regexp_like", "regexp_replace", "regexp_extract"), _WORDS["regexp"]),
    **dict.fromkeys(("startswith", "starts_with"), "did you mean 'hasprefix'?"),
    **dict.fromkeys(("endswith", "ends_with"), "did you mean 'hassuffix'?"),
    **dict.fromkeys(("str", "string", "text"), "did you mean 'tostring'?"),
    **dict.fromkeys(("int", "integer", "bigint"), "did you mean 'toint'?"),
    **dict.fromkeys(("float", "double", "number", "numeric", "decimal"), "did you mean 'tonumber'?"),
    **dict.fromkeys(("bool", "boolean"), "did you mean 'tobool'?"),
    **dict.fromkeys(("round", "floor", "trunc", "truncate"), "toint(x), or the kind int, cuts the fraction off"),
    **dict.fromkeys(("power",), "did you mean 'pow'?"),
}

_KINDS = {
    **dict.fromkeys(("varchar", "text", "char", "str", "nvarchar", "uuid", "json"), "string"),
    **dict.fromkeys(("bigint", "smallint", "tinyint", "int64", "int32", "serial"), "int"),
    **dict.fromkeys(("decimal", "numeric", "real", "float64", "money"), "number"),
    **dict.fromkeys(("timestamp", "timestamptz", "timestamp_tz"), "date"),
    **dict.fromkeys(("array", "list", "set", "array<string>", "list[string]", "string[]", "text[]"), "[]string"),
    **dict.fromkeys(("map", "dict", "object", "struct", "jsonb", "map<string,string>", "map[string,string]"), "map[string]string"),
    **dict.fromkeys(("intsum", "counter", "map[intsum]"), "map[string]intsum"),
}
_MERGES = {
    **dict.fromkeys(("first", "min_by", "earliest"), "oldest"),
    **dict.fromkeys(("last", "newest", "replace", "overwrite", "max_by"), "latest"),
    **dict.fromkeys(("add", "total", "increment"), "sum"),
    **dict.fromkeys(("least", "minimum", "lowest"), "min"),
    **dict.fromkeys(("greatest", "maximum", "highest"), "max"),
    **dict.fromkeys(("union", "append", "collect", "array_agg"), "merge"),
}


def kind_hint(name: str) -> str | None:
    """The kind that another language's type is here."""
    found = _KINDS.get(name.lower().replace(" ", "").split("(")[0])
    return f"did you mean {found!r}?" if found else None


def merge_hint(name: str, known: tuple[str, ...]) -> str | None:
    """The merge operator that goes by that name elsewhere, where the kind has it."""
    found = _MERGES.get(name.lower())
    return f"did you mean {found!r}?" if found in known else None


def function_hint(name: str) -> str | None:
    return FUNCTIONS.get(name)


def character_hint(text: str, start: int) -> str | None:
    """For a character that fits nothing."""
    if text[start] in _CURLY:
        return "text stands in straight quotes, \" or '"
    if text.startswith("::", start):
        return "the field's kind says what becomes of a value, for example kind: int"
    return "a key with such a character stands in back-ticks" if not text[start].isspace() else None


def unexpected_hint(text: str, start: int, word: str) -> str | None:
    """For the word or sign at `start` of the text, where an expression should have gone on or ended."""
    before = text[:start].rstrip()
    lowered = word.lower()
    if (first := re.match(r"\s*(\w+)", before)) and (found := _FIRST_WORDS.get(first.group(1).lower())):
        return found
    if re.search(r"\binterval$", before, re.IGNORECASE):
        return 'date math is text, from the record\'s time: "now-3d"'
    if lowered in _WORDS:
        return _WORDS[lowered]
    if re.search(r"\bnot$", before, re.IGNORECASE) and lowered == "null":
        return _WORDS["notnull"]
    if lowered == "not" and re.match(r"not\s+null\b", text[start:], re.IGNORECASE):
        return _WORDS["notnull"]
    if word == "=" and before.endswith("="):
        return "equal is == or =, and not equal is != or <>"
    if text.startswith("[", start) and re.search(r"[\w.]$", text[:start]):
        return _index_hint(text, start)
    if word == "*" and before.endswith("("):
        return "name a key that every record has, for example count(uuid)"
    if re.search(r"\(\s*distinct$", before, re.IGNORECASE):
        return _VALUECT
    if words := re.search(r"(?:==?|!=|<>)\s*([^\W\d][\w.\-/]*)$", before):
        rest = re.match(r"[\w \-]*", text[start:])
        value = f"{words.group(1)} {rest.group() if rest else ''}".strip()
        if not re.search(r"\b(?:and|or|like|in|is|not)\b", value, re.IGNORECASE):
            return f'text stands in quotes: "{value}"'
    if not word[:1].isalpha():
        return None
    return (nearest(lowered, _OPERATORS) if len(word) > 1 else None) or blank_hint(before, text[start:])


def dot_hint(text: str, end: int) -> str:
    """For a key that ends with a dot at `end` of the text: most likely the rest of it is not written as a key."""
    rest = re.match(r"\"([^\"`]+)\"|'([^'`]+)'|(\[[^\]`]*\](?: *[\w\[\]]+)*)", text[end:])
    if rest is None:
        return "put it in back-ticks"
    name = re.search(r"[\w.\-/@]*$", text[:end])
    return f"put that part in back-ticks: {name.group() if name else ''}`{next(part for part in rest.groups() if part)}`"


def blank_hint(before: str, rest: str) -> str | None:
    """A key with a blank in it reads as two words."""
    name = re.search(r"((?:[A-Za-z_@][\w\-/]*\.)*)([A-Za-z_@][\w\-/]*|\[[^\]`]+\])$", before)
    words = re.match(r"[\w\[\]]+(?: +[\w\[\]]+)*", rest)
    if name is None or words is None or name.group(2).lower() in (*_OPERATORS, "null", "true", "false"):
        return None
    kept = re.split(rf" +(?:{'|'.join((*_OPERATORS, *_STATEMENT_WORDS))})\b", words.group(), maxsplit=1, flags=re.IGNORECASE)[0]
    return f"a key with a blank stands in back-ticks: {name.group(1)}`{name.group(2)} {kept}`"


def _index_hint(text: str, start: int) -> str | None:
    name = re.search(r"[\w.]+$", text[:start])
    key = re.match(r"\[\s*(?:\"([^\"]*)\"|'([^']*)'|(-?[0-9]+)|([^\W\d]\w*))\s*\]", text[start:])
    if not name or not key or not any(key.groups()):
        return None
    if key.group(3):
        return f"array.index({name.group()}, {key.group(3)}) is an element"
    part = key.group(1) or key.group(2) or key.group(4)
    return f"a dot reaches into an object: {name.group()}.{part if re.fullmatch(r'[A-Za-z_][A-Za-z0-9_]*', part) else f'`{part}`'}"

"""What is written down of a function: its specification, kernel, SQL form and examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from etl.mapping.messages import ExpressionError
from etl.mapping.tree import Call, Literal

if TYPE_CHECKING:
    from etl.mapping.compile import Compiler, Sql


@dataclass(frozen=True)
class Example:
    """An expression, a record, and the value it gives (`MISSING` as the text "missing"). Tests run all of them.

    `time` is the record's message time in ISO form, where the expression needs one.
    """

    expression: str
    record: dict[str, Any]
    value: Any
    time: str | None = None


@dataclass(frozen=True)
class Function:
    """What a mapping may call.

    `least` and `most` count the arguments (`most` None: any number). `kernel` gets the arguments' values in their order
    (None: missing) and gives the value, None for missing; it raises nothing. With `needs_scope` its first argument is
    the `Scope`: the record and its message time; `reads_record` says that it looks at more of the record than its
    arguments. `gives` is the kind of the result (`any` where it depends).
    `parses`: a present argument that gives nothing is a value that could not be read, and is counted as such.
    `check` raises ExpressionError for literal arguments that the language does not take, `suspect` for those that it takes
    and that never give a value, which is a warning. `sql` gives the SQL form, None where SQL
    cannot say this call.
    """

    name: str
    signature: str
    summary: str
    group: str
    least: int
    most: int | None
    gives: str
    kernel: Callable[..., Any]
    needs_scope: bool = False
    reads_record: bool = False
    parses: bool = False
    aliases: tuple[str, ...] = ()
    check: Callable[[Call], None] = lambda call: None
    suspect: Callable[[Call], None] = lambda call: None
    sql: Callable[[Compiler, Call], Sql | None] | None = None
    examples: tuple[Example, ...] = ()

    @property
    def is_map(self) -> bool:
        return self.gives.startswith("map[")


def literal_text(call: Call, index: int, example: str) -> str:
    """The literal text of an argument. Raises ExpressionError where it is anything else; `example` shows how to write it."""
    argument = call.arguments[index]
    if isinstance(argument, Literal) and isinstance(argument.value, str):
        return argument.value
    raise ExpressionError(
        "E203", f"argument {index + 1} of {call.name} must be literal text", argument.start, argument.end, f"for example {example}"
    )


def check_word(call: Call, index: int, allowed: Sequence[str], what: str, other_words: dict[str, str] | None = None) -> None:
    """Raises ExpressionError where an argument is literal text and, in any case, none of the `allowed` words; `other_words`
    are hints for words of other languages."""
    argument = call.arguments[index]
    if isinstance(argument, Literal) and str(argument.value).lower() not in allowed:
        hint = (other_words or {}).get(str(argument.value).lower()) or f"known: {', '.join(allowed)}"
        raise ExpressionError("E204", f"{call.name} knows no {what} {argument.value!r}", argument.start, argument.end, hint)

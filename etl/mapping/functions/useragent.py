"""`useragent(x, part)`: one part of what a user agent says."""

from __future__ import annotations

from etl.mapping.agents import PARTS, agent_parts
from etl.mapping.conversions import Value, single_text
from etl.mapping.functions import Example, Function, check_word
from etl.mapping.tree import Call
from etl.mapping.web_text import guarded, lowered, one_text


def _useragent(value: Value, part: Value) -> str | None:
    text, wanted = one_text(value), guarded(single_text, part)
    return agent_parts(text).get(lowered(wanted)) if text and wanted else None


def _suspect(call: Call) -> None:
    check_word(call, 1, PARTS, "part")


_CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.6478.61 Safari/537.36"
_GOOGLE = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"

FUNCTION = Function(
    name="useragent",
    signature="useragent(x, part)",
    summary="One part of a user agent: bot, mobile, mozilla, platform, os, engine, engine_version, browser or "
    "browser_version. bot and mobile are the texts true and false; a part it does not tell is empty.",
    group="web",
    least=2,
    most=2,
    gives="string",
    kernel=_useragent,
    suspect=_suspect,
    examples=(
        Example('useragent(x, "browser")', {"x": _CHROME}, "Chrome"),
        Example('useragent(x, "os")', {"x": _CHROME}, "Linux x86_64"),
        Example('useragent(x, "bot")', {"x": _GOOGLE}, "true"),
        Example('useragent(x, "platform")', {"x": _GOOGLE}, ""),
        Example('useragent(x, "os")', {}, "missing"),
    ),
)

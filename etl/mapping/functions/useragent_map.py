"""`useragent.map(x)`: all parts of what a user agent says."""

from __future__ import annotations

from etl.mapping.agents import agent_parts
from etl.mapping.conversions import Value
from etl.mapping.functions import Example, Function
from etl.mapping.web_text import one_text


def _useragent_map(value: Value) -> dict[str, str] | None:
    text = one_text(value)
    return agent_parts(text) if text else None


FUNCTION = Function(
    name="useragent.map",
    signature="useragent.map(x)",
    summary="All nine parts of a user agent as texts: bot, mobile, mozilla, platform, os, engine, engine_version, browser and "
    "browser_version.",
    group="web",
    least=1,
    most=1,
    gives="map[string]string",
    kernel=_useragent_map,
    examples=(
        Example(
            "useragent.map(x)",
            {"x": "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Mobile Safari/537.36"},
            {
                "bot": "false",
                "mobile": "true",
                "mozilla": "5.0",
                "platform": "Linux",
                "os": "Android 14",
                "engine": "AppleWebKit",
                "engine_version": "537.36",
                "browser": "Chrome",
                "browser_version": "126.0",
            },
        ),
        Example("useragent.map(x)", {"x": ""}, "missing"),
        Example("useragent.map(x)", {}, "missing"),
    ),
)

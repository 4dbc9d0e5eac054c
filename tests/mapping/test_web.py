"""E-mail, web addresses, user agents, hashes: what no case file says, and that no value of any type is too much."""

from __future__ import annotations

import importlib
import socket
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from siphashc import siphash

from etl.mapping.agents import PARTS, agent_parts
from etl.mapping.functions import Function
from etl.mapping.mail import mailbox
from etl.mapping.messages import ExpressionError
from etl.mapping.scope import Scope
from etl.mapping.tree import Call, Literal, Name
from etl.mapping.web import Address, parameters, query_string, read_address, registrable_domain
from etl.mapping.web_text import lowered

FILES = (
    *("domain", "domains", "email", "emaildomain", "emailname", "encoding_b64decode", "encoding_b64encode"),
    *("hash_md5", "hash_sha1", "hash_sha256", "hash_sha512", "hash_sip", "host", "hosts", "ipfilter", "json_jmespath", "path"),
    *("qs", "qs2", "url_matchqs", "urldecode", "urlmain", "urlminusqs", "useragent", "useragent_map", "uuid"),
)
FUNCTIONS: dict[str, Function] = {file: importlib.import_module(f"etl.mapping.functions.{file}").FUNCTION for file in FILES}

PIECES = [*"aZ09éß\ud800\x00\n\t /?#@:[]()<>;=&+%\"\\,.-_'", "http://", "%C3%A9", "%E9", "a@b.c", "::1", "?q="]
ODD_TEXTS = st.text(st.characters(codec=None, categories=None), max_size=40) | st.lists(st.sampled_from(PIECES), max_size=25).map("".join)
AGENT_PIECES = [*"()[]; /Aa1.", "Mozilla/5.0 ", "(compatible; ", "AppleWebKit/5 ", "Opera/9 "]
TIME = datetime(2024, 1, 1, tzinfo=UTC)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | ODD_TEXTS | st.datetimes(timezones=st.just(UTC))
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ODD_TEXTS, inner, max_size=3), max_leaves=8)


@pytest.mark.parametrize("file", FILES)
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_kernels_raise_nothing(file: str, data: st.DataObject) -> None:
    function = FUNCTIONS[file]
    most = function.most if function.most is not None else function.least + 2
    arguments = [data.draw(VALUES) for _ in range(data.draw(st.integers(function.least, most)))]
    scope = [Scope({"a": data.draw(VALUES)}, data.draw(st.sampled_from([None, TIME])))] if function.needs_scope else []
    value = function.kernel(*scope, *arguments)
    assert value is None or isinstance(value, str | int | float | list | dict)
    assert function.kernel(*scope, *arguments) == value or value != value
    if function.gives == "string" and value is not None:
        assert isinstance(value, str)
        value.encode()


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("value", [10**5000, [10**5000], {"a": 10**5000}, {"a": TIME}, {1: 2, "a": 3}], ids=range(5))
def test_kernels_take_what_has_no_text(file: str, value: Any) -> None:
    function = FUNCTIONS[file]
    scope = [Scope({"a": value})] if function.needs_scope else []
    assert len(repr(function.kernel(*scope, *[value] * function.least))) < 200


@settings(deadline=None, max_examples=500)
@given(st.lists(st.sampled_from(AGENT_PIECES), max_size=20).map("".join))
def test_user_agents_have_nine_parts(text: str) -> None:
    assert tuple(agent_parts(text)) == PARTS


@settings(deadline=None)
@given(ODD_TEXTS.filter(lambda text: text and text.isprintable()))
@example("a+b %&=é")
def test_urldecode_undoes_escapes(text: str) -> None:
    assert FUNCTIONS["urldecode"].kernel(quote_plus(text)) == text


@settings(deadline=None)
@given(ODD_TEXTS)
@example("a=%E9&b=+&c&=d&a=1;2&e=%zz")
def test_a_query_string_written_is_read_again(query: str) -> None:
    found = parameters(query)
    assert parameters(query_string(found)) == found


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("HTTPS://ann:pw@Example.com:80/a%2Fb?c=%20#d", Address("https", "Example.com:80", "/a/b", "c=%20")),
        ("//h/p", Address("", "h", "/p", "")),
        ("a/b:c", Address("", "", "a/b:c", "")),
        ("mailto:a%zz", Address("mailto", "", "", "")),
        ("http:/a", Address("http", "", "/a", "")),
        ("http://h?a?b?", Address("http", "h", "", "a?b?")),
        ("", Address("", "", "", "")),
        ("http://a!$&'()*+,;=b/", Address("http", "a!$&'()*+,;=b", "/", "")),
        ("http://[2001:db8::1%25a%20b]:1/", Address("http", "[2001:db8::1%a b]:1", "/", "")),
        ("http://h/#%41\x00", Address("http", "h", "/", "")),
        ("http://[2001:db8::1%25]/", None),
        ("http://a[::1]/", None),
        ("http://[::1]a/", None),
        ("http://é@h/", None),
        ("http://a%zz@h/", None),
        ("http://h%2f/", None),
        ("http://h\\i/", None),
        ("\x7f", None),
        ("a:b:c", Address("a", "", "", "")),
        ("a_b:c", None),
    ],
)
def test_addresses(text: str, address: Address | None) -> None:
    assert read_address(text) == address


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a@b", ("", "a@b")),
        ("a@b(x \\) (y))", ("x ) (y)", "a@b")),
        ('"\\"" <a@b>', ('"', "a@b")),
        ("=?utf-8?b?w6k=?= =?utf-8?q?_=41?= <a@b>", ("é A", "a@b")),
        ("=?us-ascii?q?=FFa?= <a@b>", ("\ufffda", "a@b")),
        ("=?utf-8?q?é?= <a@b>", ("=?utf-8?q?é?=", "a@b")),
        ("x =?big5?q?a?= <a@b>", ("x", "a@b")),
        ("a@b (=?big5?q?a?=)", None),
        ("(x) a@b", None),
        ("x: y: a@b;;", None),
        ("x: a@b", None),
        (": a@b;", None),
        ("a@b <c@d>", None),
        ("x (y <a@b>", None),
    ],
)
def test_mailboxes(text: str, found: tuple[str, str] | None) -> None:
    assert mailbox(text) == found


@pytest.mark.parametrize(
    ("file", "text", "found"),
    [
        ("email", "\ud83d@\ud83d", "\ufffd@\ufffd"),
        ("emailname", "\ud83d <a@b>", "\ufffd"),
        ("host", "\ud83d", "\ufffd"),
        ("urlmain", "/\ud83d", "/\ufffd"),
        ("json_jmespath", '"\ud83d"', "\ufffd"),
        ("encoding_b64encode", "\ud83d", "77+9"),
    ],
)
def test_half_a_surrogate_pair_becomes_the_replacement_character(file: str, text: str, found: str) -> None:
    arguments = [text, "@"] if file == "json_jmespath" else [text]
    assert FUNCTIONS[file].kernel(*arguments) == found


def test_lower_case_goes_by_character() -> None:
    assert lowered("İΑΣ ẞ") == "iας ß".replace("ς", "σ")


def test_the_private_section_of_the_suffix_list_counts_and_nothing_is_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("the suffix list comes with its package")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert registrable_domain("a.ann.github.io") == "ann.github.io"
    assert registrable_domain("github.io:443") is None


def test_sip_hash_is_that_of_its_authors() -> None:
    """The published test vector of SipHash-2-4: key 00..0f, message 00..0e."""
    assert siphash(bytes(range(16)), bytes(range(15))) == 0xA129CA6149BE45E5


def test_a_record_keeps_its_uuid() -> None:
    kernel = FUNCTIONS["uuid"].kernel
    one = kernel(Scope({"a": 1, "b": [None, "x"]}, TIME))
    assert one == kernel(Scope({"b": [None, "x"], "a": 1}, TIME)) and len(one) == 36
    assert len({one, kernel(Scope({"a": 1}, TIME)), kernel(Scope({"a": 1, "b": [None, "x"]})), kernel(Scope({"a": "1"}, TIME))}) == 4


def _call(name: str, *arguments: str | int | None) -> Call:
    return Call(name, tuple(Name(("x",), 0, 1) if a is None else Literal(a, 0, 1) for a in arguments), 0, 9)


@pytest.mark.parametrize(
    ("file", "arguments", "code"),
    [
        ("url_matchqs", (None,), None),
        ("url_matchqs", (None, "^utm_", "(?i)id$"), None),
        ("url_matchqs", (None, None), "E203"),
        ("url_matchqs", (None, 5), "E203"),
        ("url_matchqs", (None, ""), "E204"),
        ("url_matchqs", (None, "a", "n["), "E204"),
        ("url_matchqs", (None, "(?=a)"), "E204"),
        ("url_matchqs", (None, "\ud800"), "E204"),
        ("json_jmespath", (None, "a[?b == `1`].c | [0]"), None),
        ("json_jmespath", (None, "sort_by(a, &length(b))"), None),
        ("json_jmespath", (None, None), "E203"),
        ("json_jmespath", (None, 1), "E203"),
        ("json_jmespath", (None, ""), "E204"),
        ("json_jmespath", (None, "[?b].c | [0 "), "E204"),
        ("json_jmespath", (None, "a.lenght(@)"), "E204"),
    ],
)
def test_literal_arguments_are_checked(file: str, arguments: tuple[str | int | None, ...], code: str | None) -> None:
    call = _call(FUNCTIONS[file].name, *arguments)
    if code is None:
        FUNCTIONS[file].check(call)
        return
    with pytest.raises(ExpressionError) as raised:
        FUNCTIONS[file].check(call)
    assert raised.value.code == code and raised.value.hint


@pytest.mark.parametrize("file", [file for file in FILES if not FUNCTIONS[file].needs_scope])
def test_missing_arguments_give_nothing(file: str) -> None:
    function = FUNCTIONS[file]
    assert function.kernel(*[None] * function.least) is None

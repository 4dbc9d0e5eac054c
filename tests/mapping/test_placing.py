"""A fault inside a YAML scalar points at the very character, however the scalar is written."""

from __future__ import annotations

import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from etl.faults import Fault
from etl.mapping.placing import offsets_of

_WRITTEN = {
    "plain": "from: a == 1 AND lower(b)",
    "plain over lines": "from: a == 1 AND\n   lower(b)",
    "single quotes": "from: 'a == ''x'' AND lower(b)'",
    "single quotes over lines": "from: 'a == ''x''\n    AND   lower(b)'",
    "double quotes": 'from: "a == \\"x\\" AND lower(b)"',
    "named escapes": 'from: "a == \\u00e9\\x41\\U0001F600 AND\\tlower(b)"',
    "joined lines": 'from: "a == \\\n     1 AND lower(b)"',
    "block": "from: |\n    a == 1 AND\n\n    lower(b)\n",
    "stripped block": "from: |-  # why\n      a == 1 AND\n        lower(b)",
    "indented block": "from: |2\n    a == 1 AND\n    lower(b)\n",
    "folded": "from: >-\n    a == 1 AND\n\n\n    lower(b)\n",
    "an anchor": "from: &one !!str a == 1 AND lower(b)",
    "windows": "from: |\r\n    a == 1 AND\r\n    lower(b)\r\n",
}


def _scalar(text: str) -> yaml.ScalarNode:
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    node = root.value[0][1]
    assert isinstance(node, yaml.ScalarNode)
    return node


@pytest.mark.parametrize("text", _WRITTEN.values(), ids=_WRITTEN)
def test_every_style_is_followed(text: str) -> None:
    node = _scalar(text)
    offsets = offsets_of(node, text)
    assert len(offsets) == len(node.value) + 1
    start = node.value.index("lower")
    assert text[offsets[start] : offsets[start + 7] + 1] == "lower(b)"
    assert text[: offsets[-1]].endswith("lower(b)"), "the end is right behind the last character"


@given(st.text(st.sampled_from("ab'\"\\ \n:é東#"), max_size=30), st.sampled_from([None, "'", '"', "|", ">"]), st.integers(10, 80))
def test_what_the_dumper_writes_is_followed(value: str, style: str | None, width: int) -> None:
    text = yaml.dump({"from": value}, default_style=style, allow_unicode=True, width=width)
    node = yaml.compose(text, Loader=yaml.SafeLoader).value[0][1]
    offsets = offsets_of(node, text)
    assert node.value == value
    told = [(character, offset) for character, offset in zip(value, offsets, strict=False) if not character.isspace()]
    assert all(text[offset] in (character, "\\") for character, offset in told), text
    places = [offset for _, offset in told]
    assert places == sorted(set(places)) and all(offset < offsets[-1] for offset in places)


@pytest.mark.parametrize("source", ["\tfrom: lower(b)", "東京東京: lower(b)", "x" * 300 + " lower(b) " + "y" * 300])
def test_the_caret_stands_below_the_fault(source: str) -> None:
    from rich.cells import cell_len

    column = source.index("lower") + 1
    _, shown, carets = Fault("E201", "no function", "m.yaml", 1, column, source, 5).render().split("\n")
    before = shown[: shown.index("lower")]
    assert (cell_len(before), len(re.findall(r"\^", carets))) == (carets.index("^"), 5)
    assert cell_len(shown) <= 130

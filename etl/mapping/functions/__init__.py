"""One function, one file: `functions/<name>.py` holds `FUNCTION`, its specification, kernel, SQL form and examples.

A dot in a function's name is an underscore in its file's. The kernel is the meaning: plain Python over one record's
values. The SQL form, where there is one, is the same for whole columns; tests hold the two together.

The modules here have the names of builtins (`len`, `map`), so nothing but these names may stand in this file.
"""

from etl.mapping.specification import Example, Function, check_word, literal_text

__all__ = ["Example", "Function", "check_word", "literal_text"]

"""Quoting for SQL texts."""

from __future__ import annotations


def quote(text: str) -> str:
    """An SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """An SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def named(identifier_: str) -> str:
    """The name that an SQL identifier (`identifier`) stands for."""
    return identifier_[1:-1].replace('""', '"') if identifier_.startswith('"') else identifier_

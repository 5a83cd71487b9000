"""The OpenAPI document uses the words of docs/glossary.md, and no others for the same things."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from api.app import create_app
from core.settings import Settings

GLOSSARY = Path(__file__).parents[3] / "docs" / "glossary.md"
PROSE_FIELDS = ("title", "summary", "description")
IDENTIFIERS = re.compile(r"`[^`]*`|\S*[/_=]\S*|\S+\.\w+\b|#\S+")
"""Code, paths, field names and file names: what a program reads is not prose."""


class Term(NamedTuple):
    name: str
    other_words: tuple[str, ...]


class Text(NamedTuple):
    path: str
    text: str


def read_terms() -> list[Term]:
    rows = [line for line in GLOSSARY.read_text().splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[1:]]
    return [Term(name, tuple(other.split(", "))) for name, _, other in cells]


def prose(document: dict[str, Any]) -> Iterator[Text]:
    """Yield every title, summary and description, but those that are made from an identifier."""
    generated = {derived for name in identifiers(document) for derived in derived_titles(name)}
    for path, field, text in _texts(document, ""):
        if field == "description" or text not in generated:
            yield Text(f"{path}/{field}", text)


def identifiers(node: Any) -> Iterator[str]:
    """Yield names of properties, parameters and components, and ids of operations."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in {"properties", "schemas"} and isinstance(value, dict):
                yield from value
            if key in {"name", "operationId"} and isinstance(value, str):
                yield value
            yield from identifiers(value)
    elif isinstance(node, list):
        for item in node:
            yield from identifiers(item)


def derived_titles(name: str) -> set[str]:
    """Titles that FastAPI and pydantic make from an identifier."""
    return {name, name.replace("_", " ").title(), name.replace("-", " ").title()}


def _texts(node: Any, path: str) -> Iterator[tuple[str, str, str]]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key in PROSE_FIELDS and isinstance(value, str):
                yield path, key, value
            else:
                yield from _texts(value, f"{path}/{key}")
    elif isinstance(node, list):
        for index, item in enumerate(node):
            yield from _texts(item, f"{path}/{index}")


def misuses(term: Term, texts: list[Text]) -> list[str]:
    """Return a message for each text that has another word for the term."""
    words = "|".join(map(re.escape, term.other_words))
    pattern = re.compile(rf"(?<![\w-])(?:{words})(?![\w-])", re.IGNORECASE)
    return [
        f"{path}: {match[0]!r} instead of {term.name!r} in {text!r}"
        for path, text in texts
        if (match := pattern.search(IDENTIFIERS.sub(" ", text)))
    ]


TERMS = read_terms()


@pytest.fixture(scope="module")
def texts() -> list[Text]:
    return list(prose(create_app(Settings()).openapi()))


@pytest.mark.parametrize("term", TERMS, ids=lambda term: term.name)
def test_a_term_has_one_spelling(term: Term, texts: list[Text]) -> None:
    assert misuses(term, texts) == []


def test_the_glossary_is_sorted_and_no_word_has_two_meanings() -> None:
    names = [term.name for term in TERMS]
    assert names == sorted(names, key=str.lower)
    other_words = [word.lower() for term in TERMS for word in term.other_words]
    assert len(other_words) == len(set(other_words))
    assert not set(other_words) & {name.lower() for name in names}


def test_other_spellings_are_found_in_prose_alone(texts: list[Text]) -> None:
    term = next(term for term in TERMS if term.name == "data set")
    assert len(texts) > 300
    assert len(misuses(term, [Text("a", "The Dataset."), Text("b", "Its datasets, too.")])) == 2
    for text in ("`dataset`", "/v1/datasets/{id}", "dataset_id", "a data set", "DatasetResponse"):
        assert misuses(term, [Text("a", text)]) == []

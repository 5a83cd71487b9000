"""Search by the beginnings of words in an item's id, name and metadata.

Each item's words are rows, so that an index answers, on SQLite and on Postgres alike.
"""

import re
from collections.abc import Iterator

from sqlalchemy import delete
from sqlalchemy.orm import Session

from core.store.database.tables import DatasetRow, JobRow, ModelRow, SearchWordRow

Item = JobRow | ModelRow | DatasetRow
MAX_WORD_LENGTH = 64
MAX_WORDS = 64
"""Of one item."""
MAX_QUERY_WORDS = 8
ID_TAILS = (7, 10)
"""How many last characters of an id are words, too: pages show the last seven."""
_ID_PREFIX = re.compile(r"\b(job|mdl|ds)_(?=[a-z0-9])")
_WORD = re.compile(r"[^\W_]+")


def index(session: Session, item: Item) -> None:
    """Store the words of an item, instead of those that it had."""
    forget(session, item)
    if item.project_id is None:
        return
    noun = noun_of(type(item))
    for word in words_of(item):
        row = SearchWordRow(item_id=item.id, word=word, noun=noun, project_id=item.project_id)
        session.add(row)
    session.flush()


def forget(session: Session, item: Item) -> None:
    session.execute(delete(SearchWordRow).where(SearchWordRow.item_id == item.id))


def noun_of(table: type[Item]) -> str:
    """Return what the rows of ``search_words`` call an item of this table."""
    return table.__tablename__.removesuffix("s")


def words_of(item: Item) -> list[str]:
    """Return the words of an item, those of its id and name first."""
    tails = [item.id[-length:] for length in ID_TAILS]
    values = (str(value) for value in (item.labels or {}).values())
    words = dict.fromkeys([*tails, *split(item.id), *split(item.name or "")])
    for value in values:
        words |= dict.fromkeys(split(value))
    return list(words)[:MAX_WORDS]


def split(text: str) -> Iterator[str]:
    """Yield the words of a text in lower case: runs of letters and digits.

    Of an id only what follows its prefix is a word.
    """
    for word in _WORD.findall(_ID_PREFIX.sub("", text.lower())):
        yield word[:MAX_WORD_LENGTH]


def query_words(text: str) -> list[str]:
    """Return the words that an item must have, each at least as a beginning."""
    return list(dict.fromkeys(split(text)))[:MAX_QUERY_WORDS]

"""The index of the searches by words."""

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from core.store.database.tables.base import Base, Id

Word = String(64).with_variant(String(64, collation="C"), "postgresql")
"""Sorted by code points in both databases, so that the words with one beginning are a range."""


class SearchWordRow(Base):
    """A word of an item's id, name or metadata, for searches by the beginnings of words.

    No foreign key, as items are of several tables: who deletes an item deletes its words.
    """

    __tablename__ = "search_words"
    __table_args__ = (Index(None, "project_id", "noun", "word", "item_id"),)

    item_id: Mapped[str] = mapped_column(Id, primary_key=True)
    word: Mapped[str] = mapped_column(Word, primary_key=True)
    noun: Mapped[str] = mapped_column(String(8))
    """job, model or dataset."""
    project_id: Mapped[str] = mapped_column(Id)

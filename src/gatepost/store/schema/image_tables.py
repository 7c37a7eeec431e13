"""Define the tables of images: where each is, and its key."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, LargeBinary, SmallInteger, Table, Text

from gatepost.store.schema.metadata import Id, metadata

__all__ = ["packs", "images"]

packs = Table(
    "packs",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    # What its name says: the kind of its images (store/images/images.py), and the day on which they were received, UTC.
    Column("kind", Text, nullable=False),
    Column("day", Integer, nullable=False),
)

images = Table(
    "images",
    metadata,
    # Of the record, the step of an alarm or the quarantined push: no foreign key, as their ids are of one sequence.
    Column("event_id", Id, primary_key=True, autoincrement=False),
    # 0: its image; 1: the long texts of its original (store/conversion/long_texts.py).
    Column("part", SmallInteger, primary_key=True, autoincrement=False),
    Column("pack_id", Id, ForeignKey("packs.id"), nullable=False),
    Column("byte_offset", BigInteger, nullable=False),
    Column("length", BigInteger, nullable=False),
    # Of this image alone: who deletes it deletes the image. With image_keys it is encrypted.
    Column("key", LargeBinary, nullable=False),
    Index("ix_images_pack", "pack_id", "byte_offset"),
    sqlite_with_rowid=False,
)

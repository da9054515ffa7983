"""The history of the catalogue's schema: small named steps, each in a transaction of its own.

A step is never edited once it was released; a new one is added below it. ``SCHEMA_VERSION`` is the
number of steps and is kept in SQLite's ``user_version``, so that a reader learns from four bytes
whether it understands a library, without loading sqlite-utils.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlite_utils import Database, Migrations

SCHEMA_VERSION = 3


def upgrade(connection: sqlite3.Connection) -> None:
    """Bring the schema behind ``connection`` up to ``SCHEMA_VERSION``.

    Interrupted at any point, the catalogue holds the last whole step.
    """
    from sqlite_utils import Database

    _steps().apply(Database(connection))


def _steps() -> Migrations:
    from sqlite_utils import Migrations

    steps = Migrations("photoclip")

    @steps()
    def m001_first_schema(db: Database) -> None:
        _create_contents(db)
        _create_files(db)
        _create_models(db)
        _create_answers(db)
        db.execute("PRAGMA user_version = 1")

    @steps()
    def m002_another_try_and_generations(db: Database) -> None:
        # What a file that could not be read waits for, besides a change of its own.
        db.table("problems").add_column("waits_for", str, not_null_default="")
        # Vector caches ask what came after a generation, without reading the vectors themselves.
        db.table("embeddings").create_index(["model_id", "generation", "content_id"])
        db.execute("PRAGMA user_version = 2")

    @steps()
    def m003_keywords_and_decisions(db: Database) -> None:
        _create_keywords(db)
        _create_decisions(db)
        _create_denied(db)
        # A filter asks for the contents of a label, and finds them without touching the tags themselves.
        db.table("tags").create_index(["model_id", "label", "content_id"])
        db.execute("DROP INDEX idx_tags_label")
        db.execute("PRAGMA user_version = 3")

    return steps


def _create_contents(db: Database) -> None:
    db.table("settings").create({"key": str, "value": str}, pk="key")
    # AUTOINCREMENT: an id is never used again, so that vector caches may tell contents by their ids.
    db.execute("""
        CREATE TABLE contents (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            hash BLOB NOT NULL UNIQUE,
            size INTEGER NOT NULL,
            format TEXT NOT NULL,
            width INTEGER NOT NULL,
            height INTEGER NOT NULL,
            taken_at TEXT,
            camera TEXT,
            lens TEXT,
            latitude REAL,
            longitude REAL,
            orientation INTEGER NOT NULL,
            rendering BLOB NOT NULL
        )""")
    db.table("contents").create_index(["size"])


def _create_files(db: Database) -> None:
    stamp = {"size": int, "mtime_ns": int, "ctime_ns": int, "inode": int}
    db.table("photos").create(
        {"id": int, "path": bytes, "folder": bytes, "content_id": int, **stamp, "missing_since": str},
        pk="id",
        not_null={"path", "folder", "content_id", *stamp},
        foreign_keys=[("content_id", "contents", "id")],
    )
    db.table("photos").create_index(["path"], unique=True)
    db.table("photos").create_index(["folder"])
    db.table("photos").create_index(["content_id"])
    db.table("problems").create(
        {"path": bytes, "folder": bytes, "kind": str, "reason": str, **stamp},
        pk="path",
        not_null={"folder", "kind", "reason", *stamp},
    )
    db.table("problems").create_index(["folder"])
    db.table("roots").create({"path": bytes}, pk="path")


def _create_models(db: Database) -> None:
    db.table("models").create(
        {
            "id": int,
            "spec": str,
            "weights_hash": str,
            "dimension": int,
            "name": str,
            "preprocessing": str,
            "logit_scale": float,
            "chosen": int,
            "generation": int,
        },
        pk="id",
        not_null={
            "spec",
            "weights_hash",
            "dimension",
            "name",
            "preprocessing",
            "logit_scale",
            "chosen",
            "generation",
        },
        defaults={"generation": 0},
    )
    db.table("models").create_index(["spec", "weights_hash"], unique=True)
    db.table("embeddings").create(
        {"content_id": int, "model_id": int, "vector": bytes, "checksum": int, "generation": int},
        pk=("model_id", "content_id"),
        not_null={"vector", "checksum", "generation"},
        foreign_keys=[("content_id", "contents", "id"), ("model_id", "models", "id")],
    )
    db.table("embeddings").create_index(["content_id"])


def _create_answers(db: Database) -> None:
    db.table("queries").create(
        {"model_id": int, "text": str, "vector": bytes},
        pk=("model_id", "text"),
        not_null={"vector"},
        foreign_keys=[("model_id", "models", "id")],
    )
    db.table("tags").create(
        {
            "content_id": int,
            "model_id": int,
            "label": str,
            "similarity": float,
            "probability": float,
            "labels_hash": str,
            "tagged_at": str,
        },
        pk=("content_id", "model_id", "label"),
        not_null={"similarity", "probability", "labels_hash", "tagged_at"},
        foreign_keys=[("content_id", "contents", "id"), ("model_id", "models", "id")],
    )
    db.table("tags").create_index(["label"])


def _create_keywords(db: Database) -> None:
    db.execute("""
        CREATE TABLE keywords (
            content_id INTEGER NOT NULL REFERENCES contents(id),
            keyword TEXT NOT NULL,
            PRIMARY KEY (content_id, keyword)
        ) WITHOUT ROWID""")
    db.table("keywords").create_index(["keyword"])
    # Whatever was read before this step was read without its keywords: the next index reads it again.
    db.execute("CREATE TABLE rereads (content_id INTEGER PRIMARY KEY REFERENCES contents(id))")
    db.execute("INSERT INTO rereads SELECT id FROM contents")
    db.execute("""
        CREATE TABLE sidecars (
            path BLOB PRIMARY KEY,
            folder BLOB NOT NULL,
            size INTEGER NOT NULL,
            mtime_ns INTEGER NOT NULL,
            ctime_ns INTEGER NOT NULL,
            inode INTEGER NOT NULL
        )""")
    db.table("sidecars").create_index(["folder"])
    db.execute("""
        CREATE TABLE sidecar_keywords (
            sidecar BLOB NOT NULL REFERENCES sidecars(path),
            keyword TEXT NOT NULL,
            ours INTEGER NOT NULL,
            PRIMARY KEY (sidecar, keyword, ours)
        ) WITHOUT ROWID""")
    db.table("sidecar_keywords").create_index(["keyword", "ours"])
    db.execute("""
        CREATE TABLE sidecar_photos (
            sidecar BLOB NOT NULL REFERENCES sidecars(path),
            photo BLOB NOT NULL,
            PRIMARY KEY (sidecar, photo)
        ) WITHOUT ROWID""")
    db.table("sidecar_photos").create_index(["photo"])


def _create_denied(db: Database) -> None:
    # By hash: what was said of two pictures holds however often they are forgotten and found again.
    db.execute("""
        CREATE TABLE denied (
            first BLOB NOT NULL,
            second BLOB NOT NULL,
            PRIMARY KEY (first, second)
        ) WITHOUT ROWID""")


def _create_decisions(db: Database) -> None:
    # AUTOINCREMENT, as for contents: the id of a list that was dropped never means another.
    db.execute("""
        CREATE TABLE label_lists (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            model_id INTEGER NOT NULL REFERENCES models(id),
            hash TEXT NOT NULL,
            labels TEXT NOT NULL,
            calibration BLOB NOT NULL,
            photos INTEGER NOT NULL,
            made_at TEXT NOT NULL,
            UNIQUE (model_id, hash)
        )""")
    db.execute("""
        CREATE TABLE decided (
            list_id INTEGER NOT NULL REFERENCES label_lists(id),
            content_id INTEGER NOT NULL REFERENCES contents(id),
            PRIMARY KEY (list_id, content_id)
        ) WITHOUT ROWID""")
    db.table("decided").create_index(["content_id"])

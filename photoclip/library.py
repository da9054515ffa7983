"""A library on disk: one directory where the catalogue, the vectors and the text towers meet.

    catalogue.sqlite        the truth
    lock                    held by the one writer, and says who that is
    vectors/ID.matrix       a cache of model ID's embeddings for exact search
    vectors/ID.hnsw         a cache of their neighbour graph
    towers/ID.safetensors   model ID's text tower, so that queries need no torch

Everything but the catalogue and ``journal/`` can be deleted at any moment and comes back, all but
``thumbnails/`` without reading a photo (a text tower with the next ``index`` that loads the model).
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from photoclip import config
from photoclip.errors import BadUsage, ModelUnavailable, NoLibrary, PhotoclipError
from photoclip.lock import MENDING, SEE_THE_DISK, locked
from photoclip.store import Store, StoredModel

if TYPE_CHECKING:
    import numpy as np

    from photoclip.encoders import Encoder, Float32, TextEncoder
    from photoclip.vectors import Graph, Matrix, Stamp

_OURS = ("lock", "catalogue.sqlite.new")  # what a creation that was cut off leaves behind


class OpenLibrary:
    """An open library. Readers need nothing more; writers work inside ``with library.lock(...)``."""

    def __init__(self, directory: str, store: Store) -> None:
        self.directory = directory
        self.store = store
        self._matrices: dict[Stamp, list[Matrix]] = {}
        self._graphs: dict[Stamp, Graph | None] = {}
        self._text_encoders: dict[int, TextEncoder] = {}
        self._writing = False
        self.searches = 0  # in this process; decides whether loading the graph pays

    @classmethod
    def open(cls, directory: str | os.PathLike[str]) -> OpenLibrary:
        """Open the library in ``directory``.

        Raises NoLibrary, NewerLibrary or LibraryDamaged; upgrades an older schema first.
        """
        directory = os.path.abspath(os.fspath(directory))
        catalogue = _catalogue(directory)
        try:
            os.stat(catalogue)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NoLibrary(
                f"there is no library in {directory} yet", "make one with: photoclip index ~/Pictures"
            ) from error
        except OSError as error:
            raise PhotoclipError(f"the library {directory} cannot be read: {error.strerror}") from error
        library = cls(directory, Store.open(catalogue))
        if library.store.needs_upgrade():
            with library.lock("upgrading the library"):
                library.store.upgrade()
        return library

    @classmethod
    def open_or_create(cls, directory: str | os.PathLike[str]) -> OpenLibrary:
        """Open the library in ``directory``, or make one there.

        Raises BadUsage when the directory holds something that is not a library.
        """
        directory = os.path.abspath(os.fspath(directory))
        if not os.path.exists(_catalogue(directory)):
            with _place_for_library(directory), locked(directory, "creating the library"):
                if not os.path.exists(_catalogue(directory)):
                    Store.create(_catalogue(directory), os.urandom(16).hex()).close()
        return cls.open(directory)

    def close(self) -> None:
        """Close the library."""
        self._matrices.clear()
        self._graphs.clear()
        self._text_encoders.clear()
        self.store.close()

    def back_up(self, directory: str) -> None:
        """Copy the catalogue into the library at ``directory``, which is made if need be.

        Its caches come back by themselves. Raises BadUsage when the place holds anything else than an
        earlier backup of this library.
        """
        directory = os.path.abspath(directory)
        place = _catalogue(directory)
        if os.path.exists(place) and os.path.samefile(place, self.store.path):
            raise BadUsage(f"{directory} is the library itself", "name another folder for its backup")
        with _place_for_library(directory), locked(directory, "backup"):
            if os.path.exists(place):
                with contextlib.closing(Store.open(place)) as there:
                    is_ours = there.setting("library_id") == self.store.setting("library_id")
                if not is_ours:
                    raise BadUsage(f"{directory} is another library", "name another folder for the backup")
            self.store.copy_to(place)

    @contextlib.contextmanager
    def lock(self, doing: str) -> Iterator[None]:
        """Be the one writer; raises LibraryLocked, naming the holder, when somebody else is."""
        with locked(self.directory, doing):
            self._writing = True
            try:
                yield
            finally:
                self._writing = False

    # -- models -----------------------------------------------------------------------------------

    def model_spec(self) -> str | None:
        """Return the model this library remembers, or None before its first photo."""
        return self.store.setting("model")

    def model(self) -> StoredModel:
        """Return this library's model; raises ModelUnavailable while it has embedded nothing."""
        spec = self.model_spec()
        model = None if spec is None else self.store.model(spec)
        if model is None:
            hint = "index your photos first: photoclip index ~/Pictures"
            if spec is None:
                raise ModelUnavailable("this library holds no photos yet", hint)
            raise ModelUnavailable(f"no photo has been embedded with {spec} yet", hint)
        return model

    def new_model_spec(self) -> tuple[str, str]:
        """Choose the model of a new library: (spec, one honest line about the choice)."""
        from photoclip.encoders import registry

        wanted = config.default_model()
        if wanted and registry.is_present(wanted):
            return wanted, f"using {wanted}, your default model"
        lost = f"the weights of {wanted} are not on this machine; " if wanted else ""
        better = registry.SUGGESTED[0]
        return registry.BUILTIN, (
            f"{lost}using the small built-in model; a full-size one finds more: "
            f"photoclip models pull {better.spec} (about {better.megabytes} MB)"
        )

    def tower_path(self, model: StoredModel) -> str:
        """Return where the text tower of ``model`` lies (it may not exist)."""
        return os.path.join(self.directory, "towers", f"{model.id}.safetensors")

    def export_tower(self, model: StoredModel, encoder: Encoder) -> None:
        """Export the text tower of ``model``, unless that was done before."""
        path = self.tower_path(model)
        if not os.path.exists(path):
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            encoder.export_text_tower(path)

    def embed_texts(self, model: StoredModel, texts: Sequence[str], device: str = "auto") -> Float32:
        """Return unit-length embeddings of ``texts``, shape (len(texts), dimension).

        Texts asked before come from the catalogue; the others through the text tower, without torch
        where the model allows it.
        """
        import numpy as np

        known = {text: self.store.query(model.id, text) for text in dict.fromkeys(texts)}
        new = [text for text, vector in known.items() if vector is None]
        if new:
            encoder = self._text_encoder(model, device)
            vectors = dict(
                zip(new, (row.tobytes() for row in _little(encoder.encode_texts(new))), strict=True)
            )
            self.store.remember_queries(model.id, vectors)
            known.update(vectors)
        rows = b"".join(known[text] or b"" for text in texts)
        return np.frombuffer(rows, dtype="<f4").reshape(len(texts), model.card.dimension)

    def _text_encoder(self, model: StoredModel, device: str) -> TextEncoder:
        if model.id not in self._text_encoders:
            from photoclip.encoders import text

            encoder = text.open_text_encoder(model.card.spec, self.tower_path(model), device)
            self._text_encoders[model.id] = encoder
        return self._text_encoders[model.id]

    # -- vectors ----------------------------------------------------------------------------------

    def stamp(self, model: StoredModel, rows: int | None = None) -> Stamp:
        """Return what a vector cache of ``model`` must agree with to be believed (None: count its rows)."""
        from photoclip.vectors import Stamp

        return Stamp(
            library_id=self.store.setting("library_id") or "",
            model=model.card.spec,
            weights_hash=model.card.weights_hash,
            dimension=model.card.dimension,
            generation=self.store.generation(model.id),
            rows=self.store.embedded(model.id) if rows is None else rows,
        )

    def _quick_stamp(self, model: StoredModel) -> Stamp:
        """Return ``stamp``, uncounted where the cache knows: one generation has one (30 ms a million)."""
        from photoclip.vectors import matrix_stamp

        stamp = self.stamp(model, rows=0)
        cached = matrix_stamp(self._vectors(model, "matrix"), stamp)
        return cached if cached and cached.generation == stamp.generation else self.stamp(model)

    def matrix(self, model: StoredModel) -> Matrix:
        """Return the embeddings of ``model``.

        Memory-mapped when the cache agrees with the catalogue. Otherwise, and as soon as a row in it proves
        damaged, read from the catalogue, and the cache is mended on the way if nobody is writing.
        """
        stamp = self._quick_stamp(model)
        if len(self._matrices.get(stamp, ())) != 1:
            current = self._current_matrix(model, stamp)
            self._keep(stamp, [self._matrix_in_memory(model) if current is None else current])
        return self._matrices[stamp][0]

    def matrices(self, model: StoredModel) -> list[Matrix]:
        """Return what holds the embeddings of ``model`` together, for search; some may be in two of them.

        It is one matrix, as ``matrix`` returns it. But while somebody indexes, the cache is of a moment ago
        and cannot be mended: then it is that cache, and what has been added since.
        """
        stamp = self._quick_stamp(model)
        if stamp not in self._matrices:
            current = self._current_matrix(model, stamp)
            parts = self._past_and_since(model, stamp) if current is None else [current]
            self._keep(stamp, parts or [self._matrix_in_memory(model)])
        return self._matrices[stamp]

    def _keep(self, stamp: Stamp, matrices: list[Matrix]) -> None:
        self._matrices.clear()  # of older generations
        self._matrices[stamp] = matrices

    def _current_matrix(self, model: StoredModel, stamp: Stamp) -> Matrix | None:
        """Return the matrix in the cache, mended if need be; None when that cannot be done now."""
        from photoclip.vectors import Matrix

        anew = functools.partial(self._matrix_anew, model, stamp)
        matrix = Matrix.open(self._vectors(model, "matrix"), stamp, anew)
        return self._mended_matrix(model, stamp) if matrix is None else matrix

    def _past_and_since(self, model: StoredModel, stamp: Stamp) -> list[Matrix] | None:
        """Return the cache as it is and, beside it, what was added since; None if anything else changed."""
        from photoclip.vectors import Matrix, matrix_stamp

        path = self._vectors(model, "matrix")
        old = matrix_stamp(path, stamp)
        added, lowest = (old and self.store.changed_since(model.id, old.generation)) or (0, 0)
        if old is None or not added or old.rows + added != stamp.rows:
            return None
        past = Matrix.open(path, old, functools.partial(self._matrix_in_memory, model))
        if past is None or (len(past) and past.ids[-1] >= lowest):
            return None
        return [past, self._matrix_in_memory(model, above=lowest - 1)]

    def graph(self, model: StoredModel) -> Graph | None:
        """Return the neighbour graph of ``model`` if the cache holds a current one."""
        from photoclip.vectors import Graph

        stamp = self._quick_stamp(model)
        if stamp not in self._graphs:
            self._graphs.clear()
            self._graphs[stamp] = Graph.open(self._vectors(model, "hnsw"), stamp, self.matrix(model))
        return self._graphs[stamp]

    def refresh_vectors(self, model: StoredModel) -> None:
        """Bring matrix and graph up to date with the catalogue (writers only)."""
        from photoclip.vectors import HNSW_FROM, matrix_stamp

        stamp = self.stamp(model)
        if matrix_stamp(self._vectors(model, "matrix"), stamp) != stamp:
            self._write_matrix(model, stamp)
        if stamp.rows >= HNSW_FROM:
            self._refresh_graph(model, stamp)

    def _refresh_graph(self, model: StoredModel, stamp: Stamp) -> None:
        from photoclip.vectors import graph_stamp

        path = self._vectors(model, "hnsw")
        old = graph_stamp(path, stamp)
        if old == stamp:
            return
        from photoclip.vectors import Graph, build_graph

        matrix = self.matrix(model)
        # Only of a past of this very catalogue: after a restore, an id may mean another content.
        graph = None
        if old is not None and old.generation != stamp.generation:
            is_past = self.store.changed_since(model.id, old.generation) is not None
            graph = Graph.open(path, old, matrix) if is_past else None
        if graph is None:
            graph = build_graph(matrix)
        else:
            graph.extend(matrix)
        graph.save(path, stamp)

    def vector_files(self, model: StoredModel) -> Iterator[tuple[str, bool]]:
        """Yield (path, whether it is whole) for every vector cache of ``model``, current or not."""
        from photoclip.vectors import Graph, Matrix, graph_stamp, matrix_stamp

        stamp = self.stamp(model)
        path = self._vectors(model, "matrix")
        matrix = None
        if os.path.exists(path):
            old = matrix_stamp(path, stamp)
            matrix = Matrix.open(path, old) if old is not None else None
            yield path, matrix is not None and matrix.body_is_whole()
        path = self._vectors(model, "hnsw")
        if os.path.exists(path):
            old = graph_stamp(path, stamp)
            yield path, old is not None and Graph.open(path, old, matrix or self.matrix(model)) is not None

    def _write_matrix(self, model: StoredModel, stamp: Stamp) -> None:
        from photoclip.vectors import extend_matrix, matrix_stamp, write_matrix

        path = self._vectors(model, "matrix")
        old = matrix_stamp(path, stamp)
        if old is not None:
            changed, lowest = self.store.changed_since(model.id, old.generation) or (0, 0)
            if changed and old.rows + changed == stamp.rows:
                blocks = self._blocks(model, above=lowest - 1)
                if extend_matrix(path, old, stamp, blocks):
                    return
        write_matrix(path, stamp, self._blocks(model))

    def _matrix_anew(self, model: StoredModel, stamp: Stamp) -> Matrix:
        """Return the embeddings as the catalogue has them, through a new cache file where one can be made."""
        mended = self._mended_matrix(model, stamp)
        return self._matrix_in_memory(model) if mended is None else mended

    def _mended_matrix(self, model: StoredModel, stamp: Stamp) -> Matrix | None:
        """Bring the cache file up to date and return it; None where somebody else is writing, or it fails."""
        from photoclip.vectors import Matrix

        with contextlib.suppress(PhotoclipError, OSError):
            with contextlib.nullcontext() if self._writing else self.lock(MENDING):
                if self.stamp(model) == stamp:
                    self._write_matrix(model, stamp)
            matrix = Matrix.open(self._vectors(model, "matrix"), stamp)
            if matrix is not None and matrix.body_is_whole():
                return matrix
        return None

    def _matrix_in_memory(self, model: StoredModel, above: int = 0) -> Matrix:
        """Return the embeddings of contents with ids > ``above``, read from the catalogue."""
        import numpy as np

        from photoclip.vectors import Matrix

        with self.store.snapshot():
            blocks = list(self._blocks(model, above))
        if not blocks:
            return Matrix.of(np.empty(0, np.int64), np.empty((0, model.card.dimension), np.float32))
        return Matrix.of(
            np.concatenate([ids for ids, _ in blocks]), np.concatenate([rows for _, rows in blocks])
        )

    def _blocks(self, model: StoredModel, above: int = 0) -> Iterator[tuple[np.ndarray, Float32]]:
        import numpy as np

        for ids, rows in self.store.embeddings(model.id, above):
            yield np.array(ids, np.int64), np.frombuffer(rows, "<f4").reshape(len(ids), model.card.dimension)

    def _vectors(self, model: StoredModel, ending: str) -> str:
        return os.path.join(self.directory, "vectors", f"{model.id}.{ending}")


def _catalogue(directory: str) -> str:
    return os.path.join(directory, "catalogue.sqlite")


def _little(rows: Float32) -> Float32:
    import numpy as np

    return np.ascontiguousarray(rows, dtype="<f4")


@contextlib.contextmanager
def _place_for_library(directory: str) -> Iterator[None]:
    """Within, make a library in ``directory``; raises BadUsage when that holds something else."""
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        there = os.listdir(directory)
        if os.path.basename(_catalogue(directory)) not in there and not all(
            name.startswith(_OURS) for name in there
        ):
            raise BadUsage(
                f"{directory} is not a library and not empty",
                "give the library a folder of its own, not the folder of your photos",
            )
        yield
    except OSError as error:
        raise PhotoclipError(
            f"no library can be made in {directory}: {error.strerror}", SEE_THE_DISK
        ) from error

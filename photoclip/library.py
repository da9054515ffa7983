"""A library on disk: one directory where the catalogue, the vectors and the text towers meet.

    catalogue.sqlite        the truth
    lock                    held by the one writer, and says who that is
    vectors/ID.matrix       a cache of model ID's embeddings for exact search
    vectors/ID.hnsw         a cache of their neighbour graph
    towers/ID.safetensors   model ID's text tower, so that queries need no torch

Everything but the catalogue can be deleted at any moment and comes back without reading a photo
(a text tower comes back with the next ``index`` that loads the model).
"""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from photoclip import config
from photoclip.errors import BadUsage, LibraryLocked, ModelUnavailable, NoLibrary, PhotoclipError
from photoclip.store import Store, StoredModel

if TYPE_CHECKING:
    import numpy as np

    from photoclip.encoders import Encoder, Float32
    from photoclip.vectors import Graph, Matrix, Stamp

_TRIES = 50
_OURS = ("lock", "catalogue.sqlite.new")  # what a creation that was cut off leaves behind


class OpenLibrary:
    """An open library. Readers need nothing more; writers work inside ``with library.lock(...)``."""

    def __init__(self, directory: str, store: Store) -> None:
        self.directory = directory
        self.store = store
        self._matrices: dict[Stamp, Matrix] = {}
        self._graphs: dict[Stamp, Graph | None] = {}
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
            try:
                os.makedirs(directory, mode=0o700, exist_ok=True)
                if any(not name.startswith(_OURS) for name in os.listdir(directory)):
                    raise BadUsage(
                        f"{directory} is not a library and not empty",
                        "give --library a folder of its own, not the folder of your photos",
                    )
                with _locked(directory, "creating the library"):
                    if not os.path.exists(_catalogue(directory)):
                        Store.create(_catalogue(directory), uuid.uuid4().hex).close()
            except OSError as error:
                raise PhotoclipError(f"no library can be made in {directory}: {error.strerror}") from error
        return cls.open(directory)

    def close(self) -> None:
        """Close the library."""
        self._matrices.clear()
        self._graphs.clear()
        self.store.close()

    @contextlib.contextmanager
    def lock(self, doing: str) -> Iterator[None]:
        """Be the one writer; raises LibraryLocked, naming the holder, when somebody else is."""
        with _locked(self.directory, doing):
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
            from photoclip.encoders import registry

            encoder = registry.open_text_encoder(model.card.spec, self.tower_path(model), device)
            vectors = dict(
                zip(new, (row.tobytes() for row in _little(encoder.encode_texts(new))), strict=True)
            )
            self.store.remember_queries(model.id, vectors)
            known.update(vectors)
        rows = b"".join(known[text] or b"" for text in texts)
        return np.frombuffer(rows, dtype="<f4").reshape(len(texts), model.card.dimension)

    # -- vectors ----------------------------------------------------------------------------------

    def stamp(self, model: StoredModel) -> Stamp:
        """Return what a vector cache of ``model`` must agree with to be believed."""
        from photoclip.vectors import Stamp

        return Stamp(
            library_id=self.store.setting("library_id") or "",
            model=model.card.spec,
            weights_hash=model.card.weights_hash,
            dimension=model.card.dimension,
            generation=model.generation,
            count=self.store.embedding_count(model.id),
        )

    def matrix(self, model: StoredModel) -> Matrix:
        """Return the embeddings of ``model`` for exact search.

        Memory-mapped when the cache agrees with the catalogue; otherwise read from the catalogue,
        and the cache is mended on the way if nobody is writing.
        """
        from photoclip.vectors import Matrix

        stamp = self.stamp(model)
        if stamp not in self._matrices:
            self._matrices.clear()  # of older generations
            matrix = Matrix.open(self._vectors(model, "matrix"), stamp)
            if matrix is None:
                with contextlib.suppress(LibraryLocked, PhotoclipError, OSError):
                    with contextlib.nullcontext() if self._writing else self.lock("mending the vectors"):
                        self._write_matrix(model, stamp)
                    matrix = Matrix.open(self._vectors(model, "matrix"), stamp)
            self._matrices[stamp] = matrix if matrix is not None else self._matrix_in_memory(model)
        return self._matrices[stamp]

    def graph(self, model: StoredModel) -> Graph | None:
        """Return the neighbour graph of ``model`` if the cache holds a current one."""
        from photoclip.vectors import Graph

        stamp = self.stamp(model)
        if stamp not in self._graphs:
            self._graphs.clear()
            self._graphs[stamp] = Graph.open(self._vectors(model, "hnsw"), stamp, self.matrix(model))
        return self._graphs[stamp]

    def refresh_vectors(self, model: StoredModel) -> None:
        """Bring matrix and graph up to date with the catalogue (writers only)."""
        from photoclip.vectors import HNSW_FROM, Matrix

        stamp = self.stamp(model)
        if Matrix.open(self._vectors(model, "matrix"), stamp) is None:
            self._write_matrix(model, stamp)
        if stamp.count >= HNSW_FROM:
            self._refresh_graph(model, stamp)

    def _refresh_graph(self, model: StoredModel, stamp: Stamp) -> None:
        from photoclip.vectors import Graph, build_graph, graph_stamp

        path, matrix = self._vectors(model, "hnsw"), self.matrix(model)
        old = graph_stamp(path, stamp)
        if old == stamp:
            return
        graph = None if old is None else Graph.open(path, old, matrix)
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
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        old = matrix_stamp(path, stamp)
        if old is not None:
            changed, lowest = self.store.changed_since(model.id, old.generation)
            if changed and old.count + changed == stamp.count:
                blocks = self._blocks(model, above=lowest - 1)
                if extend_matrix(path, old, stamp, blocks):
                    return
        write_matrix(path, stamp, self._blocks(model))

    def _matrix_in_memory(self, model: StoredModel) -> Matrix:
        import numpy as np

        from photoclip.vectors import Matrix

        blocks = list(self._blocks(model))
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
def _locked(directory: str, doing: str) -> Iterator[None]:
    """Hold the library's lock: the operating system gives it back whatever happens to the holder."""
    try:
        descriptor = os.open(os.path.join(directory, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise PhotoclipError(f"the library {directory} cannot be written: {error.strerror}") from error
    try:
        _acquire(descriptor)
        before = os.fstat(descriptor)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()}, {doing}, since {time.strftime('%H:%M')}\n".encode(), 0)
        try:
            yield
        finally:
            os.ftruncate(descriptor, 0)
            # A run that changed nothing leaves nothing changed, for backups' sake.
            os.utime(descriptor, ns=(before.st_atime_ns, before.st_mtime_ns))
    finally:
        os.close(descriptor)


def _acquire(descriptor: int) -> None:
    import fcntl

    for last in [False] * _TRIES + [True]:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError as error:
            holder = os.pread(descriptor, 200, 0).decode("utf-8", "replace").strip()
            if holder or last:
                raise LibraryLocked(
                    f"another photoclip is writing to this library: {holder or 'it does not say who it is'}",
                    "wait until it is done, or end it; searching works meanwhile",
                ) from error
        time.sleep(0.01)  # the holder is just beginning, and about to say who it is, or just ending

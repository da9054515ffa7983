"""Models in trouble: a hub that fails, weights that are damaged or would run code, vectors that are none."""

from __future__ import annotations

import json
import os
import pickle
import sqlite3
import struct
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from photoclip import Library, PhotoclipError
from photoclip.encoders import registry
from photoclip.encoders.fake import FakeEncoder
from photoclip.errors import ModelUnavailable
from photoclip.indexing import IndexOptions
from tests.conftest import command, environment, evidence, without_privileges
from tests.faults.fault import Outcome, Scale, fault
from tests.hub import PREPROCESSING, TINY, FakeHub, running_hub
from tests.pictures import paint_many

if TYPE_CHECKING:
    from photoclip.encoders import Float32, Uint8

_SPEC = "hf-hub:someone/tiny"
_WEIGHTS = "someone/tiny/open_clip_model.safetensors"
_MODEL_UNAVAILABLE = 5


def _config() -> bytes:
    return json.dumps({"model_cfg": TINY, "preprocess_cfg": PREPROCESSING}).encode()


def _tiny_weights() -> dict[str, Any]:
    """Return random weights of the small model, by name."""
    import open_clip
    import torch

    torch.manual_seed(1)
    weights: dict[str, Any] = open_clip.CLIP(**TINY).state_dict()
    return weights


def _saved(weights: dict[str, Any]) -> bytes:
    from safetensors.torch import save

    return save(weights)


# -- the hub ----------------------------------------------------------------------------------------


class _Machine:
    """A machine with an empty cache, which knows one hub."""

    def __init__(self, place: Path, hub: FakeHub) -> None:
        self.place = place
        place.mkdir()
        self.variables = {
            "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}",
            "HF_HOME": str(place / "hf"),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_ETAG_TIMEOUT": "2",
            "HOME": str(place),
        } | {name: str(place / name) for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME")}

    def run(self, *arguments: str, limit: str = "unlimited", **variables: str) -> tuple[int, str]:
        """Run a command that may write ``limit`` KiB a file at most; return its exit code and its talk."""
        clean = {name: value for name, value in environment().items() if not name.startswith(("HF_", "XDG_"))}
        done = subprocess.run(
            ["bash", "-c", f'ulimit -f {limit}; exec "$@"', "bash", *command(*arguments)],
            env={**clean, **self.variables, **variables}, capture_output=True, timeout=120,
        )  # fmt: skip
        return done.returncode, done.stderr.decode("utf-8", "replace")


def _judge_refusal(
    where: str, code: int, talk: str, outcome: Outcome, wanted: int = _MODEL_UNAVAILABLE
) -> None:
    outcome.rounds += 1
    outcome.require(code == wanted, f"{where}: exit code {code} and not {wanted}: {talk[-300:]}")
    outcome.require("Traceback" not in talk, f"{where}: a traceback")
    lines = talk.splitlines()
    calm = lines and lines[0].startswith("error: ") and all(line.startswith("hint: ") for line in lines[1:])
    outcome.require(bool(calm), f"{where}: more than an error and a hint: {talk[-300:]!r}")


def _unreachable(machine: _Machine, hub: FakeHub) -> tuple[int, str]:
    return machine.run("models", "pull", _SPEC, HF_ENDPOINT="http://127.0.0.1:9")


def _cut(machine: _Machine, hub: FakeHub) -> tuple[int, str]:
    hub.cuts[_WEIGHTS] = 11_000_000
    return machine.run("models", "pull", _SPEC)


def _wrong_bytes(machine: _Machine, hub: FakeHub) -> tuple[int, str]:
    hub.damage = True
    return machine.run("models", "pull", _SPEC)


def _read_only_cache(machine: _Machine, hub: FakeHub) -> tuple[int, str]:
    (machine.place / "hf").mkdir()
    (machine.place / "hf").chmod(0o555)
    try:
        done = without_privileges("models", "pull", _SPEC, **machine.variables)
    finally:
        (machine.place / "hf").chmod(0o755)
    return done.returncode, done.stderr.decode("utf-8", "replace")


def _full_disk(machine: _Machine, hub: FakeHub) -> tuple[int, str]:
    return machine.run("models", "pull", _SPEC, limit="8000")


def _cache_is_a_file(machine: _Machine, hub: FakeHub) -> tuple[int, str]:
    (machine.place / "file").write_bytes(b"")
    return machine.run("models", "pull", _SPEC, HF_HOME=str(machine.place / "file"))


_HUB_TROUBLES: tuple[Callable[[_Machine, FakeHub], tuple[int, str]], ...] = (
    _wrong_bytes, _cut, _unreachable, _full_disk, _read_only_cache, _cache_is_a_file,
)  # fmt: skip


def _judge_hub(place: Path, weights: bytes, troubles: int, outcome: Outcome) -> None:
    """After each trouble the model is not here; with a hub that works it then comes whole."""
    for trouble in _HUB_TROUBLES[:troubles]:
        with running_hub() as hub:
            hub.files = {"someone/tiny/open_clip_config.json": _config(), _WEIGHTS: weights}
            machine = _Machine(place / trouble.__name__, hub)
            where = trouble.__name__.strip("_").replace("_", " ")
            _judge_refusal(where, *trouble(machine, hub), outcome)
            _judge_refusal(f"{where}, then use", *machine.run("models", "use", _SPEC), outcome)
            hub.damage, hub.cuts = False, {}
            code, talk = machine.run("models", "pull", _SPEC)
            outcome.require(code == 0, f"{where}: the next pull failed: {talk}")
            whole = [
                file for file in (machine.place / "hf").rglob("*.safetensors") if file.read_bytes() == weights
            ]
            outcome.require(bool(whole), f"{where}: the next pull brought something else")
            outcome.count("troubles of the hub")


# -- weights ----------------------------------------------------------------------------------------


class _Payload:
    """Unpickling this makes a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.open, (str(self.marker), os.O_CREAT | os.O_WRONLY)


_SPELLINGS = (
    *registry._WEIGHTS_FILES,
    "x.pt",
    "x.pth",
    "x.bin",
    "x.safetensors",
    "x.npz",
    "x.npy",
    "x.ckpt",
    "x",
)


def _traps(marker: Path) -> Iterator[tuple[str, bytes]]:
    """Yield files that run code where they are unpickled without care."""
    import io

    import torch

    payload = {"state_dict": _Payload(marker)}
    for protocol in (0, 2, pickle.HIGHEST_PROTOCOL):
        yield f"a pickle of protocol {protocol}", pickle.dumps(payload, protocol)
    for zipped in (True, False):
        file = io.BytesIO()
        torch.save(payload, file, _use_new_zipfile_serialization=zipped)
        yield f"a checkpoint {'in a zip' if zipped else 'of old'}", file.getvalue()
    file = io.BytesIO()
    np.save(file, np.array([_Payload(marker)], dtype=object), allow_pickle=True)
    yield "an array of objects", file.getvalue()
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(payload))
        archive.writestr("archive/constants.pkl", pickle.dumps(payload))
        archive.writestr("archive/version", "3")
    yield "a script of torch", file.getvalue()


def _damages(weights: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    """Yield safetensors that are not what they say."""
    whole = _saved(weights)
    length = struct.unpack("<Q", whole[:8])[0]
    header = json.loads(whole[8 : 8 + length])
    for end in (0, 4, 8, 8 + length // 2, 8 + length, len(whole) // 2, len(whole) - 1):
        yield f"cut after {end} bytes", whole[:end]
    for lie in (2**63, 2**40, 100_000_001, length + 1, length - 1, 0):
        yield f"a header of {lie} bytes", struct.pack("<Q", lie) + whole[8:]
    yield "bytes at the end", whole + b"more"
    name = "visual.proj"
    begin, end = header[name]["data_offsets"]
    for offsets in ((begin, end + 10**9), (-1, end), (end, begin), (0, end), (2**63, 2**64)):
        changed = json.dumps({**header, name: {**header[name], "data_offsets": offsets}}).encode()
        yield f"offsets {offsets}", struct.pack("<Q", len(changed)) + changed + whole[8 + length :]
    for kind in ("F64", "Q99"):
        changed = json.dumps({**header, name: {**header[name], "dtype": kind}}).encode()
        yield f"numbers of kind {kind}", struct.pack("<Q", len(changed)) + changed + whole[8 + length :]
    yield "a missing tensor", _saved({key: value for key, value in weights.items() if key != name})
    yield "another shape", _saved({**weights, name: weights[name].T.contiguous()[:, :7].contiguous()})
    yield "a header of nested lists", struct.pack("<Q", 200_000) + b"[" * 200_000


def _judge_weights(place: Path, weights: dict[str, Any], scale: Scale, outcome: Outcome) -> None:
    """Name files of weights that cannot be used: every one is refused in words, and none runs."""
    marker, chance = place / "marker", scale.chance("weights")
    traps = [(f"{what} as {name}", name, content) for what, content in _traps(marker) for name in _SPELLINGS]
    damages = [(what, "open_clip_model.safetensors", content) for what, content in _damages(weights)]
    damages = chance.sample(damages, scale.rounds(2, len(damages)))
    cases = [*chance.sample(traps, scale.rounds(2, len(traps))), *damages]
    for number, (what, name, content) in enumerate(cases):
        folder = place / f"model-{number}"
        folder.mkdir()
        (folder / "open_clip_config.json").write_bytes(_config())
        (folder / name).write_bytes(content)
        in_folder = name in registry._WEIGHTS_FILES
        spec = f"local-dir:{folder}" if in_folder else f"ViT-S-32:{folder / name}"
        _judge_loading(what, spec, outcome)
        if marker.exists():
            outcome.faults.append(f"{what} was run")
            marker.unlink()
        (folder / name).unlink()
    outcome.count("traps", len(cases) - len(damages))
    outcome.count("damaged weights", len(damages))


def _judge_loading(what: str, spec: str, outcome: Outcome) -> None:
    outcome.rounds += 1
    try:
        registry.load(spec, "cpu").encode_images(np.zeros((1, 32, 32, 3), np.uint8))
    except ModelUnavailable as error:
        outcome.require("\n" not in str(error), f"{what}: more than a line: {error}")
    except Exception as error:
        outcome.faults.append(f"{what}: {type(error).__name__}: {error}")
    else:
        outcome.faults.append(f"{what} was loaded")


# -- vectors ----------------------------------------------------------------------------------------


class _Sick(FakeEncoder):
    """An encoder that spoils the vectors of some pictures of each batch, from the second batch on."""

    def __init__(self, spoil: Callable[[Float32], Float32]) -> None:
        super().__init__()
        self.batches = 0
        self.spoil = spoil

    def encode_images(self, pixels: Uint8) -> Float32:
        vectors = super().encode_images(pixels)
        self.batches += 1
        if self.batches > 1:
            vectors[::3] = self.spoil(vectors[::3])
        return vectors


_SPOILERS: dict[str, Callable[[Float32], Float32]] = {
    "NaN": lambda rows: rows * np.float32(np.nan),
    "one NaN": lambda rows: np.where(np.arange(rows.shape[1]) == 5, np.float32(np.nan), rows),
    "infinity": lambda rows: rows * np.float32(np.inf),
    "zero": lambda rows: rows * np.float32(0),
    "tiny": lambda rows: rows * np.float32(1e-30),
    "too long": lambda rows: rows * np.float32(3),
}


def _judge_vectors(place: Path, outcome: Outcome) -> None:
    """Index with an encoder that fails: what was stored before stays, and no such vector is ever stored."""
    for what, spoil in _SPOILERS.items():
        outcome.rounds += 1
        library = place / f"library of {what}"
        load, registry.load = registry.load, lambda *_, spoil=spoil: _Sick(spoil)  # type: ignore[assignment]
        try:
            with Library.open_or_create(library) as opened:
                opened.index([place / "photos"], IndexOptions(model="fake", jobs=1, batch_size=5))
                outcome.require(bool(list(opened.problems())), f"{what}: nothing was said")
        except PhotoclipError as error:
            outcome.require("embeddings" in str(error), f"{what}: {error}")
        except Exception as error:
            outcome.faults.append(f"{what}: {type(error).__name__}: {error}")
        finally:
            registry.load = load
        _judge_stored(what, library, place / "photos", outcome)


def _judge_stored(what: str, library: Path, photos: Path, outcome: Outcome) -> None:
    with sqlite3.connect(library / "catalogue.sqlite") as db:
        blobs = [blob for (blob,) in db.execute("SELECT vector FROM embeddings")]
    db.close()
    lengths = [float(np.linalg.norm(np.frombuffer(blob, "<f4"))) for blob in blobs]
    bad = [length for length in lengths if not abs(length - 1) < 1e-3]
    outcome.require(not bad, f"{what}: {len(bad)} such vectors were stored")
    outcome.require(len(blobs) >= 5, f"{what}: the batch before it was lost")
    with Library.open(library) as opened:
        outcome.require(opened.check() == [], f"{what}: check finds {opened.check()}")
        opened.index([photos], IndexOptions(model="fake", jobs=1))
        outcome.require(
            len(opened.search("red", limit=99)) == 12, f"{what}: a healthy model does not mend it"
        )


@fault(30, "models in trouble")
def models_in_trouble(place: Path, scale: Scale) -> Outcome:
    """Fail a download, damage and booby-trap weights, spoil vectors."""
    outcome = Outcome()
    paint_many(place / "photos", 12)
    photos = evidence(place / "photos")
    weights = _tiny_weights()
    _judge_vectors(place, outcome)
    _judge_weights(place, weights, scale, outcome)
    _judge_hub(place, _saved(weights), scale.rounds(1, len(_HUB_TROUBLES)), outcome)
    spoiled = {**weights, "visual.proj": weights["visual.proj"] * float("nan")}
    (place / "nan").mkdir()
    (place / "nan" / "open_clip_config.json").write_bytes(_config())
    (place / "nan" / "open_clip_model.safetensors").write_bytes(_saved(spoiled))
    _judge_loading("weights that are not numbers", f"local-dir:{place / 'nan'}", outcome)
    outcome.require(evidence(place / "photos") == photos, "photos were changed")
    return outcome

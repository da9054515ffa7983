"""Filters: what people write, and that the photos that pass are those a patient person would pick."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from photoclip import Library
from photoclip.encoders.fake import COLOURS, FakeEncoder
from photoclip.errors import BadUsage
from photoclip.filters import Circle, PhotoFilter
from photoclip.library import OpenLibrary
from photoclip.records import DecodedPhoto, FileStamp, PhotoFacts, ScannedFile, TagSuggestion
from photoclip.searching import Part, Query, search
from photoclip.store import FoundFile, ReadSidecar

# -- what people write ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("taken", "earliest", "latest"),
    [
        ("2021", "2021", "2021"),
        ("2021-06", "2021-06", "2021-06"),
        ("2021-06-30", "2021-06-30", "2021-06-30"),
        ("2019..2021-06", "2019", "2021-06"),
        ("2019..", "2019", ""),
        ("..2021-12-31", "", "2021-12-31"),
        (" 2020-02-29..2020 ", "2020-02-29", "2020"),
    ],
)
def test_a_time_is_a_year_a_month_a_day_or_two_of_them(taken: str, earliest: str, latest: str) -> None:
    where = PhotoFilter.of(taken=taken)
    assert (where.earliest, where.latest) == (earliest, latest)


@pytest.mark.parametrize(
    "options",
    [
        *({"taken": text} for text in ("", "..", "21", "2021-13", "2021-02-30", "2021/06", "2021..2020")),
        *({"taken": text} for text in ("2021-06..2021-05", "2021-06-02..2021-06-01", "2021-00", "٢٠٢١")),
        *({"near": text} for text in ("", "48,11", "91,0,1", "0,181,1", "0,0,-1", "0,0,inf", "nan,0,1")),
        {"orientation": "upright"},
        {"tags": [""]},
        {"tags": ["!"]},
        {"taken": "2021", "no_date": True},
    ],
    ids=str,
)  # fmt: skip
def test_words_that_describe_no_filter_are_refused_with_a_hint(options: dict[str, Any]) -> None:
    with pytest.raises(BadUsage) as error:
        PhotoFilter.of(**options)
    assert error.value.hint


# -- random libraries, and the answers of somebody who looks at each photo --------------------------

_DIRECTIONS = np.eye(FakeEncoder().card.dimension, dtype=np.float32)[: len(COLOURS)]


class Row(NamedTuple):
    """A photo of a random library; ``own`` and ``ours`` are the keywords in a sidecar of its own."""

    folder: str
    content: int
    missing: bool
    own: frozenset[str]
    ours: frozenset[str]


class Content(NamedTuple):
    """What is behind some of its photos."""

    facts: PhotoFacts
    colour: int
    tags: tuple[str, ...]
    keywords: tuple[str, ...]
    other: tuple[str, ...]  # tags of another model


days = st.builds("{}-{:02}-{:02}".format, st.integers(2019, 2021), st.integers(1, 12), st.integers(1, 28))
times = st.one_of(st.none(), days.map("{}T12:00:00".format), days.map("{}T23:59:59.5+02:00".format))
names = st.sampled_from([None, "FUJIFILM X-T5", "Fujifilm X100V", "Leica Straße", "ΣIGMA fp"])
places = st.one_of(
    st.none(),
    st.tuples(st.floats(-90, 90), st.floats(-180, 180)),
    st.tuples(st.sampled_from([48.1, 48.2, 89.9, -90.0]), st.sampled_from([11.5, 179.99, -179.99])),
)
LABELS = ("beach", "Straße", "dog", "Animals/Dog", "Animals/Dog/Puppy", "hotdog", "animals")
words = st.frozensets(st.sampled_from(LABELS), max_size=2)
contents = st.builds(
    lambda width, height, taken, camera, lens, place, colour, *labels: Content(
        PhotoFacts(width, height, "JPEG", taken, camera, lens, *(place or (None, None))),
        colour,
        *(tuple(sorted(some)) for some in labels),
    ),
    st.integers(1, 4),
    st.integers(1, 4),
    times,
    names,
    names,
    places,
    st.integers(0, len(_DIRECTIONS) - 1),
    words,
    words,
    words,
)
FOLDERS = ("/p", "/p/a", "/p/a-b", "/p/a/b", "/q")
sidecars = st.one_of(st.just(frozenset[str]()), words)
rows = st.builds(
    Row,
    st.sampled_from(FOLDERS),
    st.integers(0, 5),
    st.sampled_from([False] * 5 + [True]),
    sidecars,
    sidecars,
)
dates = st.one_of(days, days.map(lambda day: day[:7]), days.map(lambda day: day[:4]))
CONDITIONS: dict[str, st.SearchStrategy[Any]] = {
    "earliest": dates,
    "latest": dates,
    "undated": st.just(True),
    "camera": st.sampled_from(["fuji", "STRASSE", "σigma"]),
    "lens": st.sampled_from(["x100", "leica"]),
    "folders": st.lists(st.sampled_from(FOLDERS).map(str.encode), min_size=1, max_size=2).map(tuple),
    "near": st.builds(Circle, st.just(48.1), st.just(11.5), st.sampled_from([0, 20, 9000]))
    | st.builds(Circle, st.sampled_from([89.95, 0.0]), st.just(180.0), st.sampled_from([50, 15000])),
    "tags": st.sampled_from(
        [
            ("beach",),
            ("STRASSE",),
            ("beach", "dog"),
            ("cat",),
            ("animals/DOG",),
            ("Animals",),
            ("dog/puppy/",),
        ]
    ),
    "without_tags": st.sampled_from([("dog",), ("BEACH", "dog"), ("animals",), ("Animals/Puppy",), ("/",)]),
    "min_side": st.sampled_from([2, 3, 10**30]),
    "orientation": st.sampled_from(["landscape", "portrait", "square"]),
}


def _filter_of(given: dict[str, Any]) -> PhotoFilter:
    return PhotoFilter(**given)


# Few at a time: most photos fail many of them, and nothing is learnt from empty answers. Tags come often:
# they may be in three places, and are looked up in two ways.
OFTEN = [*sorted(CONDITIONS), *["tags", "without_tags"] * 4]
filters = st.lists(st.sampled_from(OFTEN), max_size=2, unique=True).flatmap(
    lambda names: st.fixed_dictionaries({name: CONDITIONS[name] for name in names}).map(_filter_of)
)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty library with a model, to be copied: to make one takes longer."""
    place = tmp_path_factory.mktemp("filters") / "template"
    library = OpenLibrary.open_or_create(place)
    library.store.add_model(FakeEncoder().card)
    library.store.set_setting("model", "fake")
    library.close()
    return place


def filled(place: Path, photos: list[Row], known: list[Content]) -> dict[bytes, tuple[Row, Content]]:
    """Put photos into a library and return those that are there, by path."""
    found, tags, others, held, sidecars = [], {}, {}, {}, []
    for number, row in enumerate(photos):
        content = known[row.content % len(known)]
        name = b"%02d" % (row.content % len(known))
        path = row.folder.encode() + b"/%03d.jpg" % number
        decoded = DecodedPhoto(name * 16, content.facts, b"", bytes(1024), content.keywords)
        vector = _DIRECTIONS[content.colour].astype("<f4").tobytes()
        found.append(FoundFile(ScannedFile(path, FileStamp(1, 1, 1, number)), name * 16, decoded, vector))
        held[path] = (row, content)
        tags[path] = [TagSuggestion(label, 0.5, 0.9) for label in content.tags]
        others[path] = [TagSuggestion(label, 0.5, 0.9) for label in content.other]
        if row.own or row.ours:
            stamp = FileStamp(1, 1, 1, number)
            sidecars.append(ReadSidecar(path + b".xmp", stamp, (path,), tuple(row.own), tuple(row.ours)))
    library = OpenLibrary.open(place)
    with library.lock("test"):
        model = library.model()
        library.store.record(model.id, found, [])
        ids = library.store.contents_at(held)
        other = library.store.add_model(FakeEncoder().card._replace(spec="fake:other"))
        for tagger, made in ((model, tags), (other, others)):
            by_content = {ids[path]: told for path, told in made.items()}
            list_id = library.store.add_label_list(tagger.id, "", LABELS, b"", 0, "now")
            library.store.record_decisions(list_id, LABELS, "", by_content, "now")
        library.store.record_sidecars(sidecars)
        library.store.mark_missing([path for path, (row, _) in held.items() if row.missing], "2022-01-01")
        library.refresh_vectors(model)
    library.close()
    return {path: (row, content) for path, (row, content) in held.items() if not row.missing}


def kilometres(circle: Circle, latitude: float, longitude: float) -> float:
    """Return a distance by another formula than the filter's: through the angle between two vectors."""

    def point(latitude: float, longitude: float) -> Any:
        one, two = math.radians(latitude), math.radians(longitude)
        return np.array([math.cos(one) * math.cos(two), math.cos(one) * math.sin(two), math.sin(one)])

    here, there = point(circle.latitude, circle.longitude), point(latitude, longitude)
    return 6371.0088 * math.atan2(float(np.linalg.norm(np.cross(here, there))), float(here @ there))


def carries(row: Row, content: Content, tag: str) -> bool:
    """Return whether a photo has a tag or keyword of which ``tag`` is some levels in a row."""
    asked = tag.casefold().strip("/").split("/")
    for label in (*content.tags, *content.keywords, *row.own):
        levels = label.casefold().split("/")
        if any(levels[at : at + len(asked)] == asked for at in range(len(levels))):
            return True
    return False


def passes(where: PhotoFilter, path: bytes, row: Row, content: Content) -> bool:
    """Return whether a photo passes, one condition after the other."""
    facts = content.facts
    day = (facts.taken_at or "")[:10]
    shape = "square"
    if facts.width != facts.height:
        shape = "landscape" if facts.width > facts.height else "portrait"
    if where.near is not None:
        if facts.latitude is None or facts.longitude is None:
            return False
        distance = kilometres(where.near, facts.latitude, facts.longitude)
        assume(abs(distance - where.near.kilometres) > 1e-3)  # the two formulas round differently
        if distance > where.near.kilometres:
            return False
    return all(
        (
            not where.earliest or (day != "" and day[: len(where.earliest)] >= where.earliest),
            not where.latest or (day != "" and day[: len(where.latest)] <= where.latest),
            not where.undated or facts.taken_at is None,
            where.camera.casefold() in (facts.camera or "").casefold(),
            where.lens.casefold() in (facts.lens or "").casefold(),
            not where.folders or any((path + b"/").startswith(folder + b"/") for folder in where.folders),
            all(carries(row, content, tag) for tag in where.tags),
            not any(carries(row, content, tag) for tag in where.without_tags),
            min(facts.width, facts.height) >= where.min_side,
            where.orientation in (None, shape),
        )
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield tmp_path_factory.mktemp("libraries")


@settings(max_examples=500, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(rows, min_size=1, max_size=12),
    st.lists(contents, min_size=1, max_size=6),
    filters,
    st.sampled_from(sorted(COLOURS)),
    st.integers(1, 14),
    st.sampled_from([None, "similarity", "date", "path"]),
    st.booleans(),
)
def test_a_search_with_filters_is_what_a_patient_person_would_pick(
    template: Path,
    place: Path,
    photos: list[Row],
    known: list[Content],
    where: PhotoFilter,
    colour: str,
    limit: int,
    order: Any,
    reverse: bool,
) -> None:
    shutil.rmtree(place)
    shutil.copytree(template, place)
    there = filled(place, photos, known)
    picked = [path for path, (row, content) in there.items() if passes(where, path, row, content)]

    def date(path: bytes) -> str:
        return there[path][1].facts.taken_at or ""

    library = OpenLibrary.open(place)
    query = library.embed_texts(library.model(), [colour])[0]
    similarity = {path: round(float(_DIRECTIONS[there[path][1].colour] @ query), 5) for path in picked}
    best = sorted(picked, key=lambda path: (-similarity[path], path))[:limit]
    ordered = {
        None: best,
        "similarity": best,
        "path": sorted(best),
        "date": sorted(best, key=lambda path: (date(path), path)),
    }[order]
    expected = ordered[::-1] if reverse else ordered
    if order == "date":
        expected = sorted(expected, key=lambda path: not date(path))
    asked = Query((Part(colour),), where, limit, order=order, reverse=reverse)
    hits = search(library, asked)
    assert [(hit.photo.path, round(hit.similarity or 0, 5)) for hit in hits] == [
        (path, similarity[path]) for path in expected
    ]
    if order != "similarity":
        everything = sorted(picked, key=(lambda path: (date(path), path)) if order == "date" else None)
        everything = everything[::-1] if reverse else everything
        if order == "date":
            everything.sort(key=lambda path: not date(path))
        alone = search(library, Query((), where, limit, order=order, reverse=reverse))
        assert [hit.photo.path for hit in alone] == everything[:limit]
        assert {hit.similarity for hit in alone} <= {None}
    library.close()
    with Library.open(place) as door:
        assert [photo.path for photo in door.photos(where=where)] == sorted(picked)

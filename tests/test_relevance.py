"""Where relevance ends."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from photoclip import Library
from photoclip.background import THINGS
from photoclip.encoders.text import TextTower
from photoclip.library import OpenLibrary
from photoclip.searching.relevance import Relevance, neutral_words
from photoclip.vectors import Matrix
from tests.conftest import Made, environment

Floats = NDArray[np.float32]

DIMENSION = 200
SCALE = 30.0
CAT, DOG, SHIP = 0, 1, 2


def unit(rows: NDArray[np.floating]) -> Floats:
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True), np.float32)


def words() -> Floats:
    """Words that have nothing to do with each other."""
    return np.eye(len(THINGS), DIMENSION, dtype=np.float32)


def showing(word: int, count: int, seed: int = 0, clearly: float = 0.6) -> Floats:
    """Photos that show a word, and are otherwise all different."""
    rest = unit(np.random.default_rng([seed, word]).normal(size=(count, DIMENSION)))
    return unit(clearly * np.eye(DIMENSION)[word] + (1 - clearly**2) ** 0.5 * rest)


def judge(rows: Floats, query: Floats, neutral: Floats | None = None, scale: float = SCALE) -> Relevance:
    matrix = Matrix.of(1 + np.arange(len(rows)), rows)
    return Relevance([matrix], query, words() if neutral is None else neutral, scale)


def answers(rows: Floats, query: Floats, **more: object) -> list[int]:
    """Return the positions of the photos that answer."""
    margins = judge(rows, query, **more).margins(np.arange(len(rows)) + 1)  # type: ignore[arg-type]
    return np.flatnonzero(margins >= 0).tolist()


# -- the rule ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("others", [2, 30, 1000])
def test_the_photos_that_show_it_answer_and_no_others(others: int) -> None:
    rows = np.concatenate([showing(CAT, 3), showing(DOG, others)])
    assert answers(rows, words()[CAT]) == [0, 1, 2]


@pytest.mark.parametrize("others", [1, 5, 30, 1000])
def test_where_no_photo_shows_it_none_answers(others: int) -> None:
    relevance = judge(showing(DOG, others), words()[CAT])
    assert not relevance.holds_an_answer
    assert (relevance.margins(np.arange(others) + 1) < 0).all()


def test_a_photo_may_be_as_similar_and_not_answer_for_it_shows_something_else_more() -> None:
    plain = showing(CAT, 5, clearly=0.4)
    of_a_ship = unit(0.4 * words()[CAT] + 0.8 * words()[SHIP] + 0.4472 * words()[-1])
    rows = np.concatenate([plain, of_a_ship[None]])
    assert np.ptp(rows @ words()[CAT]) < 0.1
    assert answers(rows, words()[CAT]) == [0, 1, 2, 3, 4]


def test_a_word_that_says_nearly_the_same_does_not_count_against_the_query() -> None:
    rows = np.concatenate([showing(CAT, 4), showing(DOG, 50)])
    kitten = unit(0.95 * words()[CAT] + 0.3 * np.eye(DIMENSION, dtype=np.float32)[-1])
    assert answers(rows, kitten) == [0, 1, 2, 3]


def test_the_more_photos_there_are_the_clearer_one_has_to_show_it() -> None:
    query, faint = words()[CAT], showing(CAT, 1, clearly=0.3)
    assert answers(np.concatenate([faint, showing(DOG, 10)]), query) == [0]
    assert answers(np.concatenate([faint, showing(DOG, 5000)]), query) == []


def test_a_model_that_holds_everything_for_alike_is_judged_alike() -> None:
    rows, query = np.concatenate([showing(CAT, 3), showing(DOG, 40)]), words()[CAT]
    plain = judge(rows, query).margins(np.arange(43) + 1)

    def squeezed(vectors: Floats, apart: float) -> Floats:
        """Push all vectors together: similarities shrink by 9 and rise."""
        lift = np.full((len(vectors), 2), 0.0)
        lift[:, 0], lift[:, 1] = apart, (8 - apart**2) ** 0.5
        return unit(np.concatenate([vectors, lift], axis=1))

    like_clip = judge(
        squeezed(rows, 0.5), squeezed(query[None], 2.5)[0], squeezed(words(), 2.5), 9 * SCALE
    ).margins(np.arange(43) + 1)
    assert np.array_equal(plain >= 0, like_clip >= 0)


def test_an_example_picture_is_compared_with_other_photos() -> None:
    rows = np.concatenate([showing(CAT, 4, clearly=0.9), showing(DOG, 60), showing(SHIP, 60)])
    assert answers(rows, rows[0], neutral=rows[::2]) == [0, 1, 2, 3]


def test_the_margin_is_in_units_of_similarity() -> None:
    query = words()[CAT]
    rows = np.concatenate([showing(CAT, 4), showing(DOG, 40)])
    base = words()[50:52]
    nearer = unit(np.stack([0.60 * query + 0.8 * base[0], 0.65 * query + 0.76 * base[0]]))
    margins = judge(np.concatenate([rows, nearer]), query).margins([45, 46])
    assert margins[1] - margins[0] == pytest.approx(
        float((nearer @ query)[1] - (nearer @ query)[0]), abs=0.05
    )


def test_rows_that_are_in_two_matrices_count_once_and_an_unknown_id_is_an_error() -> None:
    rows = np.concatenate([showing(CAT, 3), showing(DOG, 20)])
    past, since = Matrix.of(np.arange(20) + 1, rows[:20]), Matrix.of(np.arange(18, 23) + 1, rows[18:])
    both = Relevance([past, since], words()[CAT], words(), SCALE)
    one = judge(rows, words()[CAT])
    ids = np.arange(23) + 1
    assert np.allclose(both.margins(ids), one.margins(ids), atol=1e-6)
    with pytest.raises(KeyError, match="24"):
        both.margins([24])


def test_a_library_without_photos_holds_no_answer() -> None:
    relevance = judge(np.empty((0, DIMENSION), np.float32), words()[CAT])
    assert not relevance.holds_an_answer
    assert relevance.margins([]).shape == (0,)


# -- in a library -----------------------------------------------------------------------------------


def relevant(library: OpenLibrary, text: str) -> list[str]:
    """Return the names of the photos that answer a text, by falling similarity."""
    model = library.model()
    (query,) = library.embed_texts(model, [text])
    matrix = library.matrix(model)
    ids, _ = matrix.nearest(query, len(matrix))
    margins = Relevance.of(library, model, query, neutral_words(library, model)).margins(ids)
    photos = library.store.photos_of(ids[margins >= 0].tolist())
    return [Path(photo.path.decode()).name for content in ids.tolist() for photo in photos.get(content, ())]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a cat", ["chelsea.png"]),
        ("a cup of coffee", ["coffee.png"]),
        ("a motorcycle", ["motorcycle_left.png", "motorcycle_right.png"]),
    ],
)
def test_what_the_demo_photographs_show_is_found_among_few_others(
    demo: Made, text: str, names: list[str]
) -> None:
    with Library.open(demo.library) as library:
        found = relevant(library.inner, text)
    assert set(names) <= set(found)
    assert len(found) <= 5


@pytest.mark.parametrize("text", ["a penguin", "people playing football", "a bedroom", "a wedding", "sushi"])
def test_for_what_no_demo_photograph_shows_there_is_no_answer(demo: Made, text: str) -> None:
    with Library.open(demo.library) as library:
        assert relevant(library.inner, text) == []


def test_an_example_answers_itself_and_its_like(demo: Made) -> None:
    with Library.open(demo.library) as opened:
        library, model = opened.inner, opened.inner.model()
        contents = library.store.contents_at({bytes(demo.photos / "motorcycle_left.png")})
        ids = library.matrix(model).ids
        query = library.matrix(model).row(next(iter(contents.values())))
        margins = Relevance.of(library, model, query, neutral_words(library, model), 1.0).margins(ids)
        photos = library.store.photos_of(ids[margins >= 0].tolist())
    names = {Path(photo.path.decode()).name for found in photos.values() for photo in found}
    assert {"motorcycle_left.png", "motorcycle_right.png"} <= names
    assert len(names) <= 5


def test_a_text_and_a_picture_together_are_judged_too_and_alike_every_time(demo: Made) -> None:
    with Library.open(demo.library) as opened:
        library, model = opened.inner, opened.inner.model()
        contents = library.store.contents_at({bytes(demo.photos / "chelsea.png")})
        ids, (cat,) = library.matrix(model).ids, contents.values()
        (text,) = library.embed_texts(model, ["a cat"])
        query = unit(text + library.matrix(model).row(cat))
        first, second = (
            Relevance.of(library, model, query, neutral_words(library, model), 0.5).margins(ids).tolist()
            for _ in range(2)
        )
    assert first == second
    assert ids[np.array(first) >= 0].tolist() == [cat]


def test_words_a_model_cannot_tell_apart_are_no_error(colours: Made) -> None:
    with Library.open(colours.library) as library:
        found = relevant(library.inner, "red")
    assert all(name.startswith("red") for name in found)


def test_what_is_neutral_is_encoded_once_for_a_library(
    demo: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = demo.copy_to(tmp_path)
    with contextlib.closing(sqlite3.connect(place / "catalogue.sqlite", isolation_level=None)) as catalogue:
        catalogue.execute("DELETE FROM queries")
    encoded: list[int] = []
    whole = TextTower.encode_texts

    def counted(self: TextTower, texts: Sequence[str]) -> Any:
        encoded.append(len(texts))
        return whole(self, texts)

    monkeypatch.setattr(TextTower, "encode_texts", counted)
    for number in range(3):
        with Library.open(place) as library:
            library.search(f"a cat {number}", judged=True)
    assert encoded == [1, len(THINGS), 1, 1]


def test_no_torch_is_needed(demo: Made) -> None:
    program = (
        "import sys\n"
        "from photoclip import Library\n"
        "from photoclip.searching.relevance import Relevance, neutral_words\n"
        "library = Library.open(sys.argv[1]).inner\n"
        "(query,) = library.embed_texts(library.model(), ['a cat'])\n"
        "words = neutral_words(library, library.model())\n"
        "assert Relevance.of(library, library.model(), query, words).holds_an_answer\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(demo.library)], env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr

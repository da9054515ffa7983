from __future__ import annotations

import time

import numpy as np
import pytest

from photoclip.encoders.fake import COLOURS, WORDS, FakeEncoder


def painted(*colours: tuple[int, int, int]) -> np.ndarray:
    pictures = np.empty((len(colours), 32, 32, 3), dtype=np.uint8)
    pictures[:] = np.array(colours, dtype=np.uint8)[:, None, None, :]
    return pictures


@pytest.mark.parametrize("word", COLOURS)
def test_a_colour_word_finds_the_picture_of_that_colour_first(word: str) -> None:
    encoder = FakeEncoder()
    pictures = encoder.encode_images(painted(*COLOURS.values()))
    similarities = pictures @ encoder.encode_texts([f"a photo of something {word}"])[0]
    order = np.argsort(-similarities)
    assert list(COLOURS)[order[0]] == word
    assert similarities[order[0]] > similarities[order[1]] + 0.1


def test_bright_and_dark_rank_by_brightness() -> None:
    encoder = FakeEncoder()
    dark, middle, bright = encoder.encode_images(painted((20, 20, 20), (120, 120, 120), (240, 240, 240)))
    word = encoder.encode_texts(["bright"])[0]
    assert word @ bright > word @ middle > word @ dark


def test_a_picture_of_two_halves_answers_both_words_and_no_third() -> None:
    encoder = FakeEncoder()
    picture = painted(COLOURS["red"])
    picture[:, :, 16:] = COLOURS["blue"]
    shares = dict(zip(WORDS, encoder.encode_images(picture)[0], strict=True))
    assert shares["red"] == pytest.approx(shares["blue"], rel=0.01)
    assert shares["red"] > 3 * shares["green"]


def test_embeddings_are_float32_of_unit_length_and_the_same_every_time() -> None:
    encoder = FakeEncoder()
    noise = np.random.default_rng(1).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    for embeddings in (encoder.encode_images(noise), encoder.encode_texts(["", "gray", "red and blue"])):
        assert embeddings.dtype == np.float32
        assert embeddings.shape[1] == encoder.card.dimension == 16
        np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(encoder.encode_images(noise), FakeEncoder().encode_images(noise))


def test_no_pictures_and_no_texts_give_empty_embeddings() -> None:
    assert FakeEncoder().encode_images(np.empty((0, 32, 32, 3), np.uint8)).shape == (0, 16)
    assert FakeEncoder().encode_texts([]).shape == (0, 16)


def test_the_slow_model_takes_its_time_and_answers_the_same() -> None:
    pictures = painted(*COLOURS.values())[:5]
    started = time.monotonic()
    slow = FakeEncoder(slow=True).encode_images(pictures)
    assert time.monotonic() - started >= 0.1
    np.testing.assert_array_equal(slow, FakeEncoder().encode_images(pictures))


def test_it_exports_no_text_tower(tmp_path) -> None:
    assert not FakeEncoder().export_text_tower(str(tmp_path / "tower"))
    assert list(tmp_path.iterdir()) == []

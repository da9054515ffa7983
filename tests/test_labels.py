"""Files of labels: what they mean, and what is said about those that mean nothing."""

from __future__ import annotations

import json
import os
import re
import string
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photoclip.errors import BadUsage
from photoclip.labels import (
    Group,
    Label,
    LabelList,
    label_text,
    open_labels,
    read_labels,
    read_toml,
    starter_lists,
    text_of,
    with_thresholds,
)
from photoclip.labels.toml import line_of, parse, places
from tests.conftest import ROOT, Shell, environment
from tests.pictures import paint


def listed(text: str) -> LabelList:
    return read_labels(text, "labels.txt")


def tabled(text: str, folder: bytes = b"/nowhere") -> LabelList:
    return read_toml(text, "labels.toml", folder)


def complaint(work: Callable[[], object]) -> tuple[str, str]:
    """Return the sentence and the hint of the error that ``work`` ends with."""
    with pytest.raises(BadUsage) as caught:
        work()
    assert caught.value.exit_code == 2
    return str(caught.value), caught.value.hint


# -- one label a line -----------------------------------------------------------------------------


def test_a_line_is_a_label_with_its_synonyms_and_levels() -> None:
    assert listed("beach\ndog = puppy, hound\nAnimals / Big cats/Lion=lioness\n").labels == (
        Label("beach", ("beach",)),
        Label("dog", ("dog", "puppy", "hound")),
        Label("Animals/Big cats/Lion", ("Lion", "lioness")),
    )


def test_comments_blank_lines_line_ends_and_a_byte_order_mark_do_not_count() -> None:
    text = "\ufeff# mine\r\n\r\n  red \t wine \r\n\t\r  # end\n\xa0\nblue"
    assert listed(text).names == ("red wine", "blue")


def test_a_number_sign_inside_a_label_is_a_part_of_it() -> None:
    assert listed("C# book\nroom #5\n").names == ("C# book", "room #5")


def test_braces_and_other_signs_are_only_signs() -> None:
    name = "{0.__class__} %s [red] :smile: Fish & Chips <b>"
    assert listed(name).names == (name,)


def test_joiners_of_persian_words_and_emoji_stay() -> None:
    names = ("می‌خواهم", "👩‍👩‍👧")
    assert listed("\n".join(names)).names == names


def test_letters_with_accents_are_the_same_composed_and_in_parts() -> None:
    assert listed("cafe\u0301").names == ("caf\u00e9",)


def test_a_word_may_stand_again_in_another_branch() -> None:
    assert listed("Fruit/Orange\nColours/Orange\nOrange\nPets/Puppy\nAnimals/Dog = puppy").names[4:] == (
        "Animals/Dog",
    )


MALFORMED_LINES = {
    "nothing": ("", "labels.txt holds no label", "one label a line"),
    "only comments": ("\n # red\n", "labels.txt holds no label", ""),
    "twice": ("red\nblue\nred", "labels.txt, line 3: 'red' stands already in line 1", ""),
    "twice but for spaces": ("big dog\n big \t dog ", "line 2: 'big dog' stands already in line 1", ""),
    "twice but for case": ("Dog\ndog", "line 2: 'dog' stands already as 'Dog' in line 1", ""),
    "twice but for case in a language": (
        "Straße\nSTRASSE",
        "line 2: 'STRASSE' stands already as 'Straße'",
        "",
    ),
    "path twice": ("a/b\n\na / B", "line 3: 'a/B' stands already as 'a/b' in line 1", ""),
    "a label that is a synonym": (
        "dog = puppy\npuppy",
        "line 2: 'puppy' stands already for 'dog' in line 1",
        "one label",
    ),
    "a synonym that is a label": (
        "puppy\ndog = Puppy",
        "line 2: 'Puppy' stands already for 'puppy' in line 1",
        "",
    ),
    "a synonym of two": ("a = x\nb = x", "line 2: 'x' stands already for 'a' in line 1", ""),
    "its own synonym": ("dog = dog", "line 1: 'dog' stands already for 'dog' in line 1", ""),
    "no synonym": ("dog =", "line 1: a synonym is empty", ""),
    "an empty synonym": ("cat\ndog = puppy,, hound", "line 2: a synonym is empty", ""),
    "no label": ("= puppy", "line 1: a label is empty", ""),
    "two equals": ("dog = puppy = hound", "line 1: two = in one line", "commas"),
    "a synonym with levels": ("dog = pets/puppy", "line 1: the synonym 'pets/puppy' holds a /", "a word"),
    "an empty level": ("red\nAnimals//Dog", "line 2: 'Animals//Dog' has an empty level", "Animals/Dog"),
    "an empty first level": ("/Dog", "line 1: '/Dog' has an empty level", ""),
    "an empty last level": ("Animals/ ", "line 1: 'Animals/' has an empty level", ""),
    "a line": ("a\nAnimals|Dog", "line 2: 'Animals|Dog' holds a |", "Animals/Dog"),
    "a comment after a label": ("dog = puppy # mine", "line 1: a comment after a label", "a line of its own"),
    "escape": (
        "red\nbl\x1b[31mue",
        "line 2: a label may not hold control characters or invisible ones (U+001B)",
        "",
    ),
    "NUL": ("red\nbl\0ue", "line 2: a label may not hold control characters or invisible ones (U+0000)", ""),
    "form feed": (
        "red\fblue",
        "line 1: a label may not hold control characters or invisible ones (U+000C)",
        "",
    ),
    "bidi": (
        "red\nb\u202elue",
        "line 2: a label may not hold control characters or invisible ones (U+202E)",
        "",
    ),
    "invisible": (
        "dog = pup\u200bpy",
        "line 1: a synonym may not hold control characters or invisible ones",
        "",
    ),
    "long": ("red\n" + 201 * "x", "line 2: a label of 201 characters", "200 at most"),
    "long synonym": ("dog = " + 300 * "x", "line 1: a synonym of 300 characters", "200 at most"),
    "the other form": ("# mine\n[labels]\ndog = []", "line 2: this is the form of a labels.toml", ".toml"),
    "too many": ("\n".join(map(str, range(5_001))), "line 5001: too many labels", "5000 at most"),
}


@pytest.mark.parametrize("case", MALFORMED_LINES)
def test_a_line_that_cannot_be_used_is_an_error_with_line_and_reason(case: str) -> None:
    text, sentence, hint = MALFORMED_LINES[case]
    said, hinted = complaint(lambda: listed(text))
    assert said.startswith("labels.txt")
    assert sentence in said
    assert hint in hinted


# -- tables ---------------------------------------------------------------------------------------


def test_a_table_says_everything_about_a_label(tmp_path: Path) -> None:
    (tmp_path / "img1.jpg").touch()
    text = """
        [labels."Animals / Dog"]
        synonyms = ["puppy", "hound"]
        prompts = ["a photo of my {}", "paws"]
        threshold = 0.7
        examples = ["img1.jpg"]
        """
    assert tabled(text, os.fsencode(tmp_path)).labels == (
        Label(
            "Animals/Dog",
            ("Dog", "puppy", "hound"),
            ("a photo of my {}", "paws"),
            0.7,
            (os.fsencode(tmp_path / "img1.jpg"),),
        ),
    )


def test_a_list_is_a_list_of_synonyms() -> None:
    assert tabled('[labels]\nbeach = []\n"#dog" = ["puppy"]').labels == (
        Label("beach", ("beach",)),
        Label("#dog", ("#dog", "puppy")),
    )


def test_what_stands_at_the_top_holds_for_labels_that_say_nothing_else() -> None:
    text = 'threshold = 1\nprompts = ["all {}"]\nlabels.a = []\nlabels.b = {threshold = 0, prompts = ["{}!"]}'
    assert tabled(text).labels == (Label("a", ("a",), ("all {}",), 1.0), Label("b", ("b",), ("{}!",), 0.0))


def test_groups_name_labels_that_exclude_each_other() -> None:
    text = """
        labels = { Kitchen = [], Bath = [], "Animals/Dog" = [], cat = [] }
        [groups.room]
        exactly-one = ["kitchen", "Bath"]
        [groups."a pet"]
        at-most-one = ["animals / dog", "cat"]
        """
    assert tabled(text).groups == (
        Group("room", ("Kitchen", "Bath"), True),
        Group("a pet", ("Animals/Dog", "cat"), False),
    )


def test_others_stand_in_their_order_above_the_labels() -> None:
    text = "others = ['a  dress ', 'Pizza',\n'cafe\u0301 {}']\n[labels]\ndog = ['puppy']"
    assert tabled(text) == LabelList(
        (Label("dog", ("dog", "puppy")),), (), ("a dress", "Pizza", "caf\u00e9 {}")
    )
    assert tabled("others = []\nlabels.dog = []").others == tabled("labels.dog = []").others == ()


def test_others_and_labels_together_are_not_too_many() -> None:
    others = "others = [\n" + "".join(f"'o{number}',\n" for number in range(5_000)) + "]\n"
    said, hint = complaint(lambda: tabled(others + "labels.a = []"))
    assert said == "labels.toml, line 5001: too many others"
    assert hint == "5000 at most, labels included"


def test_examples_are_looked_for_in_the_folder_of_the_file_and_at_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, folder = tmp_path / "home", tmp_path / "lists"
    home.mkdir()
    folder.mkdir()
    for photo in (home / "a.jpg", folder / "b.jpg", tmp_path / "c.jpg"):
        photo.touch()
    monkeypatch.setenv("HOME", str(home))
    (folder / "labels.toml").write_text("labels.dog.examples = ['~/a.jpg', 'b.jpg', '../c.jpg']")
    monkeypatch.chdir(folder)
    expected = tuple(os.fsencode(path) for path in (home / "a.jpg", folder / "b.jpg", tmp_path / "c.jpg"))
    assert open_labels(str(folder / "labels.toml")).labels[0].examples == expected
    assert open_labels("labels.toml").labels[0].examples == expected


MALFORMED_TABLES = {
    "nothing": ("", 1, "this file holds no label", "[labels]"),
    "no label": ("[labels]\n", 1, "this file holds no label", ""),
    "no TOML": ("[labels]\nred\nblue\n", 2, "this is no TOML: Expected '=' after a key", ""),
    "an open string": ('[labels]\ndog = ["puppy]\n', 2, "this is no TOML", ""),
    "an open list": ('[labels]\ndog = ["puppy",\n', 2, "this is no TOML", ""),
    "an open text": ('[labels]\ndog = ["""puppy\n\n', 2, "the text ends here", ""),
    "the same key twice": (
        "[labels]\ndog = []\n\ndog = []\n",
        4,
        "this is no TOML: Cannot overwrite a value",
        "",
    ),
    "the same table twice": ("[labels.dog]\n[labels.cat]\n[labels.dog]\n", 3, "this is no TOML", ""),
    "a control character": ('[labels]\n"d\x07og" = []\n', 2, "this is no TOML", ""),
    "an escaped control character": (
        '[labels]\n\n"d\\u0007og" = []\n',
        3,
        "a label may not hold control",
        "",
    ),
    "deep": ("a = " + 50_000 * "[", 1, "this is too deeply nested", ""),
    "a long number": ("\nthreshold = " + 5000 * "9", 1, "this is no TOML", ""),
    "an unknown key at the top": ("[labels]\na = []\n[group.x]\n", 3, "unknown key 'group'", "'groups'"),
    "an unknown key": (
        "[labels.dog]\nthresold = 1\n",
        2,
        "unknown key 'thresold'",
        "did you mean 'threshold'?",
    ),
    "an unlike key": ("[labels.dog]\n\ncolour = 1\n", 3, "unknown key 'colour'", "synonyms, prompts"),
    "an unknown key in braces": (
        "[labels]\ndog = { synonyms = [\n'a',\n'b'], exmples = []}\n",
        4,
        "unknown key 'exmples'",
        "'examples'",
    ),
    "an unknown key of a group": (
        "labels = {a=[], b=[]}\n[groups.x]\nexactly_one = ['a', 'b']",
        3,
        "unknown key 'exactly_one'",
        "'exactly-one'",
    ),
    "levels as tables": (
        "[labels.Animals]\n[labels.Animals.Dog]\n",
        2,
        "unknown key 'Dog'",
        '[labels."Animals/Dog"]',
    ),
    "labels are a list": ("\nlabels = ['dog']\n", 2, "labels is a list, not a table", "[labels]"),
    "labels are a list of tables": ("\n[[labels]]\nname = 'dog'\n", 2, "labels is a list, not a table", ""),
    "a label is a string": ("[labels]\na = []\ndog = 'puppy'", 3, "'dog' is a string", "['puppy']"),
    "a label is a date": ("[labels]\ndog = 2020-01-01", 2, "'dog' is a date or time, not a list", ""),
    "an empty level": ("[labels]\n'Animals//Dog' = []", 2, "'Animals//Dog' has an empty level", ""),
    "an empty name": ("[labels]\n'' = []", 2, "a label is empty", ""),
    "twice but for case": (
        "[labels]\nDog = []\n[labels.dog]\n",
        3,
        "'dog' stands already as 'Dog' in line 2",
        "",
    ),
    "a synonym of two": (
        "[labels]\ndog = [\n'hound',\n'puppy']\ncat = [\n'kitten',\n'Puppy']",
        7,
        "'Puppy' stands already for 'dog' in line 4",
        "",
    ),
    "a synonym that is a number": ("[labels]\ndog = ['a',\n 1]", 3, "synonyms holds a number", ""),
    "synonyms are a string": ("[labels.dog]\nsynonyms = 'a'", 2, "synonyms is a string, not a list", ""),
    "a synonym with levels": ("[labels.dog]\nsynonyms = ['a/b']", 2, "the synonym 'a/b' holds a /", ""),
    "threshold above 1": (
        "[labels.dog]\n\nthreshold = 60",
        3,
        "threshold is 60, not a number from 0 to 1",
        "",
    ),
    "threshold below 0": ("threshold = -0.1\n[labels.dog]\n", 1, "threshold is -0.1, not a number", ""),
    "threshold is no number": (
        "[labels.dog]\nthreshold = nan",
        2,
        "threshold is nan, not a number from 0",
        "",
    ),
    "threshold is endless": ("[labels.dog]\nthreshold = inf", 2, "threshold is inf, not a number from 0", ""),
    "threshold is a truth": (
        "[labels.dog]\nthreshold = true",
        2,
        "threshold is true or false, not a number",
        "",
    ),
    "threshold is text": ("[labels.dog]\nthreshold = '0.5'", 2, "threshold is a string, not a number", ""),
    "no prompt": ("[labels.dog]\nprompts = []", 2, "prompts is empty", "leave it out"),
    "a prompt with a name": (
        "prompts = ['{}',\n'a {label}']\n[labels]\na = []",
        2,
        "the prompt 'a {label}' holds a brace",
        "{}",
    ),
    "a prompt twice": ("prompts = ['a {}',\n' a  {}']", 2, "the prompt 'a {}' stands already in line 1", ""),
    "an empty prompt": ("[labels.a]\nprompts = ['']", 2, "a prompt is empty", ""),
    "a missing example": (
        "[labels.a]\nexamples = [\n'no.jpg']",
        3,
        "the example 'no.jpg': No such file or directory",
        "/nowhere/no.jpg",
    ),
    "a folder as example": ("[labels.a]\nexamples = ['/']", 2, "the example '/' is not a file", ""),
    "an example that is no name": ('[labels.a]\nexamples = ["a\\u0000"]', 2, "is no name of a file", ""),
    "a group is a list": (
        "labels = {a=[]}\n[groups]\nx = ['a', 'b']",
        3,
        "the group 'x' is a list",
        "[groups.x]",
    ),
    "a group of both": (
        "labels = {a=[], b=[]}\n[groups.x]\nexactly-one=['a','b']\nat-most-one=['a','b']",
        2,
        "the group 'x' says both exactly-one and at-most-one",
        "",
    ),
    "a group of none": ("labels = {a=[]}\n[groups.x]\n", 2, "the group 'x' is empty", ""),
    "a group of one": (
        "labels = {a=[]}\n[groups.x]\nat-most-one=['a']",
        3,
        "at-most-one names 1 label",
        "two",
    ),
    "a group of strangers": (
        "labels = {kitchen=[]}\n[groups.x]\nexactly-one=['kitchen',\n'kitchn']",
        4,
        "'kitchn' is no label of this file",
        "did you mean 'kitchen'?",
    ),
    "the same label in a group": (
        "labels = {a=[], b=[]}\n[groups.x]\nexactly-one=['a',\n'A']",
        4,
        "'a' is in a group already in line 3",
        "",
    ),
    "a label in two groups": (
        "labels = {a=[], b=[], c=[]}\n[groups.x]\nexactly-one=['a', 'b']\n[groups.y]\nexactly-one=['c', 'b']",
        5,
        "'b' is in a group already in line 3",
        "one group only",
    ),
    "others are a text": ("others = 'dress'\nlabels.a = []", 1, "others is a string, not a list", '["…"]'),
    "others are a table": ("labels.a = []\n[others]\ndress = []", 2, "others is a table, not a list", ""),
    "an other that is a number": ("others = ['a',\n1]\nlabels.b = []", 2, "others holds a number", ""),
    "an other that is a list": ("others = ['a',\n\n['b']]\nlabels.b = []", 3, "others holds a list", ""),
    "an empty other": ("others = ['a',\n' ']\nlabels.b = []", 2, "an entry of others is empty", ""),
    "a control character in an other": (
        'others = ["a",\n"b\\u001B"]\nlabels.b = []',
        2,
        "an entry of others may not hold control characters or invisible ones (U+001B)",
        "",
    ),
    "a long other": (
        f"others = ['{201 * 'x'}']\nlabels.b = []",
        1,
        "an entry of others of 201 characters",
        "200 at most",
    ),
    "an other with levels": ("others = ['a/b']\nlabels.c = []", 1, "the entry 'a/b' of others holds a /", ""),
    "an other twice": (
        "others = ['a dress',\n'A  Dress']\nlabels.b = []",
        2,
        "'A Dress' stands already in line 1",
        "",
    ),
    "an other that is a label": (
        "others = ['Dog']\n[labels]\ndog = []",
        1,
        "'Dog' is a word or a level of 'dog' in line 3",
        "none of the labels",
    ),
    "an other that is a last level": (
        "others = ['dog']\n[labels]\n'Animals/Dog' = []",
        1,
        "'dog' is a word or a level of 'Animals/Dog' in line 3",
        "",
    ),
    "an other that is a level": (
        "others = ['animals']\n[labels]\n'Animals/Dog' = []",
        1,
        "'animals' is a word or a level of 'Animals/Dog' in line 3",
        "",
    ),
    "an other that is a synonym": (
        "others = ['cat',\n'PUPPY']\n[labels]\ndog = ['hound',\n'puppy']",
        2,
        "'PUPPY' is a word or a level of 'dog' in line 5",
        "",
    ),
    "others among the labels": (
        "[labels]\na = []\nothers = ['dress']",
        3,
        "others stands among the labels",
        "above [labels]",
    ),
    "others misspelt": (
        "other = ['dress']\nlabels.a = []",
        1,
        "unknown key 'other'",
        "did you mean 'others'?",
    ),
    "others of a label": (
        "[labels.a]\nothers = ['dress']",
        2,
        "unknown key 'others'",
        "known here: synonyms",
    ),
    "a group without a name": (
        "labels = {a=[], b=[]}\n[groups.' ']\nexactly-one=['a', 'b']",
        2,
        "the name of a group is empty",
        "",
    ),
}


@pytest.mark.parametrize("case", MALFORMED_TABLES)
def test_a_table_that_cannot_be_used_is_an_error_with_line_and_reason(case: str) -> None:
    text, line, sentence, hint = MALFORMED_TABLES[case]
    for form in (text, text.replace("\n", "\r\n"), "\ufeff" + text):
        said, hinted = complaint(lambda form=form: tabled(form))  # type: ignore[misc]
        assert said.startswith(f"labels.toml, line {line}: ")
        assert sentence in said
        assert hint in hinted


SIGNS = [
    "[",
    "]",
    "{",
    "}",
    "=",
    ",",
    ".",
    "#",
    "\n",
    "\r\n",
    " ",
    '"',
    "'",
    '"""',
    "\\",
    "/",
    "\ufeff",
    "\0",
    "{}",
]
KEYS = [
    "labels",
    "groups",
    "others",
    "dog",
    "x",
    "synonyms",
    "prompts",
    "threshold",
    "examples",
    "exactly-one",
    "0.5",
    "1e9",
    "true",
    "2020-01-01",
]
LINES = ["[labels]\n", "[groups.x]\n", "dog = []\n", "cat = ['x']\n", "['dog', 'cat']"]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(SIGNS + KEYS + LINES), max_size=14).map("".join))
def test_whatever_stands_in_a_file_it_is_a_list_or_an_error_with_a_line(text: str) -> None:
    for read in (listed, tabled):
        try:
            assert read(text).labels
        except BadUsage as error:
            assert re.match(r"labels\.\w+(, line \d+: .| holds no label$)", str(error))


# -- files ----------------------------------------------------------------------------------------


def test_the_ending_of_its_name_says_which_form_a_file_has(tmp_path: Path) -> None:
    for name, text in (
        ("a.txt", "dog = puppy"),
        ("b.TOML", "labels.dog = ['puppy']"),
        ("list", "dog = puppy"),
    ):
        (tmp_path / name).write_text(text)
        assert open_labels(str(tmp_path / name)) == LabelList((Label("dog", ("dog", "puppy")),))


@pytest.mark.parametrize("ending", [".txt", ".toml"])
@pytest.mark.parametrize(
    ("data", "sentence", "hint"),
    [
        (b"[labels]\na = []\nb\xffue = []\n", "line 3: this is no UTF-8 text (byte 0xFF)", "as UTF-8"),
        ("[labels]\nRüde = []\n".encode("latin-1"), "line 2: this is no UTF-8 text (byte 0xFC)", "as UTF-8"),
        ("red\n".encode("utf-16"), "line 1: this is UTF-16, not UTF-8", "as UTF-8"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "line 1: this is no UTF-8 text (byte 0xFF)", ""),
        (b"\x7fELF\x02\x01\x01\0\0\0", "line 1: ", ""),
        (b"", "label", ""),
        (5_000_001 * b"#", "is too large for a file of labels", "5 MB at most"),
    ],
    ids=["not UTF-8", "Latin-1", "UTF-16", "JPEG", "program", "empty", "large"],
)
def test_a_file_that_is_no_text_is_an_error(
    tmp_path: Path, ending: str, data: bytes, sentence: str, hint: str
) -> None:
    file = tmp_path / f"labels{ending}"
    file.write_bytes(data)
    said, hinted = complaint(lambda: open_labels(str(file)))
    assert said.startswith(str(file))
    assert sentence in said
    assert hint in hinted


def test_a_file_without_end_is_not_read_to_its_end() -> None:
    said, _ = complaint(lambda: open_labels("/dev/zero"))
    assert "too large" in said


def test_what_cannot_be_opened_is_an_error_with_the_reason(tmp_path: Path) -> None:
    for name, reason in (
        (str(tmp_path), "Is a directory"),
        (str(tmp_path / "x.toml"), "No such file"),
        ("a\0", "null"),
    ):
        said, _ = complaint(lambda name=name: open_labels(name))  # type: ignore[misc]
        assert said.startswith(f"the labels cannot be read: {name}: ")
        assert reason in said


def test_a_pipe_is_as_good_as_a_file(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=("red\n",))
    writer.start()
    assert open_labels(str(pipe)).names == ("red",)
    writer.join()


def test_text_of_bytes_names_where_they_came_from() -> None:
    assert text_of(b"red\n", "stdin") == "red\n"
    assert complaint(lambda: text_of(b"\xff", "stdin"))[0].startswith("stdin, line 1")


# -- the hash -------------------------------------------------------------------------------------

SAME = [
    "[labels]\nbeach = []\n'Animals/Dog' = ['puppy', 'hound']",
    "# mine\n\n[labels]\n'Animals / Dog' = ['hound', 'puppy']\nbeach = {}",
    "labels.'Animals/Dog'.synonyms = ['hound', 'puppy']\n[labels.beach]\nexamples = []",
]
OTHER = [
    "[labels]\nbeach = []\n'Animals/dog' = ['puppy', 'hound']",
    "[labels]\nbeach = []\n'Animals/Dog' = ['puppy']",
    "[labels]\nbeach = ['hound']\n'Animals/Dog' = ['puppy']",
    "[labels]\nbeach = []\n'Animals/Dog' = ['puppy', 'hound']\ncat = []",
    "threshold = 0\n[labels]\nbeach = []\n'Animals/Dog' = ['puppy', 'hound']",
    "[labels]\nbeach = {threshold = 0}\n'Animals/Dog' = ['puppy', 'hound']",
    "[labels]\nbeach = {threshold = 1}\n'Animals/Dog' = ['puppy', 'hound']",
    "[labels]\nbeach = {prompts = ['0']}\n'Animals/Dog' = ['puppy', 'hound']",
    "[labels]\nbeach = {examples = ['/dev/../etc/passwd']}\n'Animals/Dog' = ['puppy', 'hound']",
    SAME[0] + "\n[groups.x]\nat-most-one = ['beach', 'Animals/Dog']",
    SAME[0] + "\n[groups.x]\nexactly-one = ['beach', 'Animals/Dog']",
    "others = ['sea']\n" + SAME[0],
    "others = ['sea', 'wolf']\n" + SAME[0],
    SAME[0] + "\nsea = []",
]


def test_what_means_the_same_has_the_same_hash() -> None:
    assert {tabled(text).hash for text in SAME} == {listed("Animals/Dog = puppy, hound\nbeach").hash}


def test_what_means_something_else_has_another_hash() -> None:
    texts = [SAME[0], *OTHER]
    assert len({tabled(text).hash for text in texts}) == len(texts)


def test_the_order_of_others_means_nothing_and_no_others_are_empty_others() -> None:
    same = ["others = ['sea', 'wolf']\nlabels.dog = []", "others = ['wolf', 'sea']\nlabels.dog = []"]
    assert len({tabled(text).hash for text in same}) == 1
    assert tabled("others = []\nlabels.dog = []").hash == listed("dog").hash


@settings(deadline=None)
@given(
    st.lists(st.lists(st.sampled_from("abcd"), max_size=2, unique=True), min_size=2, max_size=2), st.randoms()
)
def test_two_lists_have_one_hash_exactly_if_they_mean_the_same(
    parts: list[list[str]], random: Random
) -> None:
    def made(words: list[str]) -> LabelList:
        labels = [Label.of(f"L/{word}", (f"{word}1", f"{word}2")) for word in words] + [
            Label.of("x"),
            Label.of("y"),
        ]
        random.shuffle(labels)
        return LabelList(tuple(labels), (Group(random.choice("mn"), tuple(random.sample("xy", 2)), True),))

    one, other = map(made, parts)
    assert (one.hash == other.hash) == (set(parts[0]) == set(parts[1]))


# -- round trips ----------------------------------------------------------------------------------

LETTERS = st.sampled_from(string.ascii_letters + "0123456789éß中 -_.'\"\\&<>#[]%:;!")
WORDS = st.text(LETTERS, min_size=1, max_size=8).map(lambda text: " ".join(text.split())).filter(bool)
SHARES = st.floats(0, 1)


@st.composite
def label_lists(draw: st.DrawFn) -> LabelList:
    """Any list that a labels.toml can mean."""
    words = iter(draw(st.lists(WORDS, min_size=12, max_size=24, unique_by=str.casefold)))
    labels = []
    for _ in range(draw(st.integers(1, 4))):
        levels = [next(words) for _ in range(draw(st.integers(1, 2)))]
        synonyms = tuple(next(words) for _ in range(draw(st.integers(0, 1))))
        prompts = draw(
            st.lists(
                WORDS.map(lambda word: word + draw(st.sampled_from(["", " {}"]))), max_size=2, unique=True
            )
        )
        threshold = draw(st.none() | SHARES)
        examples = draw(
            st.sampled_from([(), (os.fsencode(__file__),), (b"/etc/passwd", os.fsencode(__file__))])
        )
        labels.append(
            Label.of("/".join(levels), synonyms)._replace(
                prompts=tuple(prompts), threshold=threshold, examples=examples
            )
        )
    names = [label.name for label in labels]
    groups = [Group("'a' \"group\"", tuple(names[:2]), draw(st.booleans()))] if len(names) > 1 else []
    others = list(words)[: draw(st.integers(0, 3))]
    return LabelList(tuple(labels), tuple(groups), tuple(others))


def applied(labels: LabelList, thresholds: dict[str, float]) -> LabelList:
    """``labels`` with ``thresholds``."""
    changed = (
        label._replace(threshold=thresholds.get(label.name, label.threshold)) for label in labels.labels
    )
    return labels._replace(labels=tuple(changed))


@settings(deadline=None)
@given(label_lists(), st.data())
def test_a_list_that_is_written_and_read_is_the_same_with_its_thresholds(
    labels: LabelList, data: st.DataObject
) -> None:
    thresholds = data.draw(st.dictionaries(st.sampled_from(labels.names), SHARES))
    again = tabled(with_thresholds(None, labels, thresholds))
    assert again == applied(labels, thresholds)
    assert again.hash == applied(labels, thresholds).hash


@settings(deadline=None)
@given(label_lists())
def test_lines_that_are_written_and_read_are_the_same(labels: LabelList) -> None:
    simple = [
        label
        for label in labels.labels
        if not label.name.startswith("#")
        and not any(" # " in f" {word} " for word in label.words)
        and not label.name.startswith("[")
    ]
    lines = [
        f"{label.name} = {', '.join(label.words[1:])}" if label.words[1:] else label.name for label in simple
    ]
    if lines:
        assert listed("\n".join(lines)).labels == tuple(Label(label.name, label.words) for label in simple)


FORMS = {
    "header": "[labels.{key}] # {comment}\n{body}\n# after\n\n",
    "short": "labels.{key} = [ # {comment}\n  {synonyms}\n]\n",
    "braces": "labels.{key} = {{{inline}}} # {comment}\n",
    "dotted": "{dotted}\n",
}


@st.composite
def written(draw: st.DrawFn) -> str:
    """A labels.toml as a person may write it: each label in one of the forms, with comments."""
    labels = draw(label_lists())
    dotted, tables = [], []
    for label in labels.labels:
        key = draw(st.sampled_from([quoted, literal]))(label.name)
        synonyms = ", ".join(map(quoted, label.words[1:]))
        settings = [f"synonyms = [{synonyms}]"] if draw(st.booleans()) else []
        if draw(st.booleans()):
            settings.append("threshold = 0.125")
        form = draw(st.sampled_from(sorted(FORMS)))
        if form == "dotted" and not settings:
            form = "braces"
        text = FORMS[form].format(
            key=key,
            comment="threshold = 'no', [labels.x]",
            synonyms=synonyms,
            body="\n".join(settings),
            inline=", ".join(settings),
            dotted="\n".join(f"labels.{key}.{setting}" for setting in settings),
        )
        (tables if form == "header" else dotted).append(text)
    others = (
        [f"others = [ # threshold = 1\n  {', '.join(map(quoted, labels.others))} ]\n"]
        if labels.others
        else []
    )
    end = draw(st.sampled_from(["\n", "\r\n"]))
    return ("# top\n" + "".join(others) + "".join(dotted) + "".join(tables)).strip("\n").replace("\n", end)


def quoted(text: str) -> str:
    """``text`` as a TOML string, every second one with escapes."""
    return json.dumps(text, ensure_ascii=len(text) % 2 == 0)


def literal(text: str) -> str:
    return f"'{text}'" if "'" not in text else quoted(text)


@settings(deadline=None)
@given(written(), st.data())
def test_thresholds_are_set_in_a_text_and_nothing_else_changes(text: str, data: st.DataObject) -> None:
    labels = tabled(text)
    thresholds = data.draw(st.dictionaries(st.sampled_from(labels.names), SHARES))
    new = with_thresholds(text, labels, thresholds)
    assert tabled(new) == applied(labels, thresholds)
    assert comments(new) == comments(text)
    assert new.count("\r\n") == new.count("\n") or "\r" not in text
    assert with_thresholds(new, labels, thresholds) == new


def comments(text: str) -> list[str]:
    return [
        line[line.index("# ") :]
        for line in text.splitlines()
        if "# top" in line or "# after" in line or "# thres" in line
    ]


def test_thresholds_are_set_where_a_person_would_set_them() -> None:
    text = """\
# my labels
threshold = 0.6  # for all

[labels]
beach = []  # sand
dog = [
  "puppy",  # small
]
bird = { synonyms = ["fowl"] }
fish = {}
lion.synonyms = ["cat"]

[labels."Animals/Cow"]  # moo
synonyms = ["ox"]

# the last
[labels.'Animals/Pig']
threshold = 0.1 # was 0.2
"""
    labels = tabled(text)
    assert (
        with_thresholds(text, labels, dict.fromkeys(labels.names, 0.25))
        == """\
# my labels
threshold = 0.6  # for all

[labels]
beach = { synonyms = [], threshold = 0.25 }  # sand
dog = { synonyms = [
  "puppy",  # small
], threshold = 0.25 }
bird = { threshold = 0.25, synonyms = ["fowl"] }
fish = { threshold = 0.25 }
lion.threshold = 0.25
lion.synonyms = ["cat"]

[labels."Animals/Cow"]  # moo
threshold = 0.25
synonyms = ["ox"]

# the last
[labels.'Animals/Pig']
threshold = 0.25 # was 0.2
"""
    )


def test_line_ends_of_two_kinds_do_not_lead_a_threshold_to_the_next_table() -> None:
    text = "[labels.a]\n[labels.b]\r\n"
    assert with_thresholds(text, tabled(text), {"a": 0.5, "b": 1}) == (
        "[labels.a]\r\nthreshold = 0.5\n[labels.b]\r\nthreshold = 1.0\r\n"
    )


def test_thresholds_of_a_list_of_lines_become_tables() -> None:
    assert with_thresholds(None, listed("dog = puppy\nbeach"), {"beach": 0.5}) == (
        '[labels.dog]\nsynonyms = ["puppy"]\n\n[labels.beach]\nthreshold = 0.5\n'
    )


def test_a_text_that_moves_to_another_folder_finds_its_examples(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    text = "labels.dog.examples = ['a.jpg']  # he\n[labels.cat]\n"
    labels = tabled(text, os.fsencode(tmp_path))
    moved = with_thresholds(text, labels, {"cat": 1.0}, moved=True)
    assert tabled(moved, b"/nowhere") == applied(labels, {"cat": 1.0})
    assert "# he" in moved
    assert "['a.jpg']" in with_thresholds(text, labels, {"cat": 1.0})


def test_thresholds_leave_others_as_they_stand() -> None:
    text = "others = [\n  'sea',  # blue\n]\n[labels.dog]\n"
    labels = tabled(text)
    assert with_thresholds(text, labels, {"dog": 0.5}) == text + "threshold = 0.5\n"
    assert with_thresholds(None, labels, {"dog": 0.5}) == (
        'others = ["sea"]\n\n[labels.dog]\nthreshold = 0.5\n'
    )


# -- where things stand ---------------------------------------------------------------------------


def paths_of(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the paths of all keys and elements below ``value``."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in pairs:
        yield (*path, key)
        yield from paths_of(below, (*path, key))


@settings(deadline=None)
@given(written())
def test_every_key_and_element_of_a_text_has_a_place(text: str) -> None:
    assert set(places(text)) == set(paths_of(parse(text)))


def test_places_are_those_of_the_keys() -> None:
    text = '''\
a.b = """
[no]
key = 1 # \\""" still
""" # [no] x = 1
"qu\\u006fted # key" = [ 1, # one
  [2, {x = 3.5}], ]
c = { d.e = '[', f = 1979-05-27 07:32:00 }

[t."u.v"] # [no]
w = \'\'\'x = 1
\'\'\'
[[r]]
[[r]]
y = 1'''
    assert set(paths_of(parse(text))) - {("r", 0), ("r", 1), ("r", 1, "y")} <= set(places(text))
    lines = {
        ("a",): 1, ("a", "b"): 1, ("quoted # key",): 5, ("quoted # key", 0): 5, ("quoted # key", 1): 6,
        ("quoted # key", 1, 1, "x"): 6, ("c", "d", "e"): 7, ("c", "f"): 7, ("t",): 9, ("t", "u.v"): 9,
        ("t", "u.v", "w"): 10, ("r",): 12, ("nothing",): 1, ("t", "nothing", 3): 9,
    }  # fmt: skip
    assert {path: line_of(text, path) for path in lines} == lines


# -- what others do -------------------------------------------------------------------------------


def test_an_other_takes_a_wrong_tag_away_and_is_none_itself(shell: Shell, photos: Path) -> None:
    for number, colour in enumerate(("red", "orange", "green", "blue", "white", "black") * 2):
        paint(photos / f"{colour}-{number}.png", colour, number)
    shell.index(photos)
    labels = photos.parent / "labels.toml"

    def tags(others: list[str]) -> dict[str, list[str]]:
        labels.write_text(f"others = {others}\n[labels]\n'red orange' = []\ngreen = []\n")
        answer = shell("tag", "--labels", labels, "-f", "jsonl").fine()
        assert b"grey" not in answer.out
        return {Path(row["path"]).stem: [tag["label"] for tag in row["tags"]] for row in answer.rows}

    right = {"red-0": ["red orange"], "red-6": ["red orange"], "green-2": ["green"], "green-8": ["green"]}
    wrong = {"orange-1": ["red orange"], "orange-7": ["red orange"]}
    assert {name: some for name, some in tags(["grey"]).items() if some} == right | wrong
    assert {name: some for name, some in tags(["grey", "orange"]).items() if some} == right
    assert {row["label"] for row in shell("tags", "--json").fine().rows} == {"red orange", "green"}
    explain = ("tag", "--labels", labels, "--explain", photos / "orange-1.png", "-f", "jsonl")
    rivals = {row["label"]: row["rival"] for row in shell(*explain).fine().rows}
    assert (set(rivals), rivals["red orange"]) == ({"red orange", "green"}, "orange")


# -- the lists that come with photoclip ------------------------------------------------------------

SIZES = {
    "documents-and-screens": (20, 40),
    "everyday": (60, 150),
    "scenes": (40, 80),
    "screening": (12, 25),
}


def test_there_are_four_lists_of_a_useful_size() -> None:
    assert starter_lists() == tuple(SIZES)
    for name, (least, most) in SIZES.items():
        assert least <= len(open_labels(f"builtin:{name}").labels) <= most


@pytest.mark.parametrize("name", SIZES)
def test_a_list_begins_with_what_it_is_for_and_where_it_ends(name: str) -> None:
    head = label_text(f"builtin:{name}").partition("\n\n")[0]
    assert head.startswith("# ")
    assert "Limits:" in head


@pytest.mark.parametrize("name", SIZES)
def test_no_list_decides_thresholds_ahead(name: str) -> None:
    assert {label.threshold for label in open_labels(f"builtin:{name}").labels} == {None}


def test_every_label_of_the_screening_has_prompts_of_its_own_and_harmless_things_compete() -> None:
    screening = open_labels("builtin:screening")
    assert all(len(label.prompts) >= 3 for label in screening.labels)
    assert len(screening.others) >= 15


def test_a_list_that_is_not_there_is_an_error_that_says_which_are() -> None:
    assert complaint(lambda: open_labels("builtin:nothing")) == (
        "there is no list builtin:nothing",
        "there are documents-and-screens, everyday, scenes, screening",
    )
    assert complaint(lambda: open_labels("builtin:everday"))[1] == "did you mean 'builtin:everyday'?"


def test_reading_lines_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom photoclip.labels import read_labels\nread_labels('dog', 'x').hash\n"
        "sys.exit(' '.join({'tomllib', 'numpy', 'difflib', 'typer', 'tomlkit'} & sys.modules.keys()) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


# -- the guide ------------------------------------------------------------------------------------

GUIDE = ROOT / "docs" / "guide" / "label-files.md"


def test_the_examples_of_the_guide_can_be_used(tmp_path: Path) -> None:
    lines, tables, others = re.findall(r"```(?:text|toml)\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    for name in re.findall(r'"([\w-]+\.jpg)"', tables):
        (tmp_path / name).touch()
    assert listed(lines).names == ("beach", "dog", "Animals/Birds/Owl", "C# book")
    assert len(tabled(tables, os.fsencode(tmp_path)).labels) == 6
    assert tabled(others).others == ("skirt", "clothes on a hanger")


@pytest.mark.parametrize("name", SIZES)
def test_the_guide_counts_the_labels_of_a_list(name: str) -> None:
    count = len(open_labels(f"builtin:{name}").labels)
    assert f"| `builtin:{name}` | {count} |" in GUIDE.read_text("utf-8")

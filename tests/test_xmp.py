"""Keywords in XMP: read from every form they come in, added and taken away without touching anything else."""

from __future__ import annotations

import codecs
import re
import time
from xml.etree import ElementTree

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from photoclip import xmp
from photoclip.xmp import EMPTY, Keywords, NotXmp, keywords, with_labels, without_labels
from tests.sidecar_shapes import DARKTABLE, DIGIKAM, LIGHTROOM, OTHER_PREFIXES, PADDED, SHAPES, packet

EMPTY_LISTS = [
    "<dc:subject/>",
    "<dc:subject />",
    "<dc:subject></dc:subject>",
    "<dc:subject>\n  </dc:subject>",
    "<dc:subject><rdf:Bag/></dc:subject>",
    "<dc:subject>\n   <rdf:Bag />\n  </dc:subject>",
    "<dc:subject><rdf:Bag></rdf:Bag></dc:subject>",
    "<dc:subject><rdf:Seq>\n\n</rdf:Seq></dc:subject><lr:hierarchicalSubject/>",
    "<dc:subject><rdf:Bag><!-- none --></rdf:Bag></dc:subject>",
]

spaces = st.sampled_from(["", " ", "\n", "\r\n", "\n\t", "\n    ", "\n\n  ", "\n<!-- note -->\n", "<?note?>"])
foreign = st.sampled_from(
    ["<dc:title>t</dc:title>", "<a:b xmlns:a='urn:a'><a:c/>text<!-- x --></a:b>", "<lr:weightedFlatSubject/>"]
)


@st.composite
def packets(draw: st.DrawFn) -> bytes:
    """Packets that no program has written yet: lists, empty or not, anywhere, and space of any kind."""

    def entries() -> str:
        texts = draw(
            st.lists(st.sampled_from(["dog", "x &amp; y", "a|b", "holiday"]), max_size=3, unique=True)
        )
        inside = "".join(f"{draw(spaces)}<r:li>{text}</r:li>" for text in texts) + draw(spaces)
        kind = draw(st.sampled_from(["Bag", "Seq", "Alt"]))
        return draw(st.sampled_from([f"<r:{kind}>{inside}</r:{kind}>", f"<r:{kind}/>", ""]))

    def lists() -> list[str]:
        names = draw(
            st.lists(st.sampled_from(["dc:subject", "lr:hierarchicalSubject"]), unique=True, max_size=2)
        )
        full = [f"<{name}>{draw(spaces)}{entries()}{draw(spaces)}</{name}>" for name in names]
        return [
            one if draw(st.booleans()) else re.sub(r"^(<[^<>]*)></[^<>]*>$", r"\1/>", one) for one in full
        ]

    properties = draw(st.permutations([*lists(), *draw(st.lists(foreign, max_size=2))]))
    more = draw(st.lists(foreign, max_size=2))
    descriptions = [
        f"<r:Description r:about='&lt;'>{''.join(draw(spaces) + one for one in some)}\n</r:Description>"
        for some in draw(st.permutations([properties, more]))
    ]
    body = "".join(draw(spaces) + one for one in descriptions) + draw(spaces)
    names = "xmlns:dc='http://purl.org/dc/elements/1.1/' xmlns:lr='http://ns.adobe.com/lightroom/1.0/'"
    return f"<r:RDF {names} xmlns:r='{RDF}'>{body}</r:RDF>{draw(st.sampled_from(['', chr(10)]))}".encode()


RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
shapes = st.one_of(st.sampled_from([*SHAPES.values(), *map(packet, EMPTY_LISTS)]), packets())
hostile = st.sampled_from(
    ["]]>", "&amp;", "<b>", "a<!--b", "'\"", "<?x?>", "</rdf:li>", "👩\u200d👩\u200d👧", "عربي", "עִבְרִית",
     "x\0y", "\u202eevil", "\ud800", "Dog", "dog", "holiday", "a|b", "e\u0301", "\ufffe", "  ", "&#0;"]
)  # fmt: skip
levels = st.one_of(hostile, st.text(max_size=12)).map(lambda text: text.replace("/", ""))
labels = st.lists(st.lists(levels, min_size=1, max_size=3).map("/".join), max_size=4)


def li(*texts: str) -> str:
    return "".join(f"<rdf:li>{text}</rdf:li>" for text in texts)


def subject(*texts: str) -> str:
    return f"<dc:subject><rdf:Bag>{li(*texts)}</rdf:Bag></dc:subject>"


def tree(data: bytes) -> list[tuple[str, dict[str, str], str]]:
    """Return what an XML reader of somebody else's sees, in order."""
    return [
        (one.tag, one.attrib, (one.text or "").strip())
        for one in ElementTree.fromstring(data).iter()
        if isinstance(one.tag, str)
    ]


def listed(data: bytes, name: str) -> list[str]:
    """Return the entries of a list, as that reader sees them."""
    root = ElementTree.fromstring(data)
    return [one.text or "" for one in root.findall(f".//{name}/*/{{{RDF}}}li")]


FLAT = "{http://purl.org/dc/elements/1.1/}subject"
PATHS = "{http://ns.adobe.com/lightroom/1.0/}hierarchicalSubject"


# -- reading --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("darktable", ("places/Sylt", "holiday")),
        ("digiKam", ("Animals/Dog", "garden")),
        ("with a mark", ("Animals/Dog", "garden")),
        ("in UTF-16", ("Animals/Dog", "garden")),
        ("Lightroom", ()),
        ("other prefixes", ("one", "zwei")),
    ],
)
def test_keywords_are_read_as_each_program_writes_them(shape: str, expected: tuple[str, ...]) -> None:
    own, ours = keywords(SHAPES[shape])
    assert sorted(own) == sorted(expected)
    assert ours == ()


@pytest.mark.parametrize(
    "properties",
    [
        subject("a", "b"),
        "<dc:subject><rdf:Seq><rdf:li>a</rdf:li> <rdf:li>b</rdf:li></rdf:Seq></dc:subject>",
        "<dc:subject><rdf:Alt><rdf:li xml:lang='de'>a</rdf:li><rdf:li>b</rdf:li></rdf:Alt></dc:subject>",
        "<dc:subject><rdf:Bag><rdf:_1>a</rdf:_1><rdf:_2>b</rdf:_2></rdf:Bag></dc:subject>",
        "<dc:subject>a</dc:subject><dc:subject>b</dc:subject>",
        "<dc:subject rdf:parseType='Resource'><rdf:value>a</rdf:value></dc:subject>" + subject("b"),
        "<dc:subject><rdf:Description><rdf:value>a</rdf:value></rdf:Description></dc:subject>" + subject("b"),
        "<dc:subject><rdf:Bag><rdf:li rdf:parseType='Resource'><rdf:value>a</rdf:value></rdf:li></rdf:Bag>"
        "</dc:subject>" + subject("b"),
        "<dc:subject><rdf:Bag><rdf:li rdf:value='a' dc:x='q'/><rdf:li>b</rdf:li></rdf:Bag></dc:subject>",
        subject("&#97;", "<![CDATA[b]]>"),
        subject("\n  a  ", "b\u202e"),
        f"{subject('a')}</rdf:Description><rdf:Description rdf:about=''>{subject('b')}",
    ],
)
def test_all_forms_of_a_list_are_read(properties: str) -> None:
    assert keywords(packet(properties)) == Keywords(("a", "b"), ())


def test_keywords_are_read_from_an_attribute() -> None:
    assert keywords(packet("", about='dc:subject="a"')) == Keywords(("a",), ())


def test_a_level_of_a_hierarchical_keyword_is_not_a_keyword_besides_it() -> None:
    properties = subject("Animals", "dog", "24/7", "garden") + subject("Animals|Dog", "Time|24/7").replace(
        "dc:subject", "lr:hierarchicalSubject"
    )
    assert keywords(packet(properties)).own == ("Animals/Dog", "Time/24/7", "garden")


def test_keywords_are_one_line_each_and_no_more_than_allowed() -> None:
    many = keywords(packet(subject("x" * 500, "a\n\tb\x7fc", *(str(number) for number in range(2000))))).own
    assert many[:2] == ("x" * 200, "a b c")
    assert len(many) == 1000


@given(shapes, labels)
def test_what_is_read_is_clean(shape: bytes, wanted: list[str]) -> None:
    for text in [one for part in keywords(with_labels(shape, wanted)) for one in part]:
        assert text
        assert len(text) <= 200
        assert not re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]", text)


# -- refusing -------------------------------------------------------------------------------------

BOMB = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">' + b"".join(
    b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(9)
)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not well-formed XML: no element found"),
        (b"\0" * 100, "not well-formed XML"),
        (DARKTABLE[:-30], "not well-formed XML"),
        (DARKTABLE[:900], "not well-formed XML"),
        (DARKTABLE + DARKTABLE, "not well-formed XML"),
        (BOMB + b"]>" + DARKTABLE, "document type declaration"),
        (b"<!DOCTYPE x SYSTEM 'file:///etc/passwd'>" + DARKTABLE, "document type declaration"),
        (DARKTABLE.replace(b"Sylt", b"&evil;"), "not well-formed XML: undefined entity"),
        (DARKTABLE.replace(b"Sylt", b"\xff\xfe"), "not well-formed XML"),
        (DARKTABLE.replace(b"UTF-8", b"ISO-8859-1"), "written in 'ISO-8859-1'"),
        (DARKTABLE.replace(b"xmlns:dc=", b"xmlns:no="), "unbound prefix"),
        (b"\xff\xfe<\0\0\xd8", "not valid UTF-16"),
        (b"\xff\xfe\0\0<\0\0\0a\0\0\0", "not well-formed XML"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no rdf:RDF"),
        (b"<a>" * 200_000, "nested too deeply"),
        (b"<a>" + b"<b/>" * 2_000_000 + b"</a>", "too many"),
        (b"<a>" + b" " * (17 << 20) + b"</a>", "larger than 16 MB"),
        (b"<a " + b"".join(b"b%d='' " % n for n in range(200_000)) + b">", "too many"),
        (b"<a>" + b"<!---->" * 2_000_000 + b"</a>", "too many"),
        (b"<a xmlns:b='" + b"x" * 100_000 + b"'>" + b"<b:c/>" * 60_000 + b"</a>", "too long a name"),
    ],
)
def test_what_cannot_be_read_is_refused_at_once_and_says_why(data: bytes, reason: str) -> None:
    began = time.monotonic()
    for attempt in (
        lambda: keywords(data), lambda: with_labels(data, ["a"]), lambda: without_labels(data, None)
    ):  # fmt: skip
        with pytest.raises(NotXmp, match=reason):
            attempt()
    assert time.monotonic() - began < 10


@given(st.sampled_from(list(SHAPES.values())), st.data())
def test_damage_is_read_or_refused_and_never_anything_else(shape: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(shape)))
    harm = data.draw(
        st.sampled_from([b"", b"<", b"\0", b"<x:y", b"]]>", b'"', b"<!DOCTYPE a>", shape[at:][:99]])
    )
    harmed = shape[:at] + harm + shape[at + data.draw(st.integers(0, 30)) :]
    try:
        own = keywords(harmed).own
        after = with_labels(harmed, ["New/Label"])
    except NotXmp:
        return
    assert keywords(after).own == own
    assert without_labels(after, None) == harmed


@pytest.mark.parametrize(
    "properties",
    [
        "<dc:subject>dog</dc:subject>",
        "<dc:subject rdf:parseType='Resource'/>",
        "<dc:subject rdf:resource='a'/>",
    ],
)
def test_keywords_that_are_no_list_are_read_but_not_added_to(properties: str) -> None:
    with pytest.raises(NotXmp, match="not written as a list"):
        with_labels(packet(properties), ["cat"])


def test_neither_are_keywords_in_an_attribute() -> None:
    with pytest.raises(NotXmp, match="not written as a list"):
        with_labels(packet("", about="dc:subject=''"), ["cat"])


def test_a_list_in_which_rdf_has_no_name_is_left_alone() -> None:
    shape = packet('<dc:subject xmlns:rdf="urn:other"/>')
    with pytest.raises(NotXmp, match="namespaces"):
        with_labels(shape, ["cat"])


def test_a_record_that_somebody_emptied_is_filled_again() -> None:
    ours = with_labels(LIGHTROOM, ["cat"])
    emptied = re.sub(
        rb"(<photoclip:addedFor>).*(</photoclip:addedFor>)", rb"\1<rdf:Bag/>\2", ours, flags=re.DOTALL
    )
    again = with_labels(emptied, ["cat", "dog"])
    assert keywords(again).ours == ("cat", "dog")
    assert without_labels(again, None) == LIGHTROOM


# -- adding ---------------------------------------------------------------------------------------


def test_a_label_is_written_level_by_level_and_as_a_path() -> None:
    made = with_labels(None, ["Animals/Dog", "beach"])
    assert listed(made, FLAT) == ["Animals", "Dog", "beach"]
    assert listed(made, PATHS) == ["Animals|Dog"]
    assert keywords(made) == Keywords((), ("Animals/Dog", "beach"))


def test_a_new_sidecar_depends_on_its_labels_only() -> None:
    assert (
        with_labels(None, ["b", "a/c"])
        == with_labels(None, {"a/c": 1, "b": 2})
        == with_labels(EMPTY, ["a/c", "b"])
    )
    assert with_labels(None, []) == EMPTY


@given(shapes, labels, labels)
@example(EMPTY, ["dog", "Dog"], ["DOG"])
def test_adding_changes_nothing_but_what_is_ours(shape: bytes, first: list[str], second: list[str]) -> None:
    once = with_labels(shape, first)
    assert with_labels(once, first) == once
    twice = with_labels(once, second)
    assert keywords(twice).own == keywords(shape).own
    seen = tree(twice)
    for element in tree(shape):  # in the order they were in
        assert element in seen
        seen = seen[seen.index(element) + 1 :]


@given(labels)
def test_what_is_added_is_read_again(wanted: list[str]) -> None:
    read = {xmp.key(one) for one in keywords(with_labels(None, wanted)).ours}
    names = [[xmp.one_line(level) for level in re.split("[/|]", label)] for label in wanted]
    for parts in names:
        path = "/".join(filter(None, parts))
        assert not path or xmp.key(path) in read or any(xmp.key(path) in one.split("/") for one in read)


def test_what_the_user_has_is_neither_added_nor_claimed() -> None:
    after = with_labels(DARKTABLE, ["HOLIDAY", "Places/Sylt"])
    assert after == DARKTABLE
    after = with_labels(DARKTABLE, ["places/Rome"])
    assert listed(after, FLAT) == ["holiday", "places", "Sylt", "Rome"]
    assert keywords(after) == Keywords(("holiday", "places/Sylt"), ("places/Rome",))
    assert without_labels(after, None) == DARKTABLE


def test_what_the_user_has_in_another_list_is_the_users_too() -> None:
    lists = subject("Dog").replace("dc:subject", "lr:hierarchicalSubject")
    assert with_labels(packet(lists), ["dog"]) == packet(lists)
    tags = subject("Animals/Dog").replace("dc:subject", "d:TagsList")
    with_tags = packet(tags, 'xmlns:d="http://www.digikam.org/ns/1.0/"')
    after = with_labels(with_tags, ["Animals/Dog", "Animals/Cat"])
    assert listed(after, PATHS) == ["Animals|Cat"]
    assert keywords(after) == Keywords(("Animals/Dog",), ("Animals/Cat", "Animals/Dog"))
    assert without_labels(after, None) == with_tags


def test_what_the_user_deleted_does_not_come_back() -> None:
    ours = with_labels(LIGHTROOM, ["dog", "cat"])
    deleted = ours.replace(b"     <rdf:li>dog</rdf:li>\n", b"", 1)
    assert keywords(deleted).ours == ("cat", "dog")  # so that --remove knows of it
    assert with_labels(deleted, ["dog", "cat"]) == deleted
    assert without_labels(deleted, None) == LIGHTROOM


def test_what_another_program_copied_from_us_is_still_ours() -> None:
    ours = with_labels(DIGIKAM, ["Plants/Rose"])
    copied = ours.replace(
        b"<rdf:li>Animals/Dog</rdf:li>", b"<rdf:li>Animals/Dog</rdf:li><rdf:li>Plants/Rose</rdf:li>"
    )
    assert keywords(copied) == Keywords(("Animals/Dog", "garden"), ("Plants/Rose",))


def test_a_file_is_written_in_its_own_manner() -> None:
    tabs = with_labels(SHAPES["Camera Raw"], ["dog"])
    assert b'\r\n\t\t<rdf:Description rdf:about="uuid:faf5bdd5-ba3d-11da-ad31-d33d75182f1b"\r\n' in tabs
    assert b"\r\n\t\t\t\t\t<rdf:li>dog</rdf:li>\r\n" in tabs
    assert not re.search(rb"(?<!\r)\n", tabs)
    line = with_labels(PADDED, ["dog"])
    assert line.count(b"\n") == PADDED.count(b"\n")
    foreign = with_labels(OTHER_PREFIXES, ["dog"])
    assert b"<li xml:lang='de'>zwei</li><li>dog</li></Seq>" in foreign
    assert b"""<rdf:Description rdf:about='a "quoted" one'""" in foreign
    wide = with_labels(SHAPES["in UTF-16"], ["Hündchen"])
    assert wide.startswith(codecs.BOM_UTF16_LE)
    assert "<rdf:li>Hündchen</rdf:li>".encode("utf-16-le") in wide


# -- taking away ----------------------------------------------------------------------------------


@given(shapes, labels)
def test_taking_all_away_gives_the_bytes_back(shape: bytes, wanted: list[str]) -> None:
    assert without_labels(with_labels(shape, wanted), None) == shape


@pytest.mark.parametrize(
    "inside", ["/>", " />", "></rdf:RDF>", ">\n</rdf:RDF>", "><!-- nothing --></rdf:RDF>"]
)
def test_a_packet_that_says_nothing_is_given_back_too(inside: str) -> None:
    shape = f'<rdf:RDF xmlns:rdf="{RDF}"{inside}'.encode()
    assert keywords(with_labels(shape, ["A/b"])).ours == ("A/b",)
    assert without_labels(with_labels(shape, ["A/b"]), None) == shape


@given(labels)
def test_of_a_sidecar_of_ours_nothing_is_left(wanted: list[str]) -> None:
    assert without_labels(with_labels(None, wanted), None) is None


@given(shapes, labels, labels)
@example(EMPTY, ["Animals"], ["Animals/Dog"])
@example(EMPTY, ["Animals/Dog"], ["Animals", "Dog"])
@example(LIGHTROOM, ["Animals/Dog"], ["Animals/Cat"])
def test_labels_that_come_and_go_leave_the_others_as_they_were(
    shape: bytes, first: list[str], second: list[str]
) -> None:
    keys = {xmp.key("/".join(filter(None, map(xmp.one_line, re.split("[/|]", one))))) for one in first}
    new = [
        one for one in second
        if xmp.key("/".join(filter(None, map(xmp.one_line, re.split("[/|]", one))))) not in keys
    ]  # fmt: skip
    before = with_labels(shape, first)
    after = without_labels(with_labels(before, new), new)
    assert (after or EMPTY) == before


def test_a_level_stays_while_another_label_needs_it() -> None:
    both = with_labels(DARKTABLE, ["Animals/Dog", "Animals/Cat"])
    left = without_labels(both, ["Animals/Dog"])
    assert left is not None
    assert listed(left, FLAT) == ["holiday", "places", "Sylt", "Animals", "Cat"]
    assert keywords(left).ours == ("Animals/Cat",)


def test_what_others_added_meanwhile_stays() -> None:
    ours = with_labels(LIGHTROOM, ["dog"])
    theirs = ours.replace(
        b"     <rdf:li>dog</rdf:li>\n", b"     <rdf:li>dog</rdf:li><rdf:li>beach</rdf:li>\n", 1
    )
    left = without_labels(theirs.replace(b"+0.35", b"+0.70"), None)
    assert left is not None
    assert keywords(left) == Keywords(("beach",), ())
    assert b"<photoclip:" not in left
    assert without_labels(with_labels(left, ["dog"]), None) == left


def test_a_program_that_writes_all_of_it_anew_loses_neither_ours_nor_theirs() -> None:
    ours = with_labels(DARKTABLE, ["Animals/Dog", "beach"])
    anew = ElementTree.tostring(ElementTree.fromstring(ours))  # with prefixes ns0, ns1, …
    assert keywords(anew) == keywords(ours)
    more = with_labels(anew, ["beach", "forest"])
    assert keywords(more).ours == ("Animals/Dog", "beach", "forest")
    left = without_labels(more, None)
    assert left is not None
    assert tree(left) == tree(DARKTABLE)


def test_a_program_that_merges_descriptions_loses_neither() -> None:
    ours = with_labels(LIGHTROOM, ["Animals/Dog"])
    merged = re.sub(rb"\s*</rdf:Description>\s*<rdf:Description rdf:about=\"\"[^>]*>", b"", ours)
    for prefix, name in re.findall(rb"xmlns:(dc|lr|photoclip)=(\"[^\"]*\")", ours):
        merged = merged.replace(b"<rdf:Description ", b"<rdf:Description xmlns:%s=%s " % (prefix, name), 1)
    more = with_labels(merged, ["beach", "Plants/Rose"])
    assert keywords(more) == Keywords((), ("Animals/Dog", "Plants/Rose", "beach"))
    assert without_labels(more, ["beach", "Plants/Rose"]) == merged
    left = without_labels(more, None)
    assert left is not None
    assert tree(left) == tree(LIGHTROOM)


def test_without_our_list_of_labels_the_record_is_enough() -> None:
    ours = with_labels(LIGHTROOM, ["Animals/Dog", "beach"])
    lost = re.sub(rb"\s*<photoclip:addedFor>.*</photoclip:addedFor>", b"", ours, flags=re.DOTALL)
    assert lost != ours
    left = without_labels(lost, ["Animals/Dog"])
    assert left is not None
    assert listed(left, FLAT) == ["beach"]
    assert without_labels(left, None) == LIGHTROOM


def test_nothing_of_ours_means_nothing_to_take() -> None:
    assert without_labels(DIGIKAM, None) == DIGIKAM
    assert without_labels(with_labels(DIGIKAM, ["x"]), ["y"]) == with_labels(DIGIKAM, ["x"])


def test_a_large_sidecar_is_changed_in_a_moment() -> None:
    large = packet(subject(*(f"word{number}" for number in range(20_000))))
    began = time.monotonic()
    after = with_labels(large, ["Animals/Dog"])
    assert without_labels(after, None) == large
    assert time.monotonic() - began < 10

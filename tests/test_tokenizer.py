from __future__ import annotations

import gzip
import random
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import open_clip
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip.tokenizer import SimpleTokenizer

from photoclip.encoders.tokenizer import Tokenizer, merge_table

FULL = Path(open_clip.__file__).parent / "bpe_simple_vocab_16e6.txt.gz"

FRAGMENTS = """
a photo of dog cat sunset beach mountain, don't they're we'll I'm you've she'd it's THE QUICK Brown-Fox's
1 22 1999 3.14 24/12 0x1F snake_case CamelCase e-mail@example.org #tag 50% (brackets) [x] {y}
<b>bold</b> \\ / | ~ ` ^
'S 'T 'RE ''s s's '' ' " ... --- !!! ?! :-) ;) <start_of_text> <end_of_text> <START_OF_TEXT> !<end_of_text>
&amp; &lt;b&gt; &amp;amp;lt; &#39;s &eacute; &nbsp; & && &; &#x1F600; &notit;
Zürich garçon naïve façade œuvre Straße İstanbul ǅ ﬁne ﬂow Å ½ ² Ⅷ ٣ ४ ſ 'ſ
café caf\u00e9 cafe\u0301 n\u0303 \u0301 a\u0300\u0301\u0302 ｆｕｌｌｗｉｄｔｈ
日本の桜 猫 中文照片 北京 서울의 밤 фото кота Москва ελληνικά עברית صورة قطة हिन्दी ไทย
😀 👩‍👩‍👧 🇨🇭 ❤️ 🏖️🌅 👍🏽 a😀b
â€œquotedâ€\x9d schÃ¶n l’Humanité “curly” ‘single’ – — … Ã© Â£
tab\tnew\nline\r\nvt\x0bff\x0c nul\x00bell\x07 esc\x1b[31mred del\x7f c1\x85\x9b nbsp\xa0 zwsp\u200b
bom\ufeff rtl\u202e \udcff lone\ud800 \ufffd \uffff \U0010ffff
supercalifragilisticexpialidocious Donaudampfschifffahrtsgesellschaft
""".replace("\n", " ").split(" ")


def assorted_texts(count: int) -> list[str]:
    """Return ``count`` texts: every fragment alone, then mixtures of 0 to 40 of them."""
    choose = random.Random(7)
    mixtures = [
        choose.choice([" ", " ", "", "  ", "\t", "\n"]).join(
            choose.choices(FRAGMENTS, k=choose.randrange(40))
        )
        for _ in range(count - len(FRAGMENTS) - 3)
    ]
    return [*FRAGMENTS, "", "dog " * 3000, "x" * 400, *mixtures]


@pytest.fixture(scope="module", params=[48_894, 8_000, 500], ids=lambda merges: f"{merges} merges")
def tokenizers(request, tmp_path_factory) -> tuple[Tokenizer, SimpleTokenizer]:
    """Our tokenizer and OpenCLIP's for a list of merges: OpenCLIP's own, and its first thousands."""
    path, merges = FULL, gzip.decompress(FULL.read_bytes())
    if request.param < 48_894:
        merges = b"\n".join(merges.split(b"\n")[: request.param + 1])
        path = tmp_path_factory.mktemp("merges") / "merges.txt.gz"
        path.write_bytes(gzip.compress(merges))
    return Tokenizer(*merge_table(merges), 77), SimpleTokenizer(bpe_path=str(path))


def openclips_ids(tokenizer: SimpleTokenizer, text: str, context_length: int = 77) -> list[int]:
    """Return OpenCLIP's ids of ``text`` up to the last end of text, without the padding."""
    row = tokenizer(text, context_length)[0].tolist()
    return row[: len(row) - row[::-1].index(tokenizer.eot_token_id)]


def test_2000_assorted_texts_have_openclips_ids(tokenizers) -> None:
    ours, theirs = tokenizers
    for text in assorted_texts(2000):
        assert ours.encode(text) == openclips_ids(theirs, text), repr(text)


def test_the_vocabulary_is_openclips(tokenizers) -> None:
    ours, theirs = tokenizers
    assert ours.vocabulary_size == theirs.vocab_size
    assert ours.encode("") == [theirs.sot_token_id, theirs.eot_token_id]


def test_a_list_of_merges_that_ends_with_a_newline_counts_as_openclip_counts_it(tmp_path) -> None:
    merges = b"#version\na b\nab c</w>\n"
    path = tmp_path / "merges.gz"
    path.write_bytes(gzip.compress(merges))
    ours = Tokenizer(*merge_table(merges), 16)
    theirs = SimpleTokenizer(bpe_path=str(path), context_length=16)
    assert ours.vocabulary_size == theirs.vocab_size
    assert ours.encode("abc ab abab") == openclips_ids(theirs, "abc ab abab", 16)


@pytest.mark.parametrize("context_length", [8, 16, 77])
def test_a_long_text_is_cut_where_openclip_cuts_it(tokenizers, context_length: int) -> None:
    theirs = tokenizers[1]
    ours = Tokenizer(*merge_table(gzip.decompress(FULL.read_bytes())), context_length)
    theirs = SimpleTokenizer()
    for words in range(context_length - 4, context_length + 3):
        text = "dog, " * (words // 2) + "cat" * (words % 2)
        assert ours.encode(text) == openclips_ids(theirs, text, context_length)


@settings(deadline=None)
@given(st.text(max_size=60) | st.text(st.characters(max_codepoint=0x17F), max_size=60))
def test_any_text_has_openclips_ids(text: str) -> None:
    assert _ours().encode(text) == openclips_ids(_theirs(), text)


@settings(deadline=None)
@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=80))
def test_plain_text_has_openclips_ids_by_the_short_way(text: str) -> None:
    assert _ours().encode(text) == openclips_ids(_theirs(), text)


def test_plain_text_needs_neither_ftfy_nor_regex() -> None:
    program = (
        "import sys; from photoclip.encoders.tokenizer import Tokenizer, merge_table;"
        "t = Tokenizer(*merge_table(b'#\\nt h\\nth e</w>'), 77);"
        "t.encode('the dog\\'s 2 balls, in a <frame>!');"
        "print([m for m in ('ftfy', 'regex', 'html', 'numpy') if m in sys.modules]);"
        "t.encode('caf\\u00e9'); print('ftfy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["[]", "True"]


@lru_cache
def _ours() -> Tokenizer:
    return Tokenizer(*merge_table(gzip.decompress(FULL.read_bytes())), 77)


@lru_cache
def _theirs() -> SimpleTokenizer:
    return SimpleTokenizer()

"""Tokenizers built from vocabulary files: the ids of Transformers and SentencePiece, by 25 small tokenizers."""

import json
import shutil
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import AutoModelForSequenceClassification, PhobertTokenizer

import resift
from resift.errors import BrokenModel, MissingExtra, UnknownFamily
from resift.inspection.doctor import examine
from resift.inspection.export import export
from resift.inspection.unread_vocabulary import unread_vocabulary
from resift.models.folder import ModelFolder
from resift.models.integrity import check_tokens
from resift.models.tokenizer import Tokens
from resift.models.tokenizers.formats import FORMATS, build_tokenizer
from resift.models.tokenizers.japanese import Composed
from resift.models.tokenizers.text_steps import LOWER, Aligned, change_aligned, change_text
from tests.checkpoints import cross_encoder
from tests.sentencepiece_files import BYTE, FIRST, NORMAL, SMALL, UNKNOWN, USER, Piece, entry, model
from tests.tokenizer_texts import CASES, KANA, checksums, lines, write_folder

CASE: dict[str, Any] = json.loads(CASES.read_text("utf-8"))["cases"]
BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "lamp", "##s", "xin", "chào", "ờ"]


def tokens_of(folder: Path, lower: bool = False) -> Tokens:
    return Tokens(ModelFolder(folder), lower)


def written(folder: Path, **files: object) -> Path:
    """A folder with these files; a "__" in a name stands for the dot."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        text = content if isinstance(content, str | bytes) else json.dumps(content)
        (folder / name.replace("__", ".")).write_bytes(text.encode() if isinstance(text, str) else text)
    return folder


def spm(folder: Path, pieces: list[Piece] = SMALL, name: str = "sentencepiece.bpe.model", **options: Any) -> Path:
    written(folder)
    (folder / name).write_bytes(model(pieces, **options))
    return folder


def case(name: str, folder: Path) -> Path:
    if name.startswith("japanese"):
        pytest.importorskip("fugashi")
        pytest.importorskip("ipadic")
    return write_folder(folder, CASE[name]["files"], CASE[name]["settings"])


@pytest.mark.parametrize("name", CASE)
def test_ids_are_those_of_transformers(name: str, tmp_path: Path) -> None:
    """On 2,000 lines; and the layout of a pair, with its segments."""
    tokens, texts = tokens_of(case(name, tmp_path)), lines()
    ids = tokens.ids(texts)
    assert checksums(ids) == CASE[name]["blocks"]
    query, document = tokens.ids(["a lamp", "Oslo is big"])
    made, segments = tokens.template.pair(query, document)
    assert made == CASE[name]["pair"] and segments in (CASE[name]["segments"], [0] * len(made))
    assert tokens.joint("a lamp", "Oslo is big")[0] == made
    some = texts[:400]
    for text, row, encoded in zip(some, ids, tokens.encode(some), strict=False):
        assert encoded.ids == row
        begins = [begin for begin, _ in encoded.offsets]
        assert begins == sorted(begins) and all(0 <= a <= b <= len(text) for a, b in encoded.offsets)


def test_segments_are_those_of_the_class(tmp_path: Path) -> None:
    for name, marked in {"bert-cased": True, "albert": True, "xlm-roberta": False, "t5": False, "llama": False}.items():
        template = tokens_of(case(name, tmp_path / name)).template
        assert (max(template.segments) == 1) == marked, name


def test_every_row_of_the_table_is_compared() -> None:
    kinds = {entries["settings"]["tokenizer_config.json"]["tokenizer_class"] for entries in CASE.values()}
    assert {row.kinds[0] for row in FORMATS} == {kind.removesuffix("Tokenizer") for kind in kinds}


# Ids by hand.


def test_wordpiece_by_hand(tmp_path: Path) -> None:
    tokens = tokens_of(written(tmp_path, vocab__txt="\n".join(BERT) + "\n"))
    assert tokens.ids(["A lamps xyz", "a[SEP]"]) == [[5, 6, 7, 1], [5, 1, 1, 1]]
    assert tokens.template.pair([5], [6]) == ([2, 5, 3, 6, 3], [0, 0, 0, 1, 1])
    assert (tokens.unknown, tokens.size, tokens.source) == (1, 11, "vocab.txt")
    (encoded,) = tokens.encode(["a  lamps"])
    assert encoded.offsets == [(0, 1), (3, 7), (7, 8)]


def test_a_decomposed_text_is_composed_first(tmp_path: Path) -> None:
    """As the slow tokenizer does; the fast one would look for "e", a circumflex and an acute accent."""
    cased = {"do_lower_case": False}
    tokens = tokens_of(written(tmp_path, vocab__txt="\n".join(BERT) + "\n", tokenizer_config__json=cased))
    assert tokens.ids([unicodedata.normalize("NFD", "xin chào ờ")]) == [[8, 9, 10]]


def test_phobert_by_hand(tmp_path: Path) -> None:
    """ "<s> <pad> </s> <unk>" come first, `<mask>` last; "sv@@" goes on; what is merged but rare is unknown."""
    written(tmp_path, vocab__txt="sinh_viên 9\nsv@@ 8\na 7\nb@@ 3\n")
    merges = ["s v 9", "b c</w> 4", *(f"{a} {b} 5" for a, b in zip("sinh_viê", "inh_viên", strict=True))]
    (tmp_path / "bpe.codes").write_text("\n".join(merges[:2]) + "\n")
    tokens = tokens_of(tmp_path)
    assert tokens.ids(["sva a", "bc", "ba", "q"]) == [[5, 6, 6], [3], [7, 6], [3]]
    assert tokens.template.pair([6], [6])[0] == [0, 6, 2, 2, 6, 2]
    assert (tokens.id_of("<mask>"), tokens.size) == (8, 8)


def test_fairseq_counts_from_another_number(tmp_path: Path) -> None:
    tokens = tokens_of(spm(tmp_path))
    assert tokens.ids(["a lamp", " a ", "☃☃", ""]) == [[4, 5], [4], [8, 3], []]
    assert tokens.template.pair([4], [5])[0] == [0, 4, 2, 2, 5, 2]
    assert tokens.id_of("<mask>") == len(SMALL) + 1 and tokens.unknown == 3


@pytest.mark.parametrize("text", ["</s>", "a </s> lamp", "<s>", "<mask>", "<pad>", "<unk>"])
def test_no_text_can_hold_a_special_token(tmp_path: Path, text: str) -> None:
    tokens = tokens_of(spm(tmp_path))
    assert not {0, 1, 2, tokens.id_of("<mask>")} & set(tokens.ids([text])[0])
    assert tokens.ids([text])[0] != [3]


def test_t5_has_its_extra_ids_from_the_end(tmp_path: Path) -> None:
    pieces: list[Piece] = [("<pad>", 0, 3), ("</s>", 0, 3), ("<unk>", 0, UNKNOWN), ("▁a", -1, NORMAL)]
    spm(tmp_path, pieces, "spiece.model")
    tokens = tokens_of(written(tmp_path, config__json={"model_type": "mt5"}))
    assert [tokens.id_of(f"<extra_id_{i}>") for i in (0, 1, 99)] == [103, 102, 4]
    assert tokens.template.pair([3], [3])[0] == [3, 1, 3, 1] and tokens.size == 4


def test_unknown_characters_become_bytes(tmp_path: Path) -> None:
    pieces = [*FIRST, *((f"<0x{i:02X}>", 0.0, BYTE) for i in range(256)), ("a", -1.0, NORMAL), ("▁", -2.0, NORMAL)]
    spm(tmp_path, pieces, "tokenizer.model", algorithm=2, trainer=entry(35, 1), collapse=False)
    tokens = tokens_of(tmp_path)
    assert tokens.ids(["aé", "<0x41>"]) == [[260, 259, 3 + 0xC3, 3 + 0xA9], tokens.ids(["<0x41>"])[0]]
    assert 3 + 0x41 not in tokens.ids(["<0x41>"])[0][:-1] and tokens.unknown == -1
    assert tokens.template.pair([259], [259])[0] == [1, 259, 1, 259]


def test_user_defined_pieces_stay_whole(tmp_path: Path) -> None:
    pieces: list[Piece] = [
        *FIRST,
        ("ab", -9, USER),
        *((c, -1 - i, NORMAL) for i, c in enumerate("▁abc")),
        ("bc", 0, NORMAL),
    ]
    spm(tmp_path, pieces, "tokenizer.model", algorithm=2)
    assert tokens_of(tmp_path).ids(["abc bc"]) == [[4, 3, 7, 4, 8]]


def test_added_words_and_markers(tmp_path: Path) -> None:
    words = {"[unused0]": 11, "new": 12}
    folder = written(tmp_path, vocab__txt="\n".join(BERT) + "\n", added_tokens__json=words)
    tokens = tokens_of(folder)
    assert tokens.ids(["a new lamp"]) == [[5, 12, 6]] and tokens.added == {11: "[unused0]", 12: "new"}
    marked = Tokens(ModelFolder(folder), markers=["[unused0]"])
    assert 11 not in marked.ids(["a [unused0] lamp"])[0] and marked.id_of("[unused0]") == 11
    assert marked.leading("[CLS][unused0] a") == ([2, 11], " a")


def test_added_tokens_of_the_settings_count_alone(tmp_path: Path) -> None:
    """A config with added_tokens_decoder says it all: the other two files are then not read."""
    decoder = {"2": {"content": "[CLS]", "special": True}, "11": {"content": "new", "lstrip": False}}
    decoder["12"] = {"content": "[X]", "special": True}
    files = {"added_tokens__json": {"lost": 13}, "special_tokens_map__json": {"cls_token": "lamp"}}
    written(tmp_path, vocab__txt=GOOD, tokenizer_config__json={"added_tokens_decoder": decoder}, **files)
    tokens = tokens_of(tmp_path)
    assert tokens.ids(["a new [X] lost"]) == [[5, 11, 1, 1, 1, 1]] and tokens.id_of("[X]") == 12
    assert tokens.template.prefix == [2] and tokens.added == {11: "new"}


def test_lower_case_of_sentence_transformers(tmp_path: Path) -> None:
    pieces = [*FIRST, ("▁i̇", -1, NORMAL), ("▁a", -1, NORMAL)]
    spm(tmp_path, pieces)
    assert tokens_of(tmp_path, lower=True).ids(["İ A"]) == [[4, 5]]
    assert tokens_of(tmp_path, lower=True).encode(["İ A"])[0].offsets == [(0, 1), (1, 3)]


# Steps.


TEXTS = st.text(
    st.one_of(st.characters(codec="utf-8"), st.sampled_from("eA ▁\u0302\u0301\u0323ｶﾞｷﾞ ﬁ\n\t\u200bİΣ``''3,"))
)


@pytest.mark.parametrize("name", ["xlm-roberta", "albert", "t5-not-legacy", "gemma", "deberta-v2-lower"])
def test_places_are_right_for_any_text(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    steps = build_tokenizer(ModelFolder(case(name, tmp_path_factory.mktemp("m")))).steps

    @settings(max_examples=150, deadline=None)
    @given(TEXTS)
    def check(text: str) -> None:
        aligned = change_aligned(steps, text)
        assert aligned.text == change_text(steps, text)
        assert len(aligned.starts) == len(aligned.ends) == len(aligned.text)
        assert list(aligned.starts) == sorted(aligned.starts)
        assert all(0 <= a <= b <= len(text) for a, b in zip(aligned.starts, aligned.ends, strict=True))

    check()


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_nfkc_by_clusters_is_nfkc(text: str) -> None:
    aligned = Composed().aligned(Aligned(text, range(len(text)), range(1, len(text) + 1)))
    assert aligned.text == unicodedata.normalize("NFKC", text)
    assert len(aligned.starts) == len(aligned.text)


@pytest.mark.parametrize(
    ("text", "changed"),
    [("e\u0302\u0301", "▁ế"), ("ｶﾞ", "▁ガ"), ("ＡＢ", "▁AB"), ("a\n\nb", "▁a▁b"), ("a\u200bb", "▁a▁b"), (" \t ", "")],
)
def test_sequences_of_characters_change_as_wholes(tmp_path: Path, text: str, changed: str) -> None:
    steps = build_tokenizer(ModelFolder(case("xlm-roberta", tmp_path))).steps
    assert change_text(steps, text) == changed


def test_lower_case_is_that_of_each_character() -> None:
    assert change_text(LOWER, "ΣΑΣ İ") == "".join(c.lower() for c in "ΣΑΣ İ")


def test_places_in_japanese(tmp_path: Path) -> None:
    tokens = tokens_of(case("japanese-character", tmp_path))
    text = "ﾊﾟﾝ 東京"
    assert [text[a:b] for a, b in tokens.encode([text])[0].offsets] == ["ﾊﾟ", "ﾝ", "東", "京"]
    assert len(tokens.ids([KANA])[0]) == len(KANA)


# Which files are read.


@pytest.mark.parametrize("model_type", ["bert", "electra", "distilbert"])
def test_without_a_class_the_kind_of_model_decides(tmp_path: Path, model_type: str) -> None:
    written(tmp_path, vocab__txt="\n".join(BERT) + "\n", config__json={"model_type": model_type})
    assert tokens_of(tmp_path).ids(["lamp"]) == [[6]]


def test_roberta_with_codes_is_phobert(tmp_path: Path) -> None:
    """What the folders of PhoBERT's first users name is "roberta" and no class."""
    folder = case("phobert", tmp_path)
    written(folder, tokenizer_config__json={}, config__json={"model_type": "roberta"})
    assert checksums(tokens_of(folder).ids(lines())) == CASE["phobert"]["blocks"]


def test_tokenizer_json_counts_where_both_are_there(tmp_path: Path) -> None:
    folder = cross_encoder(tmp_path, "bert")
    tokens = tokens_of(folder)
    before = tokens.ids(["a lamp"])
    assert not list(unread_vocabulary(ModelFolder(folder)))
    names = Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab()
    pieces = sorted(names, key=lambda name: names[name])
    written(folder, vocab__txt="\n".join(pieces) + "\n", tokenizer_config__json={"tokenizer_class": "BertTokenizer"})
    (finding,) = unread_vocabulary(ModelFolder(folder))
    assert finding.status == "ok"
    written(folder, vocab__txt="\n".join([*pieces[:4], *reversed(pieces[4:])]) + "\n")
    assert tokens_of(folder).ids(["a lamp"]) == before
    finding = next(f for f in examine(str(folder)) if f.check == "vocabulary files")
    assert finding.status == "warn" and "texts have other tokens by vocab.txt" in finding.message
    written(folder, vocab__txt="")
    (finding,) = unread_vocabulary(ModelFolder(folder))
    assert finding.status == "note" and "is empty" in finding.message


# What is refused.

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 5\n"
GOOD = "\n".join(BERT) + "\n"
REFUSED: dict[str, tuple[dict[str, object], str]] = {
    "nothing": ({}, "no files from which Resift builds a tokenizer; save the model"),
    "empty": ({"vocab__txt": "\n"}, "vocab.txt is empty"),
    "pointer": (
        {"vocab__txt": POINTER},
        "is a Git LFS pointer, not the file itself; type in its repository: git lfs pull",
    ),
    "model pointer": ({"spm__model": POINTER}, "is a Git LFS pointer"),
    "twice": ({"vocab__txt": GOOD + "lamp\n"}, "'lamp' twice, in lines 7 and 12"),
    "cut": ({"vocab__txt": GOOD[:-1], "config__json": {"vocab_size": 20}}, "ends within a line and has 11 tokens"),
    "no special": ({"vocab__txt": "a\nb\n"}, r"has no \[UNK\], \[CLS\], \[SEP\]: it is cut, or of another kind"),
    "no text": ({"vocab__txt": b"\xff\xfe\n"}, "is no UTF-8 text"),
    "half": ({"vocab__json": {"a": 1}}, "no files from which .*it has vocab.json"),
    "merges missing": (
        {"vocab__json": {"a": 1}, "tokenizer_config__json": {"tokenizer_class": "RobertaTokenizer"}},
        "neither tokenizer.json nor merges.txt.*it has vocab.json",
    ),
    "json": ({"vocab__json": "{", "merges__txt": "#\n"}, "vocab.json is damaged or cut"),
    "one id twice": ({"vocab__json": {"a": 1, "b": 1}, "merges__txt": "#\n"}, "gives one id to two tokens"),
    "ids": ({"vocab__json": {"a": "1"}, "merges__txt": "#\n"}, "holds no tokens with their ids"),
    "merges": ({"vocab__json": {"a": 1}, "merges__txt": "#\na b\n"}, "makes 'b', which vocab.json does not have"),
    "merges cut": ({"vocab__json": {"a": 1}, "merges__txt": "#\na"}, "merges.txt is cut in its last line"),
    "merge": ({"vocab__json": {"a": 1}, "merges__txt": "#\na\n"}, "line 2, is no merge of two pieces: 'a'"),
    "counts": ({"vocab__txt": "a 1\nb\n", "bpe__codes": "a b 1\n"}, "vocab.txt, line 2, is no token with its count"),
    "codes": ({"vocab__txt": "a 1\n", "bpe__codes": "a b\n"}, "bpe.codes, line 1, is no merge"),
    "codes cut": ({"vocab__txt": "a 1\n", "bpe__codes": "a b 1"}, "bpe.codes is cut"),
    "own special": ({"vocab__txt": "<s> 1\n", "bpe__codes": "a b 1\n"}, "which PhoBERT keeps out"),
    "proto": ({"spm__model": b"\x0a\x03abc"}, "is no SentencePiece model, or is cut or damaged"),
    "proto cut": ({"spm__model": model(SMALL)[:-3]}, "bytes are missing behind byte"),
    "half proto": ({"spm__model": model(SMALL)[:40]}, "is cut or damaged"),
    "pieces alone": ({"spm__model": model(SMALL).split(b"\x12\x02\x18")[0]}, "its pieces or settings are missing"),
    "word": ({"spm__model": model(SMALL, algorithm=3)}, "--model_type=word; Resift reads unigram and bpe"),
    "suffix": ({"spm__model": model(SMALL, trainer=entry(24, 1))}, "--treat_whitespace_as_suffix"),
    "piece twice": ({"spm__model": model([*SMALL, SMALL[-1]])}, "has a piece twice"),
    "no unknown": ({"spm__model": model(SMALL[1:])}, "has 0 unknown pieces instead of one"),
    "charsmap": ({"spiece__model": model(SMALL, charsmap=b"\x04\0\0\0ab")}, "damaged table of characters"),
    "class": (
        {"vocab__txt": GOOD, "tokenizer_config__json": {"tokenizer_class": "RoFormerTokenizer"}},
        "builds none for RoFormerTokenizer .only for Phobert, Bert, DistilBert",
    ),
    "generic": (
        {"vocab__txt": GOOD, "tokenizer_config__json": {"tokenizer_class": "PreTrainedTokenizerFast"}},
        "its PreTrainedTokenizerFast is kept there alone .it has vocab.txt.; fetch that file",
    ),
    "flag": (
        {"vocab__txt": GOOD, "tokenizer_config__json": {"do_lower_case": "yes"}},
        "do_lower_case 'yes', which must be true or false",
    ),
    "setting": (
        {"vocab__txt": GOOD, "tokenizer_config__json": {"do_basic_tokenize": False}},
        "do_basic_tokenize=False, for which Resift builds no tokenizer",
    ),
    "added id": ({"vocab__txt": GOOD, "added_tokens__json": {"new": 6}}, "id 6, which is that of 'lamp'"),
    "added twice": ({"vocab__txt": GOOD, "added_tokens__json": {"new": 11, "x": 11}}, "gives one id to two tokens"),
    "huge id": ({"vocab__txt": GOOD, "added_tokens__json": {"new": 10**12}}, "a token with the id 1000000000000"),
    "scores": ({"spm__model": model([*SMALL, ("q", float("nan"), NORMAL)])}, "scores that are no numbers"),
    "settings": ({"spm__model": model(SMALL, trainer=entry(35, b"x"))}, "setting 35 is no number"),
    "added": ({"vocab__txt": GOOD, "added_tokens__json": {"new": "x"}}, "added_tokens.json is malformed"),
    "sudachi": (
        {
            "vocab__txt": GOOD,
            "tokenizer_config__json": {"tokenizer_class": "BertJapaneseTokenizer", "word_tokenizer_type": "sudachi"},
        },
        "word_tokenizer_type='sudachi'; Resift splits Japanese",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str, tmp_path: Path) -> None:
    files, message = REFUSED[name]
    written(tmp_path / "m", **files)
    with pytest.raises(BrokenModel, match=message) as error:
        tokens_of(tmp_path / "m")
    assert str(tmp_path / "m") in str(error.value) and "\n" not in str(error.value)


def test_mecab_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "fugashi", None)
    settings_ = {"tokenizer_class": "BertJapaneseTokenizer", "word_tokenizer_type": "mecab"}
    written(tmp_path, vocab__txt=GOOD, tokenizer_config__json=settings_)
    with pytest.raises(MissingExtra, match="Japanese model .*pip install"):
        tokens_of(tmp_path)


def test_more_tokens_than_rows_and_far_fewer(tmp_path: Path) -> None:
    folder = written(tmp_path, vocab__txt=GOOD, config__json={"vocab_size": 10})
    with pytest.raises(BrokenModel, match="gives ids up to 10, the weights have 10 tokens"):
        check_tokens(ModelFolder(folder), tokens_of(folder))
    written(folder, config__json={"vocab_size": 11 + 1024})
    check_tokens(ModelFolder(folder), tokens_of(folder))
    written(folder, config__json={"vocab_size": 11 + 1025})
    with pytest.raises(BrokenModel, match="vocab.txt has 11 tokens, the weights have 1036; the file is cut"):
        check_tokens(ModelFolder(folder), tokens_of(folder))


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["unigram", "albert", "gemma"]), st.data())
def test_a_damaged_model_file_is_refused_or_read(
    tmp_path_factory: pytest.TempPathFactory, name: str, data: Any
) -> None:
    """Whatever byte is wrong, wherever it ends: no other error, and no crash with the first text."""
    content = bytearray((CASES.parent / f"{name}.model").read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content = content[:place]
    else:
        content[place] = data.draw(st.integers(0, 255))
    folder = tmp_path_factory.mktemp("damaged")
    files = {"unigram": "sentencepiece.bpe.model", "albert": "spiece.model", "gemma": "tokenizer.model"}
    (folder / files[name]).write_bytes(bytes(content))
    try:
        tokens_of(folder).ids(lines()[:100])
    except BrokenModel as error:
        assert str(folder) in str(error)


# Whole models.


@pytest.fixture
def without_json(tmp_path: Path) -> tuple[Path, Path]:
    """A cross-encoder with tokenizer.json, and a copy with vocab.txt instead."""
    folder, copy = cross_encoder(tmp_path / "json", "bert"), tmp_path / "txt"
    shutil.copytree(folder, copy)
    (copy / "tokenizer.json").unlink()
    names = Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab()
    settings_ = json.loads((folder / "tokenizer_config.json").read_text()) | {"tokenizer_class": "BertTokenizer"}
    text = "".join(f"{name}\n" for name in sorted(names, key=lambda name: names[name]))
    return folder, written(copy, vocab__txt=text, tokenizer_config__json=settings_)


def test_a_reranker_without_tokenizer_json_scores_the_same(without_json: tuple[Path, Path]) -> None:
    pairs = [("Capital of Norway", "Oslo is the capital."), ("lamp", "bread"), ("lamp", ""), ("[SEP] ferry", "x [SEP]")]
    expected, scores = (resift.load(folder, precision="f32").score(pairs).values for folder in without_json)
    np.testing.assert_array_equal(np.array(expected, float), np.array(scores, float))
    findings = {f.check: f for f in examine(str(without_json[1]))}
    assert findings["tokenizer"].message.startswith("vocab.txt: ids up to") and findings["pair encoding"].status == "ok"


def test_a_reranker_with_phobert_scores_as_transformers_does(tmp_path: Path) -> None:
    """RoBERTa's layers with PhoBERT's files alone, pairs put together and scored by Transformers' own classes."""
    entries = CASE["phobert"]
    size = len((CASES.parent / "phobert.vocab.txt").read_text().split("\n")) - 1 + 5
    folder = cross_encoder(tmp_path / "m", "roberta", vocab_size=size, pad_token_id=1)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    write_folder(folder, entries["files"], entries["settings"])
    reference = PhobertTokenizer.from_pretrained(str(folder))
    classifier = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    pairs = [("thủ_đô của Việt_Nam", "Hà_Nội là thủ_đô"), ("phở", "Mưa lớn\nkéo dài </s> ☃"), ("a", "b")]
    with torch.no_grad():
        expected = [classifier(**reference(*pair, return_tensors="pt")).logits.item() for pair in pairs]
    scores = resift.load(folder, precision="f32").score(pairs).values
    np.testing.assert_allclose(np.array(scores[:1] + scores[2:], float), [expected[0], expected[2]], atol=1e-4)
    assert abs(scores[1] - expected[1]) > 1e-4  # where Transformers lets "</s>" in a document close it


def test_another_vocabulary_is_another_model(without_json: tuple[Path, Path]) -> None:
    folder = without_json[1]
    before = ModelFolder(folder).fingerprint
    with (folder / "vocab.txt").open("a") as file:
        file.write("xx\n")
    assert ModelFolder(folder).fingerprint != before


def test_an_export_has_the_vocabulary(without_json: tuple[Path, Path], tmp_path: Path) -> None:
    folder, out = without_json[1], tmp_path / "out"
    written(folder, added_tokens__json={})
    export(str(folder), out, "openvino", "f32", force=True)
    assert {"vocab.txt", "added_tokens.json"} <= {p.name for p in out.iterdir()} and "vocab.txt" in (
        (out / "SHA256SUMS").read_text()
    )
    made = resift.load(out, precision="f32").score([("lamp", "a lamp")]).values
    np.testing.assert_allclose(made, resift.load(folder, precision="f32").score([("lamp", "a lamp")]).values, atol=1e-5)
    modules = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]
    written(folder, modules__json=modules, sentence_bert_config__json={"do_lower_case": True})
    with pytest.raises(UnknownFamily, match="only tokenizer.json can say so"):
        export(str(folder), tmp_path / "lower", "openvino", "f32", force=True)


def test_the_hub_is_asked_for_vocabularies() -> None:
    from fnmatch import fnmatch

    from resift.models.hub import _FILES
    from resift.models.tokenizers.names import SETTINGS_FILES, VOCABULARY_FILES

    assert {name for row in FORMATS for name in row.files} == set(VOCABULARY_FILES)
    for name in (*VOCABULARY_FILES, *SETTINGS_FILES):
        assert any(fnmatch(f"0_Transformer/{name}", pattern) for pattern in _FILES), name


def test_a_folder_with_too_few_rows_is_refused_at_load(without_json: tuple[Path, Path]) -> None:
    folder = without_json[1]
    with (folder / "vocab.txt").open("a") as file:
        file.write("xx\nyy\n")
    with pytest.raises(BrokenModel, match="of different models"):
        resift.load(folder)

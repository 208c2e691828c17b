"""Cross-encoders that were trained on joined words (PhoRanker): words are joined, spans are the text's own."""

import json
from pathlib import Path

import pytest

import resift
from resift.models.recognition import read_contract
from resift.text.segment import joined, joined_places
from tests.checkpoints import cross_encoder

QUERY = "thủ đô của Việt Nam ở đâu?"
TEXTS = ["Hà Nội là thủ đô của Việt Nam.", "Phà ra đảo\nmỗi giờ một chuyến.", "  Bánh mì  nướng trong lò.  "]


def segmented(tmp_path: Path) -> Path:
    folder = cross_encoder(tmp_path / "vi", "roberta", tokenizer="byte_level")
    contract = read_contract(folder).entries() | {"vectors": {"segmenter": "vi"}}
    (folder / "contract.json").write_text(json.dumps(contract))
    return folder


def test_joined_characters_know_their_place() -> None:
    for text in [QUERY, *TEXTS]:
        found, places = joined_places(text, "vi")
        assert found == joined(text, "vi") and len(found) == len(places)
        assert [text[p] for c, p in zip(found, places, strict=True) if c not in "_ "] == [
            c for c in found if c not in "_ "
        ]
        assert places == sorted(places)
    assert "thủ_đô" in joined_places(TEXTS[0], "vi")[0]


def test_words_are_joined_before_they_are_scored(tmp_path: Path) -> None:
    plain = cross_encoder(tmp_path / "plain", "roberta", tokenizer="byte_level")
    theirs = resift.load(plain, precision="f32").score([(joined(QUERY, "vi"), joined(t, "vi")) for t in TEXTS])
    ours = resift.load(segmented(tmp_path), precision="f32").score([(QUERY, t) for t in TEXTS])
    unjoined = resift.load(plain, precision="f32").score([(QUERY, t) for t in TEXTS])
    assert ours.values == pytest.approx(theirs.values, abs=1e-5)
    assert ours.values != pytest.approx(unjoined.values, abs=1e-3)


def test_the_winning_window_lies_in_the_text_as_it_was(tmp_path: Path) -> None:
    text = " ".join(TEXTS) * 6
    (candidate,) = resift.load(segmented(tmp_path), precision="f32").rerank(QUERY, [text])
    assert "windowed" in candidate.flags and candidate.span is not None
    assert 0 <= candidate.span.start < candidate.span.end <= len(text)
    inside = text[candidate.span.start : candidate.span.end]
    assert inside.strip() and "_" not in inside

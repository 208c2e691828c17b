"""A loaded model in copies: a deep copy is the model itself, and a pickle is refused in a sentence."""

import copy
import pickle
from pathlib import Path

import pytest
from langchain_core.documents import Document

import resift
from resift import Reranker
from resift.adapters.langchain import ResiftRerank
from resift.score.load import load_embedder
from tests.checkpoints import cross_encoder
from tests.vector_checkpoints import sentence_transformer


def test_copies_of_a_reranker(mini: Reranker) -> None:
    assert copy.deepcopy(mini) is mini
    shallow = copy.copy(mini)
    assert shallow is not mini and shallow.scorer is mini.scorer
    assert copy.deepcopy({"model": [mini]})["model"][0] is mini


def test_what_holds_a_loaded_model_is_not_pickled(mini: Reranker, tmp_path: Path) -> None:
    embedder = load_embedder(str(sentence_transformer(tmp_path / "e")))
    encoder = resift.load(cross_encoder(tmp_path / "m", "bert")).scorer
    for model in (mini, mini.scorer, encoder, embedder, ResiftRerank(reranker=mini)):
        with pytest.raises(TypeError, match=r"can't be pickled; load it in each process \(resift\.load\)"):
            pickle.dumps(model)


def test_an_adapter_is_copied_with_its_model(mini: Reranker) -> None:
    adapter = copy.deepcopy(ResiftRerank(reranker=mini))
    (best, *_) = adapter.compress_documents([Document("bread"), Document("A lamp.")], "lamp")
    assert best.page_content == "A lamp."

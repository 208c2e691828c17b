"""Contracts derived from checkpoints: the window, the labels, and what is refused with its cause."""

import json
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from transformers import AutoModel

import resift
from resift.errors import BrokenModel, InputError, UnknownFamily
from resift.models.recognition import read_contract
from tests.checkpoints import cross_encoder, edited
from tests.references import jinabert, renamed

FAMILIES = "bert roberta xlm-roberta camembert electra distilbert deberta-v2 modernbert gte jina_embeddings_v3".split()


def without(folder: Path, *ends: str) -> Path:
    """Drop the tensors whose names end so."""
    path = folder / "model.safetensors"
    tensors = {n: t for n, t in safetensors.torch.load_file(path).items() if not n.endswith(ends)}
    safetensors.torch.save_file(tensors, path)
    return folder


@pytest.mark.parametrize("family", FAMILIES)
def test_a_head_that_would_be_random(tmp_path: Path, family: str) -> None:
    from resift.engine.graphs.graph import ARCHITECTURES

    for tensor in ARCHITECTURES[family].head:
        folder = without(cross_encoder(tmp_path / tensor, family), tensor)
        with pytest.raises(BrokenModel, match=rf"holds no .*{tensor}.* random"):
            resift.load(folder)


def test_a_random_head_of_remote_code(tmp_path: Path) -> None:
    for folder in (jinabert.save(tmp_path / "j", heads=4, later=False), renamed.mgte_ntk(tmp_path / "n")[0]):
        with pytest.raises(BrokenModel, match=r"classifier\.weight.*random"):
            resift.load(without(folder, "classifier.weight"))


@pytest.mark.parametrize("family", FAMILIES)
def test_an_embedding_checkpoint(tmp_path: Path, family: str) -> None:
    folder = cross_encoder(tmp_path, family)
    AutoModel.from_pretrained(folder).save_pretrained(folder)
    with pytest.raises(UnknownFamily, match="no classification head"):
        resift.load(folder)


@pytest.mark.parametrize(
    ("family", "config", "tokens"),
    [
        ("bert", {}, 64),
        ("xlm-roberta", {}, 64),  # 65 rows, the first of which stands for padding
        ("xlm-roberta", {"max_position_embeddings": 8194, "pad_token_id": 1}, 8192),
        ("modernbert", {"max_position_embeddings": 8192}, 8192),
        ("modernbert", {"max_position_embeddings": 131072}, 8192),
        ("jina_embeddings_v3", {"max_position_embeddings": 8194}, 8192),
    ],
)
def test_the_window_is_the_configs(tmp_path: Path, family: str, config: dict[str, Any], tokens: int) -> None:
    folder = cross_encoder(tmp_path, family)
    (folder / "tokenizer_config.json").unlink()
    assert read_contract(edited(folder, **config)).max_tokens == tokens


def test_the_tokenizers_limit_counts(tmp_path: Path) -> None:
    folder = cross_encoder(tmp_path, "bert", limit=64)
    for file, entry in (("tokenizer_config.json", "model_max_length"), ("sentence_bert_config.json", "max_seq_length")):
        path = folder / file
        config = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps(config | {entry: 48}))
        assert read_contract(folder).max_tokens == 48
        path.unlink()
    assert read_contract(folder).max_tokens == 64


def test_a_shorter_window(tmp_path: Path) -> None:
    folder = cross_encoder(tmp_path, "bert", limit=64)
    short = resift.load(folder, max_tokens=32)
    assert short.scorer.contract.max_tokens == short.scorer.contract.window_tokens == 32
    assert short.score([("lamp", "water " * 40)]).flags == (frozenset({"windowed"}),)
    for wrong in (8, 65):
        with pytest.raises(InputError, match="32 to 64"):
            resift.load(folder, max_tokens=wrong)
    with pytest.raises(InputError, match="only_second or longest_first"):
        resift.load(folder, truncation="longest")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="of cross-encoders"):
        resift.load(truncation="longest_first")


@pytest.mark.parametrize(
    ("family", "entry", "value"),
    [
        ("bert", "position_embedding_type", "relative_key"),
        ("bert", "hidden_act", "swiglu"),
        ("bert", "is_decoder", True),
        ("modernbert", "classifier_pooling", "max"),
        ("gte", "rope_parameters", {"rope_type": "yarn", "rope_theta": 1e4}),
        ("gte", "logn_attention_scale", True),
        ("deberta-v2", "hidden_act", "mish"),
    ],
)
def test_settings_that_the_graph_lacks(tmp_path: Path, family: str, entry: str, value: object) -> None:
    with pytest.raises(UnknownFamily, match="can't be built exactly"):
        resift.load(edited(cross_encoder(tmp_path, family), **{entry: value}))


def test_a_head_that_contradicts_its_config(tmp_path: Path) -> None:
    folder = edited(cross_encoder(tmp_path, "bert", num_labels=2), id2label={"0": "relevant"})
    with pytest.raises(BrokenModel, match="2 outputs, and its config speaks of 1"):
        resift.load(folder).score([("lamp", "lamp")])


def modules(folder: Path, *types: str) -> Path:
    listed = [{"idx": i, "name": str(i), "path": "", "type": t} for i, t in enumerate(types)]
    (folder / "modules.json").write_text(json.dumps(listed))
    return folder


def test_sentence_transformers_layouts(tmp_path: Path) -> None:
    folder, base = cross_encoder(tmp_path, "bert"), "sentence_transformers"
    plain = resift.load(folder, precision="f32").score([("lamp", "a lamp")]).values
    modules(folder, f"{base}.base.modules.transformer.Transformer")
    assert resift.load(folder, precision="f32").score([("lamp", "a lamp")]).values == plain
    stack = ("base.modules.transformer.Transformer", "cross_encoder.modules.logit_score.LogitScore")
    with pytest.raises(UnknownFamily, match="causal language model .* not score with that family yet"):
        resift.load(modules(folder, *(f"{base}.{t}" for t in stack)))
    with pytest.raises(UnknownFamily, match="modules Transformer, Surprise"):
        resift.load(modules(folder, f"{base}.Transformer", "own.Surprise"))
    modules(folder, f"{base}.base.modules.transformer.Transformer")
    (folder / "config_sentence_transformers.json").write_text(json.dumps({"default_prompt_name": "query"}))
    with pytest.raises(UnknownFamily, match="prompt"):
        resift.load(folder)
    (folder / "modules.json").write_text("[{}]")
    with pytest.raises(BrokenModel, match="fetch the model again"):
        resift.load(folder)


def test_an_embedder_of_sentence_transformers(tmp_path: Path) -> None:
    folder = cross_encoder(tmp_path / "a", "bert")
    transformer = Transformer(str(folder))
    pooling = Pooling(transformer.get_embedding_dimension())
    SentenceTransformer(modules=[transformer, pooling]).save_pretrained(str(tmp_path / "b"))
    with pytest.raises(UnknownFamily, match="embedding model .*not a reranker"):
        resift.load(tmp_path / "b")

"""Embedders of others: vectors equal to sentence-transformers, at f32; static folders of Model2Vec."""

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from transformers import AutoModel

import resift
from resift.engine.graphs.heads import POOLINGS
from resift.errors import BrokenModel, UnknownFamily
from resift.score.embedder import TextEmbedder
from resift.score.load import load_embedder
from tests.vector_checkpoints import DOCUMENTS, LIMIT, QUERIES, WIDTH, encoder, pylate, seeded, write

TEXTS = [*DOCUMENTS, *QUERIES, "water lamp " * 50]


def saved(folder: Path, pooling: Any = "mean", *more: torch.nn.Module, **options: Any) -> Path:
    """A SentenceTransformer, saved by its own library."""
    base = encoder(folder / "base", options.pop("model_type", "bert"))
    limit = options.pop("max_seq_length", None)
    model = SentenceTransformer(
        modules=[Transformer(str(base), max_seq_length=limit), Pooling(WIDTH, pooling), *more], device="cpu", **options
    )
    model.save_pretrained(str(folder / "saved"))
    return folder / "saved"


def check(folder: Path) -> None:
    reference, ours = SentenceTransformer(str(folder), device="cpu"), load_embedder(str(folder), "f32")
    for role, encode in (("query", reference.encode_query), ("document", reference.encode_document)):
        theirs = encode(TEXTS, normalize_embeddings=True)
        vectors = ours.embed(TEXTS, role)
        assert vectors.shape == (len(TEXTS), ours.dims) and vectors.dtype == np.float32
        np.testing.assert_allclose(vectors, theirs, atol=1e-4)
    assert np.std(vectors @ vectors.T) > 0.01


@pytest.mark.parametrize("pooling", [*POOLINGS, ("mean", "max", "cls")], ids=str)
def test_poolings(tmp_path: Path, pooling: Any) -> None:
    check(saved(tmp_path, pooling))


@pytest.mark.parametrize("model_type", ["roberta", "xlm-roberta", "electra", "modernbert", "deberta-v2"])
def test_encoders(tmp_path: Path, model_type: str) -> None:
    check(saved(tmp_path, "mean", model_type=model_type))


def test_projection_and_prompts_and_window(tmp_path: Path) -> None:
    dense = Dense(
        WIDTH, 20, init_weight=torch.from_numpy(seeded((20, WIDTH), 5)), init_bias=torch.from_numpy(seeded((20,), 6))
    )
    prompts = {"query": "what is it: ", "passage": "in the city: "}
    check(saved(tmp_path, "mean", Normalize(), dense, Normalize(), prompts=prompts, max_seq_length=12))


def test_a_prompt_for_all(tmp_path: Path) -> None:
    check(saved(tmp_path, "cls", prompts={"x": "the "}, default_prompt_name="x"))


def test_older_saves(tmp_path: Path) -> None:
    """Flags for the pooling, modules under their old names, lower case asked for."""
    folder = saved(tmp_path)
    modules = json.loads((folder / "modules.json").read_text())
    modules[0] |= {"type": "sentence_transformers.models.Transformer"}
    modules[1] |= {"type": "sentence_transformers.models.Pooling"}
    write(folder / "modules.json", modules)
    flags = {"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": True}
    write(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": WIDTH} | flags)
    write(folder / "sentence_bert_config.json", {"max_seq_length": 16, "do_lower_case": True})
    check(folder)
    assert load_embedder(str(folder)).dims == 2 * WIDTH


def test_an_encoder_with_a_contract(tmp_path: Path) -> None:
    """What modules.json would say, said in contract.json: e5's way."""
    folder = encoder(tmp_path / "e5")
    with pytest.raises(UnknownFamily, match="contract.json that says how to pool"):
        load_embedder(str(folder))
    contract = {"name": "e5", "family": "embedder", "kind": "cosine", "max_tokens": 16, "window_tokens": 16}
    write(folder / "contract.json", contract)
    with pytest.raises(UnknownFamily, match="how to pool"):
        load_embedder(str(folder))
    rules = {"pooling": ["mean"], "query_prefix": "what: ", "document_prefix": "it: "}
    write(folder / "contract.json", contract | {"vectors": rules})
    same = saved(tmp_path / "st", prompts={"query": "what: ", "document": "it: "}, max_seq_length=16)
    for role in ("query", "document"):
        ours, theirs = (load_embedder(str(f), "f32").embed(TEXTS, role) for f in (folder, same))
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    write(folder / "contract.json", contract | {"vectors": rules | {"pooling": ["median"]}})
    with pytest.raises(BrokenModel, match="pooling is of"):
        load_embedder(str(folder))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("st"), prompts={"query": "what: "})


def test_a_vector_depends_on_its_text_alone(small: Path) -> None:
    ours = load_embedder(str(small), "f32")
    together = ours.embed(["lamp", "water " * 60, "", "oslo", " "], "document")
    for i, text in enumerate(["lamp", "water " * 60, "", "oslo", " "]):
        np.testing.assert_allclose(together[i], ours.embed([text], "document")[0], atol=1e-5)
    assert not together[2].any() and not together[4].any()
    assert not ours.embed([""], "query").any() and ours.embed([], "query").shape == (0, WIDTH)
    np.testing.assert_allclose(np.linalg.norm(together[[0, 1, 3]], axis=1), 1, atol=1e-6)


def test_special_token_literals_are_plain_text(small: Path) -> None:
    ours = load_embedder(str(small), "f32")
    assert isinstance(ours, TextEmbedder)
    (ids,) = ours.inputs(["lamp [SEP] [MASK] [CLS] [PAD]"], "document")
    specials = {ours.tokens.id_of(t) for t in ("[SEP]", "[MASK]", "[CLS]", "[PAD]")}
    assert specials & set(ids) == {ids[0], ids[-1]} and len(ids) > 10


def test_over_the_window(small: Path) -> None:
    ours = load_embedder(str(small), "f32")
    assert isinstance(ours, TextEmbedder)
    (ids,) = ours.inputs(["water " * 200], "query")
    assert len(ids) == LIMIT


def test_what_is_refused(small: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownFamily, match="scores no pairs"):
        resift.load(small)
    with pytest.raises(UnknownFamily, match="none of whole texts"):
        load_embedder(str(pylate(tmp_path / "late")))
    dot = saved(tmp_path / "dot", similarity_fn_name="dot")
    with pytest.raises(UnknownFamily, match="compares vectors by dot"):
        load_embedder(str(dot))
    check(saved(tmp_path / "unit", "mean", Normalize(), similarity_fn_name="dot"))
    (small_copy := saved(tmp_path / "x") / "tokenizer.json").unlink()
    with pytest.raises(BrokenModel, match="no tokenizer.json, and its TokenizersBackend is kept there alone"):
        load_embedder(str(small_copy.parent))
    dense = saved(tmp_path / "dense", "mean", Dense(WIDTH, 8))
    (dense / "2_Dense" / "model.safetensors").rename(dense / "2_Dense" / "pytorch_model.bin")
    with pytest.raises(BrokenModel, match="no undamaged archive"):
        load_embedder(str(dense))
    (dense / "2_Dense" / "pytorch_model.bin").rename(dense / "2_Dense" / "model.safetensors")
    write(dense / "modules.json", [*json.loads((dense / "modules.json").read_text()), {"type": "x.CNN", "path": "3"}])
    with pytest.raises(UnknownFamily, match="CNN"):
        load_embedder(str(dense))


def test_words_are_joined_for_phobert(tmp_path: Path) -> None:
    folder = encoder(tmp_path)
    contract = {"name": "vi", "family": "embedder", "kind": "cosine", "max_tokens": 64, "window_tokens": 64}
    write(folder / "contract.json", contract | {"vectors": {"pooling": ["mean"], "segmenter": "vi"}})
    ours = load_embedder(str(folder), "f32")
    assert isinstance(ours, TextEmbedder)
    plain, joined = ours.inputs(["Hà Nội là thủ đô", "ha_noi la thu_đo"], "document")
    assert plain == joined and ours.tokens.id_of("_") in plain


class Hidden(torch.nn.Module):
    """An encoder that gives its last hidden states alone."""

    def __init__(self, encoder: torch.nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, token_type_ids: torch.Tensor
    ) -> torch.Tensor:
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask, "token_type_ids": token_type_ids}
        hidden: torch.Tensor = self.encoder(**inputs).last_hidden_state
        return hidden


def exported(folder: Path, name: str) -> None:
    """Put an export of the encoder where its safetensors were: torch's exporter writes ONNX, OpenVINO its own."""
    import openvino

    from resift.engine.graphs.graph import encoder_graph
    from resift.engine.weights.checkpoint_files import read_weights

    weights = folder / "model.safetensors"
    if name.endswith(".onnx"):
        model = Hidden(AutoModel.from_pretrained(folder, attn_implementation="eager")).eval()
        ids = torch.arange(4, 22).reshape(2, 9)
        named = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids)}
        axes = {n: {0: "batch", 1: "tokens"} for n in [*named, "last_hidden_state"]}
        with warnings.catch_warnings():  # of the exporter's age
            warnings.simplefilter("ignore")
            torch.onnx.export(
                model, (), str(folder / name), kwargs=named, dynamo=False, opset_version=17,
                input_names=list(named), output_names=["last_hidden_state"], dynamic_axes=axes,
            )  # fmt: skip
    else:
        graph = encoder_graph(json.loads((folder / "config.json").read_text()), read_weights([weights]))
        graph.outputs[0].get_tensor().set_names({"last_hidden_state"})
        openvino.save_model(graph, folder / name, compress_to_fp16=False)
    weights.unlink()


@pytest.mark.parametrize("name", ["openvino/openvino_model.xml", "openvino_model.xml", "onnx/model.onnx", "model.onnx"])
def test_exported_encoders(tmp_path: Path, name: str) -> None:
    folder = saved(tmp_path, "mean")
    before = load_embedder(str(folder), "f32").embed(TEXTS, "query")
    (folder / name).parent.mkdir(exist_ok=True)
    exported(folder, name)
    np.testing.assert_allclose(load_embedder(str(folder), "f32").embed(TEXTS, "query"), before, atol=1e-5)

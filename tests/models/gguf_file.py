"""A tiny Llama in a GGUF file as llama.cpp writes them, and a Python package that carries it."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from phichat.models.catalogue import CatalogueEntry, PackageSource, catalogue
from phichat.models.refs import ModelRef

HEADS, KV_HEADS, HIDDEN, BLOCKS = 4, 2, 64, 2
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TEMPLATE = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
FILE = "tiny_gguf/Tiny.gguf"


def tensors(vocabulary: int, inner: int) -> dict[str, np.ndarray[Any, Any]]:
    """Random weights by the names that llama.cpp gives them."""
    random = np.random.default_rng(0)
    half = HIDDEN // HEADS * KV_HEADS
    shapes = {"token_embd": (vocabulary, HIDDEN), "output_norm": (HIDDEN,)}
    for block in range(BLOCKS):
        shapes |= {
            f"blk.{block}.attn_norm": (HIDDEN,),
            f"blk.{block}.attn_q": (HIDDEN, HIDDEN),
            f"blk.{block}.attn_k": (half, HIDDEN),
            f"blk.{block}.attn_v": (half, HIDDEN),
            f"blk.{block}.attn_output": (HIDDEN, HIDDEN),
            f"blk.{block}.ffn_norm": (HIDDEN,),
            f"blk.{block}.ffn_gate": (inner, HIDDEN),
            f"blk.{block}.ffn_up": (inner, HIDDEN),
            f"blk.{block}.ffn_down": (HIDDEN, inner),
        }
    return {f"{name}.weight": random.standard_normal(shape, np.float32) for name, shape in shapes.items()}


def write(path: Path, pre: str = "smollm", inner: int = 96) -> Path:
    """Write the model; `inner` is the size of its feed-forward layers, and so of most of it."""
    import gguf
    from tokenizers import pre_tokenizers

    tokens = [*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet()), "12"]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(BLOCKS)
    writer.add_context_length(256)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_freq_base(100000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types([3] * len(SPECIAL) + [1] * (len(tokens) - len(SPECIAL)))
    writer.add_token_merges(["1 2"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(2)
    writer.add_chat_template(TEMPLATE)
    for name, array in tensors(len(tokens), inner).items():
        writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def package(folder: Path, inner: int) -> ModelRef:
    """A wheel with the model in `folder`, and a reference to it as to SmolLM2."""
    content = write(folder / "model.gguf", inner=inner).read_bytes()
    wheel = folder / "tiny_gguf-1.0-py3-none-any.whl"
    info = "tiny_gguf-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(FILE, content)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-gguf\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/LICENSE", "Do what you like.\n")
        archive.writestr(f"{info}/RECORD", "")
    source = PackageSource(
        name="tiny-gguf",
        version="1.0",
        wheel_bytes=wheel.stat().st_size,
        wheel_sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
        file=FILE,
        file_bytes=len(content),
        file_sha256=hashlib.sha256(content).hexdigest(),
    )
    return reference(source)


def reference(source: PackageSource) -> ModelRef:
    """A model that comes from this package, otherwise like SmolLM2."""
    entry = CatalogueEntry.model_validate(
        catalogue()["smollm2"].model_dump()
        | {"alias": "tiny", "title": "Tiny", "parameters": 1, "package": source}
    )
    return ModelRef(name="tiny", key=f"tiny-{source.version}", entry=entry)

"""Time and memory before a training begins: from earlier runs, else from the model's size."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from phichat.backends.local.forecast import forecast, gpu_free, lacking, on_gpu, speeds
from phichat.backends.workload import Workload, parameters_in
from phichat.workflow.estimates import tight

SMOLLM2 = 134_515_008
PHI = 3_821_079_552


def work(method: str = "full", tokens: float = 13_000, batch_tokens: float = 1024) -> Workload:
    return Workload(
        rows=50, tokens=tokens, steps=35, rows_per_step=8, batch_tokens=batch_tokens, method=method
    )


def test_what_was_measured_with_smollm2_lies_within() -> None:
    estimate = forecast(work(), SMOLLM2, 2, (), gpu=False)
    assert estimate.seconds and estimate.memory_bytes
    low, high = estimate.seconds
    assert low < 141 / 2 + 30 < high, "141 CPU seconds of training on two cores, and loading"
    low, high = estimate.memory_bytes
    assert low < 4.6e9 < high
    assert (estimate.usd, estimate.free) == ((0, 0), True)
    assert "model's size" in estimate.source


def test_an_adapter_of_a_phi_needs_less_memory_than_all_its_weights() -> None:
    full, lora = (forecast(work(method), PHI, 2, (), gpu=False).memory_bytes for method in ("full", "lora"))
    assert full and lora
    assert full[0] > 57 * 2**30, "float32 weights, gradients and moments: 56.9 GiB"
    assert 14 * 2**30 < lora[0] < 25 * 2**30


def test_earlier_runs_are_better_than_a_guess() -> None:
    estimate = forecast(work(tokens=10_000), SMOLLM2, 2, (100.0, 200.0), gpu=False)
    assert estimate.seconds == pytest.approx((20 + 40, 60 + 130))
    assert estimate.source == "as fast as 2 earlier runs on this machine"


def test_a_gpu_that_nobody_has_measured_is_not_guessed_at() -> None:
    estimate = forecast(work(), PHI, None, (), gpu=True)
    assert (estimate.seconds, estimate.memory_bytes, estimate.memory_free) == (None, None, None)
    assert forecast(work(), PHI, None, (5000.0,), gpu=True).seconds is not None


def test_what_does_not_fit_a_gpu_is_known_from_its_weights() -> None:
    free = 24 * 2**30
    full, lora, qlora = (
        forecast(work(method), PHI, None, (), gpu=True, gpu_free=free) for method in ("full", "lora", "qlora")
    )
    assert [tight(estimate) for estimate in (full, lora, qlora)] == [True, False, False]
    assert lora.memory_bytes and 7.1 * 2**30 < lora.memory_bytes[0] < lora.memory_bytes[1] < 12 * 2**30
    assert (lora.seconds, lora.memory_free) == (None, free)
    assert "not measured" in lora.source


@pytest.mark.parametrize(
    ("tool", "free"),
    [("echo 24000; echo 100", 24000 * 2**20), ("echo No devices were found", None), ("exit 9", None)],
)
def test_the_free_memory_of_a_gpu_is_asked_of_its_own_tool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tool: str, free: float | None
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu_free() is None
    (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{tool}\n", encoding="utf-8")
    (tmp_path / "nvidia-smi").chmod(0o755)
    assert gpu_free() == free


def test_a_model_of_unknown_size_has_no_estimate() -> None:
    assert forecast(work(), None, 2, (), gpu=False).seconds is None


def test_speeds_are_those_of_runs_alike(tmp_path: Path) -> None:
    def job(name: str, config: dict[str, object], *told: float) -> None:
        output = tmp_path / name / "output"
        output.mkdir(parents=True)
        (tmp_path / name / "config.json").write_text(json.dumps(config), encoding="utf-8")
        lines = [json.dumps({"step": 1, "values": {"tokens_per_s": speed}}) for speed in told]
        (output / "metrics.jsonl").write_text("\n".join([*lines, '{"step": 2, "va']), encoding="utf-8")

    like = {"base_model": "b", "method": "full", "packing": False}
    job("alike", like, 1.0, 100.0, 120.0)
    job("too short", like, 100.0)
    job("other", {**like, "method": "lora"}, 1.0, 2.0, 3.0)
    (tmp_path / "begun").mkdir()
    assert list(speeds(tmp_path, like)) == [100.0]


def test_a_folder_says_how_many_weights_it_has(tiny_phi3: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_phi3)
    assert parameters_in(tiny_phi3) == pytest.approx(model.num_parameters(), rel=0.05)


def test_a_gpu_is_seen_without_loading_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert [on_gpu(device, "linux", "x86_64") for device in ("auto", "cpu", "cuda")] == [False, False, True]
    assert on_gpu("auto", "darwin", "arm64")
    assert not on_gpu("auto", "linux", "arm64")
    (tmp_path / "nvidia-smi").touch(mode=0o755)
    assert on_gpu("auto", "linux", "x86_64")
    assert not on_gpu("cpu", "linux", "x86_64")


def test_four_bits_need_a_gpu_and_their_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda _: object())
    assert not any(lacking(method, "auto") for method in ("full", "lora"))
    assert all("NVIDIA GPU" in lacking("qlora", device) for device in ("auto", "cpu", "mps"))
    assert lacking("qlora", "cuda") == "", "whoever names it has one"
    (tmp_path / "nvidia-smi").touch(mode=0o755)
    assert lacking("qlora", "auto") == ""
    assert "NVIDIA GPU" in lacking("qlora", "cpu")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert "bitsandbytes" in lacking("qlora", "auto")
    assert lacking("lora", "auto") == ""

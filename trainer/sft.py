"""TRL's SFTTrainer, with the same order of rows on any number of processes and an exact eval loss."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, concatenate_datasets  # type: ignore[import-untyped]
from peft import LoraConfig
from torch.nn.functional import cross_entropy
from transformers import EarlyStoppingCallback, PrinterCallback, TrainerCallback
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

import weights
from masking import IGNORED
from material import Material
from rows import dataset
from settings import TrainSettings


class RowOrder(torch.utils.data.Sampler[int]):
    """A new order in every epoch that depends on the seed and the epoch alone; the filling comes last."""

    def __init__(self, rows: int, filling: int, seed: int) -> None:
        self.epoch = 0
        self._rows = rows
        self._filling = filling
        self._seed = seed

    def __len__(self) -> int:
        return self._rows + self._filling

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + self.epoch)
        yield from torch.randperm(self._rows, generator=generator).tolist()
        yield from range(self._rows, len(self))


class _Epochs(TrainerCallback):
    """Tells the order which epoch it is, also when a run goes on in the middle of one."""

    def __init__(self, order: RowOrder) -> None:
        self._order = order

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._order.epoch = int(state.epoch or 0)


class ChatTrainer(SFTTrainer):
    """Trains on tokenized rows; several processes get even shares without reading any row twice."""

    def __init__(self, *, train_dataset: Dataset, args: SFTConfig, **options: Any) -> None:
        share = args.per_device_train_batch_size * args.world_size if args.world_size > 1 else 1
        filling = -len(train_dataset) % share
        self._order = RowOrder(len(train_dataset), filling, args.seed)
        super().__init__(train_dataset=filled(train_dataset, filling), args=args, **options)
        if self.is_fsdp_enabled:
            _keep_whole(self.accelerator.state.fsdp_plugin)
        self.add_callback(_Epochs(self._order))
        self.remove_callback(PrinterCallback)

    @property
    def spread(self) -> bool:
        """Whether each process may have only a part of the weights (FSDP, DeepSpeed)."""
        return bool(self.is_fsdp_enabled or self.is_deepspeed_enabled)

    def finish(self) -> None:
        """Wait for the other processes, and let them go: what follows is done by the first one alone."""
        self.accelerator.wait_for_everyone()
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The loss of a batch; `num_items_in_batch` counts what is learned in the step, in all processes."""
        nll, learned, right = self._judge(model, inputs)
        counts = torch.stack([learned, right, torch.tensor(inputs["input_ids"].numel(), device=nll.device)])
        sums = self.accelerator.gather(counts[None]).sum(dim=0).tolist()
        self._total_train_tokens += sums[2]
        self._metrics["train"]["num_tokens"] = [self._total_train_tokens]
        self._metrics["train"]["mean_token_accuracy"].append(sums[1] / max(sums[0], 1))
        return nll * self.accelerator.num_processes / num_items_in_batch.clamp(min=1)

    def _judge(self, model: Any, inputs: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The loss of all learned tokens together, how many they are, and how many are the first choice.

        TRL's output layer saves memory on a GPU. Elsewhere it takes every token, learned or not, and makes up
        a third of a step for SmolLM2.
        """
        if self.args.device.type == "cuda":
            output = model(**inputs, use_cache=False, fused_lm_head=True)
            return -output.log_probs.sum(), output.label_mask.sum(), output.is_top1.sum()
        asked = {name: value for name, value in inputs.items() if name != "labels"}
        targets = inputs["labels"][:, 1:]
        learned = (targets != IGNORED).any(dim=0).nonzero().flatten()
        logits = model(**asked, use_cache=False, logits_to_keep=learned).logits.float().flatten(0, 1)
        targets = targets[:, learned].flatten()
        nll = cross_entropy(logits, targets, ignore_index=IGNORED, reduction="sum")
        return nll, (targets != IGNORED).sum(), (logits.argmax(dim=-1) == targets).sum()

    def _get_train_sampler(self, train_dataset: Any = None) -> RowOrder:
        return self._order

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """The mean loss of a token, and how many are the model's first choice.

        The Trainer's own eval loss is a mean of the batches' means: it depends on the batch size, and on the
        number of processes.
        """
        self.model_wrapped.eval()
        # Apple's GPUs, which only ever work alone, have no double precision: the processor adds up.
        sums = torch.zeros(3, dtype=torch.float64)
        with torch.no_grad(), self.compute_loss_context_manager():
            for batch, counts in self._eval_batches():
                judged = self._judge(self.model_wrapped, self._prepare_inputs(batch))
                sums += counts * torch.stack([part.cpu().double() for part in judged])
        if self.args.world_size > 1:
            sums = self.accelerator.reduce(sums.to(self.args.device))
        loss, tokens, right = sums.tolist()
        metrics = {"eval_loss": loss / tokens, "eval_token_accuracy": right / tokens}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _eval_batches(self) -> Iterator[tuple[dict[str, Any], int]]:
        """This process's batches, each with 1, or 0 for one that is only there to make the shares even."""
        size, share = self.args.per_device_eval_batch_size, self.args.world_size
        rows: Any = self.eval_dataset
        starts = list(range(0, len(rows), size))
        for at in range(self.args.process_index, -(-len(starts) // share) * share, share):
            start = starts[at % len(starts)]
            batch: Any = [rows[row] for row in range(start, min(start + size, len(rows)))]
            yield self.data_collator(batch), int(at < len(starts))

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """None beside a checkpoint: the model gets one of ours."""


def _keep_whole(plugin: Any) -> None:
    """Let checkpoints and adapters be of the whole model, whatever the accelerate config says of FSDP."""
    plugin.state_dict_config = plugin.optim_state_dict_config = None  # those of another kind would stay
    plugin.set_state_dict_type("FULL_STATE_DICT")


def trainer(material: Material, settings: TrainSettings, directory: Path, *, fresh: bool) -> ChatTrainer:
    """A trainer of the material, its model loaded; `fresh`: the run starts at its beginning."""
    model = weights.load(material.base, settings, material.device)
    held_out = dataset(material.held_out) if material.held_out else None
    evaluated = held_out is not None
    return ChatTrainer(
        model=model,
        args=arguments(settings, directory, material.device, evaluated=evaluated, fresh=fresh),
        train_dataset=dataset(
            material.rows, settings.max_length if settings.packing else None, settings.seed
        ),
        eval_dataset=held_out,
        processing_class=material.tokenizer,
        peft_config=adapter(model, settings),
        callbacks=early_stopping(settings, evaluated=evaluated),
    )


def filled(rows: Dataset, filling: int) -> Dataset:
    """The rows, and behind them as many more in which there is nothing to learn."""
    if not filling:
        return rows
    empty = {"input_ids": [0, 0], "labels": [IGNORED, IGNORED], "seq_lengths": [2]}
    more = Dataset.from_list(
        [{name: empty[name] for name in rows.column_names}] * filling, features=rows.features
    )
    return concatenate_datasets([rows, more])


def batches(settings: TrainSettings, processes: int) -> tuple[int, int]:
    """How many rows a process has in memory at once, and how many times that makes an optimizer step.

    A step has batch_size * gradient_accumulation rows on any number of processes.
    """
    rows = settings.batch_size * settings.gradient_accumulation
    share = math.ceil(rows / processes)
    size = next(size for size in range(min(settings.batch_size, share), 0, -1) if share % size == 0)
    return size, share // size


def arguments(
    settings: TrainSettings, directory: Path, device: torch.device, *, evaluated: bool, fresh: bool
) -> SFTConfig:
    """The settings in the words of transformers and TRL; `fresh`: the run starts at its beginning."""
    numbers = weights.precision(settings.precision, device)
    on_gpu = device.type == "cuda"
    checkpointing = settings.gradient_checkpointing
    config = SFTConfig(
        output_dir=str(directory),
        use_cpu=device.type == "cpu",
        bf16=numbers == "bf16",
        fp16=numbers == "fp16",
        activation_checkpointing=on_gpu if checkpointing is None else checkpointing,
        activation_checkpointing_kwargs={"use_reentrant": False},
        optim="adamw_torch_fused",
        learning_rate=settings.learning_rate,
        lr_scheduler_type=settings.scheduler,
        warmup_steps=settings.warmup,  # below 1: a share of all steps
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        num_train_epochs=settings.epochs,
        max_steps=settings.max_steps or -1,
        max_length=None,  # the rows are cut off, and packed, already
        padding_free=True,
        dataset_kwargs={"skip_prepare_dataset": True},
        seed=settings.seed,
        logging_steps=settings.log_steps,
        logging_first_step=True,
        logging_nan_inf_filter=False,
        eval_strategy=_strategy(settings.eval_steps) if evaluated else "no",
        eval_steps=settings.eval_steps,
        eval_on_start=evaluated and fresh,
        save_strategy=_strategy(settings.save_steps),
        save_steps=settings.save_steps or 500,
        load_best_model_at_end=evaluated and settings.keep_best,
        metric_for_best_model="eval_loss" if evaluated and settings.keep_best else None,
        restore_callback_states_from_checkpoint=True,
        average_tokens_across_devices=True,
        disable_tqdm=True,
        report_to="none",
        dataloader_pin_memory=on_gpu,
        ddp_timeout=7200,
    )
    size, accumulation = batches(settings, config.world_size)
    config.per_device_train_batch_size = config.per_device_eval_batch_size = size
    config.gradient_accumulation_steps = accumulation
    return config


def early_stopping(settings: TrainSettings, *, evaluated: bool) -> list[TrainerCallback]:
    """What ends a run whose eval loss does not fall any more, if that is wanted."""
    patience = settings.early_stopping_patience
    return [EarlyStoppingCallback(patience)] if patience is not None and evaluated else []


def adapter(model: Any, settings: TrainSettings) -> LoraConfig | None:
    """What LoRA adds to the model; None where all weights are trained."""
    if settings.method == "full":
        return None
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=settings.lora_r,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        target_modules=weights.lora_targets(weights.linear_layers(model), settings.lora_targets),
    )


def _strategy(steps: int | None) -> str:
    return "steps" if steps else "epoch"


def halved(settings: TrainSettings) -> TrainSettings:
    """Half the rows in memory at once, and as many to an optimizer step as before."""
    rows = settings.batch_size * settings.gradient_accumulation
    size = next(size for size in range(settings.batch_size // 2, 0, -1) if rows % size == 0)
    return replace(settings, batch_size=size, gradient_accumulation=rows // size)

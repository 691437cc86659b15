"""A small LSTM encoder-decoder as people write it, in a plain loop and for the trainers of two libraries."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

WORDS, HIDDEN, LENGTH, BATCH = 12, 16, 5, 8


class Seq2Seq(nn.Module):
    """Copies words; returns its loss as the models of Hugging Face do."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, HIDDEN)
        self.encoder = nn.LSTM(HIDDEN, HIDDEN, batch_first=True)
        self.decoder = nn.LSTM(HIDDEN, HIDDEN, batch_first=True)
        self.out = nn.Linear(HIDDEN, WORDS)

    def forward(self, input_ids: Tensor, labels: Tensor) -> dict[str, Tensor]:
        _, state = self.encoder(self.embedding(input_ids))
        given = torch.cat([torch.zeros_like(labels[:, :1]), labels[:, :-1]], 1)
        hidden, _ = self.decoder(self.embedding(given), state)
        logits = self.out(hidden)
        return {"loss": nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten()), "logits": logits}


def examples(count: int) -> list[dict[str, Tensor]]:
    """Words to copy, the same each time."""
    words = torch.randint(1, WORDS, (count, LENGTH), generator=torch.Generator().manual_seed(1))
    return [{"input_ids": each, "labels": each} for each in words]


def batches(count: int, accumulate: int = 1) -> list[list[dict[str, Tensor]]]:
    """So many steps, each of some batches."""
    made = torch.utils.data.default_collate
    rows = examples(count * accumulate * BATCH)
    parts = [made(rows[first : first + BATCH]) for first in range(0, len(rows), BATCH)]
    return [parts[first : first + accumulate] for first in range(0, len(parts), accumulate)]


def seeded() -> Seq2Seq:
    torch.manual_seed(0)
    return Seq2Seq()


def plain_loop(
    steps: int, learning_rate: float, clip: Callable[[nn.Module], Any], accumulate: int = 1
) -> tuple[list[float], list[float]]:
    """The loss of each step, and the norm that ``clip`` returned."""
    model = seeded()
    optimizer = torch.optim.SGD(model.parameters(), learning_rate)
    losses, norms = [], []
    for parts in batches(steps, accumulate):
        optimizer.zero_grad()
        total = torch.zeros(())
        for part in parts:
            loss = model(**part)["loss"] / len(parts)
            loss.backward()
            total += loss.detach()
        norms.append(float(clip(model)))
        optimizer.step()
        losses.append(float(total))
    return losses, norms

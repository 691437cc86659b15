"""A user's own model in an array of 16 beside the same module in a plain training loop, one thread, alternating.

python tests/benchmarks/own_model.py [tutorial|reading|packed|mixed|tagger|language ...] [HIDDEN ...]
"""

import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from gradstudy.models.array import TrainingRun
from gradstudy.models.optimizer_settings import OptimizerSettings
from gradstudy.models.schedules import Schedule
from gradstudy.models.user_module.array import ModuleArray
from gradstudy.models.user_module.batching import try_batching
from gradstudy.models.user_module.loading import UserModule
from gradstudy.models.user_module.padding import Padding
from gradstudy.models.user_module.returned.problem import Problem
from gradstudy.study.training.arrays import BLOCK

TRIALS, BATCH, LENGTH, VOCABULARY = 16, 32, 12, 30
ROUNDS, SECONDS = 5, 1.0
LEARNING_RATE, THRESHOLD = 0.1, 1.0
CPU = torch.device("cpu")


class Seq2Seq(nn.Module):
    """The tutorials' encoder-decoder: embedding, dropout, nn.LSTM; a decoder loop with teacher forcing."""

    def __init__(self, hidden: int, *, reads: bool = False) -> None:
        super().__init__()
        self.reads = reads
        self.source, self.target = (nn.Embedding(VOCABULARY, hidden) for _ in range(2))
        self.encoder, self.decoder = nn.LSTM(hidden, hidden), nn.LSTM(hidden, hidden)
        self.output, self.dropout = nn.Linear(hidden, VOCABULARY), nn.Dropout(0.1)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        _, state = self.encoder(self.dropout(self.source(source)))
        symbol, outputs = target[0], []
        for t in range(1, len(target)):
            output, state = self.decoder(self.dropout(self.target(symbol.unsqueeze(0))), state)
            outputs.append(self.output(output.squeeze(0)))
            symbol = target[t] if random.random() < 0.5 else outputs[-1].argmax(1)
            if self.reads and symbol.max().item() < 0:
                break
        return torch.stack(outputs)


class Packed(nn.Module):
    """The same with packed sequences, a bidirectional encoder and dot-product attention."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.source, self.target = (nn.Embedding(VOCABULARY, hidden) for _ in range(2))
        self.encoder = nn.LSTM(hidden, hidden // 2, bidirectional=True)
        self.decoder = nn.LSTM(hidden, hidden)
        self.output, self.dropout = nn.Linear(2 * hidden, VOCABULARY), nn.Dropout(0.1)

    def forward(self, source: Tensor, lengths: Tensor, target: Tensor) -> Tensor:
        packed = pack_padded_sequence(self.dropout(self.source(source)), lengths.cpu(), enforce_sorted=False)
        memory, (h, c) = self.encoder(packed)
        memory, _ = pad_packed_sequence(memory)
        state = tuple(torch.cat([one[0], one[1]], -1).unsqueeze(0) for one in (h, c))
        padding = (torch.arange(len(memory)).unsqueeze(1) >= lengths).T
        symbol, outputs = target[0], []
        for t in range(1, len(target)):
            output, state = self.decoder(self.dropout(self.target(symbol.unsqueeze(0))), state)
            scores = torch.einsum("tbh,bh->bt", memory, output[0]).masked_fill(padding, float("-inf"))
            context = torch.einsum("bt,tbh->bh", scores.softmax(1), memory)
            outputs.append(self.output(torch.cat([output[0], context], 1)))
            symbol = target[t] if random.random() < 0.5 else outputs[-1].argmax(1)
        return torch.stack(outputs)


class Tagger(nn.Module):
    """Embedding, two bidirectional layers of nn.LSTM with dropout, linear."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.embedding, self.dropout = nn.Embedding(VOCABULARY, hidden, padding_idx=0), nn.Dropout(0.25)
        self.lstm = nn.LSTM(hidden, hidden // 2, num_layers=2, bidirectional=True, dropout=0.25)
        self.output = nn.Linear(hidden, 10)

    def forward(self, words: Tensor) -> Tensor:
        return cast("Tensor", self.output(self.dropout(self.lstm(self.dropout(self.embedding(words)))[0])))


class Language(nn.Module):
    """A language model with nn.GRU and tied weights, which carries its state from batch to batch."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.embedding, self.dropout = nn.Embedding(VOCABULARY, hidden), nn.Dropout(0.2)
        self.gru = nn.GRU(hidden, hidden, batch_first=True)
        self.output = nn.Linear(hidden, VOCABULARY)
        self.output.weight = self.embedding.weight
        self.hidden: Tensor | None = None

    def forward(self, words: Tensor) -> Tensor:
        before = None if self.hidden is None else self.hidden.detach()
        output, self.hidden = self.gru(self.dropout(self.embedding(words)), before)
        return cast("Tensor", self.output(self.dropout(output)))


def _words(seed: int, count: int) -> Tensor:
    return torch.randint(1, VOCABULARY, (count, BATCH), generator=torch.Generator().manual_seed(seed))


def tutorial(seed: int, hidden: int) -> Problem:
    batches = [(_words(seed + n, LENGTH), _words(seed + n + 100, LENGTH)) for n in range(20)]
    return Problem(Seq2Seq(hidden), batches, lambda m, b: _loss(m(*b), b[1][1:]))


def reading(seed: int, hidden: int) -> Problem:
    """The tutorials' one that branches on a value, and so has to be trained one at a time."""
    made = tutorial(seed, hidden)
    return made._replace(module=Seq2Seq(hidden, reads=True))


def packed(seed: int, hidden: int) -> Problem:
    made = torch.Generator().manual_seed(seed)
    lengths = [torch.randint(4, LENGTH + 1, (BATCH,), generator=made) for _ in range(20)]
    for each in lengths:
        each[0] = LENGTH
    batches = [(_words(seed + n, LENGTH), each, _words(seed + n + 100, LENGTH)) for n, each in enumerate(lengths)]
    return Problem(Packed(hidden), batches, lambda m, b: _loss(m(*b), b[2][1:]))


def mixed(seed: int, hidden: int) -> Problem:
    """The one with packed sequences, in batches as long as the longest of their sentences."""
    made = torch.Generator().manual_seed(seed)
    batches = []
    for n in range(20):
        longest = int(torch.randint(LENGTH // 2, LENGTH + 1, (), generator=made))
        lengths = torch.randint(2, longest + 1, (BATCH,), generator=made)
        words, answers = (
            torch.where(torch.arange(int(lengths.max())).unsqueeze(1) < lengths, _words(seed, int(lengths.max())), 0)
            for seed in (seed + n, seed + n + 100)
        )
        batches.append((words, lengths, answers))
    return Problem(Packed(hidden), batches, lambda m, b: _loss(m(*b), b[2][1:], ignore=0))


def tagger(seed: int, hidden: int) -> Problem:
    batches = [(_words(seed + n, 20), _words(seed + n + 100, 20) % 10) for n in range(20)]
    return Problem(Tagger(hidden), batches, lambda m, b: _loss(m(b[0]), b[1], ignore=0))


def language(seed: int, hidden: int) -> Problem:
    batches = [_words(seed + n, 21).T.contiguous() for n in range(20)]
    return Problem(Language(hidden), batches, lambda m, b: _loss(m(b[:, :-1]), b[:, 1:]))


def _loss(logits: Tensor, targets: Tensor, ignore: int = -100) -> Tensor:
    return functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), targets.reshape(-1), ignore_index=ignore)


def plain(problem: Problem) -> Iterator[None]:
    """The loop that people write, a step at a time."""
    optimizer = torch.optim.SGD(problem.module.parameters(), LEARNING_RATE)
    losses = []
    while True:
        for batch in cast("list[Any]", problem.batches):
            optimizer.zero_grad()
            loss = problem.loss(problem.module, batch)
            loss.backward()
            norm = nn.utils.clip_grad_norm_(problem.module.parameters(), THRESHOLD)
            optimizer.step()
            losses.append((loss.item(), norm.item()))
            yield


def in_array(user: UserModule, trials: int, padding: Padding | None) -> Iterator[None]:
    """The array, a block of steps of all trials at a time; one trial is trained by its own module."""
    array = ModuleArray(
        user,
        "module",
        slots=trials,
        batch_size=BATCH,
        optimizer=OptimizerSettings("sgd"),
        schedule=Schedule("constant", 1000),
        guard=False,
        device=CPU,
        batched=trials > 1,
        shared_draws=0,
        padding=padding,
    )
    for seed in range(trials):
        array.admit(TrainingRun(seed=seed, strategy="norm", threshold=THRESHOLD, learning_rate=LEARNING_RATE))
    while True:
        array.train(BLOCK)
        assert not array.failures, array.failures
        yield


def milliseconds(steps: Iterator[None], each: int) -> float:
    """CPU time of a step of one trial, ``each`` of which are one of ``steps``: what else runs counts little."""
    begun, count = time.process_time(), 0
    while time.process_time() - begun < SECONDS:
        next(steps)
        count += 1
    return 1000 * (time.process_time() - begun) / count / each


def measure(make: Callable[[int, int], Problem], hidden: int) -> None:
    user = UserModule("module:own:problem", lambda seed: make(seed, hidden), {}, None, "")
    tried = try_batching(user, "module", BATCH, CPU, shared_draws=0)
    trials = TRIALS if tried.batched else 1
    ways = {"alone": (plain(make(0, hidden)), 1), "array": (in_array(user, trials, tried.padding), BLOCK * trials)}
    for steps, _ in ways.values():
        next(steps)
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, (steps, each) in ways.items():
            times[name].append(milliseconds(steps, each))
    alone, array = (statistics.median(times[name]) for name in ways)
    how = ("padded" if tried.padding else "batched") if tried.batched else tried.reason
    print(f"{make.__name__:9} {hidden:4} {how}: alone {alone:.2f} ms, array {array:.2f} ms, {alone / array:.2f} times")


def main() -> None:
    torch.set_num_threads(1)
    makers = {
        "tutorial": tutorial,
        "reading": reading,
        "packed": packed,
        "mixed": mixed,
        "tagger": tagger,
        "language": language,
    }
    names = [name for name in sys.argv[1:] if name in makers] or list(makers)
    for name in names:
        for hidden in [int(given) for given in sys.argv[1:] if given.isdigit()] or [32, 64, 128]:
            measure(makers[name], hidden)


if __name__ == "__main__":
    main()

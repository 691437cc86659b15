"""Decoders with habits of their own: cells with input feeding, scheduled sampling, greedy loops, pointers, beams."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from peoples_models.translation import EOS, HIDDEN, LENGTH, PAD, SOS, VOCAB, pairs


class InputFeeding(nn.Module):
    """Two LSTM cells; the attentional vector of the step before goes in with the next word."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(VOCAB, HIDDEN)
        self.encoder = nn.LSTM(HIDDEN, HIDDEN, batch_first=True)
        self.cells = nn.ModuleList([nn.LSTMCell(2 * HIDDEN, HIDDEN), nn.LSTMCell(HIDDEN, HIDDEN)])
        self.attn_out = nn.Linear(2 * HIDDEN, HIDDEN, bias=False)
        self.project = nn.Linear(HIDDEN, VOCAB)

    def forward(self, src, trg):
        memory, (h, c) = self.encoder(self.embed(src))
        states = [(h[0], c[0]) for _ in self.cells]
        feed = memory.new_zeros(src.size(0), HIDDEN)
        logits = []
        for word in self.embed(trg[:, :-1]).unbind(1):
            x = torch.cat([word, feed], dim=-1)
            for i, cell in enumerate(self.cells):
                states[i] = cell(x, states[i])
                x = states[i][0]
            weights = torch.einsum("bh,bth->bt", x, memory).softmax(-1)
            context = torch.einsum("bt,bth->bh", weights, memory)
            feed = torch.tanh(self.attn_out(torch.cat([x, context], -1)))
            logits.append(self.project(feed))
        return torch.stack(logits, 1)


def input_feeding(seed, batch_size=4):
    """LSTMCell decoder of two layers in a ModuleList, input feeding, dot-product attention"""

    def loss(model, batch):
        src, _, trg = batch
        src, trg = src.t(), trg.t()
        return F.cross_entropy(model(src, trg).transpose(1, 2), trg[:, 1:], ignore_index=PAD)

    return InputFeeding(), pairs(seed, batch_size), loss


class Scheduled(nn.Module):
    def __init__(self, draw):
        super().__init__()
        self.embed = nn.Embedding(VOCAB, HIDDEN)
        self.enc, self.dec = nn.LSTM(HIDDEN, HIDDEN), nn.LSTMCell(HIDDEN, HIDDEN)
        self.out = nn.Linear(HIDDEN, VOCAB)
        self.draw = draw

    def forward(self, src, trg):
        _, (h, c) = self.enc(self.embed(src))
        h, c = h.squeeze(0), c.squeeze(0)
        word, scores = trg[0], []
        for t in range(1, len(trg)):
            h, c = self.dec(self.embed(word), (h, c))
            scores.append(self.out(h))
            word = self.draw(trg[t], scores[-1])
        return torch.stack(scores)


def _scheduled_loss(model, batch):
    src, _, trg = batch
    return F.cross_entropy(model(src, trg).view(-1, VOCAB), trg[1:].reshape(-1))


def sampling_by_numpy(seed, batch_size=4):
    """scheduled sampling, np.random.rand() for each step"""
    model = Scheduled(lambda gold, scores: gold if np.random.rand() < 0.7 else scores.argmax(-1))  # noqa: NPY002
    return model, pairs(seed, batch_size), _scheduled_loss


def sampling_by_row(seed, batch_size=4):
    """scheduled sampling of each sentence for itself: torch.rand and torch.where"""

    def draw(gold, scores):
        return torch.where(torch.rand(gold.shape) < 0.7, gold, scores.argmax(-1))

    return Scheduled(draw), pairs(seed, batch_size), _scheduled_loss


def sampling_by_item(seed, batch_size=4):
    """scheduled sampling, torch.rand(1).item() for each step"""
    model = Scheduled(lambda gold, scores: gold if torch.rand(1).item() < 0.7 else scores.argmax(-1))
    return model, pairs(seed, batch_size), _scheduled_loss


def sampled_words(seed, batch_size=4):
    """the next word is drawn from what the model predicts: torch.multinomial"""
    model = Scheduled(lambda gold, scores: torch.multinomial(scores.detach().softmax(-1), 1).squeeze(1))
    return model, pairs(seed, batch_size), _scheduled_loss


class Greedy(nn.Module):
    """Stops when every sentence has ended, and looks at words as Python numbers."""

    def __init__(self, stop):
        super().__init__()
        self.embed, self.rnn = nn.Embedding(VOCAB, HIDDEN), nn.GRU(HIDDEN, HIDDEN)
        self.out, self.stop = nn.Linear(HIDDEN, VOCAB), stop

    def forward(self, src):
        _, hidden = self.rnn(self.embed(src))
        word = torch.full((1, src.size(1)), SOS)
        scores = []
        for _ in range(LENGTH):
            output, hidden = self.rnn(self.embed(word), hidden)
            scores.append(self.out(output[0]))
            word = scores[-1].argmax(-1, keepdim=True).t()
            if self.stop(word[0]):
                break
        return torch.stack(scores)


def _greedy_loss(model, batch):
    src, _, trg = batch
    scores = model(src)
    return F.cross_entropy(scores.flatten(0, 1), trg[: len(scores)].flatten())


def greedy_item(seed, batch_size=4):
    """greedy decoding until all have ended: (word == EOS).all().item()"""
    return Greedy(lambda word: (word == EOS).all().item()), pairs(seed, batch_size), _greedy_loss


def greedy_list(seed, batch_size=4):
    """greedy decoding that reads the words: EOS in word.tolist()"""
    return Greedy(lambda word: EOS in word.tolist()), pairs(seed, batch_size), _greedy_loss


class PointerNet(nn.Module):
    """Sorts numbers: points at each input once, masks what was pointed at, goes on from there by gather."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(1, HIDDEN)
        self.encoder, self.decoder = nn.LSTM(HIDDEN, HIDDEN, batch_first=True), nn.LSTMCell(HIDDEN, HIDDEN)
        self.w1, self.w2, self.vt = nn.Linear(HIDDEN, HIDDEN), nn.Linear(HIDDEN, HIDDEN), nn.Linear(HIDDEN, 1)

    def forward(self, numbers):
        embedded = self.embed(numbers.unsqueeze(-1))
        memory, (h, c) = self.encoder(embedded)
        h, c = h[-1], c[-1]
        mask = torch.zeros_like(numbers, dtype=torch.bool)
        x, log_probs = torch.zeros_like(embedded[:, 0]), []
        for _ in range(numbers.size(1)):
            h, c = self.decoder(x, (h, c))
            scores = self.vt(torch.tanh(self.w1(memory) + self.w2(h).unsqueeze(1))).squeeze(-1)
            log_prob = F.log_softmax(scores.masked_fill(mask, -1e9), dim=-1)
            log_probs.append(log_prob)
            pointed = log_prob.argmax(-1, keepdim=True)
            mask = mask.scatter(1, pointed, True)
            x = embedded.gather(1, pointed.unsqueeze(-1).expand(-1, -1, HIDDEN)).squeeze(1)
        return torch.stack(log_probs, 1)


def pointer_network(seed, batch_size=4):
    """a pointer network that sorts numbers: gather, scatter into a mask, log_softmax"""
    made = torch.Generator().manual_seed(seed)
    batches = [torch.rand(batch_size, 5, generator=made) for _ in range(20)]

    def loss(model, numbers):
        return F.nll_loss(model(numbers).flatten(0, 1), numbers.argsort(1).flatten())

    return PointerNet(), batches, loss


class Addition(nn.Module):
    """Keras' example that learns to add: one-hot characters, the last state repeated, a layer over time."""

    def __init__(self, chars):
        super().__init__()
        self.encoder, self.decoder = nn.LSTM(chars, HIDDEN, batch_first=True), nn.LSTM(HIDDEN, HIDDEN, batch_first=True)
        self.dense = nn.Linear(HIDDEN, chars)

    def forward(self, x, digits):
        _, (state, _) = self.encoder(x)
        repeated = state[-1].unsqueeze(1).repeat(1, digits + 1, 1)
        x, _ = self.decoder(repeated)
        return self.dense(x)


def keras_addition(seed, batch_size=4):
    """Keras' addition: one-hot strings of numbers, RepeatVector"""
    chars, rng = "0123456789+ ", np.random.default_rng(seed)

    def one_hot(texts):
        return F.one_hot(torch.tensor([[chars.index(char) for char in text] for text in texts]), len(chars)).double()

    def batch(step):
        numbers = rng.integers(0, 100, (batch_size, 2)).tolist()
        questions = [f"{a}+{b}".ljust(5)[::-1] for a, b in numbers]
        return one_hot(questions), one_hot([str(a + b).ljust(3) for a, b in numbers])

    def loss(model, batch):
        question, answer = batch
        return F.cross_entropy(model(question, 2).transpose(1, 2), answer.argmax(-1))

    return Addition(len(chars)), batch, loss

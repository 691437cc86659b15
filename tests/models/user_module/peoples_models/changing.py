"""Models that change something in their forward pass: their own weights, a counter, a generator of random numbers."""

import numpy as np
from torch import nn

from peoples_models.language import HIDDEN, VOCAB, next_word, texts
from peoples_models.plumbing import Plain


def largest_norm(seed, batch_size=4):
    """nn.Embedding with max_norm, which changes its own weights"""

    class Renormed(Plain):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(VOCAB, HIDDEN, max_norm=1.0)

    return Renormed(), texts(seed, batch_size), next_word


def zeroed_padding(seed, batch_size=4):
    """weight.data[0] = 0 in each forward pass"""

    class Zeroed(Plain):
        def forward(self, tokens):
            self.embedding.weight.data[0] = 0
            return super().forward(tokens)

    return Zeroed(), texts(seed, batch_size), next_word


def counted_loss(seed, batch_size=4):
    """a loss that counts its calls (nonlocal) to anneal a weight"""
    step = 0

    def loss(model, batch):
        nonlocal step
        step += 1
        return next_word(model, batch) * min(1.0, 0.9 + step // 40)

    return Plain(), texts(seed, batch_size), loss


def own_generator(seed, batch_size=4):
    """teacher forcing by a numpy generator of the model's own"""

    class Forced(Plain):
        def __init__(self):
            super().__init__()
            self.rng = np.random.default_rng(seed)

        def forward(self, tokens):
            x = self.embedding(tokens)
            return self.head(self.rnn(x)[0]) * (1.0 if self.rng.random() < 0.9 else 1.1)

    return Forced(), texts(seed, batch_size), next_word


def annealed(seed, batch_size=4):
    """a weight of the loss that rises from call to call, counted by the model"""

    class Annealed(Plain):
        calls = 0

        def forward(self, tokens):
            self.calls += 1
            return super().forward(tokens) * min(1.0, 0.2 + 0.1 * self.calls)

    return Annealed(), texts(seed, batch_size), next_word

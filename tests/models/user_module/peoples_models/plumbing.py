"""Whatever else people do to a module: wrappers, hooks, checkpoints, scripts, parametrisations, copies, plain lists."""

import copy

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from peoples_models.language import HIDDEN, VOCAB, next_word, texts


class Plain(nn.Module):
    def __init__(self, rnn=nn.LSTM, **options):
        super().__init__()
        self.embedding, self.rnn = nn.Embedding(VOCAB, HIDDEN), rnn(HIDDEN, HIDDEN, **options)
        self.head = nn.Linear(HIDDEN, VOCAB)

    def forward(self, tokens):
        return self.head(self.rnn(self.embedding(tokens))[0])


class Checkpointed(Plain):
    def __init__(self, reentrant, dropout=0.0):
        super().__init__()
        self.reentrant = reentrant
        self.between, self.dropout = nn.Linear(HIDDEN, HIDDEN), nn.Dropout(dropout)

    def block(self, x):
        return self.dropout(torch.tanh(self.between(self.rnn(x)[0])))

    def forward(self, tokens):
        x = self.embedding(tokens)
        return self.head(checkpoint(self.block, x, use_reentrant=self.reentrant))


def checkpointed(seed, batch_size=4):
    """torch.utils.checkpoint around the LSTM, use_reentrant=False"""
    return Checkpointed(reentrant=False), texts(seed, batch_size), next_word


def checkpointed_reentrant(seed, batch_size=4):
    """torch.utils.checkpoint around the LSTM, use_reentrant=True"""
    return Checkpointed(reentrant=True), texts(seed, batch_size), next_word


def checkpointed_dropout(seed, batch_size=4):
    """dropout inside torch.utils.checkpoint"""
    return Checkpointed(reentrant=False, dropout=0.3), texts(seed, batch_size), next_word


def data_parallel(seed, batch_size=4):
    """nn.DataParallel around the model"""
    return nn.DataParallel(Plain(nn.GRU), dim=1), texts(seed, batch_size), next_word


def scripted(seed, batch_size=4):
    """torch.jit.script of a part of the model"""

    class Scripted(Plain):
        def __init__(self):
            super().__init__()
            self.head = torch.jit.script(nn.Sequential(nn.Linear(HIDDEN, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, VOCAB)))

    return Scripted(), texts(seed, batch_size), next_word


def spectral_norm(seed, batch_size=4):
    """parametrizations.spectral_norm of a linear layer"""
    model = Plain()
    nn.utils.parametrizations.spectral_norm(model.head)
    return model, texts(seed, batch_size), next_word


def weight_norm(seed, batch_size=4):
    """parametrizations.weight_norm of the recurrent weight of an LSTM"""
    model = Plain()
    nn.utils.parametrizations.weight_norm(model.rnn, "weight_hh_l0")
    return model, texts(seed, batch_size), next_word


class Attentive(Plain):
    def __init__(self):
        super().__init__()
        self.attention, self.norm = nn.MultiheadAttention(HIDDEN, 2, dropout=0.1), nn.LayerNorm(HIDDEN)

    def forward(self, tokens):
        x, _ = self.rnn(self.embedding(tokens))
        future = torch.triu(torch.ones(len(x), len(x), dtype=torch.bool), diagonal=1)
        attended, _ = self.attention(x, x, x, attn_mask=future, need_weights=False)
        return self.head(self.norm(x + attended))


def beside_attention(seed, batch_size=4):
    """nn.MultiheadAttention with dropout on top of an LSTM, LayerNorm"""
    return Attentive(), texts(seed, batch_size), next_word


def hooked(seed, batch_size=4):
    """hooks on modules and on tensors: outputs scaled, gradients clamped"""
    model = Plain(nn.GRU)
    model.rnn.register_forward_hook(lambda module, given, result: (1.5 * result[0], result[1]))
    model.embedding.register_forward_hook(lambda module, given, result: hook(result))

    def hook(result):
        if result.requires_grad:
            result.register_hook(lambda gradient: gradient.clamp(-1e-3, 1e-3))
        return result

    return model, texts(seed, batch_size), next_word


class ReverseGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, factor):
        ctx.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient):
        return -ctx.factor * gradient, None


def clamped_parameters(seed, batch_size=4):
    """a hook on each parameter that clamps its gradient"""
    model = Plain()
    for parameter in model.parameters():
        parameter.register_hook(lambda gradient: torch.clamp(gradient, -1e-3, 1e-3))
    return model, texts(seed, batch_size), next_word


def backward_hook(seed, batch_size=4):
    """register_full_backward_hook on the LSTM"""
    model = Plain()
    model.rnn.register_full_backward_hook(
        lambda module, given, of_outputs: tuple(None if one is None else one * 0.5 for one in given)
    )
    return model, texts(seed, batch_size), next_word


def scripted_lstm(seed, batch_size=4):
    """torch.jit.script of a part with the LSTM"""

    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(HIDDEN, HIDDEN)

        def forward(self, x: torch.Tensor):
            output, _ = self.lstm(x)
            return output, output

    class Scripted(Plain):
        def __init__(self):
            super().__init__()
            self.rnn = torch.jit.script(Recurrent())

    return Scripted(), texts(seed, batch_size), next_word


def reversed_gradient(seed, batch_size=4):
    """an autograd.Function of one's own (gradient reversal), two losses"""

    class Adversarial(Plain):
        def __init__(self):
            super().__init__()
            self.domain = nn.Linear(HIDDEN, 2)

        def forward(self, tokens):
            x, (h, _) = self.rnn(self.embedding(tokens))
            return self.head(x), self.domain(ReverseGradient.apply(h[-1], 0.3))

    def loss(model, batch):
        words, domain = model(batch[0])
        return F.cross_entropy(words.view(-1, VOCAB), batch[1].reshape(-1)) + F.cross_entropy(domain, batch[0][0] % 2)

    return Adversarial(), texts(seed, batch_size), loss


def copied_layers(seed, batch_size=4):
    """layers made by copy.deepcopy, one of them used twice; a part without gradients"""

    class Copied(Plain):
        def __init__(self):
            super().__init__(nn.GRU)
            self.more = nn.ModuleList(copy.deepcopy(self.rnn) for _ in range(2))

        def forward(self, tokens):
            x = self.embedding(tokens)
            with torch.no_grad():
                teacher, _ = self.rnn(x)
            for layer in (*self.more, self.more[0]):
                x, _ = layer(x)
            return self.head(x + teacher)

    return Copied(), texts(seed, batch_size), next_word


def plain_list(seed, batch_size=4):
    """LSTMs in a plain list, which torch does not see and nothing trains"""

    class Listed(Plain):
        def __init__(self):
            super().__init__()
            self.layers = [nn.LSTM(HIDDEN, HIDDEN) for _ in range(2)]

        def forward(self, tokens):
            x = self.embedding(tokens)
            for layer in self.layers:
                x, _ = layer(x)
            return self.head(x)

    return Listed(), texts(seed, batch_size), next_word


def autocast(seed, batch_size=4):
    """torch.autocast to bfloat16 around the forward pass"""

    def loss(model, batch):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            output = model(batch[0])
        return F.cross_entropy(output.float().view(-1, VOCAB), batch[1].reshape(-1))

    return Plain().float(), texts(seed, batch_size), loss


def unused_parts(seed, batch_size=4):
    """a second LSTM whose result is not used, states that are returned and left"""

    class Unused(Plain):
        def __init__(self):
            super().__init__()
            self.other = nn.LSTM(HIDDEN, HIDDEN, 2)

        def forward(self, tokens):
            x = self.embedding(tokens)
            self.other(x)
            return self.head(self.rnn(x)[0])

    return Unused(), texts(seed, batch_size), next_word

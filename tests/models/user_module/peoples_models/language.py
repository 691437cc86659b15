"""Language models: characters and words, tied weights, dropped weights, locked dropout, carried and learned states."""

import torch
import torch.nn.functional as F
from torch import nn

VOCAB, HIDDEN, LENGTH = 11, 8, 5


def texts(seed, batch_size, count=20, length=LENGTH):
    """Words and the words that follow, [T, B] each."""
    made = torch.Generator().manual_seed(seed)
    return [(text[:-1], text[1:]) for text in torch.randint(VOCAB, (count, length + 1, batch_size), generator=made)]


def next_word(model, batch):
    data, targets = batch
    return F.cross_entropy(model(data).view(-1, VOCAB), targets.reshape(-1))


class CharRNN(nn.Module):
    """PyTorch's classification of names, as it is written today."""

    def __init__(self, input_size, hidden_size, output_size):
        super().__init__()
        self.rnn = nn.RNN(input_size, hidden_size)
        self.h2o = nn.Linear(hidden_size, output_size)
        self.softmax = nn.LogSoftmax(dim=1)

    def forward(self, line_tensor):
        rnn_out, hidden = self.rnn(line_tensor)
        return self.softmax(self.h2o(hidden[0]))


def names_classification(seed, batch_size=4):
    """PyTorch's char-RNN classification: nn.RNN over one-hot names, NLLLoss"""
    made = torch.Generator().manual_seed(seed)
    batches = [
        (
            F.one_hot(torch.randint(VOCAB, (6, batch_size), generator=made), VOCAB).double(),
            torch.randint(3, (batch_size,), generator=made),
        )
        for _ in range(20)
    ]
    criterion = nn.NLLLoss()
    return CharRNN(VOCAB, HIDDEN, 3), batches, lambda rnn, batch: criterion(rnn(batch[0]), batch[1])


class GenerationRNN(nn.Module):
    """PyTorch's generation of names: linear layers only, called letter by letter."""

    def __init__(self, categories=3):
        super().__init__()
        self.hidden_size = HIDDEN
        self.i2h = nn.Linear(categories + VOCAB + HIDDEN, HIDDEN)
        self.i2o = nn.Linear(categories + VOCAB + HIDDEN, VOCAB)
        self.o2o = nn.Linear(HIDDEN + VOCAB, VOCAB)
        self.dropout = nn.Dropout(0.1)
        self.softmax = nn.LogSoftmax(dim=1)

    def forward(self, category, input, hidden):
        input_combined = torch.cat((category, input, hidden), 1)
        hidden = self.i2h(input_combined)
        output = self.o2o(torch.cat((hidden, self.i2o(input_combined)), 1))
        return self.softmax(self.dropout(output)), hidden

    def init_hidden(self):
        return torch.zeros(1, self.hidden_size)


def names_generation(seed):
    """PyTorch's char-RNN generation: cells of linear layers, loss summed letter by letter"""
    made = torch.Generator().manual_seed(seed)
    batches = [(torch.randint(3, (1,), generator=made), torch.randint(VOCAB, (6,), generator=made)) for _ in range(20)]
    criterion = nn.NLLLoss()

    def loss(rnn, batch):
        category, line = batch
        category, letters = F.one_hot(category, 3), F.one_hot(line, VOCAB).unsqueeze(1)
        hidden, loss = rnn.init_hidden(), torch.Tensor([0])
        for i in range(len(line) - 1):
            output, hidden = rnn(category, letters[i], hidden)
            loss = loss + criterion(output, line[i + 1].unsqueeze(0))
        return (loss / len(line)).squeeze()

    return GenerationRNN(), batches, loss


class WordLanguageModel(nn.Module):
    """PyTorch's word language model; the state is handed in, detached, by the loop around it."""

    def __init__(self, rnn_type):
        super().__init__()
        self.drop = nn.Dropout(0.2)
        self.encoder = nn.Embedding(VOCAB, HIDDEN)
        self.rnn = getattr(nn, rnn_type)(HIDDEN, HIDDEN, 2, dropout=0.2)
        self.decoder = nn.Linear(HIDDEN, VOCAB)
        self.decoder.weight = self.encoder.weight
        nn.init.uniform_(self.encoder.weight, -0.1, 0.1)
        self.hidden = None

    def repackage_hidden(self, h):
        if h is None or isinstance(h, torch.Tensor):
            return h if h is None else h.detach()
        return tuple(self.repackage_hidden(v) for v in h)

    def forward(self, input, hidden):
        emb = self.drop(self.encoder(input))
        output, hidden = self.rnn(emb, hidden)
        return self.decoder(self.drop(output)), hidden


def word_language_model(seed, batch_size=4):
    """PyTorch's word language model: LSTM, tied weights, state begun anew for each batch"""

    def loss(model, batch):
        output, _ = model(batch[0], None)
        return F.cross_entropy(output.view(-1, VOCAB), batch[1].reshape(-1))

    return WordLanguageModel("LSTM"), texts(seed, batch_size), loss


def carried_state(seed, batch_size=4):
    """the same with GRU, the state carried from batch to batch (repackage_hidden)"""

    def loss(model, batch):
        output, model.hidden = model(batch[0], model.repackage_hidden(model.hidden))
        return F.cross_entropy(output.view(-1, VOCAB), batch[1].reshape(-1))

    return WordLanguageModel("GRU"), texts(seed, batch_size), loss


class WeightDrop(nn.Module):
    """Drops weights of a layer that it wraps, as AWD-LSTM does."""

    def __init__(self, module, weights=("weight_hh_l0",), dropout=0.5):
        super().__init__()
        self.module, self.weights, self.dropout = module, weights, dropout
        for name in weights:
            w = getattr(self.module, name)
            del self.module._parameters[name]
            self.module.register_parameter(name + "_raw", nn.Parameter(w.data))
            setattr(self.module, name, w.data.clone())

    def forward(self, *args):
        for name in self.weights:
            raw_w = getattr(self.module, name + "_raw")
            setattr(self.module, name, F.dropout(raw_w.clone(), p=self.dropout, training=self.training))
        return self.module(*args)


class LockedDropout(nn.Module):
    def forward(self, x, dropout=0.3):
        if not self.training or not dropout:
            return x
        m = x.data.new(1, x.size(1), x.size(2)).bernoulli_(1 - dropout)
        return m.div(1 - dropout).expand_as(x) * x


class AwdLstm(nn.Module):
    def __init__(self, drop_weights):
        super().__init__()
        self.encoder = nn.Embedding(VOCAB, HIDDEN)
        self.lockdrop = None if drop_weights else LockedDropout()
        rnns = [nn.LSTM(HIDDEN, HIDDEN) for _ in range(2)]
        self.rnns = nn.ModuleList([WeightDrop(rnn) for rnn in rnns] if drop_weights else rnns)
        self.decoder = nn.Linear(HIDDEN, VOCAB)

    def forward(self, x):
        x = self.encoder(x)
        for rnn in self.rnns:
            x, _ = rnn(x if self.lockdrop is None else self.lockdrop(x))
        return self.decoder(x)


def weight_drop(seed, batch_size=4):
    """AWD-LSTM's WeightDrop: weight_hh_l0 set to functional.dropout of a raw weight before each call"""
    return AwdLstm(drop_weights=True), texts(seed, batch_size), next_word


def locked_dropout(seed, batch_size=4):
    """AWD-LSTM's LockedDropout: x.data.new(...).bernoulli_(), the same mask at every step"""
    return AwdLstm(drop_weights=False), texts(seed, batch_size), next_word


class VariationalGRU(nn.Module):
    """Gal's dropout by torch.bernoulli on ones, a learned initial state."""

    def __init__(self, p):
        super().__init__()
        self.p = p
        self.embedding, self.rnn = nn.Embedding(VOCAB, HIDDEN), nn.GRU(HIDDEN, HIDDEN)
        self.h0 = nn.Parameter(torch.zeros(1, 1, HIDDEN))
        self.out = nn.Linear(HIDDEN, VOCAB)

    def forward(self, x):
        x = self.embedding(x)
        if self.training and self.p:
            x = x * torch.bernoulli(torch.full_like(x[:1], 1 - self.p)) / (1 - self.p)
        output, _ = self.rnn(x, self.h0.expand(-1, x.size(1), -1).contiguous())
        return self.out(output)


def variational_dropout(seed, batch_size=4):
    """Gal's dropout: torch.bernoulli once for all steps"""
    return VariationalGRU(0.3), texts(seed, batch_size), next_word


def learned_state(seed, batch_size=4):
    """a learned initial state, nn.Parameter, expanded to the batch"""
    return VariationalGRU(0), texts(seed, batch_size), next_word


class LayerNormLSTMCell(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.ih, self.hh = nn.Linear(input_size, 4 * hidden_size), nn.Linear(hidden_size, 4 * hidden_size, bias=False)
        self.ln_ih, self.ln_hh, self.ln_c = (nn.LayerNorm(n * hidden_size) for n in (4, 4, 1))

    def forward(self, x, state):
        h, c = state
        i, f, g, o = (self.ln_ih(self.ih(x)) + self.ln_hh(self.hh(h))).chunk(4, -1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(self.ln_c(c))
        return h, (h, c)


class LayerNormLSTM(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(VOCAB, HIDDEN)
        self.cells = nn.ModuleList(LayerNormLSTMCell(HIDDEN, HIDDEN) for _ in range(2))
        self.head = nn.Linear(HIDDEN, VOCAB)

    def forward(self, tokens):
        xs = self.embedding(tokens)
        outputs = torch.empty_like(xs)
        states = [(xs.new_zeros(xs.shape[1:]), xs.new_zeros(xs.shape[1:])) for _ in self.cells]
        for t, x in enumerate(xs):
            for number, cell in enumerate(self.cells):
                x, states[number] = cell(x, states[number])
            outputs[t] = x
        return self.head(outputs)


def layer_norm_lstm(seed, batch_size=4):
    """LSTM cells with LayerNorm written by hand, in a ModuleList, outputs[t] = ..."""
    return LayerNormLSTM(), texts(seed, batch_size), next_word


class BatchNormGRU(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.gru = nn.Embedding(VOCAB, HIDDEN), nn.GRU(HIDDEN, HIDDEN, batch_first=True)
        self.bn, self.fc = nn.BatchNorm1d(HIDDEN), nn.Linear(HIDDEN, VOCAB)

    def forward(self, x):
        self.gru.flatten_parameters()
        output, _ = self.gru(self.embedding(x.t()))
        return self.fc(self.bn(output.transpose(1, 2)).transpose(1, 2)).transpose(0, 1).contiguous()


def batch_norm_gru(seed, batch_size=4):
    """GRU with BatchNorm1d over time, flatten_parameters()"""
    return BatchNormGRU(), texts(seed, batch_size), next_word


def sparse_embedding(seed, batch_size=4):
    """Embedding with padding_idx and sparse=True, LSTM"""
    model = nn.ModuleDict(
        {"emb": nn.Embedding(VOCAB, HIDDEN, padding_idx=0, sparse=True), "rnn": nn.LSTM(HIDDEN, HIDDEN)}
    )
    model["out"] = nn.Linear(HIDDEN, VOCAB)
    return model, texts(seed, batch_size), lambda m, b: next_word(lambda x: m["out"](m["rnn"](m["emb"](x))[0]), b)

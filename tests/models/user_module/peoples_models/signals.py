"""Series, speech and drawings: cells over time, convolutions with CTC, autoencoders, mixture densities."""

import math

import torch
import torch.nn.functional as F
from torch import nn

HIDDEN, LENGTH = 8, 8


def waves(seed, batch_size, count=20, features=None):
    """Sines of random phase, [B, T] or [B, T, features]."""
    made = torch.Generator().manual_seed(seed)
    shape = (count, batch_size, 1) if features is None else (count, batch_size, 1, features)
    phase = 2 * math.pi * torch.rand(shape, generator=made, dtype=torch.float64)
    time = torch.arange(LENGTH, dtype=torch.float64)
    return list(torch.sin((time if features is None else time.unsqueeze(1)) + phase))


class Sequence(nn.Module):
    """PyTorch's time sequence prediction: two cells, step by step."""

    def __init__(self):
        super().__init__()
        self.lstm1 = nn.LSTMCell(1, HIDDEN)
        self.lstm2 = nn.LSTMCell(HIDDEN, HIDDEN)
        self.linear = nn.Linear(HIDDEN, 1)

    def forward(self, input, future=0):
        outputs = []
        h_t = torch.zeros(input.size(0), HIDDEN, dtype=torch.double)
        c_t = torch.zeros(input.size(0), HIDDEN, dtype=torch.double)
        h_t2 = torch.zeros(input.size(0), HIDDEN, dtype=torch.double)
        c_t2 = torch.zeros(input.size(0), HIDDEN, dtype=torch.double)
        for input_t in input.split(1, dim=1):
            h_t, c_t = self.lstm1(input_t, (h_t, c_t))
            h_t2, c_t2 = self.lstm2(h_t, (h_t2, c_t2))
            output = self.linear(h_t2)
            outputs += [output]
        for _ in range(future):
            h_t, c_t = self.lstm1(output, (h_t, c_t))
            h_t2, c_t2 = self.lstm2(h_t, (h_t2, c_t2))
            output = self.linear(h_t2)
            outputs += [output]
        return torch.cat(outputs, dim=1)


def time_sequence(seed, batch_size=4):
    """PyTorch's time sequence prediction: two LSTMCells in float64, input.split(1, dim=1)"""
    criterion = nn.MSELoss()
    return Sequence().double(), waves(seed, batch_size), lambda m, x: criterion(m(x[:, :-3], 2), x[:, 1:])


class Forecast(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(3, HIDDEN, num_layers=2, proj_size=4, batch_first=True)
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        output, (h, c) = self.lstm(x)
        return self.head(output), (h, c)


def forecast(seed, batch_size=4):
    """nn.LSTM with proj_size; the forward pass returns outputs and states; Huber loss"""

    def loss(model, x):
        predicted, (_, c) = model(x[:, :-1])
        return F.smooth_l1_loss(predicted, x[:, 1:]) + 1e-3 * c.pow(2).mean()

    return Forecast(), waves(seed, batch_size, features=3), loss


class Speech(nn.Module):
    """Convolutions over time, BatchNorm, a bidirectional GRU, log-probabilities for CTC."""

    def __init__(self, symbols=5):
        super().__init__()
        self.conv = nn.Sequential(nn.Conv1d(3, HIDDEN, 3, padding=1), nn.BatchNorm1d(HIDDEN), nn.Hardtanh(0, 20))
        self.rnn = nn.GRU(HIDDEN, HIDDEN, bidirectional=True, batch_first=True)
        self.fc = nn.Linear(2 * HIDDEN, symbols)

    def forward(self, x):
        x, _ = self.rnn(self.conv(x.transpose(1, 2)).transpose(1, 2))
        return F.log_softmax(self.fc(x), dim=-1)


def _spoken(seed, batch_size):
    made = torch.Generator().manual_seed(seed)
    waved = waves(seed, batch_size, features=3)
    return [(x, torch.randint(1, 5, (batch_size, 3), generator=made)) for x in waved]


def speech_ctc(seed, batch_size=4):
    """convolution, BatchNorm, bidirectional GRU, CTC loss"""
    ctc = nn.CTCLoss(blank=0, zero_infinity=True)

    def loss(model, batch):
        log_probs = model(batch[0]).transpose(0, 1)
        lengths = torch.full((batch_size,), log_probs.size(0)), torch.full((batch_size,), 3)
        return ctc(log_probs, batch[1], *lengths)

    return Speech(), _spoken(seed, batch_size), loss


def keywords(seed, batch_size=4):
    """convolution, BatchNorm, bidirectional GRU, one word for each clip"""

    def loss(model, batch):
        return F.nll_loss(model(batch[0]).mean(1), batch[1][:, 0])

    return Speech(), _spoken(seed, batch_size), loss


class Autoencoder(nn.Module):
    """The same LSTM reads the series and writes it backwards; encoder and decoder share their linear layer."""

    def __init__(self):
        super().__init__()
        self.rnn, self.weight = nn.LSTM(HIDDEN, HIDDEN, batch_first=True), nn.Linear(3, HIDDEN, bias=False)

    def forward(self, x):
        _, state = self.rnn(self.weight(x))
        output, _ = self.rnn(self.weight(x.flip(1).roll(1, 1)), state)
        return F.linear(output, self.weight.weight.t())


def autoencoder(seed, batch_size=4):
    """an autoencoder that calls one LSTM twice, weights tied between encoder and decoder"""
    return Autoencoder(), waves(seed, batch_size, features=3), lambda m, x: F.mse_loss(m(x), x.flip(1))


class VAE(nn.Module):
    def __init__(self, latent=3):
        super().__init__()
        self.encoder = nn.GRU(3, HIDDEN, batch_first=True)
        self.mu, self.logvar = nn.Linear(HIDDEN, latent), nn.Linear(HIDDEN, latent)
        self.start, self.decoder = nn.Linear(latent, HIDDEN), nn.GRU(3, HIDDEN, batch_first=True)
        self.out = nn.Linear(HIDDEN, 3)

    def reparameterize(self, mu, logvar):
        std = torch.exp(0.5 * logvar)
        eps = torch.randn_like(std)
        return mu + eps * std

    def forward(self, x):
        _, h = self.encoder(x)
        mu, logvar = self.mu(h[0]), self.logvar(h[0])
        h0 = torch.tanh(self.start(self.reparameterize(mu, logvar))).unsqueeze(0)
        output, _ = self.decoder(F.pad(x[:, :-1], (0, 0, 1, 0)), h0)
        return self.out(output), mu, logvar


def variational_autoencoder(seed, batch_size=4):
    """a variational autoencoder: torch.randn_like, KL term"""

    def loss(model, x):
        made, mu, logvar = model(x)
        kl = -0.5 * torch.mean(1 + logvar - mu.pow(2) - logvar.exp())
        return F.mse_loss(made, x) + 0.1 * kl

    return VAE(), waves(seed, batch_size, features=3), loss


class SketchRNN(nn.Module):
    """Predicts the next stroke by a mixture of Gaussians in two dimensions."""

    def __init__(self, mixtures=3):
        super().__init__()
        self.mixtures, self.rnn = mixtures, nn.LSTM(2, HIDDEN)
        self.fc = nn.Linear(HIDDEN, 6 * mixtures)

    def forward(self, strokes):
        output, _ = self.rnn(strokes)
        pi, mu_x, mu_y, s_x, s_y, rho = self.fc(output).chunk(6, -1)
        return F.log_softmax(pi, -1), mu_x, mu_y, s_x.exp(), s_y.exp(), torch.tanh(rho)


def sketches(seed, batch_size=4):
    """sketch-RNN's mixture of Gaussians: chunk, exp, tanh, logsumexp"""

    def loss(model, x):
        strokes = x.transpose(0, 1)
        pi, mu_x, mu_y, s_x, s_y, rho = model(strokes[:-1])
        dx, dy = ((strokes[1:, :, i : i + 1] - mu) / s for i, (mu, s) in enumerate([(mu_x, s_x), (mu_y, s_y)]))
        z = dx**2 + dy**2 - 2 * rho * dx * dy
        log_density = -z / (2 * (1 - rho**2)) - torch.log(2 * math.pi * s_x * s_y * torch.sqrt(1 - rho**2))
        return -torch.logsumexp(pi + log_density, -1).mean()

    return SketchRNN(), waves(seed, batch_size, features=2), loss

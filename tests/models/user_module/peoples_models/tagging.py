"""Taggers and classifiers: the tutorial's, packed ones, conditional random fields, pretrained vectors, many losses."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

WORDS, TAGS, HIDDEN, LENGTH = 13, 4, 8, 6


def tagged(seed, batch_size, count=20, longest=LENGTH):
    """Words, lengths in any order, tags; [B, T], padded with 0 and tags of -100."""
    made = torch.Generator().manual_seed(seed)
    batches = []
    for _ in range(count):
        lengths = torch.randint(2, longest + 1, (batch_size,), generator=made)
        lengths[batch_size // 2] = longest
        words = torch.randint(1, WORDS, (batch_size, longest), generator=made)
        tags = torch.randint(TAGS, (batch_size, longest), generator=made)
        padding = torch.arange(longest) >= lengths[:, None]
        batches.append((words.masked_fill(padding, 0), lengths, tags.masked_fill(padding, -100)))
    return batches


class LSTMTagger(nn.Module):
    def __init__(self, embedding_dim, hidden_dim, vocab_size, tagset_size):
        super().__init__()
        self.hidden_dim = hidden_dim
        self.word_embeddings = nn.Embedding(vocab_size, embedding_dim)
        self.lstm = nn.LSTM(embedding_dim, hidden_dim)
        self.hidden2tag = nn.Linear(hidden_dim, tagset_size)

    def forward(self, sentence):
        embeds = self.word_embeddings(sentence)
        lstm_out, _ = self.lstm(embeds.view(len(sentence), 1, -1))
        tag_space = self.hidden2tag(lstm_out.view(len(sentence), -1))
        return F.log_softmax(tag_space, dim=1)


def tutorial_tagger(seed):
    """PyTorch's LSTM tagger: one sentence at a time, view(len(sentence), 1, -1)"""
    made = torch.Generator().manual_seed(seed)
    sentences = [
        (torch.randint(WORDS, (5,), generator=made), torch.randint(TAGS, (5,), generator=made)) for _ in range(20)
    ]
    loss_function = nn.NLLLoss()
    return LSTMTagger(6, 6, WORDS, TAGS), sentences, lambda model, pair: loss_function(model(pair[0]), pair[1])


class BiLSTM(nn.Module):
    def __init__(self, layers=2, dropout=0.3):
        super().__init__()
        self.embedding = nn.Embedding(WORDS, HIDDEN, padding_idx=0)
        self.lstm = nn.LSTM(HIDDEN, HIDDEN, layers, bidirectional=True, dropout=dropout, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(2 * HIDDEN, TAGS)

    def forward(self, words, lengths):
        embedded = self.dropout(self.embedding(words))
        packed = pack_padded_sequence(embedded, lengths.cpu(), batch_first=True, enforce_sorted=False)
        output, _ = self.lstm(packed)
        output, _ = pad_packed_sequence(output, batch_first=True, total_length=words.size(1))
        return self.fc(self.dropout(output))


def packed_tagger(seed, batch_size=4):
    """packed bidirectional LSTM of two layers, enforce_sorted=False, ignore_index"""

    def loss(model, batch):
        words, lengths, tags = batch
        return F.cross_entropy(model(words, lengths).view(-1, TAGS), tags.view(-1), ignore_index=-100)

    return BiLSTM(), tagged(seed, batch_size), loss


def indexed_tagger(seed, batch_size=4):
    """the same with a loss of logits[mask], a boolean index"""

    def loss(model, batch):
        words, lengths, tags = batch
        mask = tags != -100
        return F.cross_entropy(model(words, lengths)[mask], tags[mask])

    return BiLSTM(), tagged(seed, batch_size), loss


def dictionary_batches(seed, batch_size=4):
    """batches that are dictionaries; cross-entropy with label smoothing, KL to uniform, an L2 term"""
    batches = [{"words": w, "lengths": n, "tags": t} for w, n, t in tagged(seed, batch_size)]

    def loss(model, batch):
        logits = model(batch["words"], batch["lengths"])
        nll = F.cross_entropy(logits.transpose(1, 2), batch["tags"], ignore_index=-100, label_smoothing=0.1)
        uniform = torch.full_like(logits, 1 / TAGS)
        kl = F.kl_div(F.log_softmax(logits, -1), uniform, reduction="batchmean")
        return nll + 0.1 * kl + 1e-3 * sum(p.pow(2).sum() for p in model.parameters())

    return BiLSTM(), batches, loss


def bucketed(seed, batch_size=4):
    """buckets: each batch padded to its own longest sentence by pad_sequence"""
    made = torch.Generator().manual_seed(seed)

    def batch(longest):
        lengths = torch.randint(2, longest + 1, (batch_size,), generator=made)
        lengths[0] = longest
        words = [torch.randint(1, WORDS, (n,), generator=made) for n in lengths.tolist()]
        tags = [word % TAGS for word in words]
        return (
            pad_sequence(words, batch_first=True),
            lengths,
            pad_sequence(tags, batch_first=True, padding_value=-100),
        )

    def loss(model, batch):
        words, lengths, tags = batch
        return F.cross_entropy(model(words, lengths).transpose(1, 2), tags, ignore_index=-100)

    return BiLSTM(layers=1, dropout=0), [batch(3 + number % 3) for number in range(21)], loss


class Pretrained(nn.Module):
    """Frozen vectors; the last states of both directions, as Keras' and others' classifiers of reviews."""

    def __init__(self, vectors):
        super().__init__()
        self.embedding = nn.Embedding.from_pretrained(vectors, freeze=True)
        self.rnn = nn.LSTM(vectors.size(1), HIDDEN, num_layers=2, bidirectional=True, batch_first=True)
        self.fc = nn.Sequential(nn.Dropout(0.5), nn.Linear(2 * HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1))

    def forward(self, text, lengths):
        packed = pack_padded_sequence(self.embedding(text), lengths.cpu(), batch_first=True, enforce_sorted=False)
        _, (hidden, _) = self.rnn(packed)
        return self.fc(torch.cat((hidden[-2, :, :], hidden[-1, :, :]), dim=1)).squeeze(1)


def frozen_vectors(seed, batch_size=4):
    """sentiment of reviews: frozen pretrained vectors, packed LSTM, BCEWithLogitsLoss"""
    vectors = torch.randn(WORDS, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    criterion = nn.BCEWithLogitsLoss()

    def loss(model, batch):
        text, lengths, tags = batch
        return criterion(model(text, lengths), (tags[:, 0] > 1).double())

    return Pretrained(vectors), tagged(seed, batch_size), loss


class KerasReviews(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(WORDS, HIDDEN)
        self.first = nn.LSTM(HIDDEN, HIDDEN, batch_first=True, bidirectional=True)
        self.second = nn.LSTM(2 * HIDDEN, HIDDEN, batch_first=True, bidirectional=True)
        self.dense = nn.Linear(2 * HIDDEN, 1)

    def forward(self, x):
        x, _ = self.first(self.embedding(x))
        _, (h, _) = self.second(x)
        return torch.sigmoid(self.dense(torch.cat([h[0], h[1]], -1)))


def keras_reviews(seed, batch_size=4):
    """Keras' bidirectional LSTM on reviews: two layers, sigmoid, binary cross-entropy"""

    def loss(model, batch):
        return F.binary_cross_entropy(model(batch[0])[:, 0], (batch[1] > 3).double())

    return KerasReviews(), tagged(seed, batch_size), loss


def argmax(vec):
    _, idx = torch.max(vec, 1)
    return idx.item()


def log_sum_exp(vec):
    max_score = vec[0, argmax(vec)]
    max_score_broadcast = max_score.view(1, -1).expand(1, vec.size()[1])
    return max_score + torch.log(torch.sum(torch.exp(vec - max_score_broadcast)))


class TutorialCRF(nn.Module):
    """PyTorch's BiLSTM-CRF: one sentence, loops over tags, argmax by .item()."""

    def __init__(self):
        super().__init__()
        self.tagset_size, self.start, self.stop = TAGS + 2, TAGS, TAGS + 1
        self.word_embeds = nn.Embedding(WORDS, HIDDEN)
        self.lstm = nn.LSTM(HIDDEN, HIDDEN // 2, num_layers=1, bidirectional=True)
        self.hidden2tag = nn.Linear(HIDDEN, self.tagset_size)
        self.transitions = nn.Parameter(torch.randn(self.tagset_size, self.tagset_size))
        self.transitions.data[self.start, :] = -10000
        self.transitions.data[:, self.stop] = -10000

    def _forward_alg(self, feats):
        init_alphas = torch.full((1, self.tagset_size), -10000.0)
        init_alphas[0][self.start] = 0.0
        forward_var = init_alphas
        for feat in feats:
            alphas_t = []
            for next_tag in range(self.tagset_size):
                emit_score = feat[next_tag].view(1, -1).expand(1, self.tagset_size)
                trans_score = self.transitions[next_tag].view(1, -1)
                alphas_t.append(log_sum_exp(forward_var + trans_score + emit_score).view(1))
            forward_var = torch.cat(alphas_t).view(1, -1)
        return log_sum_exp(forward_var + self.transitions[self.stop])

    def neg_log_likelihood(self, sentence, tags):
        hidden = (torch.randn(2, 1, HIDDEN // 2), torch.randn(2, 1, HIDDEN // 2))
        lstm_out, _ = self.lstm(self.word_embeds(sentence).view(len(sentence), 1, -1), hidden)
        feats = self.hidden2tag(lstm_out.view(len(sentence), HIDDEN))
        score, tags = torch.zeros(1), torch.cat([torch.tensor([self.start]), tags])
        for i, feat in enumerate(feats):
            score = score + self.transitions[tags[i + 1], tags[i]] + feat[tags[i + 1]]
        score = score + self.transitions[self.stop, tags[-1]]
        return (self._forward_alg(feats) - score).squeeze()


def tutorial_crf(seed):
    """PyTorch's BiLSTM-CRF: random initial states, log_sum_exp by .item(), loops over tags"""
    made = torch.Generator().manual_seed(seed)
    sentences = [
        (torch.randint(WORDS, (4,), generator=made), torch.randint(TAGS, (4,), generator=made)) for _ in range(20)
    ]
    return TutorialCRF(), sentences, lambda model, pair: model.neg_log_likelihood(*pair)


class BatchCRF(nn.Module):
    """A conditional random field over a batch with masks, as its packages write it."""

    def __init__(self):
        super().__init__()
        self.encoder = BiLSTM(layers=1, dropout=0)
        self.start, self.end = nn.Parameter(torch.empty(TAGS)), nn.Parameter(torch.empty(TAGS))
        self.transitions = nn.Parameter(torch.empty(TAGS, TAGS))
        for parameter in (self.start, self.end, self.transitions):
            nn.init.uniform_(parameter, -0.1, 0.1)

    def forward(self, words, lengths, tags):
        emissions, mask = self.encoder(words, lengths).transpose(0, 1), (tags != -100).t()
        tags = tags.clamp(min=0).t()
        rows = torch.arange(tags.size(1))
        score = self.start[tags[0]] + emissions[0, rows, tags[0]]
        alpha = self.start + emissions[0]
        for i in range(1, len(tags)):
            score += (self.transitions[tags[i - 1], tags[i]] + emissions[i, rows, tags[i]]) * mask[i]
            reached = torch.logsumexp(alpha.unsqueeze(2) + self.transitions + emissions[i].unsqueeze(1), dim=1)
            alpha = torch.where(mask[i].unsqueeze(1), reached, alpha)
        last_tags = tags[mask.long().sum(0) - 1, rows]
        return torch.logsumexp(alpha + self.end, dim=1) - score - self.end[last_tags]


def batch_crf(seed, batch_size=4):
    """a conditional random field over padded batches: logsumexp, masks, advanced indexing"""
    return BatchCRF(), tagged(seed, batch_size), lambda model, batch: model(*batch).mean()

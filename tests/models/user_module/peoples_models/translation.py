"""Encoder-decoders as tutorials write them: teacher forcing, attention, packed sequences, copying, pointing."""

import random

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

SOS, EOS, PAD, VOCAB, HIDDEN, LENGTH = 1, 2, 0, 11, 8, 5


def pairs(seed, batch_size, count=20):
    """Source and target [T, B], lengths that fall; the longest is as long in every batch."""
    made = torch.Generator().manual_seed(seed)
    batches = []
    for _ in range(count):
        lengths = torch.randint(2, LENGTH + 1, (batch_size,), generator=made).sort(descending=True).values
        lengths[0] = LENGTH
        source, target = torch.randint(3, VOCAB, (2, LENGTH, batch_size), generator=made)
        padding = torch.arange(LENGTH)[:, None] >= lengths
        source, target = source.masked_fill(padding, PAD), target.masked_fill(padding, PAD)
        target[0] = SOS
        batches.append((source, lengths, target))
    return batches


class EncoderRNN(nn.Module):
    def __init__(self, input_size, hidden_size, dropout_p=0.1):
        super().__init__()
        self.hidden_size = hidden_size
        self.embedding = nn.Embedding(input_size, hidden_size)
        self.gru = nn.GRU(hidden_size, hidden_size, batch_first=True)
        self.dropout = nn.Dropout(dropout_p)

    def forward(self, input):
        embedded = self.dropout(self.embedding(input))
        output, hidden = self.gru(embedded)
        return output, hidden


class BahdanauAttention(nn.Module):
    def __init__(self, hidden_size):
        super().__init__()
        self.Wa = nn.Linear(hidden_size, hidden_size)
        self.Ua = nn.Linear(hidden_size, hidden_size)
        self.Va = nn.Linear(hidden_size, 1)

    def forward(self, query, keys):
        scores = self.Va(torch.tanh(self.Wa(query) + self.Ua(keys)))
        scores = scores.squeeze(2).unsqueeze(1)
        weights = F.softmax(scores, dim=-1)
        return torch.bmm(weights, keys), weights


class AttnDecoderRNN(nn.Module):
    def __init__(self, hidden_size, output_size, dropout_p=0.1):
        super().__init__()
        self.embedding = nn.Embedding(output_size, hidden_size)
        self.attention = BahdanauAttention(hidden_size)
        self.gru = nn.GRU(2 * hidden_size, hidden_size, batch_first=True)
        self.out = nn.Linear(hidden_size, output_size)
        self.dropout = nn.Dropout(dropout_p)

    def forward(self, encoder_outputs, encoder_hidden, target_tensor=None):
        batch_size = encoder_outputs.size(0)
        decoder_input = torch.empty(batch_size, 1, dtype=torch.long).fill_(SOS)
        decoder_hidden = encoder_hidden
        decoder_outputs, attentions = [], []
        for i in range(LENGTH):
            decoder_output, decoder_hidden, attn_weights = self.forward_step(
                decoder_input, decoder_hidden, encoder_outputs
            )
            decoder_outputs.append(decoder_output)
            attentions.append(attn_weights)
            if target_tensor is not None:
                decoder_input = target_tensor[:, i].unsqueeze(1)
            else:
                _, topi = decoder_output.topk(1)
                decoder_input = topi.squeeze(-1).detach()
        decoder_outputs = F.log_softmax(torch.cat(decoder_outputs, dim=1), dim=-1)
        return decoder_outputs, decoder_hidden, torch.cat(attentions, dim=1)

    def forward_step(self, input, hidden, encoder_outputs):
        embedded = self.dropout(self.embedding(input))
        query = hidden.permute(1, 0, 2)
        context, attn_weights = self.attention(query, encoder_outputs)
        output, hidden = self.gru(torch.cat((embedded, context), dim=2), hidden)
        return self.out(output), hidden, attn_weights


def attention_tutorial(seed, batch_size=4):
    """PyTorch's seq2seq translation with attention: GRU, own predictions fed back by topk"""
    model = nn.ModuleDict({"encoder": EncoderRNN(VOCAB, HIDDEN), "decoder": AttnDecoderRNN(HIDDEN, VOCAB)})
    criterion = nn.NLLLoss()

    def loss(model, batch):
        source, _, target = batch
        outputs, _, _ = model["decoder"](*model["encoder"](source.t()))
        return criterion(outputs.view(-1, outputs.size(-1)), target.t().reshape(-1))

    return model, pairs(seed, batch_size), loss


class Luong(nn.Module):
    """The chatbot: a bidirectional GRU whose directions are summed, general attention, one step of the decoder."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(VOCAB, HIDDEN)
        self.encoder = nn.GRU(HIDDEN, HIDDEN, 2, dropout=0.1, bidirectional=True)
        self.embedding_dropout = nn.Dropout(0.1)
        self.decoder = nn.GRU(HIDDEN, HIDDEN, 2, dropout=0.1)
        self.attn = nn.Linear(HIDDEN, HIDDEN)
        self.concat = nn.Linear(HIDDEN * 2, HIDDEN)
        self.out = nn.Linear(HIDDEN, VOCAB)

    def encode(self, input_seq, input_lengths):
        packed = pack_padded_sequence(self.embedding(input_seq), input_lengths.cpu())
        outputs, hidden = self.encoder(packed, None)
        outputs, _ = pad_packed_sequence(outputs)
        return outputs[:, :, :HIDDEN] + outputs[:, :, HIDDEN:], hidden

    def decode(self, input_step, last_hidden, encoder_outputs):
        embedded = self.embedding_dropout(self.embedding(input_step))
        rnn_output, hidden = self.decoder(embedded, last_hidden)
        energies = torch.sum(rnn_output * self.attn(encoder_outputs), dim=2)
        weights = F.softmax(energies.t(), dim=1).unsqueeze(1)
        context = weights.bmm(encoder_outputs.transpose(0, 1)).squeeze(1)
        concat_output = torch.tanh(self.concat(torch.cat((rnn_output.squeeze(0), context), 1)))
        return F.softmax(self.out(concat_output), dim=1), hidden


def chatbot(seed, batch_size=4):
    """PyTorch's chatbot: packed bidirectional GRU, Luong attention, random.random(), masked_select in the loss"""

    def mask_nll_loss(inp, target, mask):
        cross_entropy = -torch.log(torch.gather(inp, 1, target.view(-1, 1)).squeeze(1))
        return cross_entropy.masked_select(mask).mean()

    def loss(model, batch):
        source, lengths, target = batch
        mask = target != PAD
        encoder_outputs, encoder_hidden = model.encode(source, lengths)
        decoder_input = torch.LongTensor([[SOS for _ in range(batch_size)]])
        decoder_hidden = encoder_hidden[: model.decoder.num_layers]
        total = 0
        use_teacher_forcing = True if random.random() < 0.5 else False
        for t in range(LENGTH):
            decoder_output, decoder_hidden = model.decode(decoder_input, decoder_hidden, encoder_outputs)
            if use_teacher_forcing:
                decoder_input = target[t].view(1, -1)
            else:
                _, topi = decoder_output.topk(1)
                decoder_input = topi.view(1, -1).detach()
            total += mask_nll_loss(decoder_output, target[t], mask[t]) if t < 2 else 0
        return total

    return Luong(), pairs(seed, batch_size), loss


class Seq2Seq(nn.Module):
    """The first of the well-known series of notebooks: LSTM of two layers, dropout, a tensor that is filled."""

    def __init__(self, cell, context=False):
        super().__init__()
        self.enc_embedding, self.dec_embedding = nn.Embedding(VOCAB, HIDDEN), nn.Embedding(VOCAB, HIDDEN)
        layers = 1 if context else 2
        self.context = context
        self.encoder = cell(HIDDEN, HIDDEN, layers, dropout=0 if context else 0.5)
        self.decoder = cell(HIDDEN * (2 if context else 1), HIDDEN, layers, dropout=0 if context else 0.5)
        self.fc_out = nn.Linear(HIDDEN * (3 if context else 1), VOCAB)
        self.dropout = nn.Dropout(0.5)

    def forward(self, src, trg, teacher_forcing_ratio=0.5):
        batch_size, trg_len = trg.shape[1], trg.shape[0]
        outputs = torch.zeros(trg_len, batch_size, self.fc_out.out_features).to(src.device)
        _, hidden = self.encoder(self.dropout(self.enc_embedding(src)))
        context = hidden
        input = trg[0, :]
        for t in range(1, trg_len):
            embedded = self.dropout(self.dec_embedding(input.unsqueeze(0)))
            given = torch.cat((embedded, context), dim=2) if self.context else embedded
            output, hidden = self.decoder(given, hidden)
            if self.context:
                output = torch.cat((embedded, hidden, context), dim=2)
            outputs[t] = self.fc_out(output.squeeze(0))
            teacher_force = random.random() < teacher_forcing_ratio
            input = trg[t] if teacher_force else outputs[t].argmax(1)
        return outputs


def _series_loss(model, batch):
    src, _, trg = batch
    output = model(src, trg)
    output_dim = output.shape[-1]
    criterion = nn.CrossEntropyLoss(ignore_index=PAD)
    return criterion(output[1:].view(-1, output_dim), trg[1:].reshape(-1))


def notebook_lstm(seed, batch_size=4):
    """notebook 1: LSTM of two layers with dropout between, outputs[t] = ..., random.random()"""
    return Seq2Seq(nn.LSTM), pairs(seed, batch_size), _series_loss


def notebook_context(seed, batch_size=4):
    """notebook 2: GRU whose decoder sees the context at every step; ignore_index"""
    model = Seq2Seq(nn.GRU, context=True)
    for _, parameter in model.named_parameters():
        nn.init.normal_(parameter.data, mean=0, std=0.1)
    return model, pairs(seed, batch_size), _series_loss


class Attending(nn.Module):
    """The third and fourth: bidirectional GRU, additive attention, packed sequences and masks."""

    def __init__(self, packed, pointer=False):
        super().__init__()
        self.packed = packed
        self.embedding = nn.Embedding(VOCAB, HIDDEN, padding_idx=PAD)
        self.rnn = nn.GRU(HIDDEN, HIDDEN, bidirectional=True)
        self.fc = nn.Linear(HIDDEN * 2, HIDDEN)
        self.attn = nn.Linear(HIDDEN * 3, HIDDEN)
        self.v = nn.Linear(HIDDEN, 1, bias=False)
        self.decoder = nn.GRU(HIDDEN * 3, HIDDEN)
        self.fc_out = nn.Linear(HIDDEN * 4, VOCAB)
        self.dropout = nn.Dropout(0.3)
        self.switch = nn.Linear(HIDDEN * 4, 1) if pointer else None

    def create_mask(self, src):
        return (src != PAD).permute(1, 0)

    def attention(self, hidden, encoder_outputs, mask):
        src_len = encoder_outputs.shape[0]
        hidden = hidden.unsqueeze(1).repeat(1, src_len, 1)
        energy = torch.tanh(self.attn(torch.cat((hidden, encoder_outputs.permute(1, 0, 2)), dim=2)))
        scores = self.v(energy).squeeze(2)
        if self.packed:
            scores = scores.masked_fill(mask == 0, -1e10)
        return F.softmax(scores, dim=1)

    def forward(self, src, src_len, trg):
        embedded = self.dropout(self.embedding(src))
        if self.packed:
            packed_outputs, hidden = self.rnn(pack_padded_sequence(embedded, src_len.to("cpu")))
            encoder_outputs, _ = pad_packed_sequence(packed_outputs)
        else:
            encoder_outputs, hidden = self.rnn(embedded)
        hidden = torch.tanh(self.fc(torch.cat((hidden[-2, :, :], hidden[-1, :, :]), dim=1)))
        outputs = torch.zeros(trg.shape[0], trg.shape[1], VOCAB)
        input, mask = trg[0, :], self.create_mask(src)
        for t in range(1, trg.shape[0]):
            embedded = self.dropout(self.embedding(input.unsqueeze(0)))
            a = self.attention(hidden, encoder_outputs, mask).unsqueeze(1)
            weighted = torch.bmm(a, encoder_outputs.permute(1, 0, 2)).permute(1, 0, 2)
            output, hidden = self.decoder(torch.cat((embedded, weighted), dim=2), hidden.unsqueeze(0))
            seen = torch.cat((output.squeeze(0), weighted.squeeze(0), embedded.squeeze(0)), dim=1)
            prediction, hidden = self.fc_out(seen), hidden.squeeze(0)
            if self.switch is not None:
                p_gen = torch.sigmoid(self.switch(seen))
                vocab_dist = p_gen * F.softmax(prediction, dim=1)
                prediction = vocab_dist.scatter_add(1, src.t(), (1 - p_gen) * a.squeeze(1)).add(1e-9).log()
            outputs[t] = prediction
            input = trg[t] if random.random() < 0.5 else prediction.argmax(1)
        return outputs


def _attending_loss(model, batch):
    src, src_len, trg = batch
    output = model(src, src_len, trg)
    return F.cross_entropy(output[1:].reshape(-1, VOCAB), trg[1:].reshape(-1), ignore_index=PAD)


def notebook_attention(seed, batch_size=4):
    """notebook 3: bidirectional GRU, additive attention"""
    return Attending(packed=False), pairs(seed, batch_size), _attending_loss


def notebook_packed(seed, batch_size=4):
    """notebook 4: packed padded sequences, masked attention"""
    return Attending(packed=True), pairs(seed, batch_size), _attending_loss


def pointer_generator(seed, batch_size=4):
    """a copy mechanism: attention weights added to the vocabulary by scatter_add"""
    return Attending(packed=True, pointer=True), pairs(seed, batch_size), _attending_loss

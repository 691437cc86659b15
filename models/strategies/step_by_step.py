"""PyTorch to paste that clips inside the backward pass: torch's recurrent layers as loops with hooks on their states.

``{clipped}`` is what becomes of the gradient d of a state at a time step.
"""

STEP_BY_STEP = '''\
import functools


def clip(state):
    if state.requires_grad:
        state.register_hook(lambda d: {clipped})
    return state


def time_step(mode, x, state, weight_ih, weight_hh, bias_ih=0.0, bias_hh=0.0):
    inner, outer = x @ weight_ih.T + bias_ih, state[0] @ weight_hh.T + bias_hh
    if mode == "LSTM":
        i, f, g, o = (inner + outer).chunk(4, 1)
        c = clip(f.sigmoid() * state[1] + i.sigmoid() * g.tanh())
        return clip(o.sigmoid() * c.tanh()), c
    if mode == "GRU":
        (r, z, n), (outer_r, outer_z, outer_n) = inner.chunk(3, 1), outer.chunk(3, 1)
        n = (n + (r + outer_r).sigmoid() * outer_n).tanh()
        return (clip(n + (z + outer_z).sigmoid() * (state[0] - n)),)
    return (clip((inner + outer).relu() if mode == "RNN_RELU" else (inner + outer).tanh()),)


def step_by_step(layer, inputs, given=None):
    """What an LSTM, GRU or RNN of torch.nn does, without projections, one time step at a time."""
    packed, is_lstm = isinstance(inputs, torch.nn.utils.rnn.PackedSequence), layer.mode == "LSTM"
    steps = inputs.data.split(inputs.batch_sizes.tolist()) if packed else inputs.unbind(int(layer.batch_first))
    if given is None:
        given = steps[0].new_zeros(len(layer.all_weights), len(steps[0]), layer.hidden_size)
        given = (given, given) if is_lstm else given
    states, last = given if is_lstm else (given,), []
    if packed and inputs.sorted_indices is not None:
        states = [state.index_select(1, inputs.sorted_indices) for state in states]
    for number in range(layer.num_layers):
        if number > 0:
            steps = [torch.nn.functional.dropout(x, layer.dropout, layer.training) for x in steps]
        outputs = []
        for direction in (1, -1)[: 1 + layer.bidirectional]:
            weights, state = layer.all_weights[len(last)], [of_all[len(last)] for of_all in states]
            outputs.append([])
            for x in steps[::direction]:
                new = time_step(layer.mode, x, [part[: len(x)] for part in state], *weights)
                state = [torch.cat([part, rest[len(x) :]]) for part, rest in zip(new, state)]
                outputs[-1].append(new[0])
            outputs[-1] = outputs[-1][::direction]
            last.append(state)
        steps = [torch.cat(of_directions, 1) for of_directions in zip(*outputs)]
    final = [torch.stack(parts) for parts in zip(*last)]
    if packed and inputs.unsorted_indices is not None:
        final = [state.index_select(1, inputs.unsorted_indices) for state in final]
    outputs = inputs._replace(data=torch.cat(steps)) if packed else torch.stack(steps, int(layer.batch_first))
    return outputs, tuple(final) if is_lstm else final[0]


for layer in model.modules():
    if isinstance(layer, torch.nn.RNNBase):
        layer.forward = functools.partial(step_by_step, layer)'''

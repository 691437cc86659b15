"""Small models written as people write them, each a function that returns a problem; its docstring says what it has."""

from peoples_models import changing, decoding, language, plumbing, signals, tagging, translation

NAMES = {
    translation: (
        *("attention_tutorial", "chatbot", "notebook_lstm", "notebook_context", "notebook_attention"),
        *("notebook_packed", "pointer_generator"),
    ),
    decoding: (
        *("input_feeding", "sampling_by_numpy", "sampling_by_row", "sampling_by_item", "sampled_words"),
        *("greedy_item", "greedy_list", "pointer_network", "keras_addition"),
    ),
    language: (
        *("names_classification", "names_generation", "word_language_model", "carried_state", "weight_drop"),
        *("locked_dropout", "variational_dropout", "learned_state", "layer_norm_lstm", "batch_norm_gru"),
        "sparse_embedding",
    ),
    tagging: (
        *("tutorial_tagger", "packed_tagger", "indexed_tagger", "dictionary_batches", "bucketed", "frozen_vectors"),
        *("keras_reviews", "tutorial_crf", "batch_crf"),
    ),
    signals: (
        *("time_sequence", "forecast", "speech_ctc", "keywords", "autoencoder", "variational_autoencoder"),
        "sketches",
    ),
    plumbing: (
        *("data_parallel", "weight_norm", "spectral_norm", "beside_attention", "copied_layers", "unused_parts"),
        *("hooked", "clamped_parameters", "backward_hook", "reversed_gradient", "scripted", "scripted_lstm"),
        *("checkpointed", "checkpointed_reentrant", "checkpointed_dropout", "autocast", "plain_list"),
    ),
    changing: (*("largest_norm", "zeroed_padding", "annealed", "counted_loss", "own_generator"),),
}
PROBLEMS = {name: getattr(room, name) for room, names in NAMES.items() for name in names}
"""Every problem by its name."""


def row(name, tried):
    """A line of the table in docs/peoples-models.md."""
    how = "yes; shares the draws of a step" if tried.shares_coins else "yes" if tried.batched else f"no: {tried.reason}"
    return f"| `{name}` | {PROBLEMS[name].__doc__} | {how} |\n"

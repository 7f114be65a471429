"""A Keras network as LiteRT. Imported by the process that compiles, and by no service.

The runtime has no texts. Where a column of words goes into one layer that makes 0/1 columns of it, that
layer stays outside: its words become a `Lookup`, and the rest of the network is converted.
"""

from __future__ import annotations

from typing import Any

from jobs.programs.serving.engines import KerasEngine
from jobs.programs.serving.litert import Lookup


def converted(model: KerasEngine) -> tuple[bytes, str, list[Lookup]]:
    """The file, its input for the numbers ("" without any), and how words are fed. Raises anything."""
    import tensorflow

    network: Any = model.network
    lookups: list[Lookup] = []
    texts = [each for each in network.inputs if each.dtype == "string"]
    if texts:
        network, lookups = _without_words(tensorflow.keras, model, texts)
    content = bytes(tensorflow.lite.TFLiteConverter.from_keras_model(network).convert())
    fed = {lookup.input for lookup in lookups}
    numbers = [each.name for each in network.inputs if each.name not in fed]
    if len(numbers) > 1 or len(network.outputs) != 1:
        raise ValueError("it has several inputs or outputs")
    return content, numbers[0] if numbers else "", lookups


def _without_words(keras: Any, model: KerasEngine, texts: list[Any]) -> tuple[Any, list[Lookup]]:
    """The network behind the layers that take words, and what these layers do."""
    network, columns = model.network, model.word_columns
    inputs = [each for each in network.inputs if each.dtype != "string"]
    layers = []
    for text in texts:
        takers = [layer for layer in network.layers if _takes(keras, layer, text)]
        odd = [layer for layer in takers if not isinstance(layer, keras.layers.StringLookup)]
        if odd or len(takers) != 1 or text.name not in columns:
            name = type(odd[0]).__name__ if odd else "several layers"
            raise ValueError(f"its texts go through {name}, which LiteRT does not have")
        layer = takers[0]
        if layer.output_mode != "one_hot" or layer.num_oov_indices != 1 or layer.mask_token is not None:
            raise ValueError("its words do not become a 0/1 column each")
        layers.append((columns[text.name], layer))
    behind = keras.Model([*inputs, *(layer.output for _, layer in layers)], network.output)
    names = [each.name for each in behind.inputs[len(inputs) :]]
    return behind, [
        Lookup(column, name, [str(word) for word in layer.get_vocabulary()])
        for (column, layer), name in zip(layers, names, strict=True)
    ]


def _takes(keras: Any, layer: Any, text: Any) -> bool:
    given = [] if isinstance(layer, keras.layers.InputLayer) else layer.input
    return any(each is text for each in (given if isinstance(given, list) else [given]))

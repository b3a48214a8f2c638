"""Trains small Keras models for a few steps and writes, for each, the ONNX export it started from and the loss of
every step; the same task as export.py. tf2onnx folds batch normalisation into the convolution before it, so
there is none here: what it exports has nothing left to normalise by. It also leaves out biases of 0 and
scales of 1: these start at other values.

Usage: python export_keras.py OUTPUT_FOLDER
"""
import json
import pathlib
import sys

import numpy
import tensorflow as tf
import tf2onnx
from tensorflow.keras import Sequential, layers

BATCH, STEPS, CLASSES = 8, 12, 5


def gelu(x):
    # The exact form is exported as Erfc, which is no ONNX op.
    return tf.keras.activations.gelu(x, approximate=True)


def images():
    return Sequential([
        layers.Input((16, 16, 3)), layers.Conv2D(8, 3, 2, "same"), layers.ReLU(6.0),
        layers.DepthwiseConv2D(3, padding="same"), layers.Activation("relu"),
        layers.ZeroPadding2D(1), layers.Conv2D(12, 3), layers.Activation("swish"), layers.MaxPooling2D(2),
        layers.GlobalAveragePooling2D(), layers.Dense(CLASSES)])


def signals():
    return Sequential([
        layers.Input((64, 2)), layers.Conv1D(8, 9, 2, "same"), layers.LayerNormalization(), layers.Activation(gelu),
        layers.AveragePooling1D(2), layers.Conv1D(8, 5, padding="causal"), layers.LeakyReLU(), layers.Flatten(),
        layers.Dense(12, "tanh"), layers.Dense(CLASSES)])


MODELS = {"keras-images": images, "keras-signals": signals}


def batches(shape):
    """Two batches that any language can make: x_i = 1.5 sin(0.7 i + i mod 11), label_i = (7 i + 3) mod 5."""
    count = 2 * BATCH * int(numpy.prod(shape))
    i = numpy.arange(count)
    x = (1.5 * numpy.sin(0.7 * i + i % 11)).astype("float32").reshape(2, BATCH, *shape)
    y = ((7 * numpy.arange(2 * BATCH) + 3) % CLASSES).reshape(2, BATCH)
    return x, y


def run(name, folder):
    tf.keras.utils.set_random_seed(1)
    model = MODELS[name]()
    for variable in model.trainable_variables:
        if len(variable.shape) == 1:
            variable.assign_add(tf.random.normal(variable.shape, stddev=0.05))
    shape = model.input_shape[1:]
    x, y = batches(shape)
    function = tf.function(lambda t: model(t, training=False))
    spec = [tf.TensorSpec((None, *shape), tf.float32, name="x")]
    tf2onnx.convert.from_function(function, spec, opset=17, output_path=str(folder / f"{name}.onnx"))
    optimizer = tf.keras.optimizers.SGD(0.05, momentum=0.9)
    loss_of = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    losses = []
    for step in range(STEPS):
        with tf.GradientTape() as tape:
            loss = loss_of(y[step % 2], model(x[step % 2], training=True))
        optimizer.apply_gradients(zip(tape.gradient(loss, model.trainable_variables), model.trainable_variables))
        losses.append(float(loss))
    about = {"sample": shape, "batch": BATCH, "losses": losses, "tensorflow": tf.__version__}
    (folder / f"{name}.json").write_text(json.dumps(about) + "\n")
    print(name, "first", round(losses[0], 4), "last", round(losses[-1], 4))


if __name__ == "__main__":
    target = pathlib.Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    for each in MODELS:
        run(each, target)

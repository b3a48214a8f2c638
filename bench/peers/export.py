"""Trains small PyTorch models for a few steps and writes, for each, the ONNX export it started from and the
loss of every step, so that ecavg can train the same model from the same weights on the same batches.

Usage: python export.py OUTPUT_FOLDER
"""
import json
import pathlib
import sys

import numpy
import torch
from torch import nn

BATCH, STEPS, CLASSES = 8, 12, 5


class InvertedResidual(nn.Module):
    def __init__(self, channels, expansion):
        super().__init__()
        wide = channels * expansion
        self.body = nn.Sequential(
            nn.Conv2d(channels, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU6(),
            nn.Conv2d(wide, wide, 3, padding=1, groups=wide, bias=False), nn.BatchNorm2d(wide), nn.ReLU6(),
            nn.Conv2d(wide, channels, 1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x):
        return x + self.body(x)


class Basic(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs))
        self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        return torch.relu(self.body(x) + self.shortcut(x))


def mobile():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6(), InvertedResidual(8, 3),
        InvertedResidual(8, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, CLASSES))


def resnet():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 1, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(3, 2, 1), Basic(8, 12, 2),
        nn.AvgPool2d(2), nn.Flatten(), nn.Linear(12 * 4, CLASSES))


class Signal(nn.Module):
    """A 1-D CNN with what newer exports hold: layer normalisation, GELU, a slice, a concatenation, a mean."""

    def __init__(self):
        super().__init__()
        self.one = nn.Conv1d(2, 8, 9, 2, 4)
        self.two = nn.Conv1d(8, 8, 5, padding=4, dilation=2)
        self.norm = nn.LayerNorm(32)
        self.gelu = nn.GELU()
        self.head = nn.Sequential(nn.Linear(16, 12), nn.Tanh(), nn.Linear(12, CLASSES))

    def forward(self, x):
        h = self.gelu(self.norm(self.one(x)))
        h = nn.functional.leaky_relu(self.two(h))
        h = torch.cat([h.mean(2), h[:, :, 1::2].mean(2)], 1)
        return self.head(h)


MODELS = {"mobile": (mobile, (3, 16, 16)), "resnet": (resnet, (3, 16, 16)), "signal": (Signal, (2, 64))}


def batches(shape):
    """Two batches that any language can make: x_i = 1.5 sin(0.7 i + i mod 11), label_i = (7 i + 3) mod 5."""
    count = 2 * BATCH * int(numpy.prod(shape))
    i = numpy.arange(count)
    x = (1.5 * numpy.sin(0.7 * i + i % 11)).astype("float32").reshape(2, BATCH, *shape)
    y = ((7 * numpy.arange(2 * BATCH) + 3) % CLASSES).reshape(2, BATCH)
    return torch.from_numpy(x), torch.from_numpy(y)


def run(name, folder):
    make, shape = MODELS[name]
    torch.manual_seed(1)
    torch.set_num_threads(1)
    model = make()
    x, y = batches(shape)
    model.eval()
    torch.onnx.export(
        model, x[0], folder / f"{name}.onnx", opset_version=17, dynamo=False,
        training=torch.onnx.TrainingMode.PRESERVE, input_names=["x"], output_names=["logits"],
        dynamic_axes={"x": {0: "N"}, "logits": {0: "N"}})
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    losses = []
    for step in range(STEPS):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x[step % 2]), y[step % 2])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    about = {"sample": shape, "batch": BATCH, "losses": losses, "torch": torch.__version__}
    (folder / f"{name}.json").write_text(json.dumps(about) + "\n")
    print(name, "first", round(losses[0], 4), "last", round(losses[-1], 4))


if __name__ == "__main__":
    target = pathlib.Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    for each in MODELS:
        run(each, target)

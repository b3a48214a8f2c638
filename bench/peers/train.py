"""Times a training step of the zoo's models in PyTorch on the CPU: forward, cross-entropy or mean squared error,
backward, SGD with momentum. Prints JSON.

Usage: python train.py MODEL THREADS BATCH SAMPLE_SHAPE, as in: python train.py mlp 1 32 1,28,28
"""
import json
import resource
import sys
import time

import torch
from torch import nn


def mlp(shape):
    width = int(torch.tensor(shape).prod())
    return nn.Sequential(nn.Flatten(), nn.Linear(width, 128), nn.ReLU(), nn.Linear(128, 10))


def cnn_small(shape):
    c, h, w = shape
    return nn.Sequential(
        nn.Conv2d(c, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(32 * (h // 4) * (w // 4), 10))


def sensor_cnn1d(shape):
    return nn.Sequential(
        nn.Conv1d(shape[0], 16, 33, 2, 16), nn.ReLU(), nn.MaxPool1d(4), nn.Conv1d(16, 32, 17, padding=8), nn.ReLU(),
        nn.MaxPool1d(2), nn.Conv1d(32, 32, 9, padding=4), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(),
        nn.Linear(32, 10))


def sensor_autoencoder(shape):
    c = shape[0]
    return nn.Sequential(
        nn.Conv1d(c, 16, 8, 2, 3), nn.ReLU(), nn.Conv1d(16, 16, 8, 2, 3), nn.ReLU(), nn.Conv1d(16, 4, 8, 2, 3),
        nn.ConvTranspose1d(4, 16, 4, 2, 1), nn.ReLU(), nn.ConvTranspose1d(16, 16, 4, 2, 1), nn.ReLU(),
        nn.ConvTranspose1d(16, c, 4, 2, 1))


def conv_bn(i, o, k, s=1, g=1):
    return [nn.Conv2d(i, o, k, s, k // 2, groups=g, bias=False), nn.BatchNorm2d(o)]


class Residual(nn.Module):
    def __init__(self, body, shortcut, relu):
        super().__init__()
        self.body, self.shortcut, self.relu = nn.Sequential(*body), nn.Sequential(*shortcut), relu

    def forward(self, x):
        y = self.body(x) + self.shortcut(x)
        return torch.relu(y) if self.relu else y


def mobilenetv2(shape):
    layers = conv_bn(shape[0], 32, 3) + [nn.ReLU6()]
    c = 32
    for t, o, n, s in [(1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]:
        for i in range(n):
            stride, wide = (s if i == 0 else 1), c * t
            body = (conv_bn(c, wide, 1) + [nn.ReLU6()] if t > 1 else []) + conv_bn(wide, wide, 3, stride, wide)
            body += [nn.ReLU6()] + conv_bn(wide, o, 1)
            layers += [Residual(body, [], False)] if stride == 1 and c == o else body
            c = o
    return nn.Sequential(*layers, *conv_bn(c, 1280, 1), nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, 10))


def resnet50(shape):
    layers = conv_bn(shape[0], 64, 3) + [nn.ReLU()]
    c = 64
    for stage, (n, width) in enumerate([(3, 64), (4, 128), (6, 256), (3, 512)]):
        for i in range(n):
            stride, o = (2 if stage > 0 and i == 0 else 1), width * 4
            body = conv_bn(c, width, 1) + [nn.ReLU()] + conv_bn(width, width, 3, stride) + [nn.ReLU()] + conv_bn(width, o, 1)
            layers.append(Residual(body, [] if c == o and stride == 1 else conv_bn(c, o, 1, stride), True))
            c = o
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c, 10))


def main():
    name, threads, batch = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    shape = [int(d) for d in sys.argv[4].split(",")]
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    model = globals()[name.replace("-", "_")](shape)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9)
    x = torch.randn(batch, *shape)
    rebuilds = name == "sensor-autoencoder"
    y = x if rebuilds else torch.arange(batch) % 10
    loss_of = nn.functional.mse_loss if rebuilds else nn.functional.cross_entropy

    def step():
        optimizer.zero_grad()
        loss_of(model(x), y).backward()
        optimizer.step()

    step()
    times, end = [], time.perf_counter() + 3
    while len(times) < 5 or (time.perf_counter() < end and len(times) < 200):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    times.sort()
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"stepMs": 1000 * times[len(times) // 2], "peakRssMb": round(rss), "torch": torch.__version__}))


main()

"""Flower's FedAvg (simulation on Ray, PyTorch on the CPU) on shards, initial weights and settings that are given.

Usage: python flower_fedavg.py FOLDER, which has
  config.json   rounds, epochs, learningRate, momentum, batch, shards (lists of indices), test (indices)
  x.bin         float32 samples of 784 values; y.bin: int32 labels
  weights.bin   float32: hidden.weight [128, 784], hidden.bias, head.weight [10, 128], head.bias
Prints JSON in its last line: accuracy after each round, bytes up, seconds, peak memory of all processes.
"""

import json
import os
import sys
import threading
import time
from pathlib import Path

import numpy as np
import torch
from flwr.client import ClientApp, NumPyClient
from flwr.common import Context, ndarrays_to_parameters
from flwr.server import ServerApp, ServerAppComponents, ServerConfig
from flwr.server.strategy import FedAvg
from flwr.simulation import run_simulation
from torch import nn

FOLDER = Path(sys.argv[1])
CONFIG = json.loads((FOLDER / "config.json").read_text())


def data():
    x = torch.from_numpy(np.fromfile(FOLDER / "x.bin", np.float32).reshape(-1, 784))
    return x, torch.from_numpy(np.fromfile(FOLDER / "y.bin", np.int32).astype(np.int64))


def initial():
    flat = np.fromfile(FOLDER / "weights.bin", np.float32)
    shapes, arrays, at = [(128, 784), (128,), (10, 128), (10,)], [], 0
    for shape in shapes:
        size = int(np.prod(shape))
        arrays.append(flat[at : at + size].reshape(shape).copy())
        at += size
    return arrays


def model(arrays):
    net = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    with torch.no_grad():
        for p, a in zip(net.parameters(), arrays):
            p.copy_(torch.from_numpy(np.array(a)))
    return net


class Client(NumPyClient):
    def __init__(self, shard):
        torch.set_num_threads(1)
        x, y = data()
        self.x, self.y = x[shard], y[shard]

    def fit(self, parameters, config):
        net = model(parameters)
        optimizer = torch.optim.SGD(net.parameters(), lr=CONFIG["learningRate"], momentum=CONFIG["momentum"])
        for _ in range(CONFIG["epochs"]):
            order = torch.randperm(len(self.x))
            for at in range(0, len(order), CONFIG["batch"]):
                pick = order[at : at + CONFIG["batch"]]
                optimizer.zero_grad()
                nn.functional.cross_entropy(net(self.x[pick]), self.y[pick]).backward()
                optimizer.step()
        return [p.detach().numpy() for p in net.parameters()], len(self.x), {}


def client_fn(context: Context):
    return Client(CONFIG["shards"][int(context.node_config["partition-id"])]).to_client()


ACCURACY = []
X, Y = data()


def evaluate(server_round, parameters, config):
    if server_round > 0:
        test = CONFIG["test"]
        with torch.no_grad():
            ACCURACY.append(float((model(parameters)(X[test]).argmax(1) == Y[test]).float().mean()))
    return 0.0, {}


def server_fn(context: Context):
    strategy = FedAvg(
        fraction_fit=1.0,
        fraction_evaluate=0.0,
        min_available_clients=len(CONFIG["shards"]),
        initial_parameters=ndarrays_to_parameters(initial()),
        evaluate_fn=evaluate,
    )
    return ServerAppComponents(strategy=strategy, config=ServerConfig(num_rounds=CONFIG["rounds"]))


def tree_rss(root):
    """Resident bytes of a process and all that it started, shared pages counted once where the kernel says so (PSS)."""
    parents, total, open_ = {}, 0, [root]
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = Path(f"/proc/{entry}/stat").read_text()
                parents.setdefault(int(stat.rsplit(")", 1)[1].split()[1]), []).append(int(entry))
            except OSError:
                pass
    while open_:
        pid = open_.pop()
        open_ += parents.get(pid, [])
        try:
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
        except OSError:
            pass
    return total


PEAK = 0


def watch():
    global PEAK
    while True:
        PEAK = max(PEAK, tree_rss(os.getpid()))
        time.sleep(0.5)


if __name__ == "__main__":
    threading.Thread(target=watch, daemon=True).start()
    began = time.perf_counter()
    run_simulation(
        server_app=ServerApp(server_fn=server_fn),
        client_app=ClientApp(client_fn=client_fn),
        num_supernodes=len(CONFIG["shards"]),
        backend_config={"client_resources": {"num_cpus": 1, "num_gpus": 0.0}},
    )
    seconds = time.perf_counter() - began
    size = sum(a.size for a in initial()) * 4
    out = {
        "accuracy": ACCURACY,
        "bytesUp": size * len(CONFIG["shards"]) * CONFIG["rounds"],
        "seconds": seconds,
        "peakRssMb": PEAK / 2**20,
    }
    print(json.dumps(out))

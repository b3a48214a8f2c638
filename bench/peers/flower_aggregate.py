"""Flower's own weighted average of N updates of P float32 parameters: rate and peak memory, as JSON.

Usage: python flower_aggregate.py PARAMETERS EDGES

The results arrive at Flower's FedAvg as serialised arrays (Parameters), all of them in memory; they are turned into
arrays and averaged by FedAvg.aggregate_fit. The edges' arrays are made before the clock starts.
"""

import json
import resource
import sys
import time

import numpy as np
from flwr.common import Code, FitRes, Status, ndarrays_to_parameters, parameters_to_ndarrays
from flwr.server.strategy import FedAvg


def main() -> None:
    parameters, edges = int(sys.argv[1]), int(sys.argv[2])
    rng = np.random.default_rng(1)
    ok = Status(code=Code.OK, message="")
    results = []
    for k in range(edges):
        update = rng.standard_normal(parameters, dtype=np.float32) * np.float32(0.01)
        results.append((None, FitRes(ok, ndarrays_to_parameters([update]), 100 + k % 8, {})))
    began = time.perf_counter()
    aggregate, _ = FedAvg().aggregate_fit(1, results, [])
    seconds = time.perf_counter() - began
    assert np.isfinite(parameters_to_ndarrays(aggregate)[0]).all()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"updatesPerSecond": edges / seconds, "peakRssMb": peak}))


main()

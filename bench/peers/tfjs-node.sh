#!/usr/bin/env bash
# Gives @tensorflow/tfjs-node its native library where the usual download can't be reached: libtensorflow and its
# headers are part of the tensorflow-cpu wheel on PyPI, and the addon is compiled against them.
# Needs python3 with pip, g++, and Node.js's own headers. Run it in the project's folder, after npm ci.
#
# Usage: bench/peers/tfjs-node.sh [TENSORFLOW_VERSION]
set -euo pipefail

version=${1:-2.21.0}
package=node_modules/@tensorflow/tfjs-node
[ -f "$package/binding/tfjs_binding.cc" ] || { echo "no $package here: run npm ci first" >&2; exit 2; }
include=$(node -p "require('node:path').resolve(process.execPath, '../../include/node')")
[ -f "$include/node_api.h" ] || { echo "no node_api.h in $include: install Node.js's headers" >&2; exit 2; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m pip download --quiet --no-deps --only-binary=:all: --dest "$work" "tensorflow-cpu==$version"
python3 -m zipfile -e "$work"/*.whl "$work/wheel"
tensorflow=$work/wheel/tensorflow

mkdir -p "$package/deps/lib" "$package/lib/napi-v8"
cp "$tensorflow"/libtensorflow_cc.so.2 "$tensorflow"/libtensorflow_framework.so.2 "$package/deps/lib/"
g++ -O2 -fPIC -shared -std=c++17 -DNAPI_VERSION=8 -DBUILDING_NODE_EXTENSION \
  -I"$include" -I"$package" -I"$tensorflow/include" \
  "$package"/binding/tfjs_backend.cc "$package"/binding/tfjs_binding.cc \
  -L"$package/deps/lib" -l:libtensorflow_cc.so.2 -l:libtensorflow_framework.so.2 \
  -Wl,-rpath,'$ORIGIN/../../deps/lib' -o "$package/lib/napi-v8/tfjs_binding.node"
TF_CPP_MIN_LOG_LEVEL=2 node -e "
const tf = require('@tensorflow/tfjs-node');
tf.ready().then(() => console.log('@tensorflow/tfjs-node works: backend', tf.getBackend()));"

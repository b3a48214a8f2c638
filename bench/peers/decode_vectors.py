"""A decoder of the codec `range`, written from docs/wire-format.md alone: proof that the document says enough.

Usage: python bench/peers/decode_vectors.py [VECTORS.json]     (standard library only)
"""

import hashlib
import json
import pathlib
import struct
import sys

ZERO, UNIFORM, PER_ROW, TERNARY, FLOAT = range(5)
BUSY = (4, 10, 20, 36, 60, 100, 160)


def float32(x):
    return struct.unpack("<f", struct.pack("<f", x))[0]


def clip(v, most):
    return min(most, abs(v))


def sign(v):
    return 2 if v > 0 else 1 if v < 0 else 0


class RangeDecoder:
    def __init__(self, data):
        self.data, self.at, self.range = data, 4, 0x7FFFFFFF
        self.code = int.from_bytes(data[:4], "big")

    def fill(self):
        while self.range < 1 << 23:
            self.range <<= 8
            self.code = self.code << 8 | self.data[self.at]
            self.at += 1

    def bit(self, models, i):
        fast, slow = models.setdefault(i, (32768, 32768))
        p = (fast + slow) >> 2
        bound = (self.range >> 15) * p + ((self.range & 0x7FFF) * p >> 15)
        if self.code < bound:
            self.range, bit = bound, 0
            models[i] = (fast + ((65536 - fast) >> 4), slow + ((65536 - slow) >> 7))
        else:
            self.code -= bound
            self.range -= bound
            bit = 1
            models[i] = (fast - (fast >> 4), slow - (slow >> 7))
        self.fill()
        return bit

    def direct(self, count):
        value = 0
        while count > 0:
            bits = min(8, count)
            count -= bits
            self.range >>= bits
            part = self.code // self.range
            assert part < 1 << bits
            self.code -= part * self.range
            value = value << bits | part
            self.fill()
        return value


def bfloat16(bits):
    return struct.unpack("<f", struct.pack("<I", bits << 16))[0]


def magnitude(d, models, context):
    for n in range(1, 11):
        if d.bit(models, ("unary", n, context)) == 0:
            return n
    bits = 0
    while d.bit(models, ("prefix", bits)):
        bits += 1
    return 10 + (1 << bits | d.direct(bits))


def integers(d, models, length, columns, block, ternary, reference):
    out = [0] * length
    busy, signs = [0] * columns, [0] * columns
    width = 1 << block if block else columns
    above = {}
    for row in range(0, length, columns):
        p1 = p2 = flag = 0
        for begin in range(0, columns, width):
            if block:
                past = above.get(begin, 0)
                flag = d.bit(models, ("block", flag, past))
                above[begin] = (past << 1 | flag) & 3
                if not flag:
                    p1 = p2 = 0
                    continue
            for c in range(begin, min(begin + width, columns)):
                r = reference[row + c] if reference else 0
                level = sum(busy[c] >= b for b in BUSY)
                v = d.bit(models, ("nonzero", clip(r, 2), level, clip(p1, 2), clip(p2, 2)))
                if v == 0:
                    busy[c] -= busy[c] >> 4
                else:
                    busy[c] += (270 - busy[c]) >> 4
                    negative = d.bit(models, ("sign", sign(p1), signs[c], sign(r)))
                    signs[c] = 1 if negative else 2
                    if not ternary:
                        v = magnitude(d, models, (min(3, max(abs(p1), abs(p2))), clip(r, 3)))
                    if negative:
                        v = -v
                out[row + c] = v
                p1, p2 = v, p1
    return out


def floats(d, models, length):
    out, before, largest = [], 0, 0
    for _ in range(length):
        under = largest - before
        near = 0 if before == 0 else 1 if under < 2 else 2 if under < 5 else 3
        node = 1
        while node < 256:
            node = node << 1 | d.bit(models, (near, node))
        exponent = node - 256
        negative = d.direct(1)
        out.append(struct.unpack("<f", struct.pack("<I", negative << 31 | exponent << 23 | d.direct(23)))[0])
        before, largest = exponent, max(largest, exponent)
    return out


def decode(payload, tensors, reference):
    assert payload[0] == 1
    start = 2
    if payload[1]:
        levels = bytes(v & 0xFF for v in reference)
        assert hashlib.sha256(levels).digest()[:8] == payload[2:10]
        start = 10
    d = RangeDecoder(payload[start:])
    large, small, exponents = {}, {}, {}
    result, offset = [], 0
    for tensor in tensors:
        shape = tensor["shape"]
        length = 1
        for n in shape:
            length *= n
        columns = length // (shape[0] if shape and shape[0] else 1)
        if len(shape) < 2 or columns < 8:
            columns = length
        light = reference[offset : offset + length] if payload[1] else None
        offset += length
        head = d.direct(4)
        kind, models = head & 7, small if head & 8 else large
        if kind == ZERO:
            result += [0.0] * length
        elif kind == FLOAT:
            result += floats(d, exponents, length)
        else:
            steps = [bfloat16(d.direct(16)) for _ in range(length // columns if kind == PER_ROW else 1)]
            values = integers(d, models, length, columns, d.direct(3), kind == TERNARY, light)
            result += [float32(v * steps[i // columns if kind == PER_ROW else 0]) for i, v in enumerate(values)]
    assert d.at == len(d.data), "bytes to spare"
    return result


here = pathlib.Path(__file__).parent
path = sys.argv[1] if len(sys.argv) > 1 else here / "../../protocol/fixtures/codec-vectors.json"
for vector in json.loads(pathlib.Path(path).read_text()):
    got = decode(bytes.fromhex(vector["payload"]), vector["tensors"], vector["reference"])
    assert got == [float32(v) for v in vector["decoded"]], vector["name"]
    print(f"{vector['name']}: {len(got)} values from {len(vector['payload']) // 2} bytes")

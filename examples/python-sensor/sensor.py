"""A sensor that knows nothing of ecavg: Python's standard library and 40 lines of MQTT 3.1.1.

It replays its log to a broker as JSON, in which each reading's class is known, and meanwhile asks the gateway's inference
service what it thinks of windows of ten readings a second:

    python3 sensor.py --reference data/reference/a.csv     a recording for the cloud
    python3 sensor.py --port 1883                          publishes and asks, until ten answers in a row are right

SIMULATED: no machine was measured.
"""
import argparse
import json
import math
import os
import random
import socket
import struct
import time

RATE, WINDOW = 10, 20  # readings a second, readings in a window
DATA = 'works/fan/data'
ASK = 'ecavg/v1/works/edge/fan-1/infer/fan/'  # and request, or result


class Mqtt:
    """As much of MQTT 3.1.1 as a sensor needs: QoS 0, both ways."""

    def __init__(self, host, port, name):
        self.socket = socket.create_connection((host, port), 10)
        self.buffer = b''
        self.send(0x10, self.text('MQTT') + bytes([4, 2, 0, 60]) + self.text(name))  # clean session, 60 s of keepalive
        head, body = self.receive(10)
        if head != 0x20 or body[1] != 0:
            raise SystemExit(f'the broker refuses: {body!r}')

    @staticmethod
    def text(value):
        data = value.encode()
        return struct.pack('>H', len(data)) + data

    def send(self, head, body):
        length, size = b'', len(body)
        while size > 127:
            length, size = length + bytes([size % 128 | 128]), size // 128
        self.socket.sendall(bytes([head]) + length + bytes([size]) + body)

    def publish(self, topic, message):
        self.send(0x30, self.text(topic) + json.dumps(message).encode())

    def subscribe(self, topic):
        self.send(0x82, struct.pack('>H', 1) + self.text(topic) + b'\0')

    def receive(self, seconds):
        """The next packet, as (head, body); None where none comes in time."""
        end = time.monotonic() + seconds
        while True:
            size, at = 0, 1
            while at < len(self.buffer) and at < 5:
                size |= (self.buffer[at] & 127) << 7 * (at - 1)
                at += 1
                if self.buffer[at - 1] < 128:
                    if len(self.buffer) >= at + size:
                        packet = self.buffer[0], self.buffer[at:at + size]
                        self.buffer = self.buffer[at + size:]
                        return packet
                    break
            left = end - time.monotonic()
            if left <= 0:
                return None
            self.socket.settimeout(left)
            try:
                data = self.socket.recv(65536)
            except socket.timeout:
                return None
            if not data:
                raise SystemExit('the broker has gone')
            self.buffer += data

    def message(self, seconds):
        """The next message, read as JSON; None where none comes in time."""
        packet = self.receive(seconds)
        if packet is None or packet[0] & 0xF0 != 0x30:
            return None
        body = packet[1]
        return json.loads(body[2 + struct.unpack('>H', body[:2])[0]:])


def readings(second, state):
    """What the fan measures in one second: where its bearing is dry, it hums twice as fast."""
    hertz = 3 if state == 'dry' else 1.5
    return [math.sin(2 * math.pi * hertz * (second + i / RATE)) + random.uniform(-0.3, 0.3) for i in range(RATE)]


def state_at(second):
    return 'dry' if second // 10 % 2 else 'ok'


def write_reference(path):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'w') as file:
        file.write('time,hum,state\n')
        for second in range(600):
            for i, value in enumerate(readings(second, state_at(second))):
                file.write(f'{1767225600 + second + i / RATE},{value},{state_at(second)}\n')


def publish_and_ask(host, port, wanted):
    mqtt = Mqtt(host, port, 'fan-sensor')
    mqtt.subscribe(ASK + 'result')
    start = int(time.time()) - 5 * 86400
    asked, row, answered = {}, 0, 0
    for second in range(4 * 86400):
        at = start + second
        # The readings of one second: the last one has the message's time.
        state = state_at(at)
        mqtt.publish(DATA, {'at': at, 'hum': readings(at, state), 'state': state})
        if second % 20 == 0:
            state = random.choice(['ok', 'dry'])
            asked[str(second)] = state
            mqtt.publish(ASK + 'request', {'id': str(second), 'x': readings(0, state) + readings(1, state)})
        result = mqtt.message(0.01)
        # Results of the gateway's own windows come on the same topic.
        if result is None or result.get('id') not in asked or 'class' not in result:
            continue
        state = asked.pop(result['id'])
        answered += 1
        row = row + 1 if result['class'] == state else 0
        print(f"version {result['version']}: {state} is called {result['class']}, {result['probability']:.2f}", flush=True)
        if row == wanted:
            print(f'{answered} answers, the last {row} of them right')
            return


if __name__ == '__main__':
    parser = argparse.ArgumentParser()
    parser.add_argument('--host', default='127.0.0.1')
    parser.add_argument('--port', type=int, default=1883)
    parser.add_argument('--right', type=int, default=10)
    parser.add_argument('--reference')
    given = parser.parse_args()
    random.seed(1)
    if given.reference:
        write_reference(given.reference)
    else:
        publish_and_ask(given.host, given.port, given.right)

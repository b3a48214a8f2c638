import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { StatusMessage } from '@ecavg/protocol';
import { EventLog } from './events.js';
import { Members } from './members.js';

describe('members', () => {
  const status = (session: number, online: boolean): StatusMessage => ({
    v: 1,
    type: 'status',
    edge: 'e',
    online,
    session,
    software: 's',
    samples: 1,
    models: {},
  });
  test('a last will that comes after the rebirth is ignored', () => {
    const members = new Members();
    members.status(status(1, true));
    members.status(status(2, true));
    assert.equal(members.status(status(1, false)), undefined);
    assert.ok(members.isOnline('e'));
    members.status(status(2, false));
    assert.deepEqual(members.online, []);
  });
});

test('events come again to whoever missed them, and listeners can leave', () => {
  const events = new EventLog();
  const seen: number[] = [];
  const leave = events.listen((e) => seen.push(e.id));
  for (let i = 0; i < 3; i++) events.emit('edge', { i });
  leave();
  events.emit('edge', { i: 3 });
  assert.deepEqual(seen, [1, 2, 3]);
  assert.deepEqual(
    events.after(2).map((e) => e.id),
    [3, 4],
  );
});

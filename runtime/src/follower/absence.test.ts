import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Absence } from './absence.js';

test('only a long absence is followed by a wait, of a random part of the time', () => {
  let now = 0;
  const absence = new Absence(
    20,
    () => 0.25,
    () => now,
  );
  assert.equal(absence.back(), 0, 'the first connection');
  absence.lost();
  now = 30_000;
  absence.lost();
  assert.equal(absence.back(), 0);
  absence.lost();
  now = 100_000;
  absence.lost();
  assert.equal(absence.back(), 5000);
  assert.equal(absence.back(), 0);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConfigError } from '@ecavg/runtime';
import type { ControlOutcome } from '../rounds/control.js';
import { controlAnswer } from './words.js';

test('every outcome of a command is told in words, and refusals are told apart', async () => {
  const said = async (outcome: ControlOutcome): Promise<string> => {
    const { done, text } = await controlAnswer(async () => outcome);
    return `${done ? '' : 'refused: '}${text}`;
  };
  assert.equal(await said({ code: 'unpinned' }), 'rounds go on');
  assert.equal(
    await said({ code: 'rolled-back', version: 5, weightsOf: 2 }),
    'version 5, with the weights of version 2, is in force',
  );
  assert.equal(
    await said({ code: 'pinned', version: 5, weightsOf: null }),
    'version 5 is in force and pinned: no round opens until "ecavg cloud unpin"',
  );
  assert.equal(await said({ code: 'in-force-already', version: 5 }), 'refused: version 5 is in force already');
  assert.equal(await said({ code: 'no-earlier-version' }), 'refused: there is no earlier version to go back to');
  assert.match(await said({ code: 'still-starting' }), /^refused: the cloud is still starting/);
  assert.equal(await said({ code: 'unknown-model', fleet: 'f', model: 'm' }), 'refused: this cloud has no model f/m');
});

test('a version that there is not is refused in words; what else fails is no answer', async () => {
  const failing = (error: Error) => controlAnswer(() => Promise.reject(error));
  assert.deepEqual(await failing(new ConfigError('ECAVG_NOT_FOUND', 'there is no version 9')), {
    done: false,
    text: 'there is no version 9',
    error: 'ECAVG_NOT_FOUND',
  });
  await assert.rejects(failing(new Error('the disk is full')), /the disk is full/);
});

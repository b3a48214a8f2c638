import type { Loss } from './names.js';
import { LOSS_RECORDS } from './table.js';

// In a file of its own: declarations of the records need TensorFlow.js, which those who import this may not have.

/** Whether models that are trained with this loss rebuild their input where they are given no other target. */
export const rebuildsInput = (loss: Loss): boolean => LOSS_RECORDS[loss].target === 'values';

import { OPS } from './table.js';

/** The ops that can be trained through. Others may stand where no gradient passes (Constant, Shape, Gather of sizes). */
export const SUPPORTED_OPS: readonly string[] = Object.keys(OPS).sort();

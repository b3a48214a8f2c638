// Property-based tests draw the same cases every time. FC_SEED=N tries others.
import fc from 'fast-check';

fc.configureGlobal({ seed: Number(process.env.FC_SEED ?? 1) });

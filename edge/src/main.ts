import { runCommand } from '@ecavg/runtime';
import { edgeCommand } from './command.js';

await runCommand(edgeCommand());

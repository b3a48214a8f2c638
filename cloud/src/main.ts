import { runCommand } from '@ecavg/runtime';
import { cloudCommand } from './command.js';

await runCommand(cloudCommand());

import { runCommand } from '@ecavg/runtime';
import { cloudCommand } from './commands/cloud.js';

await runCommand(cloudCommand());

import { runCommand } from '@ecavg/runtime/commandLine';
import { cloudCommand } from './commands/cloud.js';

await runCommand(cloudCommand());

import { runCommand } from '@ecavg/runtime/commandLine';
import { edgeCommand } from './command.js';

await runCommand(edgeCommand());

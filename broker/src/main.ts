import { runCommand } from '@ecavg/runtime/commandLine';
import { brokerCommand } from './command.js';

await runCommand(brokerCommand());

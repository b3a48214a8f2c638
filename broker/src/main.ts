import { runCommand } from '@ecavg/runtime';
import { brokerCommand } from './command.js';

await runCommand(brokerCommand());

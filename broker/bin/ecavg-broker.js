#!/usr/bin/env node
import { runCommand } from '@ecavg/runtime/commandLine';
import { brokerCommand } from '../dist/command.js';

await runCommand(brokerCommand());

#!/usr/bin/env node
import { runCommand } from '@ecavg/runtime/commandLine';
import { cloudCommand } from '../dist/command.js';

await runCommand(cloudCommand());

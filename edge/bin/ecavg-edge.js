#!/usr/bin/env node
import { runCommand } from '@ecavg/runtime/commandLine';
import { edgeCommand } from '../dist/command.js';

await runCommand(edgeCommand());

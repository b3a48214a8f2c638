import { IDENTIFIER } from '@ecavg/protocol';
import { z } from 'zod';

/** A name in settings that goes into topics and file names: of a fleet, an edge or a model. */
export const identifierSchema = z.string().regex(IDENTIFIER, 'use 1-64 letters, digits, "_", "-" or "."');

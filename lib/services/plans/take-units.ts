import type { Connection } from 'mongoose';
import { type Take, type Taken, take } from '../../quota/combiner.js';

/** Takes units of a counter. */
export const takeUnits = (connection: Connection, request: Take): Promise<Taken> => take(connection, request);

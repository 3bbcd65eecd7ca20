import type { Connection } from 'mongoose';
import { type Take, type Taken, take as takeNow } from '../../quota/combiner.js';

/** Takes units of a counter, all or nothing. */
export const take = (connection: Connection, request: Take): Promise<Taken> => takeNow(connection, request);

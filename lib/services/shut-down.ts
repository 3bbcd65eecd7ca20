import type { Connection } from 'mongoose';
import { endLeases } from '../quota/leases.js';
import { opened } from '../runtime/connection.js';

export interface ShutDown {
  readonly connection?: Connection | undefined;
}

/**
 * Gives back what this process has taken ahead of quotas. Call it when the last request is answered, before the connection is closed; a
 * process that does not leaves those units used.
 *
 * @throws nothing: what cannot be given back stays used
 * @example server.close(async () => { await shutDown(); await mongoose.disconnect(); });
 */
export async function shutDown({ connection }: ShutDown = {}): Promise<void> {
  await endLeases(opened(connection));
}

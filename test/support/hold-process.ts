import mongoose from 'mongoose';
import { commitReservation, releaseReservation, reserveQuota } from '../../lib/index.js';
import { appName } from './world.js';

/** Reserves and settles without end, on the database that it is told, until it is killed; tells what it knows to be committed. */
const [uri, dbName] = process.argv.slice(2) as [string, string];
const connection = await mongoose.createConnection(uri, { dbName, appName, autoIndex: false }).asPromise();
const subject = { type: 'organization', id: 'acme' } as const;

async function work(): Promise<never> {
  for (let index = 0; ; index += 1) {
    const { id } = await reserveQuota({ connection, subject, feature: 'tokens', amount: 10, expiresIn: 1 });
    if (index % 3 === 0) await releaseReservation({ connection, id });
    else await commitReservation({ connection, id, amount: 4 });
    process.send?.('settled');
  }
}

for (let lane = 0; lane < 8; lane += 1) void work();
process.once('disconnect', () => process.exit());

import { setTimeout as delay } from 'node:timers/promises';
import mongoose from 'mongoose';
import { startWorker } from '../../lib/index.js';
import { appName } from './world.js';

/** A process with nothing but a worker, on the database that it is told; `worker-processes.ts` starts it. */
const [uri, dbName, secret, publicUrl, holds, diesOf] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  string,
  string,
];
const connection = await mongoose.createConnection(uri, { dbName, appName, autoIndex: false }).asPromise();
const mail = async ({ to, messageId }: { to: string; messageId: string }) => {
  if (diesOf) await delay(to === diesOf ? 100 : 300); // what is under way beside that mail is so when it kills
  if (to === diesOf) process.kill(process.pid, 'SIGKILL');
  process.send?.({ to, messageId });
  if (holds === 'true') await new Promise(() => {}); // sent, and nobody will know
};
await startWorker({ connection, keys: [secret], publicUrl, mail, cleanupHours: 0 });
process.send?.('ready');
process.once('disconnect', () => process.exit());

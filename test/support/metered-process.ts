import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import mongoose from 'mongoose';
import { meteredApp } from './metered-app.js';
import { appName } from './world.js';

/** Where a process is to die, or to stop: when a command on a collection is sent, or has been answered. */
export interface Moment {
  readonly event: 'sent' | 'answered';
  readonly command: string;
  readonly collection: string;
  /** What stands in the command, as JSON, and tells it from others; none: any. */
  readonly having?: string | undefined;
  /** Default: SIGKILL. */
  readonly signal?: 'SIGSTOP' | undefined;
}

/** One more process of the metered application, on the database that it is told; `metered-processes.ts` starts it. */
const [uri, dbName, secret, dies, skew] = process.argv.slice(2) as [string, string, string, string, string];
const moment = JSON.parse(dies) as Moment | null;
skewClock(Number(skew));
const connection = await mongoose
  .createConnection(uri, { dbName, appName, autoIndex: false, monitorCommands: true })
  .asPromise();

let met = false;
const awaited = new Set<number>();
const { signal = 'SIGKILL' } = moment ?? {};
const client = connection.getClient();
client.on('commandStarted', ({ requestId, commandName, command }) => {
  if (met || commandName !== moment?.command || command[commandName] !== moment.collection) return;
  if (moment.having && !JSON.stringify(command).includes(moment.having)) return;
  met = true;
  if (moment.event === 'sent') process.kill(process.pid, signal);
  awaited.add(requestId);
});
client.on('commandSucceeded', ({ requestId }) => {
  if (awaited.has(requestId)) process.kill(process.pid, signal);
});

const server = meteredApp({ connection, keys: [secret], cookies: { secure: false } }).listen(0, '127.0.0.1');
await once(server, 'listening');
process.send?.((server.address() as AddressInfo).port);
process.once('disconnect', () => process.exit());

/** Makes the clock of this process wrong by so many milliseconds. */
function skewClock(by: number): void {
  const Real = Date;
  globalThis.Date = new Proxy(Real, {
    construct: (_, args) => (args.length > 0 ? Reflect.construct(Real, args) : new Real(Real.now() + by)),
    get: (_, name) => (name === 'now' ? () => Real.now() + by : Reflect.get(Real, name)),
  });
}

import { RateLimiterMongo } from 'rate-limiter-flexible';
import { closedLoop, consume, open } from './quota-world.js';

/** Started by quota-processes.ts: one of several processes that use up one counter. */
const [uri, dbName] = process.argv.slice(2) as [string, string];
const connection = await open(uri, dbName);
const limiter = new RateLimiterMongo({
  storeClient: connection.getClient(),
  dbName,
  points: 1e9,
  duration: 0,
  keyPrefix: 'rlf',
  tableName: 'rlf',
});
await consume(connection, 'ours');

export type Order = { readonly ours: boolean; readonly requests: number };

process.on('message', async ({ ours, requests }: Order) => {
  await closedLoop({ inFlight: 32, requests }, () =>
    ours ? consume(connection, 'ours') : limiter.consume('key'),
  );
  process.send?.('done');
});
process.on('disconnect', () => process.exit());
process.send?.('ready');

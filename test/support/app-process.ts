import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import mongoose from 'mongoose';
import { demoApp } from '../../examples/demo/app.js';
import { appName } from './world.js';

/** One more process of the demo application, on the database that it is told; `processes.ts` starts it. */
const [uri, dbName, secret, options] = process.argv.slice(2) as [string, string, string, string];
const connection = await mongoose.createConnection(uri, { dbName, appName, autoIndex: false }).asPromise();
const cookies = { secure: false };
const shared = {
  connection,
  keys: [secret],
  cookies,
  credentialRate: 'off',
  mailRate: 'off',
  ...JSON.parse(options),
};
const server = demoApp(shared).listen(0, '127.0.0.1');
await once(server, 'listening');
process.send?.((server.address() as AddressInfo).port);
process.once('disconnect', () => process.exit());

import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import Router from '@koa/router';
import Koa from 'koa';
import mongoose from 'mongoose';
import { authenticate, authRouter, endpoint, problems } from '../dist/index.js';
import { countCommands } from './world.js';

/** Started by revocation.ts: one of several processes of an application, on the database that it is told. */
const [uri, dbName, secret] = process.argv.slice(2) as [string, string, string];
const connection = await mongoose
  .createConnection(uri, { dbName, autoIndex: false, monitorCommands: true })
  .asPromise();
const commands = countCommands(connection.getClient());
const shared = { connection, keys: [secret] };

/** Says how many commands it has sent to the database so far. */
function answer(ctx: Koa.ParameterizedContext): void {
  ctx.body = { commands: commands() };
}

const router = new Router();
router.get('/cached', endpoint(authenticate(shared), answer));
router.get('/strict', endpoint(authenticate({ ...shared, strict: true }), answer));
const app = new Koa().use(problems()).use(authRouter(shared).routes()).use(router.routes());
app.silent = true; // it refuses on purpose
const server = app.listen(0, '127.0.0.1');
await once(server, 'listening');
process.send?.((server.address() as AddressInfo).port);
process.once('disconnect', () => process.exit());

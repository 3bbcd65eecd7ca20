import { createSecretKey, randomUUID } from 'node:crypto';
import Router from '@koa/router';
import bcrypt from 'bcryptjs';
import Joi from 'joi';
import jwt from 'jsonwebtoken';
import { authRouter, body, createUser, Sessions } from '../dist/index.js';
import { LoadMaker } from './load.js';
import { compare, print } from './runner.js';
import { type Meanwhile, people, printMeanwhile, signIns } from './sign-ins.js';
import { makeWorld } from './world.js';

const world = await makeWorld();
const { connection } = world.shared;
const load = new LoadMaker();

for (const person of people) await createUser({ ...world.shared, ...person, emailVerified: true });

/** The peer: a route by hand, which hashes where it runs, makes a session as durably, and signs a token. */
const byHand = {
  users: connection.collection<{ email: string; hash: string }>('users_by_hand'),
  sessions: connection.collection('sessions_by_hand'),
};
await byHand.users.createIndex({ email: 1 }, { unique: true });
for (const { email, password } of people)
  await byHand.users.insertOne({ email, hash: await bcrypt.hash(password, 12) });
const key = createSecretKey(Buffer.from(world.secret));

const router = new Router();
router.post(
  '/by-hand/sign-in',
  body({ email: Joi.string(), password: Joi.string() }),
  async function signInByHand(ctx) {
    const { email, password } = ctx.request.body;
    const user = await byHand.users.findOne({ email });
    if (!user || !(await bcrypt.compare(password, user.hash))) return ctx.throw(401);
    const session = { user: user._id, token: randomUUID(), createdAt: new Date() };
    await byHand.sessions.insertOne(session, { writeConcern: { w: 'majority' } });
    ctx.body = { accessToken: jwt.sign({ sub: String(user._id) }, key, { expiresIn: 900 }) };
  },
);

const notes: Meanwhile[] = [];
const rows = await compare(
  [
    signIns(
      {
        name: 'bcryptjs on the main thread',
        mount: (app) => app.use(router.routes()),
        path: '/by-hand/sign-in',
        sessions: () => byHand.sessions.countDocuments(),
      },
      load,
      notes,
    ),
    signIns(
      {
        name: 'koa-tollgate',
        mount: (app) => app.use(authRouter(world.shared).routes()),
        path: '/auth/sign-in',
        sessions: () => Sessions(connection).countDocuments(),
      },
      load,
      notes,
    ),
  ],
  { rounds: 7 },
);
print(rows);
printMeanwhile(notes);
load.stop();
await world.stop();

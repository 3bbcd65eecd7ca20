import { createApiKey, createUser } from 'koa-tollgate';
import mongoose from 'mongoose';

await mongoose.connect(process.env.MONGODB_URI ?? 'mongodb://127.0.0.1/app?replicaSet=rs0');

const robot = await createUser({ email: 'robot@example.com', name: 'Nightly build' }); // no password: no sign-in
const { key } = await createApiKey({
  userId: robot.id,
  name: 'nightly build',
  scopes: ['builds.*'],
  allowedIps: ['10.0.0.0/8', '2001:db8::/32'],
  expiresAt: new Date(Date.now() + 90 * 24 * 3_600_000),
});
console.log(key); // shown this once: only its hash is stored

await mongoose.disconnect();

import { randomUUID } from 'node:crypto';
import Koa from 'koa';
import { authRouter, createUser, problems, ready, type SharedOptions, userSchema } from 'koa-tollgate';
import mongoose from 'mongoose';

mongoose.model('User', userSchema.clone().add({ _id: { type: String, default: () => randomUUID() } }));

const shared: SharedOptions = {
  keys: [process.env.TOLLGATE_SECRET ?? ''],
  roleNames: { user: 'customer', admin: 'operator' },
  showUser: ({ id, name, email }) => ({ id, label: name ?? email }),
  showApiKey: ({ id, name, prefix, expiresAt }) => ({ id, name, prefix, expiresAt }),
};

await mongoose.connect(process.env.MONGODB_URI ?? 'mongodb://127.0.0.1/app?replicaSet=rs0');
await ready(shared);
const person = { email: 'grace@example.com', password: 'cobol-forever', emailVerified: true };
const grace = await createUser({ ...shared, ...person, name: 'Grace Hopper' });
console.log(grace.id, grace.roles); // a UUID, ['customer']

const app = new Koa().use(problems()).use(authRouter(shared).routes());
app.listen(process.env.PORT ?? 3000);

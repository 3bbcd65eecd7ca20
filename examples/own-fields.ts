import { createUser, userSchema } from 'koa-tollgate';
import mongoose from 'mongoose';

declare module 'koa-tollgate' {
  interface UserFields {
    fullName: string;
  }
}

mongoose.model('User', userSchema.clone().add({ fullName: { type: String, required: true } }));

await mongoose.connect(process.env.MONGODB_URI ?? 'mongodb://127.0.0.1/app?replicaSet=rs0');
const grace = await createUser({ email: 'grace@example.com', fields: { fullName: 'Grace Hopper' } });
console.log(grace.fullName);
await mongoose.disconnect();

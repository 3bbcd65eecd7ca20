import { once } from 'node:events';
import { optionsFromEnv, ready, startWorker } from 'koa-tollgate';
import mongoose from 'mongoose';

await mongoose.connect(process.env.MONGODB_URI ?? 'mongodb://127.0.0.1/app?replicaSet=rs0');
const shared = optionsFromEnv(process.env); // TOLLGATE_SECRET, TOLLGATE_PUBLIC_URL, TOLLGATE_SMTP_URL, TOLLGATE_MAIL_FROM, …
await ready();

const worker = await startWorker({
  ...shared,
  onError: (error) => console.error('worker:', error.message),
});

await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')]);
await worker.stop(); // a mail under way goes out, and no other is taken
await mongoose.disconnect();
process.exit();

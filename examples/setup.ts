import { assignPlan, createOrganization, createUser, ready, syncPlans } from 'koa-tollgate';
import mongoose from 'mongoose';

await mongoose.connect(process.env.MONGODB_URI ?? 'mongodb://127.0.0.1/app?replicaSet=rs0');
await ready({ keys: [process.env.TOLLGATE_SECRET ?? ''] }); // the keys sign the audit log

await syncPlans({
  plans: {
    free: { name: 'Free', tier: 0, default: true, features: { images: { limit: 10, per: 'month' } } },
    pro: { name: 'Pro', tier: 1, features: { images: { limit: 'unlimited', per: 'month' }, reports: true } },
  },
});

const ada = await createUser({
  email: 'ada@example.com',
  password: 'lovelace-1815',
  name: 'Ada',
  roles: ['user', 'designer'],
  emailVerified: true,
});
const acme = await createOrganization({ name: 'Acme', slug: 'acme', owner: ada.id });
await assignPlan({ subject: { type: 'organization', id: acme.id }, plan: 'pro' });

await mongoose.disconnect();

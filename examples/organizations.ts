import {
  addMember,
  createOrganization,
  createTeam,
  createUser,
  listMembers,
  setSeats,
  updateOrganization,
} from 'koa-tollgate';
import mongoose from 'mongoose';

await mongoose.connect(process.env.MONGODB_URI ?? 'mongodb://127.0.0.1/app?replicaSet=rs0');

const ada = await createUser({ email: 'ada@example.com', name: 'Ada', emailVerified: true });
const grace = await createUser({ email: 'grace@example.com', name: 'Grace', emailVerified: true });

const acme = await createOrganization({ name: 'Acme Rockets', owner: ada.id }); // its slug is acme-rockets
const organizationId = acme.id;
await setSeats({ organizationId, seats: 10 });
const red = await createTeam({ organizationId, name: 'red' });
await updateOrganization({ organizationId, defaultTeamId: red.id }); // every new member joins it
await addMember({ organizationId, userId: grace.id, role: 'admin', actor: ada.id });

const { items } = await listMembers({ organizationId, limit: 25 });
for (const { email, role, teamIds } of items) console.log(email, role, teamIds.length);

await mongoose.disconnect();

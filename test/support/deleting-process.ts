import mongoose from 'mongoose';
import { deleteOrganization } from '../../lib/services/tenancy/delete-organization.js'; // all of lib takes longer to load
import { deleteTeam } from '../../lib/services/tenancy/teams/delete-team.js';

/** A process that deletes an organization, or a team of it, on a connection of its own name; a test kills it on the way. */
const [uri, dbName, appName, organizationId, teamId] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  string?,
];
const connection = await mongoose.createConnection(uri, { dbName, appName, autoIndex: false }).asPromise();
if (teamId) await deleteTeam({ connection, organizationId, teamId });
else await deleteOrganization({ connection, organizationId });
process.send?.('done');

import { atEnd, connect, inspector } from './world.js';

/** Long enough for another to come in between, and short of what a transaction may take. */
const blockTimeMS = 400;

/** A connection as another process has it, of which the next commit is held up, and a promise of the moment in which it is. */
export async function heldCommit() {
  const appName = 'held';
  const connection = await connect(undefined, { appName });
  const admin = inspector().getClient().db('admin');
  const data = { failCommands: ['commitTransaction'], blockConnection: true, blockTimeMS, appName };
  atEnd(() => admin.command({ configureFailPoint: 'failCommand', mode: 'off' }));
  const { count } = await admin.command({ configureFailPoint: 'failCommand', mode: { times: 1 }, data });
  const entered = { waitForFailPoint: 'failCommand', timesEntered: count + 1, maxTimeMS: 30_000 };
  return { connection, held: () => admin.command(entered) };
}

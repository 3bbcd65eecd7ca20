import type { Connection } from 'mongoose';
import { appName } from './world.js';

/** Lets MongoDB's profiler record the library's commands that look at more documents than an index led them to. */
export async function recordScans(connection: Connection): Promise<void> {
  const suspicious = [{ planSummary: 'COLLSCAN' }, { $expr: { $gt: ['$docsExamined', '$keysExamined'] } }];
  const { db } = connection;
  await db?.command({ create: 'system.profile', capped: true, size: 64 * 1024 * 1024 });
  await db?.command({ profile: 1, filter: { appName, $or: suspicious } });
}

/** What it has recorded, as JSON; a change stream reads the oplog, which has no index. */
export async function scans(connection: Connection): Promise<string[]> {
  const recorded = await connection.collection('system.profile').find().toArray();
  return recorded
    .filter(
      ({ planSummary, docsExamined = 0, keysExamined = 0 }) =>
        planSummary === 'COLLSCAN' || docsExamined > keysExamined,
    )
    .map(({ ns, command, originatingCommand }) =>
      JSON.stringify({ ns, command: originatingCommand ?? command }),
    )
    .filter((command) => !command.includes('$changeStream'));
}

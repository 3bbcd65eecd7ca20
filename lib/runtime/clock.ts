import type { Connection } from 'mongoose';
import { database } from './database.js';

/** The database's time, by which all processes judge what is over. */
export async function databaseTime(connection: Connection): Promise<Date> {
  const { localTime } = await database(async () => (await connection.db?.command({ hello: 1 })) ?? {});
  return localTime as Date;
}

import { type Reservation, reserveQuota } from 'koa-tollgate';
import type { Connection } from 'mongoose';
import { feature, subjectOf } from '../../kit/consume.js';

/** Holds units for longer than any storm lasts: most holds nobody settles, and were they to expire, units that were granted would not be counted. */
export const hold = (connection: Connection, key: number, amount: number): Promise<Reservation> =>
  reserveQuota({ connection, subject: subjectOf(key), feature, amount, expiresIn: 86_400 });

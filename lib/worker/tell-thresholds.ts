import type { Connection } from 'mongoose';
import { Thresholds } from '../models/threshold.js';
import { database } from '../runtime/database.js';
import { transaction } from '../runtime/transaction.js';
import { keepDoing } from './keep-doing.js';
import { mailThreshold } from './mail-threshold.js';
import { asEvent, type ThresholdEvent } from './threshold-event.js';

export interface ThresholdOptions {
  readonly connection: Connection;
  readonly onThreshold?: ((event: ThresholdEvent) => unknown) | undefined;
  /** The features whose thresholds are told by mail; true: all. */
  readonly thresholdMails?: boolean | readonly string[] | undefined;
  readonly onError: (error: unknown) => void;
}

/** Milliseconds between two looks. */
const pause = 2_000;

/** Tells of each threshold that is reached, once in all processes, until it is stopped. */
export function followThresholds(options: ThresholdOptions): { stop(): Promise<void> } {
  return keepDoing(async (isStopped) => {
    try {
      while (!isStopped() && (await tell(options)));
    } catch (error) {
      options.onError(error);
    }
    return pause;
  });
}

/** Taken first and told then: at most once, also when the process ends in between. Mails are stored in the transaction that takes it: no crash loses them. */
async function tell(options: ThresholdOptions): Promise<boolean> {
  const event = await taken(options);
  if (!event) return false;
  try {
    await options.onThreshold?.(event);
  } catch (error) {
    options.onError(error);
  }
  return true;
}

async function taken({
  connection,
  thresholdMails: mails = false,
}: ThresholdOptions): Promise<ThresholdEvent | null> {
  if (mails === false) {
    const row = await database(() => Thresholds(connection).take());
    return row && asEvent(row);
  }
  return transaction(connection, async (session) => {
    const row = await Thresholds(connection).take(session);
    const event = row && asEvent(row);
    if (event && (mails === true || mails.includes(event.feature)))
      await mailThreshold(connection, session, event);
    return event;
  });
}

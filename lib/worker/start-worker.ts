import { MongoBackend } from '@agendajs/mongo-backend';
import { Agenda } from 'agenda';
import Joi from 'joi';
import type { Connection } from 'mongoose';
import { sendsMail } from '../mail/enqueue-mail.js';
import { transportOf } from '../mail/transport.js';
import { opened } from '../runtime/connection.js';
import { database } from '../runtime/database.js';
import { readOptions, type SharedOptions, signingKeys } from '../runtime/options.js';
import { cleanUp } from '../services/clean-up.js';
import { codePattern } from '../services/plans/features.js';
import { followOutbox } from './deliver-mail.js';
import { keepReturning } from './return-holds.js';
import { keepSealed } from './seal-audit.js';
import { followThresholds } from './tell-thresholds.js';
import type { ThresholdEvent } from './threshold-event.js';

export interface WorkerOptions extends SharedOptions {
  /** Hears of every failure: a mail that was not taken or came too late, a job, the database. Default: a process warning. */
  onError?: ((error: Error) => void) | undefined;
  /**
   * Hears, some two seconds later, of every counter that has reached 80 or 100 per cent in its period: at most once each, in whichever
   * process. Default: nobody does.
   */
  onThreshold?: ((event: ThresholdEvent) => unknown) | undefined;
  /**
   * Of which features a mail tells of that (`quota-threshold`): the user, or the owners of the organization. True: of all. Every worker
   * is to be told the same. Default: of none.
   */
  thresholdMails?: boolean | readonly string[] | undefined;
}

/** Takes nothing more, and resolves when what is under way has ended: a minute at most. */
export interface Worker {
  stop(): Promise<void>;
}

type Own = { onError: (error: Error) => void } & Pick<WorkerOptions, 'onThreshold' | 'thresholdMails'>;

/** Milliseconds for which `stop()` waits for a clean-up. */
const drainTime = 30_000;

/**
 * Runs the background jobs: the outbox (mail goes out at once, and again after a failure), the seals of the audit log, the return of expired reservations and the clean-up of what has expired. Any number
 * of processes may run one: a mail is leased by one of them, a clean-up is done by one of them (agenda, on the collection `tollgate_jobs`).
 *
 * @throws {TypeError} when an option is wrong, smtpUrl is given and nodemailer is not installed, or thresholdMails and no way to send mail
 * @throws {TollgateError} `database_unavailable` (503)
 * @example const worker = await startWorker({ ...optionsFromEnv(process.env), connection });
 */
export async function startWorker(options: WorkerOptions): Promise<Worker> {
  const given = readOptions<Own>('startWorker', options, {
    ...signingKeys(),
    onError: Joi.function().default(() => warn),
    onThreshold: Joi.function(),
    thresholdMails: Joi.alternatives(Joi.boolean(), Joi.array().items(Joi.string().pattern(codePattern))),
  });
  const { onThreshold, thresholdMails } = given;
  if (thresholdMails && !sendsMail(given))
    throw new TypeError('startWorker(): option thresholdMails needs mail; give the option mail or smtpUrl');
  const onError = safely(given.onError);
  const connection = await opened(given.connection).asPromise();
  const transport = await transportOf(given);
  const { cleanupHours } = given;
  const agenda = cleanupHours > 0 ? await agendaOn(connection, cleanupHours, onError) : undefined;
  const outbox = transport && followOutbox({ ...given, connection, send: transport.send, onError });
  const sealer = keepSealed({ connection, keyring: given.keyring }, onError);
  const holds = keepReturning(connection, onError);
  const thresholds =
    onThreshold || thresholdMails
      ? followThresholds({ connection, onThreshold, thresholdMails, onError })
      : undefined;
  return {
    async stop() {
      await Promise.all([
        outbox?.stop(),
        sealer.stop(),
        holds.stop(),
        thresholds?.stop(),
        agenda?.drain(drainTime),
      ]);
      transport?.close();
    },
  };
}

/** Agenda looks for its index by itself, but nobody could catch that it failed. */
async function agendaOn(
  connection: Connection,
  hours: number,
  onError: (error: unknown) => void,
): Promise<Agenda> {
  const mongo = connection.db as unknown as ConstructorParameters<typeof MongoBackend>[0]; // another copy of the driver's types
  const backend = new MongoBackend({ mongo, collection: 'tollgate_jobs' } as never);
  await database(() => backend.connect());
  const agenda = new Agenda({ backend, processEvery: '5 seconds', defaultLockLifetime: 60_000 });
  agenda.on('fail', onError).on('error', onError);
  agenda.define('clean up', async () => void (await cleanUp({ connection })));
  await agenda.start();
  await agenda.every(`${hours} hours`, 'clean up');
  return agenda;
}

/** What the application does when it hears of a failure stops no worker. */
const safely =
  (hear: (error: Error) => unknown) =>
  (error: unknown): void => {
    const heard = error instanceof Error ? error : new Error(String(error));
    new Promise((resolve) => resolve(hear(heard))).catch(warn);
  };

const warn = (error: Error): void => {
  process.emitWarning(`A job of koa-tollgate has failed: ${error.message}`);
};

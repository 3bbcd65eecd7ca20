import { MongoBackend } from '@agendajs/mongo-backend';
import { Agenda } from 'agenda';
import Joi from 'joi';
import type { Connection } from 'mongoose';
import { transportOf } from '../mail/transport.js';
import { opened } from '../runtime/connection.js';
import { type ReadSharedOptions, readOptions, type SharedOptions, signingKeys } from '../runtime/options.js';
import { cleanUp } from '../services/clean-up.js';
import { type DeliveryOptions, deliverMail, followOutbox } from './deliver-mail.js';

export interface WorkerOptions extends SharedOptions {
  /** Hours between two clean-ups of what has expired; 0: never. Default 6. */
  cleanupHours?: number | undefined;
  /** Hears of every failed job. Default: a process warning. */
  onError?: ((error: Error) => void) | undefined;
}

/** Stops taking jobs, and resolves when those under way have ended. */
export interface Worker {
  stop(): Promise<void>;
}

type Own = { cleanupHours: number; onError: (error: Error) => void };

/** How often the outbox is looked through for what the change feed did not tell of: mails that are due again. */
const sweepEvery = '30 seconds';

/**
 * Runs the background jobs: the outbox (mail goes out at once, and again after a failure) and the clean-up of what has expired. Any number
 * of processes may run one; each job is done by one of them (agenda, on the collection `tollgate_jobs`).
 *
 * @throws {TypeError} when an option is wrong, or smtpUrl is given and nodemailer is not installed
 * @throws {TollgateError} `database_unavailable` (503)
 * @example const worker = await startWorker({ ...optionsFromEnv(process.env), connection });
 */
export async function startWorker(options: WorkerOptions): Promise<Worker> {
  const given = readOptions<Own>('startWorker', options, {
    ...signingKeys(),
    cleanupHours: Joi.number().min(0).max(8_760).default(6),
    onError: Joi.function().default(() => warn),
  });
  const connection = await opened(given.connection).asPromise();
  const transport = await transportOf(given);
  const delivery = transport && deliveryOf(given, connection, transport.send);
  const agenda = agendaOn(connection);
  agenda.on('fail', given.onError);
  agenda.on('error', given.onError);
  agenda.define('clean up', async () => void (await cleanUp({ connection })));
  if (delivery) agenda.define('deliver mail', async () => void (await deliverMail(delivery)));
  const outbox = delivery && followOutbox(delivery, (error) => given.onError(error as Error));
  await agenda.start();
  if (delivery) await agenda.every(sweepEvery, 'deliver mail');
  if (given.cleanupHours > 0) await agenda.every(`${given.cleanupHours} hours`, 'clean up');
  return {
    async stop() {
      await agenda.drain();
      await outbox?.stop();
      transport?.close();
    },
  };
}

function agendaOn(connection: Connection): Agenda {
  const mongo = connection.db as unknown as ConstructorParameters<typeof MongoBackend>[0]; // another copy of the driver's types
  const backend = new MongoBackend({ mongo, collection: 'tollgate_jobs' } as never);
  return new Agenda({ backend, processEvery: '5 seconds', defaultLockLifetime: 300_000 });
}

function deliveryOf(
  { keyring, publicUrl, mailFrom, appName, templates }: ReadSharedOptions,
  connection: Connection,
  send: DeliveryOptions['send'],
): DeliveryOptions {
  return { connection, send, keyring, publicUrl, mailFrom, appName, templates };
}

const warn = (error: Error): void => {
  process.emitWarning(`A job of koa-tollgate has failed: ${error.message}`);
};

import { clearInterval, setInterval, setTimeout } from 'node:timers';
import type { Connection } from 'mongoose';
import { outboxSubject } from '../mail/enqueue-mail.js';
import { renderMail } from '../mail/render-mail.js';
import { leaseSeconds, neverEnded, Outbox, type StoredMail } from '../models/outbox.js';
import { changeFeed } from '../runtime/change-feed.js';
import { database } from '../runtime/database.js';
import type { MailTemplates, SendMail } from '../runtime/mail.js';
import { type PrepareOptions, prepareMail } from './prepare-mail.js';
import { takeTurns } from './take-turns.js';

export interface DeliveryOptions extends PrepareOptions {
  readonly connection: Connection;
  readonly send: SendMail;
  readonly mailFrom?: string | undefined;
  readonly appName: string;
  readonly templates?: MailTemplates | undefined;
  /** Hears of every delivery that failed or came too late; must not throw. */
  readonly onError: (error: unknown) => void;
}

/** Mails that are under way at once. */
const width = 4;

/** Milliseconds between two looks for what the change feed does not tell of: mails that are due again, and those that have to go alone. */
const sweepEvery = 5_000;

/**
 * Delivers whatever is put into the outbox, by any process, until it is stopped: at least once each, with the same Message-ID every time.
 * One that fails is due again later.
 */
export function followOutbox(options: DeliveryOptions): { stop(): Promise<void> } {
  const deliveries = takeTurns(options.connection, (mail) => deliver(mail, options));
  const lanes = Array.from({ length: width }, () => lane(deliveries.next, options.onError));
  const alone = lane(deliveries.nextAlone, options.onError);
  const wake = () => {
    for (const { wake } of lanes) wake();
  };
  const forget = changeFeed(options.connection).onChange((subject) => {
    if (subject === undefined || subject === outboxSubject) wake();
  });
  const wakeAll = () => {
    wake();
    alone.wake();
  };
  const sweep = setInterval(wakeAll, sweepEvery).unref();
  wakeAll();
  return {
    async stop() {
      deliveries.stop();
      clearInterval(sweep);
      forget();
      await Promise.all([...lanes, alone].map(({ ended }) => ended()));
    },
  };
}

/** Repeats `next` while it gives true. Woken while it does, it looks once more, for what came just after the last look. */
function lane(next: () => Promise<boolean>, onError: (error: unknown) => void) {
  let woken = false;
  let work: Promise<void> | undefined;
  const run = async () => {
    while (woken) {
      woken = false;
      while (await next().catch(onError));
    }
    work = undefined;
  };
  return {
    wake() {
      woken = true;
      work ??= run();
    },
    ended: async () => work,
  };
}

/** A mail that has gone out and cannot be marked so keeps its lease: nobody sends it again at once. */
async function deliver(mail: StoredMail, options: DeliveryOptions): Promise<void> {
  if (mail.failedAt) return options.onError(new Error(neverEnded));
  const outbox = Outbox(options.connection);
  try {
    await send(mail, options);
  } catch (error) {
    options.onError(error);
    await database(() => outbox.failed(mail, error instanceof Error ? error.message : String(error)));
    return;
  }
  await database(() => outbox.delivered(mail));
}

async function send(mail: StoredMail, options: DeliveryOptions): Promise<void> {
  const { connection, mailFrom: from, appName, templates } = options;
  const content = await prepareMail(connection, mail, options);
  if (content === 'ended') return options.onError(new Error(tooLate(mail)));
  if (!content) return;
  const { kind, data } = content;
  const rendered = renderMail(kind, { appName, ...data }, templates);
  const messageId = `<${mail._id}@${hostOf(options)}>`;
  await inLease(() => options.send({ ...rendered, kind, from, to: mail.to, messageId }));
}

/** Names no address: it is for a log. */
const tooLate = ({ _id, kind }: StoredMail): string =>
  `The mail ${_id} (${kind}) is not sent: its link or code has expired or been used while it waited`;

const hostOf = ({ publicUrl }: DeliveryOptions): string =>
  publicUrl ? new URL(publicUrl).hostname : 'koa-tollgate.invalid';

/** Gives up before the lease ends, so that nobody else sends the same mail meanwhile. */
function inLease(sending: () => Promise<void>): Promise<void> {
  return new Promise((resolve, reject) => {
    const late = () => reject(new Error('The mail was not taken in time'));
    const timer = setTimeout(late, (leaseSeconds - 10) * 1000);
    Promise.resolve()
      .then(sending)
      .then(resolve, reject)
      .finally(() => clearTimeout(timer));
  });
}

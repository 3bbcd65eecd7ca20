import { clearInterval, setInterval, setTimeout } from 'node:timers';
import type { Connection } from 'mongoose';
import { outboxSubject } from '../mail/enqueue-mail.js';
import { renderMail } from '../mail/render-mail.js';
import { leaseSeconds, neverEnded, Outbox, type StoredMail } from '../models/outbox.js';
import { changeFeed } from '../runtime/change-feed.js';
import { database } from '../runtime/database.js';
import type { MailTemplates, SendMail } from '../runtime/mail.js';
import { type PrepareOptions, prepareMail } from './prepare-mail.js';

export interface DeliveryOptions extends PrepareOptions {
  readonly connection: Connection;
  readonly send: SendMail;
  readonly mailFrom?: string | undefined;
  readonly appName: string;
  readonly templates?: MailTemplates | undefined;
  /** Hears of every delivery that failed; must not throw. */
  readonly onError: (error: unknown) => void;
}

/** Mails that are under way at once. */
const width = 4;

/** Milliseconds between two looks for what the change feed does not tell of: mails that are due again. */
const sweepEvery = 5_000;

/**
 * Delivers whatever is put into the outbox, by any process, until it is stopped: at least once each, with the same Message-ID every time.
 * One that fails is due again later.
 */
export function followOutbox(options: DeliveryOptions): { stop(): Promise<void> } {
  const deliveries = takeTurns(options);
  const lanes = Array.from({ length: width }, () => lane(deliveries.next, options.onError));
  const wake = () => {
    for (const { wake } of lanes) wake();
  };
  const forget = changeFeed(options.connection).onChange((subject) => {
    if (subject === undefined || subject === outboxSubject) wake();
  });
  const sweep = setInterval(wake, sweepEvery).unref();
  wake();
  return {
    async stop() {
      deliveries.stop();
      clearInterval(sweep);
      forget();
      await Promise.all(lanes.map(({ ended }) => ended()));
    },
  };
}

/**
 * Leases one mail at a time, or the lanes of a process would all write to the same first row and conflict. A mail that a worker may have died of has its
 * turn until it ends, and gets it when no other is under way: whoever dies of it counts an attempt of no other mail.
 */
function takeTurns(options: DeliveryOptions) {
  let stopped = false;
  let underWay = 0;
  let turn: Promise<unknown> = Promise.resolve();
  const begin = async (): Promise<{ readonly end: Promise<void> } | null> => {
    if (stopped) return null;
    const mail = await database(() => Outbox(options.connection).lease({ alone: underWay === 0 }));
    if (!mail) return null;
    underWay += 1;
    const end = deliver(mail as StoredMail, options).finally(() => {
      underWay -= 1;
    });
    if (mail.unended > 1) await end;
    return { end };
  };
  return {
    /** Delivers a mail that is due, to its end; false when there is none. */
    async next(): Promise<boolean> {
      const begun = turn.then(begin);
      turn = begun.catch(() => {});
      const delivery = await begun;
      await delivery?.end;
      return delivery !== null;
    },
    stop() {
      stopped = true;
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
  if (!content) return;
  const { kind, data } = content;
  const rendered = renderMail(kind, { appName, ...data }, templates);
  const messageId = `<${mail._id}@${hostOf(options)}>`;
  await inLease(() => options.send({ ...rendered, kind, from, to: mail.to, messageId }));
}

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

import { setTimeout } from 'node:timers';
import type { Connection } from 'mongoose';
import { outboxSubject } from '../mail/enqueue-mail.js';
import { renderMail } from '../mail/render-mail.js';
import { leaseSeconds, Outbox, type StoredMail } from '../models/outbox.js';
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
}

/** Mails that are under way at once. */
const width = 4;

/**
 * Delivers what is in the outbox until nothing is due: at least once each, with the same Message-ID every time. One that fails is due
 * again later. Gives how many have gone out.
 */
export async function deliverMail(options: DeliveryOptions): Promise<number> {
  const counts = await Promise.all(Array.from({ length: width }, () => deliverWhileDue(options)));
  return counts.reduce((sum, count) => sum + count, 0);
}

async function deliverWhileDue(options: DeliveryOptions): Promise<number> {
  const outbox = Outbox(options.connection);
  for (let count = 0; ; ) {
    const mail = await database(() => outbox.lease());
    if (!mail) return count;
    if (await deliver(mail as StoredMail, options)) count += 1;
  }
}

async function deliver(mail: StoredMail, options: DeliveryOptions): Promise<boolean> {
  const { connection, send, mailFrom, appName, templates } = options;
  const outbox = Outbox(connection);
  try {
    const content = await prepareMail(connection, mail, options);
    if (content) {
      const rendered = renderMail(content.kind, { appName, ...content.data }, templates);
      const messageId = `<${mail._id}@${hostOf(options)}>`;
      await inLease(send({ ...rendered, kind: content.kind, from: mailFrom, to: mail.to, messageId }));
    }
    await database(() => outbox.delivered(mail));
    return content !== null;
  } catch (error) {
    await database(() => outbox.failed(mail, error instanceof Error ? error.message : String(error)));
    return false;
  }
}

const hostOf = ({ publicUrl }: DeliveryOptions): string =>
  publicUrl ? new URL(publicUrl).hostname : 'koa-tollgate.invalid';

/** Gives up before the lease ends, so that nobody else sends the same mail meanwhile. */
function inLease(sending: Promise<void>): Promise<void> {
  return new Promise((resolve, reject) => {
    const late = () => reject(new Error('The mail was not taken in time'));
    const timer = setTimeout(late, (leaseSeconds - 10) * 1000);
    sending.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/** Delivers at once whatever is put into the outbox, by any process, until it is stopped. */
export function followOutbox(
  options: DeliveryOptions,
  onError: (error: unknown) => void,
): { stop(): Promise<void> } {
  let running: Promise<unknown> = Promise.resolve();
  let waiting = false;
  const deliver = () => {
    if (waiting) return;
    waiting = true;
    running = running.then(() => {
      waiting = false;
      return deliverMail(options).catch(onError);
    });
  };
  const forget = changeFeed(options.connection).onChange((subject) => {
    if (subject === undefined || subject === outboxSubject) deliver();
  });
  deliver();
  return {
    async stop() {
      forget();
      await running;
    },
  };
}

import type { MailKind, MailMessage, SharedOptions } from '../../lib/index.js';
import { startWorker } from '../../lib/index.js';
import { atEnd, until, world } from './world.js';

export const publicUrl = 'http://app.example.com';

/** Collects the mails that go out. */
export function mailbox() {
  const sent: MailMessage[] = [];
  const mail = async (message: MailMessage) => void sent.push(message);

  /** The next mail of this kind to that address, taken out; waits for it. */
  async function next(to: string, kind: MailKind): Promise<MailMessage> {
    const index = () => sent.findIndex((message) => message.to === to && message.kind === kind);
    await until(() => index() >= 0);
    return sent.splice(index(), 1)[0] as MailMessage;
  }

  return {
    sent,
    mail,
    next,
    tokenOf: async (to: string, kind: MailKind) => tokenIn(await next(to, kind)),
    codeOf: async (to: string) => /^\d{6}$/m.exec((await next(to, 'otp')).text)?.[0] as string,
  };
}

/** The token of the link that stands alone on a line. */
export function tokenIn({ text }: MailMessage): string {
  const link = /^http\S+$/m.exec(text)?.[0];
  if (!link) throw new Error(`no link in ${text}`);
  return new URL(link).searchParams.get('token') as string;
}

let before: { stop(): Promise<void> } | undefined;

/** The world with a worker that delivers its mails into a mailbox; one that was made before, which would take the mails of this one, is stopped. */
export async function mailWorld(options: Partial<SharedOptions> = {}) {
  await before?.stop();
  const box = mailbox();
  const made = await world({ mail: box.mail, publicUrl, ...options });
  const onError = (error: Error) => console.error(error);
  const worker = await startWorker({ ...made.shared, mail: box.mail, cleanupHours: 0, onError });
  before = worker;
  atEnd(async () => {
    before = undefined;
    await worker.stop();
  });
  return { ...made, ...box, worker };
}

import { once } from 'node:events';
import type { AddressInfo, Server } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { domainToASCII } from 'node:url';
import PostalMime, { type Email } from 'postal-mime';
import { SMTPServer } from 'smtp-server';
import { atEnd, until } from './world.js';

/** A mail as a server has taken it. */
export interface TakenMail {
  /** The envelope: to whom it goes, whatever its headers say. */
  readonly recipients: readonly string[];
  readonly email: Email;
  readonly raw: string;
}

/** The server has decoded the domain. */
const inAscii = (address: string): string => {
  const [local, domain = ''] = address.split('@');
  return `${local}@${domainToASCII(domain)}`;
};

/** A real SMTP server on a free port until the test ends; `refuse` says what it answers in place of taking a mail. */
export async function startSmtp() {
  const taken: TakenMail[] = [];
  const answers: string[] = [];
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    async onData(stream, { envelope }, done) {
      const raw = await buffer(stream);
      const answer = answers.shift();
      if (answer) return done(Object.assign(new Error(answer), { responseCode: 451 }));
      const recipients = envelope.rcptTo.map(({ address }) => inAscii(address));
      taken.push({ recipients, email: await PostalMime.parse(raw), raw: raw.toString() });
      done();
    },
  });
  const listening: Server = server.listen(0, '127.0.0.1') as unknown as Server;
  await once(listening, 'listening');
  atEnd(() => new Promise<void>((resolve) => server.close(() => resolve())));
  const { port } = listening.address() as AddressInfo;

  /** The next mail, taken out; waits for it. */
  async function next(): Promise<TakenMail> {
    await until(() => taken.length > 0);
    return taken.shift() as TakenMail;
  }

  return { url: `smtp://127.0.0.1:${port}`, taken, next, refuse: (answer: string) => answers.push(answer) };
}

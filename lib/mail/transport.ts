import type { SendMail } from '../runtime/mail.js';

export interface TransportOptions {
  readonly mail?: SendMail | undefined;
  readonly smtpUrl?: string | undefined;
}

/** How mail goes out: by the application's own function, else by SMTP; null where neither is configured. */
export async function transportOf({ mail, smtpUrl }: TransportOptions): Promise<Transport | null> {
  if (mail) return { send: mail, close() {} };
  if (!smtpUrl) return null;
  const { createTransport } = await import('nodemailer').catch((cause: unknown) => {
    throw new TypeError('option smtpUrl needs the package nodemailer: npm install nodemailer', { cause });
  });
  const bounds = { connectionTimeout: 10_000, greetingTimeout: 10_000, socketTimeout: 20_000 };
  const smtp = createTransport(smtpUrl, { pool: true, ...bounds } as object);
  return {
    async send({ from, to, subject, text, html, messageId }) {
      await smtp.sendMail({
        from,
        to: { name: '', address: to }, // as text it would be parsed once more, as a list
        subject,
        text,
        html,
        messageId,
        disableFileAccess: true,
        disableUrlAccess: true,
      });
    },
    close: () => smtp.close(),
  };
}

export interface Transport {
  readonly send: SendMail;
  close(): void;
}

/** Every mail that koa-tollgate sends; its template has the same name. */
export const mailKinds = ['verify-email', 'account-exists', 'reset-password', 'password-changed', 'confirm-email', 'email-changing', 'otp', 'session-theft', 'credential-added', 'credential-removed', 'account-erased', 'invitation', 'quota-threshold'] as const; // biome-ignore format: a list
export type MailKind = (typeof mailKinds)[number];

/**
 * The text of a mail, in eta's syntax (`<%= it.link %>`). `it` has `name`, `email`, `appName`, and as the mail needs it `link` or
 * `code` with `validFor` (such as `15 minutes`) and `minutes`, `newEmail`, `credential`, `organization` and `inviter` (empty where
 * that is not a person), or what docs/mail.md lists of `quota-threshold`.
 */
export interface MailTemplate {
  readonly subject: string;
  readonly text: string;
  /** What is filled in is escaped. */
  readonly html: string;
}

export type MailTemplates = Partial<Record<MailKind, Partial<MailTemplate>>>;

/** A mail as it goes out, to the SMTP server or to the application's own function. */
export interface MailMessage extends MailTemplate {
  /** The name of its template, such as `reset-password`. */
  readonly kind: MailKind;
  readonly from?: string | undefined;
  readonly to: string;
  /** The same however often the mail is sent (RFC 5322, section 3.6.4): a double can be told by it. */
  readonly messageId: string;
}

export type SendMail = (message: MailMessage) => Promise<void>;

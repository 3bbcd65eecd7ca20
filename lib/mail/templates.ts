import type { MailKind, MailTemplate } from '../runtime/mail.js';

/** A link stands alone on its line, and so does a code: people and programs find them there. */
interface Wording {
  readonly subject: string;
  readonly before: string;
  readonly link?: string;
  readonly code?: true;
  readonly after?: string;
}

const wordings: Readonly<Record<MailKind, Wording>> = {
  'verify-email': {
    subject: 'Confirm your e-mail address',
    before: 'Please confirm that this e-mail address is yours, to finish signing up for <%= it.appName %>.',
    link: 'Confirm the address',
    after: 'The link is good for <%= it.validFor %>. If you did not sign up, ignore this mail.',
  },
  'account-exists': {
    subject: 'You have an account already',
    before:
      'Somebody, perhaps you, wanted to use this e-mail address at <%= it.appName %>. You have an account with it already: sign in, or reset your password if you have forgotten it.',
  },
  'reset-password': {
    subject: 'Reset your password',
    before: 'Somebody, perhaps you, asked to reset your password at <%= it.appName %>.',
    link: 'Choose a new password',
    after:
      'The link is good for <%= it.validFor %>, once. If it was not you, ignore this mail: nothing has changed.',
  },
  'password-changed': {
    subject: 'Your password has changed',
    before:
      'The password of your account at <%= it.appName %> has just been changed. If it was not you, reset it now, and tell us.',
  },
  'confirm-email': {
    subject: 'Confirm your new e-mail address',
    before: 'Please confirm that your account at <%= it.appName %> is to have this e-mail address.',
    link: 'Confirm the new address',
    after: 'The link is good for <%= it.validFor %>. If you did not ask for it, ignore this mail.',
  },
  'email-changing': {
    subject: 'Your e-mail address is about to change',
    before:
      'Somebody who is signed in to your account at <%= it.appName %> asked to change its e-mail address to <%= it.newEmail %>. If it was not you, change your password now, and tell us.',
  },
  otp: {
    subject: 'Your code to sign in',
    before: 'Your code to sign in to <%= it.appName %>:',
    code: true,
    after:
      'It is good for <%= it.validFor %>, once. Give it to nobody. If you did not ask for it, ignore this mail.',
  },
  'session-theft': {
    subject: 'We have ended a session of yours',
    before:
      'A session of your account at <%= it.appName %> was used from two places, as happens when it is stolen. We have ended it. Please sign in again, and change your password if you have any doubt.',
  },
  'credential-added': {
    subject: 'There is another way to sign in to your account',
    before:
      'From now on one can sign in to your account at <%= it.appName %> with <%= it.credential %> too. If it was not you who added that, change your password now, remove it in your account, and tell us.',
  },
  'credential-removed': {
    subject: 'A way to sign in to your account was removed',
    before:
      'Nobody can sign in to your account at <%= it.appName %> with <%= it.credential %> any more. If it was not you who removed that, change your password now, and tell us.',
  },
  'account-erased': {
    subject: 'Your account has been erased',
    before:
      'Your account at <%= it.appName %> and what belonged to it have been erased, as you asked. Goodbye.',
  },
  invitation: {
    subject: 'Join <%= it.organization %>',
    before:
      '<%= it.inviter ? it.inviter + " invites you" : "You are invited" %> to join <%= it.organization %> at <%= it.appName %>.',
    link: 'See the invitation',
    after:
      'The link is good for <%= it.validFor %>, for whoever signs in with this e-mail address. If you do not know what this is about, ignore this mail.',
  },
  'quota-threshold': {
    subject: '<%= it.threshold %> % of <%= it.feature %> used',
    before:
      '<%= it.team ? "The team " + it.team + " of " + it.organization + " has" : it.organization ? it.organization + " has" : "You have" %> used <%= it.threshold %> % of what there is of <%= it.feature %> at <%= it.appName %>: <%= it.used %> units.<%= it.resetsAt ? " The next period begins on " + it.resetsAt + "." : "" %>',
  },
};

const textOf = ({ before, link, code, after }: Wording): string =>
  [
    'Hello<%= it.name ? " " + it.name : "" %>,',
    before,
    ...(link ? ['<%= it.link %>'] : []),
    ...(code ? ['<%= it.code %>'] : []),
    ...(after ? [after] : []),
  ].join('\n\n');

const htmlOf = ({ before, link, code, after }: Wording): string =>
  [
    '<!doctype html><html><body style="font: 16px/1.5 sans-serif; color: #222">',
    '<p>Hello<%= it.name ? " " + it.name : "" %>,</p>',
    `<p>${before}</p>`,
    ...(link ? [`<p><a href="<%= it.link %>">${link}</a></p>`] : []),
    ...(code ? ['<p style="font-size: 28px; letter-spacing: 4px"><%= it.code %></p>'] : []),
    ...(after ? [`<p>${after}</p>`] : []),
    '</body></html>',
  ].join('\n');

/** The templates that are used where an application has none of its own. */
export const defaultTemplates = Object.fromEntries(
  Object.entries(wordings).map(([kind, wording]) => [
    kind,
    { subject: wording.subject, text: textOf(wording), html: htmlOf(wording) },
  ]),
) as Readonly<Record<MailKind, MailTemplate>>;

import { Eta } from 'eta';
import type { MailKind, MailTemplate, MailTemplates } from '../runtime/mail.js';
import { defaultTemplates } from './templates.js';

const forText = new Eta({ autoEscape: false, autoTrim: false, cache: true });
const forHtml = new Eta({ autoEscape: true, cache: true });

/** Renders the application's own template of `kind`, part by part where it has only some, else ours. */
export function renderMail(
  kind: MailKind,
  data: Readonly<Record<string, unknown>>,
  own: MailTemplates = {},
): MailTemplate {
  const { subject, text, html } = { ...defaultTemplates[kind], ...own[kind] };
  return {
    subject: oneLine(forText.renderString(subject, data)),
    text: `${forText.renderString(text, data)}\n`,
    html: forHtml.renderString(html, data),
  };
}

/** A name with a line break must not become a header of its own. */
const oneLine = (text: string): string => text.replaceAll(/\s+/g, ' ').trim();

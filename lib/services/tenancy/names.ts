import Joi from 'joi';

/** Without control characters: a name stands in mails and logs. */
export const shownName = Joi.string()
  .min(1)
  .max(100)
  .pattern(/^\P{Cc}*$/u)
  .messages({ 'string.pattern.base': 'must not have line breaks or other control characters' });

/** What stands for an organization in URLs. */
export const slugSchema = Joi.string()
  .pattern(/^[a-z0-9]+(-[a-z0-9]+)*$/)
  .max(64)
  .messages({
    'string.pattern.base': 'must be lower-case letters and digits, with single hyphens between them',
  });

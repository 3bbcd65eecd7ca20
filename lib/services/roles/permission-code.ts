import Joi from 'joi';

/** A permission as roles and API keys hold it: `images.write`, or `images.*` for every code below `images.`. Applications make up their own. */
export const permissionCode = Joi.string()
  .max(100)
  .pattern(/^[a-z][a-z0-9-]*(\.[a-z0-9-]+)*(\.\*)?$/)
  .messages({ 'string.pattern.base': 'must be a permission code such as images.write or images.*' });

/** What a guard asks for: one permission, without a wildcard. */
export const isPlainCode = (code: unknown): code is string =>
  typeof code === 'string' && !code.endsWith('*') && !permissionCode.validate(code).error;

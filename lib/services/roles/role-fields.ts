import Joi from 'joi';
import { permissionCode } from './permission-code.js';

/** What a role may be called. */
export const roleName = Joi.string()
  .max(64)
  .pattern(/^[\p{L}\p{N}][\p{L}\p{N}_. -]*$/u)
  .messages({ 'string.pattern.base': 'must be letters, digits, spaces, dots, hyphens and underscores' });

/** Whether a role can be called so: what stands in a path may be anything. */
export const isRoleName = (text: string | undefined): text is string =>
  text !== undefined && roleName.validate(text).error === undefined;

export const permissionCodes = Joi.array().items(permissionCode).max(100) as Joi.ArraySchema<string[]>;

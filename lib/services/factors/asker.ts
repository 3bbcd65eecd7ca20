import Joi from 'joi';
import { type Origin, originFields } from '../../audit/record-audit.js';

/** Who changes their own factors, and in which session, which goes on. */
export interface Asker extends Origin {
  readonly userId: string;
  readonly sessionId: string;
  /** The cookie of known devices: a device that has signed in before has a budget of wrong codes of its own. */
  readonly device?: string | undefined;
}

/** The same for services that validate what they are given. */
export const askerFields = {
  userId: Joi.string().required(),
  sessionId: Joi.string().required(),
  device: Joi.string(),
  ...originFields,
};

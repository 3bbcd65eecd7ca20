import type { Fields } from '../../middleware/validation.js';
import type { ReadSharedOptions } from '../../runtime/options.js';

/** What the routes of administrators are made with. */
export interface ReadAdminOptions extends ReadSharedOptions {
  /** The application's own fields that administrators may write, each by its Joi schema. */
  readonly userFields: Fields;
}

import { Schema } from 'mongoose';
import { accessor, tollgateSchema } from './accessor.js';

/** What was used up of a rate limit in its current window. rate-limiter-flexible writes it; here are its indexes. */
export const rateLimitSchema = new Schema(
  { key: { type: String, required: true }, points: Number, expire: Date },
  { collection: 'tollgate_rate_limits', strict: 'throw' },
);

rateLimitSchema.index({ key: 1 }, { unique: true });
rateLimitSchema.index({ expire: 1 }, { expireAfterSeconds: 0 });
tollgateSchema(rateLimitSchema);

export const RateLimits = accessor('RateLimit', (connection) =>
  connection.model('RateLimit', rateLimitSchema),
);

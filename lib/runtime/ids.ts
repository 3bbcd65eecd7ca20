import { Types } from 'mongoose';

const pattern = /^[0-9a-f]{24}$/i;

/** The ObjectId that `text` writes in hexadecimal, or null: a malformed id is treated like an unknown one. */
export function objectId(text: string | undefined): Types.ObjectId | null {
  return text !== undefined && pattern.test(text) ? new Types.ObjectId(text) : null;
}

import { Types } from 'mongoose';

const pattern = /^[0-9a-f]{24}$/i;

/** The ObjectId that `text` writes in hexadecimal, or null: a malformed id is treated like an unknown one. */
export function objectId(text: string | undefined): Types.ObjectId | null {
  return text !== undefined && pattern.test(text) ? new Types.ObjectId(text) : null;
}

/** The one text of an id of ours, by which it is remembered and announced: in capitals it names the same. Any other text stays as it is. */
export const idText = (text: string): string => String(objectId(text) ?? text);

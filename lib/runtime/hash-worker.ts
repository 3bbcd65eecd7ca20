import bcrypt from 'bcryptjs';

export interface HashJob {
  readonly input: string;
  readonly cost: number;
  /** To compare with; without it `input` is hashed. */
  readonly hashed?: string;
}

/** Runs in a worker thread: hashes `input` at `cost`, or compares it with `hashed`. */
export function work({ input, hashed, cost }: HashJob): string | boolean {
  if (hashed === undefined) return bcrypt.hashSync(input, cost);
  if (bcrypt.compareSync(input, hashed)) return true;
  // A cheaper failure is made as long as one at `cost`: 2^a + 2^a + 2^(a+1) + … + 2^(b-1) = 2^b.
  for (let each = bcrypt.getRounds(hashed); each < cost; each += 1) bcrypt.hashSync(input, saltOf(each));
  return false;
}

const saltOf = (cost: number): string => `$2b$${String(cost).padStart(2, '0')}$${'.'.repeat(22)}`;
